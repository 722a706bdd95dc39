#pragma once
// The inside of a Spool. Included by spool*.cc and message_reader.cc only.

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "engine/log/segment_store.h"
#include "engine/log/writer.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/spool/commit_buffers.h"
#include "engine/spool/inheritance.h"
#include "engine/spool/message_codec.h"
#include "engine/spool/message_slab.h"
#include "engine/spool/place_word.h"
#include "engine/spool/spool.h"

namespace sluice::spool {

/// Thread: home shard, except buffers().pin() and store().at() (message_reader.cc).
class SpoolCore final : log::GroupSink {
 public:
  static constexpr std::size_t kMovesUnderWayMax = 128;
  static constexpr std::size_t kMessagesPerSliceMax = 4096;  ///< looked at by the mover before others run
  static constexpr std::uint32_t kIdsPerIncarnation = 1u << 28;
  static constexpr std::uint32_t kShardsMax = 1024;
  static constexpr std::uint32_t kIncarnationsMax = 1u << 26;
  /// Without a spare behind the open segment, messages are let in while a quarter of it is left. Those under way then
  /// may fill half of that; the rest is for moves, which make room again.
  static constexpr std::uint64_t kAcceptingShare = 4;
  static constexpr std::uint64_t kMovesShare = 8;

  SpoolCore(runtime::Reactor& reactor, SpoolOptions options, DurableSink& sink);

  runtime::Task<Status> start(SpoolInheritance inheritance);
  runtime::Task<void> stop();
  MessageId next_id();
  [[nodiscard]] bool accepting() const;
  [[nodiscard]] bool failed() const { return writer_.failed(); }
  /// True: answered at once.
  bool append(Spool::Append& append);
  void cancel(Spool::Append& append);
  /// Stores `append` in `room`, or answers it with the error.
  void fill(Spool::Append& append, const Result<log::Room>& room);
  void release(StoredMessage& message);
  void move_durable(StoredMessage& message);
  StoredMessage* adopt(MessageId id, const MessagePlace& place, WallTime received, MessageFlags flags,
                       std::uint32_t outstanding, std::string_view job);
  void all_adopted();
  [[nodiscard]] Spool::Stats stats() const;

  [[nodiscard]] JobTable& jobs() { return jobs_; }
  [[nodiscard]] CommitBuffers& buffers() { return buffers_; }
  [[nodiscard]] log::SegmentStore& store() { return store_; }
  [[nodiscard]] const SpoolOptions& options() const { return options_; }

 private:
  // Something appended whose group is not done yet, in order of the log.
  struct Pending {
    StoredMessage* message = nullptr;
    Spool::Append* waiter = nullptr;  // null: answered already, or a moved copy
    std::span<const std::byte> payload;
    std::uint64_t sequence = 0;
    MessagePlace place;
    std::uint32_t slot = 0;
    std::uint64_t word = 0;  // a moved copy's new place
    bool moved = false;
  };
  // Waits for room for a copy, and makes it.
  class MovedCopy;
  // A message with two copies on disk.
  struct Move {
    MessagePlace from;
    std::uint32_t from_slot = 0;
  };

  void group_done(const log::GroupDone& done) override;
  void segments_changed();
  void answer(Spool::Append& append, Result<StoredMessage*> with);
  void end_message(StoredMessage& message);
  void forget(StoredMessage& message);
  void drop_copy(std::uint32_t slot, std::uint32_t bytes);
  void note_roll();
  void retire_if_done(log::Segment& segment);
  [[nodiscard]] static std::uint32_t bytes_of(const StoredMessage& message) {
    return static_cast<std::uint32_t>(
        log::record_bytes(std::size_t{message.envelope_bytes_} + message.body_bytes_));
  }
  [[nodiscard]] MessagePlace place_of(const StoredMessage& message, std::uint64_t word) const;

  // spool_moves.cc
  void finish_moved_copy(const Pending& pending, const Status& status);
  [[nodiscard]] log::Segment* segment_to_empty() const;
  [[nodiscard]] log::Segment* segment_for_the_rest() const;
  void leave_dead_segment();
  runtime::Task<void> move_forever();
  runtime::Task<Status> empty_segment(log::Segment& segment);
  runtime::Task<Status> move_one(StoredMessage& message, log::Segment& from);
  void put_copy(StoredMessage& message, std::span<const std::byte> payload, const log::Room& room);

  runtime::Reactor& reactor_;
  SpoolOptions options_;
  DurableSink& sink_;
  CommitBuffers buffers_;
  log::SegmentStore store_;
  log::Writer writer_;
  MessageSlab slab_;
  JobTable jobs_;
  std::deque<Pending> pending_;
  std::optional<MonoTime> turned_away_;                             // the last message without room
  std::unordered_map<std::uint64_t, std::uint32_t> adopted_slots_;  // directory shard << 32 | number -> slot
  std::unordered_map<const StoredMessage*, Move> moves_;
  std::vector<log::Segment*> retire_later_;  // somebody still reads
  log::Segment* open_segment_ = nullptr;
  std::uint32_t incarnation_ = 0;
  std::uint32_t ids_given_ = 0;
  std::uint64_t appended_ = 0;
  std::uint64_t moved_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  runtime::Wakeup move_wakeup_;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::spool
