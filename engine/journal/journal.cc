#include "engine/journal/journal.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "engine/journal/event_codec.h"
#include "engine/journal/inheritance.h"
#include "engine/journal/journal_buffers.h"
#include "engine/journal/journal_directory.h"
#include "engine/journal/received.h"
#include "engine/log/segment_store.h"
#include "engine/log/writer.h"
#include "engine/runtime/sync.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

constexpr std::size_t kStateKeyBytesMax = 1024;
constexpr std::size_t kStateValueBytesMax = 64 * kKiB;
// Every adopted directory and the own one keep at most this many unused segments as spares.
constexpr std::uint32_t kSparesMax = 8;

log::SegmentStoreOptions store_options(const JournalOptions& options, std::uint32_t shard) {
  log::SegmentStoreOptions out;
  out.places = {{.directory = options.directory}};
  out.role = log::Role::Events;
  out.shard = shard;
  out.segment_bytes = options.segment_bytes;
  out.spares_min = std::max<std::uint32_t>(options.reserve_segments, 1);
  out.spares_max = kSparesMax;
  out.prefill = options.prefill;
  return out;
}

}  // namespace

struct Journal::State final : log::GroupSink {
  State(runtime::Reactor& a_reactor, JournalOptions some_options, JournalDirectory& a_directory,
        std::span<spool::Spool* const> some_homes)
      : reactor(a_reactor),
        options(std::move(some_options)),
        directory(a_directory),
        homes(some_homes),
        buffers(a_reactor),
        store(a_reactor, store_options(options, a_reactor.shard().raw()), [this] { segments_changed(); }),
        writer(a_reactor,
               {.shard = a_reactor.shard().raw(),
                .in_flight_max = 1,
                .eager_bytes = kEagerBytes,
                .gap_min = kGroupGapMin},
               store, buffers, *this),
        drain(*this) {}

  // What happens when a record is durable.
  struct Pending {
    std::uint64_t sequence = 0;
    spool::StoredMessage* message = nullptr;
    bool moved = false;  // else: one recipient has ended
  };
  // The first record of `overflow` waits for room; the others go with it.
  struct Drain final : log::RoomWaiter {
    explicit Drain(State& owner) : state(owner) {}
    void on_room(Result<log::Room> room) override { state.drain_overflow(room); }
    State& state;
  };
  struct Waiting {
    std::vector<std::byte> payload;
    log::RecordType type = log::RecordType::Event;
    spool::StoredMessage* message = nullptr;
  };

  template <class F>
  void put(log::RecordType type, std::size_t bytes, spool::StoredMessage* message, F&& write) {
    ++stats.events_appended;
    if (overflow.empty() && !writer.failed()) {
      if (const Result<log::Room> room = writer.begin(bytes)) {
        write(room->payload);
        seal(*room, type, message);
        return;
      }
    }
    // No segment ready, or the disk has failed: kept in memory, healthy() tells.
    Waiting& one = overflow.emplace_back();
    one.payload.resize(bytes);
    one.type = type;
    one.message = message;
    write(one.payload);
    overflow_bytes += bytes;
    if (!drain.waits()) wait_for_room();
  }

  void seal(const log::Room& room, log::RecordType type, spool::StoredMessage* message) {
    writer.end(room, type);
    if (message != nullptr) pending.push_back({room.sequence, message, type == log::RecordType::Moved});
    last_sequence = room.sequence;
  }

  // When there will never be any, what is left stays in memory, and healthy() tells.
  void wait_for_room() { writer.reserve(drain, overflow.front().payload.size(), true); }

  void drain_overflow(Result<log::Room> room) {
    while (room) {
      Waiting& one = overflow.front();
      std::ranges::copy(one.payload, room->payload.begin());
      seal(*room, one.type, one.message);
      overflow_bytes -= one.payload.size();
      overflow.pop_front();
      if (overflow.empty()) break;
      room = writer.begin(overflow.front().payload.size());
      if (!room) wait_for_room();
    }
    wake_flushers();
  }

  void group_done(const log::GroupDone& done) override {
    if (done.status) {
      directory.publish(reactor, *track, {done.segment, static_cast<std::uint32_t>(done.end)});
      settle(done.sequence);
    }
    wake_flushers();
  }
  void segments_changed() {
    writer.segments_changed();
    wake_flushers();
  }

  // Releases go to the messages' homes, one mail for each home and group.
  void settle(std::uint64_t sequence) {
    std::vector<std::vector<spool::StoredMessage*>> away;
    while (!pending.empty() && pending.front().sequence <= sequence) {
      const Pending one = pending.front();
      pending.pop_front();
      const std::uint32_t home = one.message->home().raw();
      SLUICE_ASSERT(home < homes.size() && homes[home] != nullptr);
      if (one.moved) {
        homes[home]->move_durable(*one.message);  // moves are always the own shard's
      } else if (home == reactor.shard().raw()) {
        homes[home]->release(*one.message);
      } else {
        if (away.size() <= home) away.resize(home + std::size_t{1});
        away[home].push_back(one.message);
      }
    }
    for (std::size_t home = 0; home < away.size(); ++home) {
      if (away[home].empty()) continue;
      reactor.send_to(ShardId(static_cast<std::uint32_t>(home)),
                      [spool = homes[home], list = std::move(away[home])] {
                        for (spool::StoredMessage* message : list) spool->release(*message);
                      });
    }
  }

  void wake_flushers() {
    for (const auto waiting : std::exchange(flushers, {})) reactor.post(waiting);
  }
  struct NextGroup {
    State& state;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) const { state.flushers.push_back(waiting); }
    void await_resume() const noexcept {}
  };
  runtime::Task<Status> flush() {
    std::optional<std::uint64_t>
        target;  // of the last event appended before; known once the overflow has drained
    for (;;) {
      if (writer.failed()) co_return writer.error();
      if (!target && overflow.empty()) target = last_sequence;
      if (target && writer.done_sequence() >= *target) co_return Status();
      if (!target && !store.has_room()) co_return fail(Errc::NoSpace, "journal: no segment");
      writer.hurry();
      co_await NextGroup{*this};
    }
  }

  runtime::Reactor& reactor;
  JournalOptions options;
  JournalDirectory& directory;
  std::span<spool::Spool* const> homes;
  JournalTrack* track = nullptr;
  JournalBuffers buffers;
  log::SegmentStore store;
  log::Writer writer;
  Drain drain;
  std::deque<Pending> pending;
  std::deque<Waiting> overflow;
  std::size_t overflow_bytes = 0;
  bool lazy = false;
  std::uint64_t last_sequence = 0;
  std::vector<std::coroutine_handle<>> flushers;
  Stats stats;
  bool started = false;
};

Journal::Journal(runtime::Reactor& reactor, JournalOptions options, JournalDirectory& directory,
                 std::span<spool::Spool* const> homes)
    : state_(std::make_unique<State>(reactor, std::move(options), directory, homes)) {}

Journal::~Journal() = default;

runtime::Task<Status> Journal::start(JournalInheritance inheritance) {
  State& state = *state_;
  SLUICE_ASSERT(!state.started);
  state.track = state.directory.find(state.reactor.shard().raw());
  SLUICE_ASSERT(state.track != nullptr);
  for (auto& kept : inheritance.kept) {
    const auto segment = co_await state.store.adopt(std::move(kept.path), kept.header, kept.foreign);
    if (!segment) co_return std::unexpected(segment.error());
  }
  for (auto& unused : inheritance.unused) {
    state.store.adopt_unused(std::move(unused.path), unused.bytes, unused.foreign);
  }
  state.writer.set_incarnation(inheritance.incarnation);
  state.writer.start(inheritance.next_sequence);
  state.last_sequence = inheritance.next_sequence - 1;
  const Status status = co_await state.store.start(inheritance.next_segment);
  state.started = true;
  if (!status && status.error().code != Errc::NoSpace) co_return status;
  state.directory.attach(state.reactor.shard(), this);
  for (const auto& payload : inheritance.events_missing) {
    state.put(log::RecordType::Event, payload.size(), nullptr,
              [&payload](std::span<std::byte> out) { std::ranges::copy(payload, out.begin()); });
  }
  co_return Status();
}

void Journal::set_hurry(bool hurry) {
  state_->lazy = !hurry;
  state_->writer.set_pace(hurry ? kGroupGapMin : kGroupGapLazy, hurry ? kEagerBytes : kEagerBytesLazy);
}

runtime::Task<Status> Journal::stop() {
  State& state = *state_;
  if (!state.started) co_return Status();
  Status status = co_await state.flush();
  co_await state.writer.stop();
  co_await state.store.stop();
  state.directory.attach(state.reactor.shard(), nullptr);
  if (status && !state.writer.error()) status = state.writer.error();
  co_return status;
}

void Journal::append(const Event& event, spool::StoredMessage* release_when_durable) {
  state_->put(log::RecordType::Event, encoded_bytes(event), release_when_durable,
              [&event](std::span<std::byte> out) { encode(event, out); });
}

void Journal::put_state(std::string_view key, std::string_view value) {
  SLUICE_ASSERT(key.size() <= kStateKeyBytesMax && value.size() <= kStateValueBytesMax);
  // Of two shards' values for one key the later one counts: a clock that is set must not decide that.
  const StateRecord record{state_->reactor.lasting_now(), key, value};
  state_->put(log::RecordType::State, encoded_bytes(record), nullptr,
              [&record](std::span<std::byte> out) { encode(record, out); });
  if (state_->lazy)
    state_->writer.hurry();  // rates and modes hold over a crash, whatever becomes of outcomes
}

runtime::Task<Status> Journal::flush() { return state_->flush(); }

bool Journal::healthy() const {
  const State& state = *state_;
  if (!state.started || state.writer.failed()) return false;
  if (!state.overflow.empty() && !state.store.has_room()) return false;
  return state.overflow_bytes + state.writer.waiting_bytes() <= kBacklogBytesMax;
}

void Journal::trim(std::uint32_t directory_shard, JournalPosition keep_from) {
  log::SegmentStore& store = state_->store;
  for (std::uint32_t slot = 0; slot < store.slots(); ++slot) {
    log::Segment& segment = store.at(slot);
    if (segment.state == log::Segment::State::Sealed && segment.header.shard == directory_shard &&
        segment.header.number < keep_from.segment) {
      store.retire(segment);
    }
  }
}

void Journal::message_durable(spool::StoredMessage& message, const spool::MessageView& view,
                              const spool::MessagePlace& place) {
  (void)message;
  const runtime::Reactor& reactor = state_->reactor;
  for_each_received(view, place, reactor.wall_now(), [&](Event& event) {
    event.time_queued = reactor.on_calendar(view.received);
    if (event.time_queued != view.received) event.received = view.received;
    append(event);
  });
}

void Journal::message_moved(spool::StoredMessage& message, const spool::MessagePlace& from,
                            const spool::MessagePlace& to) {
  const MovedRecord record{message.id(), from, to};
  state_->put(log::RecordType::Moved, MovedRecord::kBytes, &message,
              [&record](std::span<std::byte> out) { encode(record, out); });
}

Journal::Stats Journal::stats() const {
  const State& state = *state_;
  Stats out = state.stats;
  out.events_durable = state.stats.events_appended - state.overflow.size();
  out.groups_committed = state.writer.groups_done();
  out.bytes_committed = state.writer.bytes_done();
  out.backlog_bytes = state.overflow_bytes + state.writer.waiting_bytes();
  out.segments_spare = state.store.spares();
  for (std::uint32_t slot = 0; slot < state.store.slots(); ++slot) {
    const auto kind = state.store.at(slot).state;
    if (kind == log::Segment::State::Open || kind == log::Segment::State::Sealed) ++out.segments;
  }
  return out;
}

}  // namespace sluice::journal
