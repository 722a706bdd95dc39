#include "engine/journal/checkpointer.h"

#include <algorithm>
#include <string>

#include "engine/journal/checkpoint.h"
#include "engine/journal/journal_reader.h"
#include "engine/journal/live_set.h"
#include "engine/journal/record_reader.h"
#include "engine/runtime/sync.h"

namespace sluice::journal {
namespace {

struct Alarm : runtime::Timer {
  explicit Alarm(runtime::Wakeup& target)
      : Timer([](Timer& timer) { static_cast<Alarm&>(timer).wakeup.set(); }), wakeup(target) {}
  runtime::Wakeup& wakeup;
};

}  // namespace

struct Checkpointer::State {
  State(runtime::Reactor& a_reactor, JournalDirectory& a_directory, CheckpointerOptions some_options)
      : reactor(a_reactor),
        directory(a_directory),
        options(std::move(some_options)),
        hold(a_reactor, a_directory, "checkpoint", {}),
        wakeup(a_reactor) {}

  [[nodiscard]] std::uint64_t growth() const;
  runtime::Task<Status> write();
  void acknowledge(const JournalPositions& positions);

  runtime::Reactor& reactor;
  JournalDirectory& directory;
  CheckpointerOptions options;
  JournalReader hold;  // never reads: keeps the segments that no checkpoint covers
  JournalPositions covered;
  runtime::Wakeup wakeup;
  bool running = false;
  bool stopping = false;
  bool failing = false;
  Stats stats;
};

std::uint64_t Checkpointer::State::growth() const {
  std::uint64_t bytes = 0;
  for (const auto& track : directory.tracks()) {
    const auto found = covered.find(track->directory_shard);
    const JournalPosition from = found == covered.end() ? JournalPosition{track->first_segment, 0} : found->second;
    const JournalPosition end = track->end();
    if (!(from < end)) continue;
    bytes += (end.segment - from.segment) * options.journal_segment_bytes + end.offset;
    bytes -= std::min<std::uint64_t>(bytes, from.offset);
  }
  return bytes;
}

void Checkpointer::State::acknowledge(const JournalPositions& positions) {
  covered = positions;
  JournalCursor cursor;
  for (const auto& [shard, position] : positions) cursor.set(shard, position);
  hold.acknowledge(cursor);
}

// The last checkpoint, plus what the journals say since. Ends are taken first: what comes later is the next one's.
runtime::Task<Status> Checkpointer::State::write() {
  LiveSet live;
  JournalPositions from;
  std::uint32_t number = 1;
  const auto listed = list_checkpoints(reactor, options.root);
  if (!listed) co_return std::unexpected(listed.error());
  if (!listed->empty()) {
    const auto loaded = co_await load_checkpoint(reactor, listed->back(), live);
    if (!loaded) co_return std::unexpected(loaded.error());
    from = loaded->positions;
    number = loaded->number + 1;
  }
  for (const auto& track : directory.tracks()) {
    if (!track->settled.load())
      co_return fail(Errc::NoSpace, "checkpoint: what recovery made good is not durable");
  }
  JournalPositions ends = from;
  for (const auto& track : directory.tracks()) {
    const auto found = from.find(track->directory_shard);
    const JournalPosition end = track->end();
    RecordReader reader(reactor, track->path,
                        found == from.end() ? JournalPosition{track->first_segment, 0} : found->second);
    for (;;) {
      const auto batch = co_await reader.next(end);
      if (!batch) co_return std::unexpected(batch.error());
      if (!*batch) break;
      // The last position, not the batch's: a finished segment names the next one.
      if ((*batch)->holes != 0 && reader.segment_read() > track->judged_segment) {
        co_return fail(Errc::Corrupt, "checkpoint: a journal is damaged");
      }
      for (const log::RecordView& record : (*batch)->records) {
        if (record.type == log::RecordType::Event) {
          if (const auto event = decode_event(record.payload)) live.apply(*event);
        } else if (record.type == log::RecordType::Moved) {
          if (const auto moved = decode_moved(record.payload)) live.apply(*moved);
        } else if (record.type == log::RecordType::State) {
          if (const auto state = decode_state(record.payload)) live.apply(*state);
        }
      }
      if (stopping) co_return fail(Errc::Cancelled, "checkpoint");
      co_await runtime::yield(reactor);
    }
    // A journal that was cut ends before the last checkpoint's position; the operator has decided to go on.
    if (end != JournalPosition{} || found != from.end()) ends[track->directory_shard] = end;
  }
  const auto bytes = co_await write_checkpoint(reactor, options.root, number, live, ends);
  if (!bytes) co_return std::unexpected(bytes.error());
  stats.last_bytes = *bytes;
  stats.last_recipients = live.live_recipients();
  ++stats.written;
  acknowledge(ends);
  co_return Status();
}

Checkpointer::Checkpointer(runtime::Reactor& reactor, JournalDirectory& directory, CheckpointerOptions options)
    : state_(std::make_unique<State>(reactor, directory, std::move(options))) {}

Checkpointer::~Checkpointer() { SLUICE_ASSERT(!state_->running); }

runtime::Task<Status> Checkpointer::write_now() {
  State& state = *state_;
  const Status status = co_await state.write();
  const bool failed = !status && status.error().code != Errc::Cancelled;
  if (failed) ++state.stats.failed;
  if (failed && !std::exchange(state.failing, true) && state.options.note) {
    state.options.note("Cannot write a checkpoint: " + status.error().text() +
                       "; the journals are kept, and the next start reads them");
  }
  if (status) state.failing = false;
  co_return status;
}

runtime::Task<void> Checkpointer::run() {
  State& state = *state_;
  state.running = true;
  Alarm alarm(state.wakeup);
  while (!state.stopping) {
    // A failure (disk full) is tried again at the next look; until then the journals just grow.
    const bool grown = state.growth() >= std::max(state.options.growth_bytes_min, 2 * state.stats.last_bytes);
    if (grown || state.options.due_at_once) {
      const Status written = co_await write_now();
      if (written) state.options.due_at_once = false;
    }
    if (state.stopping) break;
    state.reactor.arm_in(alarm, kLookEvery);
    co_await state.wakeup.wait();
    state.reactor.disarm(alarm);
  }
  state.running = false;
}

void Checkpointer::stop() {
  state_->stopping = true;
  state_->wakeup.set();
}

const Checkpointer::Stats& Checkpointer::stats() const { return state_->stats; }

}  // namespace sluice::journal
