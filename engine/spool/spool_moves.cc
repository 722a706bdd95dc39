// Moving the last messages out of a segment, so that a few that are hard to deliver do not pin 64 MiB each.
//
// Order of a move: copy into the open segment -> durable -> readers are sent to the copy (one atomic word) -> the
// journal knows the new place -> durable -> the old copy counts no more. A crash at any point leaves one copy that the
// journal names.

#include <algorithm>
#include <cstring>

#include "engine/log/aligned.h"
#include "engine/log/bytes.h"
#include "engine/spool/spool_core.h"
#include "policy/base/assert.h"

namespace sluice::spool {
namespace {

struct Alarm : runtime::Timer {
  explicit Alarm(runtime::Wakeup& target)
      : Timer([](Timer& timer) { static_cast<Alarm&>(timer).wakeup.set(); }), wakeup(target) {}
  runtime::Wakeup& wakeup;
};

constexpr Duration kLookEvery = 1s;
constexpr Duration kTurnedAwayLately = 10s;  // a large message, where smaller ones find room

}  // namespace

// co_await MovedCopy(core, message, payload): Status. The copy is in its group, or there will be no room for it.
class SpoolCore::MovedCopy final : public log::RoomWaiter {
 public:
  MovedCopy(SpoolCore& core, StoredMessage& message, std::span<const std::byte> payload)
      : core_(core), message_(message), payload_(payload) {}
  bool await_ready() {
    core_.writer_.reserve(*this, payload_.size(), true);
    return status_.has_value();
  }
  void await_suspend(std::coroutine_handle<> waiting) { waiting_ = waiting; }
  [[nodiscard]] Status await_resume() const { return *status_; }

 private:
  void on_room(Result<log::Room> room) override {
    if (room) core_.put_copy(message_, payload_, *room);
    status_ = room ? Status() : std::unexpected(room.error());
    if (waiting_) core_.reactor_.post(waiting_);
  }
  SpoolCore& core_;
  StoredMessage& message_;
  std::span<const std::byte> payload_;
  std::coroutine_handle<> waiting_;
  std::optional<Status> status_;
};

void SpoolCore::finish_moved_copy(const Pending& pending, const Status& status) {
  StoredMessage& message = *pending.message;
  if (!status) {
    // The copy is not to be trusted; the message stays where it was. The spool has failed anyway.
    const std::uint32_t bytes = bytes_of(message);
    moves_.erase(&message);
    message.state_ &= static_cast<std::uint8_t>(~MessageSlab::kMoving);
    if ((message.state_ & MessageSlab::kEnded) != 0) forget(message);
    drop_copy(pending.slot, bytes);
    return;
  }
  message.where_.store(pending.word);  // seq_cst: pairs with the readers' count, see retire_if_done()
  ++moved_;
  sink_.message_moved(message, moves_.at(&message).from, pending.place);
}

void SpoolCore::move_durable(StoredMessage& message) {
  const auto found = moves_.find(&message);
  SLUICE_ASSERT(found != moves_.end());
  const Move move = found->second;
  const std::uint32_t bytes = bytes_of(message);
  moves_.erase(found);
  message.state_ &= static_cast<std::uint8_t>(~MessageSlab::kMoving);
  if ((message.state_ & MessageSlab::kEnded) != 0) forget(message);
  drop_copy(move.from_slot, bytes);
  move_wakeup_.set();
}

// The emptiest sealed segment below the limit, once enough of them lie around.
log::Segment* SpoolCore::segment_to_empty() const {
  log::Segment* best = nullptr;
  std::uint32_t in_use = 0;
  for (std::uint32_t slot = 0; slot < store_.slots(); ++slot) {
    log::Segment& segment = store_.at(slot);
    if (segment.state != log::Segment::State::Sealed) continue;
    ++in_use;
    const auto limit =
        static_cast<std::uint64_t>(static_cast<double>(segment.header.bytes) * options_.move_live_share);
    if (segment.live_records == 0 || segment.live_bytes > limit || segment.unmovable) continue;
    if (best == nullptr || segment.live_bytes < best->live_bytes) best = &segment;
  }
  return in_use + 1 >= options_.move_from_segments ? best : nullptr;
}

/// With a full disk: the emptiest sealed segment whose messages the rest of the open one takes. Emptied, it is used
/// again.
log::Segment* SpoolCore::segment_for_the_rest() const {
  const std::uint64_t rest = writer_.bytes_left();
  log::Segment* best = nullptr;
  for (std::uint32_t slot = 0; slot < store_.slots(); ++slot) {
    log::Segment& segment = store_.at(slot);
    if (segment.state != log::Segment::State::Sealed || segment.live_records == 0 || segment.unmovable)
      continue;
    // Each message may begin a block and end in another.
    if (segment.live_bytes + std::uint64_t{segment.live_records} * 2 * log::kBlockBytes > rest) continue;
    if (best == nullptr || segment.live_bytes < best->live_bytes) best = &segment;
  }
  return best;
}

/// With a full disk the open segment may be the only one, used up by mail that is gone.
void SpoolCore::leave_dead_segment() {
  const log::Segment* const open = writer_.segment();
  if (open == nullptr || open->live_records != 0 || store_.has_room()) return;
  const bool in_the_way =
      !accepting() || (turned_away_ && reactor_.now() - *turned_away_ < kTurnedAwayLately);
  if (!in_the_way) return;
  if (writer_.leave_segment()) note_roll();
}

runtime::Task<void> SpoolCore::move_forever() {
  Alarm alarm(move_wakeup_);
  while (!stopping_ && !writer_.failed()) {
    for (log::Segment* one : std::exchange(retire_later_, {})) retire_if_done(*one);
    leave_dead_segment();
    log::Segment* segment = accepting() ? segment_to_empty() : nullptr;
    if (segment == nullptr && !store_.has_room()) segment = segment_for_the_rest();
    if (segment != nullptr && co_await empty_segment(*segment)) continue;
    reactor_.arm_in(alarm, kLookEvery);
    do {
      co_await move_wakeup_.wait();
    } while (alarm.armed() && !stopping_);  // other signals are for moves under way
    reactor_.disarm(alarm);
  }
}

/// Errors: NoSpace, when mail that came meanwhile has taken the room; the segment's turn comes again.
runtime::Task<Status> SpoolCore::empty_segment(log::Segment& segment) {
  const std::uint32_t before = segment.live_records;
  Status status;
  std::size_t looked = 0;
  for (std::size_t i = 0; status && i < slab_.capacity() && segment.live_records > 0; ++i) {
    if (stopping_ || writer_.failed()) co_return status;
    if (++looked % kMessagesPerSliceMax == 0) co_await runtime::yield(reactor_);
    StoredMessage* message = slab_.find(i);
    if (message == nullptr || (message->state_ & ~MessageSlab::kUsed) != 0) continue;
    if (PlaceWord::unpack(message->where_.load(std::memory_order_relaxed)).slot != segment.slot) continue;
    while (moves_.size() >= kMovesUnderWayMax && !stopping_ && !writer_.failed())
      co_await move_wakeup_.wait();
    // It may have ended while this waited.
    if (stopping_ || slab_.find(i) != message || (message->state_ & ~MessageSlab::kUsed) != 0) continue;
    const Status moved = co_await move_one(*message, segment);
    if (!moved && moved.error().code == Errc::NoSpace) status = moved;
  }
  while (!moves_.empty() && !stopping_ && !writer_.failed()) co_await move_wakeup_.wait();
  // What cannot be read is left in peace until it ends.
  if (status && segment.live_records == before) segment.unmovable = true;
  co_return status;
}

runtime::Task<Status> SpoolCore::move_one(StoredMessage& message, log::Segment& from) {
  const std::uint64_t old_word = message.where_.load(std::memory_order_relaxed);
  const PlaceWord old_place = PlaceWord::unpack(old_word);
  const std::uint32_t bytes = bytes_of(message);
  const std::uint64_t begin = old_place.offset / log::kBlockBytes * log::kBlockBytes;
  const std::size_t size = log::round_up(old_place.offset + std::size_t{bytes} - begin, log::kBlockBytes);
  const MessageId id = message.id_;
  moves_.emplace(&message, Move{place_of(message, old_word), from.slot});
  message.state_ |= MessageSlab::kMoving;

  const log::AlignedMemory memory = log::AlignedMemory::make(size);
  const Result<std::size_t> read = co_await from.file.read(memory.bytes(), begin);
  Status status;
  std::optional<log::RecordView> record;
  if (read && *read >= old_place.offset - begin) {
    record = log::parse_record(memory.bytes().first(*read).subspan(old_place.offset - begin),
                               old_place.offset, from.seed);
  }
  if (!record || record->payload.size() != std::size_t{message.envelope_bytes_} + message.body_bytes_ ||
      log::load<std::uint64_t>(record->payload.data()) != id.raw()) {
    status = fail(Errc::Corrupt, "spool: message to move");
  }
  if (status) status = co_await MovedCopy(*this, message, record->payload);
  if (!status) {
    moves_.erase(&message);
    message.state_ &= static_cast<std::uint8_t>(~MessageSlab::kMoving);
    if ((message.state_ & MessageSlab::kEnded) != 0) forget(message);
  }
  co_return status;
}

void SpoolCore::put_copy(StoredMessage& message, std::span<const std::byte> payload, const log::Room& room) {
  std::memcpy(room.payload.data(), payload.data(), payload.size());
  writer_.end(room, log::RecordType::MovedMessage);
  note_roll();
  const auto& buffer = static_cast<const CommitBuffer&>(*room.buffer);
  ++room.segment->live_records;
  room.segment->live_bytes += bytes_of(message);
  PlaceWord word{room.segment->slot, room.offset, std::nullopt};
  if (!buffer.is_large()) word.buffer = buffer.index;
  Pending pending;
  pending.message = &message;
  pending.payload = room.payload;
  pending.sequence = room.sequence;
  pending.slot = room.segment->slot;
  pending.word = word.pack();
  pending.place = place_of(message, pending.word);
  pending.moved = true;
  pending_.push_back(pending);
}

}  // namespace sluice::spool
