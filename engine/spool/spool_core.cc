#include "engine/spool/spool_core.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice::spool {
namespace {

log::SegmentStoreOptions store_options(const SpoolOptions& options, std::uint32_t shard) {
  log::SegmentStoreOptions out;
  out.places = options.places;
  if (out.places.empty())
    out.places = {{.directory = options.directory, .min_free_disk_bytes = options.min_free_disk_bytes}};
  out.role = log::Role::Messages;
  out.shard = shard;
  out.segment_bytes = options.segment_bytes;
  out.disk_bytes_max = options.disk_bytes_max;
  out.prefill = options.prefill;
  return out;
}

std::uint64_t place_key(std::uint32_t directory_shard, std::uint32_t segment) {
  return std::uint64_t{directory_shard} << 32 | segment;
}

}  // namespace

SpoolCore::SpoolCore(runtime::Reactor& reactor, SpoolOptions options, DurableSink& sink)
    : reactor_(reactor),
      options_(std::move(options)),
      sink_(sink),
      buffers_(reactor, options_.commit_buffers, Spool::kCommitBufferBytes, options_.large_records_bytes),
      store_(reactor, store_options(options_, reactor.shard().raw()), [this] { segments_changed(); }),
      writer_(reactor,
              {.shard = reactor.shard().raw(),
               .in_flight_max = Spool::kCommitsInFlightMax,
               .last_room_bytes = options_.segment_bytes / kMovesShare},
              store_, buffers_, *this),
      move_wakeup_(reactor) {
  SLUICE_ASSERT(reactor.shard().raw() < kShardsMax);
  SLUICE_ASSERT(options_.commit_buffers >= 8 && options_.commit_buffers <= SpoolOptions::kCommitBuffersMax);
}

runtime::Task<Status> SpoolCore::start(SpoolInheritance inheritance) {
  SLUICE_ASSERT(!started_ && inheritance.incarnation < kIncarnationsMax);
  started_ = true;
  incarnation_ = inheritance.incarnation;
  for (auto& kept : inheritance.kept) {
    const auto key = place_key(kept.header.shard, kept.header.number);
    const Result<log::Segment*> segment =
        co_await store_.adopt(std::move(kept.path), kept.header, kept.foreign);
    // A segment that cannot be opened is as good as gone: its messages are counted lost by whoever adopts
    // them.
    if (!segment) continue;
    adopted_slots_.emplace(key, (*segment)->slot);
    ++(*segment)->live_records;  // until adopted() has brought them all
  }
  for (auto& unused : inheritance.unused)
    store_.adopt_unused(std::move(unused.path), unused.bytes, unused.foreign);
  writer_.set_incarnation(incarnation_);
  writer_.start(inheritance.next_sequence);
  const Status status = co_await store_.start(inheritance.next_segment);
  tasks_.spawn(move_forever());
  // A full disk is no reason not to start: what is queued drains and makes room.
  if (!status && status.error().code != Errc::NoSpace) co_return status;
  co_return Status();
}

runtime::Task<void> SpoolCore::stop() {
  stopping_ = true;
  move_wakeup_.set();
  co_await writer_.stop();
  co_await tasks_.join();
  co_await store_.stop();
}

// 10 bits shard, 26 bits incarnation, 28 bits count: FORMAT.md, "Message ids".
MessageId SpoolCore::next_id() {
  if (ids_given_ == kIdsPerIncarnation) {
    // The next start goes on two above what it finds, so that this step is safe even before a segment carries
    // it.
    ++incarnation_;
    writer_.set_incarnation(incarnation_);
    ids_given_ = 0;
  }
  return MessageId(std::uint64_t{reactor_.shard().raw()} << 54 | std::uint64_t{incarnation_} << 28 |
                   ids_given_++);
}

bool SpoolCore::accepting() const {
  if (!started_ || stopping_ || writer_.failed() || writer_.waiters() >= Spool::kAppendsWaitingMax)
    return false;
  if (store_.has_room()) return true;
  return writer_.bytes_left() >= options_.segment_bytes / kAcceptingShare;
}

bool SpoolCore::append(Spool::Append& append) {
  const Result<MessageSizes> sizes = measure(append.draft_);
  const bool stopped = stopping_ || !started_ || (append.stop_ != nullptr && append.stop_->stopped());
  if (stopped) {
    answer(append, fail(Errc::Cancelled, "spool: stopping"));
  } else if (!sizes) {
    answer(append, std::unexpected(sizes.error()));
  } else if (writer_.waiters() >= Spool::kAppendsWaitingMax) {
    answer(append, fail(Errc::NoMemory, "spool: too many waiting"));
  } else {
    append.envelope_bytes_ = sizes->envelope_bytes;
    append.body_bytes_ = sizes->body_bytes;
    writer_.reserve(append, std::size_t{sizes->envelope_bytes} + sizes->body_bytes);
  }
  return append.answered_;
}

void SpoolCore::cancel(Spool::Append& append) {
  if (!append.waits()) return;
  writer_.cancel(append);
  answer(append, fail(Errc::Cancelled, "spool: nobody waits for the answer"));
}

void SpoolCore::fill(Spool::Append& append, const Result<log::Room>& room) {
  if (!room) {
    if (room.error().code == Errc::NoSpace) turned_away_ = reactor_.now();
    answer(append, std::unexpected(room.error()));
    return;
  }
  const MessageDraft& draft = append.draft_;
  const MessageSizes sizes{append.envelope_bytes_, append.body_bytes_};
  encode_message(draft, sizes, room->payload);
  writer_.end(*room, log::RecordType::Message);
  note_roll();
  const auto& buffer = static_cast<const CommitBuffer&>(*room->buffer);

  StoredMessage& message = *slab_.take();
  message.id_ = draft.id;
  message.received_ = draft.received;
  message.envelope_bytes_ = sizes.envelope_bytes;
  message.body_bytes_ = sizes.body_bytes;
  message.outstanding_ = static_cast<std::uint32_t>(draft.recipients.size());
  message.home_ = static_cast<std::uint16_t>(reactor_.shard().raw());
  message.keep(draft.flags);
  message.job_ =
      draft.job_id.empty() ? nullptr : &jobs_.enter(draft.job_id, message.outstanding_, message.body_bytes_);
  message.state_ |= MessageSlab::kPending;
  PlaceWord word{room->segment->slot, room->offset, std::nullopt};
  if (!buffer.is_large()) word.buffer = buffer.index;
  message.where_.store(word.pack());
  ++room->segment->live_records;
  room->segment->live_bytes += bytes_of(message);

  Pending pending;
  pending.message = &message;
  pending.waiter = &append;
  pending.payload = room->payload;
  pending.sequence = room->sequence;
  pending.place = place_of(message, message.where_.load(std::memory_order_relaxed));
  pending.slot = room->segment->slot;
  if (!draft.wait_until_durable) {
    pending.waiter = nullptr;
    answer(append, &message);
  }
  pending_.push_back(pending);
  ++appended_;
}

MessagePlace SpoolCore::place_of(const StoredMessage& message, std::uint64_t word) const {
  const PlaceWord at = PlaceWord::unpack(word);
  const log::SegmentHeader& header = store_.at(at.slot).header;
  return {header.shard, header.number, at.offset, message.envelope_bytes_, message.body_bytes_};
}

// At once, or to a coroutine that waits.
void SpoolCore::answer(Spool::Append& append, Result<StoredMessage*> with) {
  append.answer_ = with;
  append.answered_ = true;
  if (append.waiting_) reactor_.post(append.waiting_);
}

void SpoolCore::group_done(const log::GroupDone& done) {
  const Status& status = done.status;
  while (!pending_.empty() && pending_.front().sequence <= done.sequence) {
    const Pending pending = pending_.front();
    pending_.pop_front();
    if (pending.moved) {
      finish_moved_copy(pending, status);
      continue;
    }
    StoredMessage& message = *pending.message;
    message.state_ &= static_cast<std::uint8_t>(~MessageSlab::kPending);
    if (!status) {
      // Answered early: it lives on in memory, as the operator who turned sync-msg-create off has chosen.
      if (pending.waiter != nullptr) {
        answer(*pending.waiter, std::unexpected(status.error()));
        forget(message);
      }
      continue;
    }
    const Result<MessageView> view = MessageView::decode(pending.payload);
    SLUICE_ASSERT(view.has_value());
    sink_.message_durable(message, *view, pending.place);
    if (pending.waiter != nullptr) answer(*pending.waiter, &message);
    if ((message.state_ & MessageSlab::kEnded) != 0) forget(message);
  }
  if (!status) move_wakeup_.set();
}

void SpoolCore::segments_changed() {
  writer_.segments_changed();
  move_wakeup_.set();
}

void SpoolCore::release(StoredMessage& message) {
  SLUICE_ASSERT(message.outstanding_ > 0);
  if (message.job_ != nullptr) JobTable::recipient_ended(*message.job_, message.body_bytes_);
  if (--message.outstanding_ == 0) end_message(message);
}

void SpoolCore::end_message(StoredMessage& message) {
  message.state_ |= MessageSlab::kEnded;
  if ((message.state_ & (MessageSlab::kPending | MessageSlab::kMoving)) == 0) forget(message);
}

// The message and its only copy are needed no more.
void SpoolCore::forget(StoredMessage& message) {
  const std::uint32_t slot = PlaceWord::unpack(message.where_.load(std::memory_order_relaxed)).slot;
  const std::uint32_t bytes = bytes_of(message);
  if (Job* job = std::exchange(message.job_, nullptr); job != nullptr) jobs_.leave(*job);
  slab_.give(message);
  drop_copy(slot, bytes);
}

void SpoolCore::drop_copy(std::uint32_t slot, std::uint32_t bytes) {
  log::Segment& segment = store_.at(slot);
  SLUICE_ASSERT(segment.live_records > 0 && segment.live_bytes >= bytes);
  --segment.live_records;
  segment.live_bytes -= bytes;
  retire_if_done(segment);
}

void SpoolCore::note_roll() {
  log::Segment* now = writer_.segment();
  if (now == open_segment_) return;
  log::Segment* before = std::exchange(open_segment_, now);
  if (before != nullptr) retire_if_done(*before);
}

// live_records counts what is not durable yet, too: at zero nothing of the segment is under way.
void SpoolCore::retire_if_done(log::Segment& segment) {
  if (segment.live_records != 0 || segment.state != log::Segment::State::Sealed) return;
  // Only a reader that was overtaken by a move can be here; it finds out and goes to the new place.
  if (segment.readers.load() == 0) {
    store_.retire(segment);
  } else if (std::find(retire_later_.begin(), retire_later_.end(), &segment) == retire_later_.end()) {
    retire_later_.push_back(&segment);
  }
}

StoredMessage* SpoolCore::adopt(MessageId id, const MessagePlace& place, WallTime received,
                                MessageFlags flags, std::uint32_t outstanding, std::string_view job) {
  const auto found = adopted_slots_.find(place_key(place.directory_shard, place.segment));
  if (found == adopted_slots_.end()) return nullptr;
  StoredMessage& message = *slab_.take();
  message.id_ = id;
  message.received_ = received;
  message.envelope_bytes_ = place.envelope_bytes;
  message.body_bytes_ = place.body_bytes;
  message.outstanding_ = outstanding;
  message.home_ = static_cast<std::uint16_t>(reactor_.shard().raw());
  message.keep(flags);
  message.job_ = job.empty() ? nullptr : &jobs_.enter(job, outstanding, message.body_bytes_);
  message.where_.store(PlaceWord{found->second, place.offset, std::nullopt}.pack());
  log::Segment& segment = store_.at(found->second);
  ++segment.live_records;
  segment.live_bytes += bytes_of(message);
  return &message;
}

void SpoolCore::all_adopted() {
  for (const auto& [key, slot] : std::exchange(adopted_slots_, {})) drop_copy(slot, 0);
}

Spool::Stats SpoolCore::stats() const {
  Spool::Stats out;
  out.messages_live = slab_.used();
  out.messages_appended = appended_;
  out.messages_moved = moved_;
  out.groups_committed = writer_.groups_done();
  out.bytes_committed = writer_.bytes_done();
  out.appends_waiting = writer_.waiters();
  for (std::uint32_t slot = 0; slot < store_.slots(); ++slot) {
    const auto state = store_.at(slot).state;
    if (state == log::Segment::State::Open || state == log::Segment::State::Sealed) ++out.segments_in_use;
  }
  out.segments_spare = store_.spares();
  out.segments_recycled = store_.recycled();
  out.disk_bytes = store_.disk_bytes();
  out.buffers_pinned = buffers_.pinned();
  if (!store_.has_room()) out.no_room = store_.why_stuck();
  out.turned_away = turned_away_;
  return out;
}

}  // namespace sluice::spool
