#pragma once
// Reading stored messages, on any shard, without a copy in user space.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/message.h"

namespace sluice::spool {

class Spool;
class MessageReader;

/// The bytes of one message, held in place while this lives: in the commit buffer that carried them to disk, or in a
/// read buffer. Movable. Release it as soon as the last byte is sent: buffers are few.
/// Thread: the shard that opened it.
class MessageLease {
 public:
  MessageLease() = default;
  MessageLease(MessageLease&& other) noexcept { *this = std::move(other); }
  MessageLease& operator=(MessageLease&& other) noexcept;
  ~MessageLease() { reset(); }
  void reset();

  [[nodiscard]] explicit operator bool() const { return holder_ != nullptr; }
  [[nodiscard]] const MessageView& view() const { return view_; }
  [[nodiscard]] std::span<const std::byte> body() const { return view_.body; }
  /// Index for Op::fixed_buffer that holds the body, valid only on the shard that opened it and only when the bytes
  /// are in a buffer of that shard; otherwise Op::kNoFixedBuffer.
  [[nodiscard]] std::uint16_t fixed_buffer() const { return fixed_buffer_; }
  /// True: straight from a commit buffer, no disk was asked.
  [[nodiscard]] bool resident() const { return resident_; }

 private:
  friend class MessageReader;
  MessageView view_;
  void* holder_ = nullptr;             // CommitBuffer when resident, else ReadBuffer
  MessageReader* reader_ = nullptr;
  std::uint16_t fixed_buffer_ = 0xffff;
  bool resident_ = false;
};

struct MessageReaderOptions {
  std::uint64_t pool_bytes = 32 * kMiB;   ///< registered read buffers of 16, 64 and 256 KiB
  std::uint64_t large_bytes = 64 * kMiB;  ///< for messages above 256 KiB; one message of any size is always let through
  /// Plain memory for more buffers when the registered ones are out, so that many stalled receivers, which hold what
  /// they were sent, do not keep others from reading.
  std::uint64_t overflow_bytes = 256 * kMiB;
};

/// One shard's way to stored messages of all shards.
/// Thread:   its shard; the spools it reads from may belong to other shards.
/// Lifetime: outlived by no lease and no open() under way (asserted). `homes[i]` is shard i's spool.
/// Limits:   MessageReaderOptions; more opens wait in order.
class MessageReader {
 public:
  MessageReader(runtime::Reactor& reactor, std::span<Spool* const> homes, MessageReaderOptions options = {});
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;
  ~MessageReader();

  /// The bytes if they are still in a commit buffer and one more may be pinned; else nullopt. Never waits.
  [[nodiscard]] std::optional<MessageLease> try_open(const StoredMessage& message);
  /// Buffers are far from scarce: reading ahead takes nothing away from others.
  [[nodiscard]] bool has_plenty() const;
  /// The bytes, from memory or from disk. Giving back the leases one holds must not depend on this answer: buffers are
  /// few, and all could wait for each other. `message` has an unended recipient on the caller's side until the answer.
  /// Errors: Corrupt (the stored bytes fail their check: kept aside, counted; the caller ends the recipients), Io.
  [[nodiscard]] runtime::Task<Result<MessageLease>> open(const StoredMessage& message);

  struct Stats {
    std::uint64_t from_memory = 0;
    std::uint64_t from_disk = 0;
    std::uint64_t waited = 0;
    std::uint64_t corrupt = 0;
  };
  [[nodiscard]] const Stats& stats() const;

 private:
  friend class MessageLease;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::spool
