#include "engine/spool/commit_buffers.h"

#include <algorithm>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::spool {

CommitBuffers::CommitBuffers(runtime::Reactor& reactor, std::size_t count, std::size_t buffer_bytes,
                             std::uint64_t large_bytes)
    : buffer_bytes_(buffer_bytes),
      large_bytes_max_(large_bytes),
      pinned_max_(static_cast<std::uint32_t>(count / 2)),
      memory_(log::AlignedMemory::make(count * buffer_bytes)) {
  // One registration for all: the kernel pins the pages once, and any part of them can be named by one index. Without
  // it (locked memory limit) writes work all the same and cost a little more.
  const Result<std::uint16_t> fixed = reactor.register_buffer(memory_.bytes());
  buffers_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto buffer = std::make_unique<CommitBuffer>();
    buffer->memory = memory_.bytes().subspan(i * buffer_bytes, buffer_bytes);
    buffer->fixed_buffer = fixed.value_or(runtime::Op::kNoFixedBuffer);
    buffer->owner = this;
    buffer->index = static_cast<std::uint32_t>(i);
    free_.push_back(buffer.get());
    buffers_.push_back(std::move(buffer));
  }
}

log::Buffer* CommitBuffers::take_buffer(std::size_t bytes_min) {
  CommitBuffer* found = nullptr;
  if (bytes_min > buffer_bytes_) {
    found = take_large(bytes_min);
  } else if (!free_.empty()) {
    found = free_.back();
    free_.pop_back();
  } else {
    for (std::size_t tries = resident_.size(); tries > 0 && found == nullptr; --tries) {
      CommitBuffer* oldest = resident_.front();
      resident_.pop_front();
      std::uint32_t unpinned = 0;
      if (oldest->pins.compare_exchange_strong(unpinned, CommitBuffer::kEvicted, std::memory_order_acq_rel)) {
        found = oldest;
      } else {
        resident_.push_back(oldest);
      }
    }
  }
  if (found == nullptr) {
    refused_ = true;
    return nullptr;
  }
  found->published = false;
  return found;
}

CommitBuffer* CommitBuffers::take_large(std::size_t bytes) {
  const std::size_t size = log::round_up(bytes, log::kBlockBytes);
  if (large_bytes_ != 0 && large_bytes_ + size > large_bytes_max_) return nullptr;
  auto buffer = std::make_unique<CommitBuffer>();
  buffer->own = log::AlignedMemory::make(size);
  buffer->memory = buffer->own.bytes();
  buffer->owner = this;
  buffer->large = true;
  large_bytes_ += size;
  large_.push_back(std::move(buffer));
  return large_.back().get();
}

void CommitBuffers::buffer_done(log::Buffer& done) {
  auto& buffer = static_cast<CommitBuffer&>(done);
  if (!buffer.large) {
    if (buffer.published) {
      resident_.push_back(&buffer);
    } else {
      free_.push_back(&buffer);
    }
    return;
  }
  large_bytes_ -= buffer.own.size();
  std::erase_if(large_, [&buffer](const auto& one) { return one.get() == &buffer; });
}

void CommitBuffers::publish(CommitBuffer& buffer) {
  if (buffer.published || buffer.large) return;
  buffer.published = true;
  buffer.pins.store(0, std::memory_order_release);
}

bool CommitBuffers::pin(CommitBuffer& buffer) {
  std::uint32_t seen = buffer.pins.load(std::memory_order_relaxed);
  bool counted = false;
  for (;;) {
    if ((seen & CommitBuffer::kEvicted) != 0) break;
    if (seen == 0 && !counted) {
      if (pinned_.fetch_add(1, std::memory_order_relaxed) >= pinned_max_) {
        pinned_.fetch_sub(1, std::memory_order_relaxed);
        return false;
      }
      counted = true;
    }
    if (buffer.pins.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      // Somebody else was first after all: the buffer is counted already.
      if (counted && seen != 0) pinned_.fetch_sub(1, std::memory_order_relaxed);
      return true;
    }
  }
  if (counted) pinned_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void CommitBuffers::unpin(CommitBuffer& buffer) {
  const std::uint32_t before = buffer.pins.fetch_sub(1, std::memory_order_acq_rel);
  SLUICE_ASSERT(before != 0 && (before & CommitBuffer::kEvicted) == 0);
  if (before == 1) pinned_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace sluice::spool
