#pragma once
// Group commit: records are put into groups in memory, groups are written durably and acknowledged in order.

#include <cstdint>
#include <deque>

#include "engine/log/buffer.h"
#include "engine/log/room.h"
#include "engine/log/segment_store.h"
#include "engine/runtime/op.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::log {

/// A group that is durable, or will never be.
struct GroupDone {
  std::uint64_t sequence = 0;
  std::uint32_t segment = 0;  ///< number
  std::uint64_t end = 0;      ///< offset behind the group in the segment
  Status status;
};

/// Who is told. Thread: the writer's shard; called from the loop, in order of sequence.
/// It may only note what it hears: the writer is in the middle of its accounts, and begin() or reserve() of the same
/// writer is a fault there (asserted). Whoever wants to write more waits for room.
class GroupSink {
 public:
  virtual ~GroupSink() = default;
  /// This group and all before it are durable, or none after the first error will ever be.
  virtual void group_done(const GroupDone& done) = 0;
};

struct WriterOptions {
  std::uint32_t shard = 0;  ///< of the directory
  std::uint32_t incarnation = 0;
  std::size_t in_flight_max = 4;
  /// While a write is under way, the next one starts only with this much; else it waits for the first one's end and
  /// becomes a larger group.
  std::size_t eager_bytes = 128 * kKiB;
  Duration gap_min{0};  ///< between starts, unless eager_bytes wait
  /// The end of the open segment that only records which `may_use_last_room` fill while the store can make no other
  /// segment: they are what makes room again.
  std::uint64_t last_room_bytes = 0;
};

/// Groups records, writes the groups and owns the life of every buffer from take_buffer() to buffer_done().
/// A completion is handled in this order: account for the groups that are done and tell the sink, return buffers, give
/// room to those who wait, start the next writes. Nothing of it calls back into a step before.
/// Thread:   one shard.
/// Lifetime: stop() has answered before destruction (asserted); store, source and sink outlive it.
/// Errors:   after the first failed write nothing is ever acknowledged again: later groups are answered with the same
///           error even when their own write succeeded, since a gap would lie before them.
class Writer {
 public:
  Writer(runtime::Reactor& reactor, WriterOptions options, SegmentStore& store, BufferSource& source,
         GroupSink& sink);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  void start(std::uint64_t next_sequence);
  /// For the segments opened from now on.
  void set_incarnation(std::uint32_t incarnation) { options_.incarnation = incarnation; }
  /// Refuses whoever waits for room, commits what there is and waits for it.
  [[nodiscard]] runtime::Task<void> stop();

  /// Room for a record now. Never ahead of those who wait.
  /// Errors: NoMemory (no buffer now, or others wait), NoSpace (no segment now), BadInput (never fits), Cancelled
  /// (stopped), Io (failed).
  [[nodiscard]] Result<Room> begin(std::size_t payload_bytes);
  /// Calls `waiter.on_room()` with room, at once or in turn as soon as there is some; with an error once there will be
  /// none: as begin(), but NoSpace only while the store can make no segment.
  void reserve(RoomWaiter& waiter, std::size_t payload_bytes, bool may_use_last_room = false);
  /// `waiter` waits no more, if it did; on_room() is not called.
  void cancel(RoomWaiter& waiter);
  /// The store has a spare segment, or has found that it can make none.
  void segments_changed() { serve(); }
  void end(const Room& room, RecordType type);
  /// Ends the open segment, full or not: it is sealed, and the next record needs another. False: something of it is
  /// still under way, or there is none.
  [[nodiscard]] bool leave_segment();

  /// Other values from now on; see WriterOptions.
  void set_pace(Duration gap_min, std::size_t eager_bytes) {
    options_.gap_min = gap_min;
    options_.eager_bytes = eager_bytes;
  }
  /// Ignores gap_min for what is waiting now.
  void hurry();
  [[nodiscard]] bool failed() const { return !error_.has_value(); }
  [[nodiscard]] const Status& error() const { return error_; }
  [[nodiscard]] std::uint64_t next_sequence() const { return next_sequence_; }
  /// Every group below was acknowledged.
  [[nodiscard]] std::uint64_t done_sequence() const { return done_sequence_; }
  [[nodiscard]] Segment* segment() const { return segment_; }
  /// What is left of segment(), where there is one.
  [[nodiscard]] std::uint64_t bytes_left() const;
  [[nodiscard]] std::uint64_t waiting_bytes() const { return waiting_bytes_; }
  /// How many wait for room.
  [[nodiscard]] std::size_t waiters() const { return line_.size(); }
  /// Something whose end is going to be heard of: a group in memory or on its way to the disk.
  [[nodiscard]] bool has_work() const { return group_open_ || !groups_.empty(); }
  [[nodiscard]] std::uint64_t groups_done() const { return groups_done_; }
  [[nodiscard]] std::uint64_t bytes_done() const { return bytes_done_; }
  [[nodiscard]] static constexpr std::size_t payload_bytes_max(std::uint64_t segment_bytes) {
    return segment_bytes - 2 * kBlockBytes;
  }

 private:
  struct Group : runtime::Op {
    Writer* writer = nullptr;
    Buffer* buffer = nullptr;
    Segment* segment = nullptr;
    std::size_t from = 0;  // in the buffer, the segment header included when it goes along
    std::size_t bytes = 0;
    std::size_t written = 0;
    std::uint64_t sequence = 0;
    bool submitted = false;
    bool done = false;
    Status status;
  };
  struct Alarm : runtime::Timer {
    Alarm(Writer& owner, void (Writer::*act)());
    Writer& owner;
    void (Writer::*act)();
  };
  [[nodiscard]] bool fits(std::size_t record) const;
  [[nodiscard]] Result<Room> place(std::size_t payload_bytes, bool may_use_last_room);
  [[nodiscard]] Status make_room(std::size_t record);
  [[nodiscard]] bool is_worth_waiting(const Error& error) const;
  void open_buffer(Buffer& buffer);
  void open_group();
  void seal_group();
  void close_buffer();
  void seal_segment();
  void put_segment_header();
  void pump();
  void submit_next();
  void write_rest(Group& group);
  static void on_written(runtime::Op& op, runtime::Completion completion);
  void settle();
  void serve();
  void watch_line();
  runtime::Task<void> pump_at_end_of_turn();

  runtime::Reactor& reactor_;
  WriterOptions options_;
  SegmentStore& store_;
  BufferSource& source_;
  GroupSink& sink_;

  Segment* segment_ = nullptr;
  Buffer* buffer_ = nullptr;
  std::uint64_t next_offset_ = 0;
  std::uint64_t next_sequence_ = 1;  // of the open group, or of the next one
  std::uint64_t done_sequence_ = 0;
  std::size_t group_from_ = 0;  // in buffer_: where the write begins
  std::size_t group_at_ = 0;    // in buffer_: where the group header stands
  std::uint32_t group_records_ = 0;
  bool group_open_ = false;
  bool header_pending_ = false;  // the next group carries the segment header along

  std::deque<Group> groups_;  // oldest first: under way, then sealed
  std::size_t in_flight_ = 0;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t groups_done_ = 0;
  std::uint64_t bytes_done_ = 0;
  Status error_;
  MonoTime last_start_{};
  bool hurry_ = false;
  bool stopping_ = false;
  bool settling_ = false;  // in settle(): nobody may ask for room
  RoomLine line_;
  runtime::Wakeup wakeup_;
  runtime::Wakeup idle_;
  Alarm gap_timer_;
  Alarm line_timer_;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::log
