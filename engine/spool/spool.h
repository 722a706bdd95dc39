#pragma once
// One shard's stored messages: appended in groups, kept in memory while that is useful, read back without a
// copy.

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/log/room.h"
#include "engine/log/segment_store.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/message.h"
#include "engine/spool/message_lease.h"

namespace sluice::spool {

/// Told of every message in the order of the log, as soon as it is durable and before append() answers. The
/// journal is one: it writes the received events there and then, which is what lets recovery know them
/// complete up to a place.
class DurableSink {
 public:
  virtual ~DurableSink() = default;
  virtual void message_durable(StoredMessage& message, const MessageView& view,
                               const MessagePlace& place) = 0;
  /// `message` was copied from `from` to `to` and the copy is durable. Once that knowledge is durable too,
  /// the sink calls Spool::move_durable() on this shard; only then may the old copy go.
  virtual void message_moved(StoredMessage& message, const MessagePlace& from, const MessagePlace& to) = 0;
};

struct SpoolOptions {
  static constexpr std::size_t kCommitBuffersMax = 16'384;
  std::string directory;  ///< of this shard: "<spool>/shard-0003"
  /// All directories of this shard, `directory` among them unless it is closed; empty: `directory` alone, with
  /// min_free_disk_bytes.
  std::vector<log::SegmentPlace> places;
  std::uint64_t segment_bytes = 64 * kMiB;  ///< multiple of 4096; a record is at most segment_bytes - 8 KiB
  std::size_t commit_buffers = 256;         ///< of 256 KiB each: 8 .. kCommitBuffersMax
  std::uint64_t large_records_bytes =
      64 * kMiB;  ///< memory for records under way that exceed a commit buffer
  std::uint64_t min_free_disk_bytes = 256 * kMiB;  ///< below it accepting() is false
  std::uint64_t disk_bytes_max = 0;  ///< all segments of this shard together; 0: the file system's limit
  /// A sealed segment whose live bytes fall under this share of it is emptied by moving its messages, once at
  /// least `move_from_segments` segments are in use.
  double move_live_share = 0.10;
  std::uint32_t move_from_segments = 8;
  bool prefill = true;  ///< new segment files are written once with zeros (log/segment_store.h)
};

class AppendStop;
class SpoolCore;
struct SpoolInheritance;  // inheritance.h: what recovery found in the directories a shard looks after

/// Stores messages; see the file comment.
/// Thread:   home shard only, except what message_lease.h says. Lifetime: start() before use, stop() before
///           destruction (asserted); outlives every StoredMessage pointer and lease.
/// Durable:  append() answers after the message and all earlier ones are on stable storage. What arrives
///           while a commit is under way is the next group; no timers; at most kCommitsInFlightMax writes
///           under way.
/// Limits:   memory: commit_buffers * 256 KiB + large_records_bytes + 48 bytes a message. kAppendsWaitingMax
///           appends wait for a buffer, then NoMemory.
/// Errors:   after a failed write or sync nothing of that group or a later one is acknowledged, the spool is
///           failed() for the rest of the process's life and never trusts that disk again without a recovery.
class Spool {
 public:
  static constexpr std::size_t kCommitBufferBytes = 256 * kKiB;
  static constexpr std::size_t kCommitsInFlightMax = 4;
  static constexpr std::size_t kAppendsWaitingMax = 8192;

  Spool(runtime::Reactor& reactor, SpoolOptions options, DurableSink& sink);
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

  /// Takes over what recovery found and opens the first segment. Errors: the disk's.
  [[nodiscard]] runtime::Task<Status> start(SpoolInheritance inheritance);
  /// Refuses new messages and those that wait for room, waits for those under way. Moving stops.
  [[nodiscard]] runtime::Task<void> stop();

  /// A new identity, never given out before in this installation.
  [[nodiscard]] MessageId next_id();

  /// False: answer 452 4.3.1 at once. True again by itself as soon as there is room.
  [[nodiscard]] bool accepting() const;
  [[nodiscard]] bool failed() const;

  /// co_await spool.append(draft): Result<StoredMessage*>. No allocation, one copy. `draft` is borrowed until
  /// the answer. The message starts with outstanding() == number of recipients. Errors: NoSpace (disk),
  /// NoMemory (too many waiting), BadInput (limits of MessageDraft, or larger than a segment),
  ///         Io, Cancelled (after stop(), or its AppendStop's).
  class [[nodiscard]] Append final : log::RoomWaiter {
   public:
    Append(Spool& spool, const MessageDraft& draft, AppendStop* stop);
    ~Append();
    bool await_ready();
    void await_suspend(std::coroutine_handle<> waiting) { waiting_ = waiting; }
    Result<StoredMessage*> await_resume() { return answer_; }

   private:
    friend class AppendStop;
    friend class SpoolCore;
    void on_room(Result<log::Room> room) override;
    void stop();
    Spool& spool_;
    const MessageDraft& draft_;
    AppendStop* stop_;
    std::coroutine_handle<> waiting_;
    std::uint32_t envelope_bytes_ = 0;
    std::uint32_t body_bytes_ = 0;
    bool answered_ = false;
    Result<StoredMessage*> answer_ = nullptr;
  };
  [[nodiscard]] Append append(const MessageDraft& draft, AppendStop* stop = nullptr) {
    return Append(*this, draft, stop);
  }

  /// One recipient of `message` has ended and its ending is durable (the journal calls this). Frees `message`
  /// with the last one. Thread: home shard.
  void release(StoredMessage& message);

  /// The answer to DurableSink::message_moved(). Thread: home shard.
  void move_durable(StoredMessage& message);

  /// Recovery only: makes the StoredMessage of a message found on disk. nullptr when its segment is gone.
  /// `job`: empty for none.
  [[nodiscard]] StoredMessage* adopt(MessageId id, const MessagePlace& place, WallTime received,
                                     MessageFlags flags, std::uint32_t outstanding,
                                     std::string_view job = {});
  /// Recovery only: every message of the inherited segments has been adopted; those without any may be used
  /// again.
  void all_adopted();

  /// The jobs of the messages stored here.
  [[nodiscard]] JobTable& jobs();

  struct Stats {
    std::uint64_t messages_live = 0;
    std::uint64_t messages_appended = 0;
    std::uint64_t messages_moved = 0;
    std::uint64_t groups_committed = 0;
    std::uint64_t bytes_committed = 0;
    std::uint64_t appends_waiting = 0;
    std::uint64_t segments_in_use = 0;    ///< current one included
    std::uint64_t segments_spare = 0;     ///< ready to be written
    std::uint64_t segments_recycled = 0;  ///< since start
    std::uint64_t disk_bytes = 0;         ///< of all segment files
    std::uint64_t buffers_pinned = 0;
    std::optional<Error> no_room;         ///< why no further segment can be made
    std::optional<MonoTime> turned_away;  ///< when a message last found no room
  };
  [[nodiscard]] Stats stats() const;

 private:
  friend class MessageReader;
  std::unique_ptr<SpoolCore> core_;
};

/// Ends an append's wait for room when nobody wants its answer any more.
/// Thread: the spool's home shard. Lifetime: outlives the append it was given to; for one append at a time.
class AppendStop {
 public:
  /// The append answers Cancelled at once, unless the message is on its way to the disk already.
  void stop() {
    stopped_ = true;
    if (append_ != nullptr) append_->stop();
  }
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// For another append. Requires that none is under way.
  void renew() { stopped_ = false; }

 private:
  friend class Spool::Append;
  Spool::Append* append_ = nullptr;
  bool stopped_ = false;
};

}  // namespace sluice::spool
