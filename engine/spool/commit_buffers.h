#pragma once
// The memory that carries messages to disk and keeps them afterwards while nobody needs the room.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/log/aligned.h"
#include "engine/log/writer.h"
#include "engine/runtime/reactor.h"

namespace sluice::spool {

class CommitBuffers;

/// One commit buffer. States of `pins`: kEvicted (nobody may look) -> opened -> 0 .. n pins -> evicted again by its
/// shard, which succeeds only at 0.
struct CommitBuffer : log::Buffer {
  static constexpr std::uint32_t kEvicted = 0x8000'0000;
  std::atomic<std::uint32_t> pins{kEvicted};
  CommitBuffers* owner = nullptr;
  std::uint32_t index = 0;
  log::AlignedMemory own;  ///< of a large one, which is never pinned; empty: part of the pool
  [[nodiscard]] bool is_large() const { return own.size() != 0; }
};

/// Thread:   home shard, except pin(), unpin() and at(): any.
/// Limits:   `count` buffers of 256 KiB, at most half of them pinned: the other half always comes free again with the
///           disk, so that slow delivery cannot hold injection hostage. Large records under way: `large_bytes`
///           together, or one of any size.
class CommitBuffers final : public log::BufferSource {
 public:
  CommitBuffers(runtime::Reactor& reactor, std::size_t count, std::size_t buffer_bytes, std::uint64_t large_bytes);
  CommitBuffers(const CommitBuffers&) = delete;
  CommitBuffers& operator=(const CommitBuffers&) = delete;

  log::Buffer* take_buffer(std::size_t bytes_min) override;
  /// It may be pinned from now on.
  void buffer_opened(log::Buffer& buffer) override;
  void buffer_done(log::Buffer& buffer) override;

  [[nodiscard]] CommitBuffer& at(std::uint32_t index) { return *buffers_[index]; }
  /// True: the bytes stay until unpin(), and the caller checks that they are those it wants.
  [[nodiscard]] bool pin(CommitBuffer& buffer);
  void unpin(CommitBuffer& buffer);
  [[nodiscard]] std::uint32_t pinned() const { return pinned_.load(std::memory_order_relaxed); }

  /// How many buffers of the pool are in each state. Asserts that every buffer is in exactly the list of its state, and
  /// that `large_bytes` counts those under way. For tests: O(count).
  struct Census {
    std::size_t free = 0, open = 0, closed = 0, resident = 0;
    std::size_t large = 0;
  };
  [[nodiscard]] Census census() const;

 private:
  CommitBuffer* take_large(std::size_t bytes);
  std::size_t buffer_bytes_;
  std::uint64_t large_bytes_max_;
  std::uint64_t large_bytes_ = 0;
  std::uint32_t pinned_max_;
  std::atomic<std::uint32_t> pinned_{0};
  log::AlignedMemory memory_;
  std::vector<std::unique_ptr<CommitBuffer>> buffers_;
  std::vector<std::unique_ptr<CommitBuffer>> large_;
  std::vector<CommitBuffer*> free_;
  std::deque<CommitBuffer*> resident_;  // oldest first
};

}  // namespace sluice::spool
