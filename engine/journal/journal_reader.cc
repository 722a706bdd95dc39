#include "engine/journal/journal_reader.h"

#include <algorithm>
#include <charconv>

#include "engine/journal/event_codec.h"
#include "engine/journal/journal_directory.h"
#include "engine/journal/record_reader.h"
#include "engine/runtime/sync.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

constexpr std::string_view kCursorVersion = "1";

bool take_number(std::string_view& text, char end, std::uint32_t& into) {
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(at - text.data()));
  if (end == '\0') return true;
  if (text.empty() || text.front() != end) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string JournalCursor::text() const {
  std::string out(kCursorVersion);
  for (const auto& [shard, position] : positions) {
    out += ' ' + std::to_string(shard) + ':' + std::to_string(position.segment) + ':' +
           std::to_string(position.offset);
  }
  return out;
}

std::optional<JournalCursor> JournalCursor::parse(std::string_view text) {
  if (text.size() > kTextBytesMax || !text.starts_with(kCursorVersion)) return std::nullopt;
  text.remove_prefix(kCursorVersion.size());
  JournalCursor out;
  while (!text.empty()) {
    std::uint32_t shard = 0;
    JournalPosition position;
    if (text.front() != ' ') return std::nullopt;
    text.remove_prefix(1);
    if (!take_number(text, ':', shard) || !take_number(text, ':', position.segment) ||
        !take_number(text, '\0', position.offset)) {
      return std::nullopt;
    }
    if (!out.positions.empty() && out.positions.back().first >= shard) return std::nullopt;
    out.positions.emplace_back(shard, position);
  }
  return out;
}

JournalPosition JournalCursor::at(std::uint32_t directory_shard) const {
  const auto found = std::ranges::find(positions, directory_shard, &std::pair<std::uint32_t, JournalPosition>::first);
  return found == positions.end() ? JournalPosition{} : found->second;
}

void JournalCursor::set(std::uint32_t directory_shard, JournalPosition position) {
  const auto found =
      std::ranges::lower_bound(positions, directory_shard, {}, &std::pair<std::uint32_t, JournalPosition>::first);
  if (found != positions.end() && found->first == directory_shard) {
    found->second = position;
  } else {
    positions.insert(found, {directory_shard, position});
  }
}

struct JournalReader::State {
  State(runtime::Reactor& a_reactor, JournalDirectory& a_directory, std::string a_name)
      : reactor(a_reactor), directory(a_directory), name(std::move(a_name)), wakeup(a_reactor) {}
  runtime::Reactor& reactor;
  JournalDirectory& directory;
  std::string name;
  JournalCursor acknowledged;
  std::vector<RecordReader> readers;  // one for each track
  std::size_t turn = 0;
  bool stopped = false;
  runtime::Wakeup wakeup;
};

JournalReader::JournalReader(runtime::Reactor& reactor, JournalDirectory& directory, std::string name,
                             JournalCursor from)
    : state_(std::make_unique<State>(reactor, directory, std::move(name))) {
  for (const auto& track : directory.tracks()) {
    JournalPosition start = from.at(track->directory_shard);
    if (start.segment < track->first_segment) start = {track->first_segment, 0};
    state_->readers.emplace_back(reactor, track->path, start);
  }
  state_->acknowledged = std::move(from);
  directory.add(*this, reactor);
}

JournalReader::~JournalReader() { state_->directory.remove(*this); }

runtime::Task<Result<std::optional<EventBatch>>> JournalReader::next_if_any() {
  State& state = *state_;
  const auto tracks = state.directory.tracks();
  for (std::size_t tried = 0; tried < tracks.size();) {
    const std::size_t at = state.turn % tracks.size();
    const JournalTrack& track = *tracks[at];
    if (state.stopped) co_return fail(Errc::Cancelled, "journal reader: stopped");
    auto batch = co_await state.readers[at].next(track.end());
    if (!batch) co_return std::unexpected(batch.error());
    if (!*batch) {
      ++tried;
      ++state.turn;
      continue;
    }
    EventBatch out;
    out.directory_shard = track.directory_shard;
    out.after = (*batch)->after;
    // What was written since the start is read up to its durable end: nothing in it can be torn.
    const bool judged = state.readers[at].segment_read() <= track.judged_segment;
    out.damaged = judged ? (*batch)->damaged : (*batch)->holes;
    for (const log::RecordView& record : (*batch)->records) {
      if (record.type != log::RecordType::Event) continue;
      Result<Event> event = decode_event(record.payload);
      if (event) {
        out.events.push_back(std::move(*event));
      } else {
        ++out.damaged;
      }
    }
    // Only the journal's own records: nothing to hand out, and nothing lost if they are read again.
    if (out.events.empty() && out.damaged == 0) continue;
    ++state.turn;
    out.bytes = std::move((*batch)->bytes);
    co_return std::optional<EventBatch>(std::move(out));
  }
  co_return std::optional<EventBatch>();
}

runtime::Task<Result<EventBatch>> JournalReader::next() {
  State& state = *state_;
  for (;;) {
    auto batch = co_await next_if_any();
    if (!batch) co_return std::unexpected(batch.error());
    if (*batch) co_return std::move(**batch);
    state.directory.announce_wait();
    if (lag_bytes() != 0) {
      // Something came between looking and announcing, or lies where nothing can be read; look once more, but let
      // the others run.
      batch = co_await next_if_any();
      if (!batch) co_return std::unexpected(batch.error());
      if (*batch) co_return std::move(**batch);
    }
    if (state.stopped) co_return fail(Errc::Cancelled, "journal reader: stopped");
    co_await state.wakeup.wait();
  }
}

void JournalReader::acknowledge(const JournalCursor& cursor) {
  state_->acknowledged = cursor;
  state_->directory.trim();
}

void JournalReader::stop() {
  state_->stopped = true;
  state_->wakeup.set();
}

void JournalReader::wake() { state_->wakeup.set(); }

const JournalCursor& JournalReader::acknowledged() const { return state_->acknowledged; }

std::uint64_t JournalReader::lag_bytes() const {
  std::uint64_t bytes = 0;
  const auto tracks = state_->directory.tracks();
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    const JournalPosition end = tracks[i]->end();
    const JournalPosition& at = state_->readers[i].position();
    if (!(at < end)) continue;
    // Whole segments in between count as full ones of the default size: an estimate for status.
    bytes += end.segment == at.segment ? end.offset - at.offset
                                       : (end.segment - at.segment) * JournalOptions{}.segment_bytes + end.offset;
  }
  return bytes;
}

}  // namespace sluice::journal
