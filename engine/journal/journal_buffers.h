#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/log/aligned.h"
#include "engine/log/bytes.h"
#include "engine/log/writer.h"

namespace sluice::journal {

/// Memory for groups of events. Never refuses: the journal bounds itself by healthy().
/// Thread: one shard.
class JournalBuffers final : public log::BufferSource {
 public:
  static constexpr std::size_t kBytes = 256 * kKiB;
  static constexpr std::size_t kKeptMax = 4;

  explicit JournalBuffers(runtime::Reactor& reactor) : pool_(log::AlignedMemory::make(kKeptMax * kBytes)) {
    const Result<std::uint16_t> fixed = reactor.register_buffer(pool_.bytes());
    for (std::size_t i = 0; i < kKeptMax; ++i) {
      auto one = std::make_unique<Owned>();
      one->memory = pool_.bytes().subspan(i * kBytes, kBytes);
      one->fixed_buffer = fixed.value_or(runtime::Op::kNoFixedBuffer);
      free_.push_back(one.get());
      all_.push_back(std::move(one));
    }
  }
  log::Buffer* take_buffer(std::size_t bytes_min) override {
    if (bytes_min <= kBytes && !free_.empty()) {
      Owned* one = free_.back();
      free_.pop_back();
      return one;
    }
    auto one = std::make_unique<Owned>();
    one->own = log::AlignedMemory::make(std::max(kBytes, log::round_up(bytes_min, log::kBlockBytes)));
    one->memory = one->own.bytes();
    all_.push_back(std::move(one));
    return all_.back().get();
  }
  void buffer_done(log::Buffer& buffer) override {
    auto& one = static_cast<Owned&>(buffer);
    one.become(log::Buffer::State::Free);
    if (one.own.size() == 0) {
      free_.push_back(&one);
    } else {
      std::erase_if(all_, [&one](const auto& other) { return other.get() == &one; });
    }
  }

 private:
  struct Owned : log::Buffer {
    log::AlignedMemory own;  // empty: part of the pool
  };
  log::AlignedMemory pool_;
  std::vector<std::unique_ptr<Owned>> all_;
  std::vector<Owned*> free_;
};

}  // namespace sluice::journal
