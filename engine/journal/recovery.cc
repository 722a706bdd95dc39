#include "engine/journal/recovery.h"

#include <algorithm>
#include <map>
#include <optional>

#include "engine/journal/event_codec.h"
#include "engine/journal/lost_event.h"
#include "engine/journal/received.h"
#include "engine/journal/recovered_impl.h"
#include "engine/journal/recovery_doubts.h"
#include "engine/journal/recovery_files.h"
#include "engine/log/scan_file.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

class Recovery {
 public:
  Recovery(runtime::Reactor& reactor, const RecoveryOptions& options, Recovered::Impl& out)
      : reactor_(reactor),
        options_(options),
        out_(out),
        files_(reactor, options, found_, out.report),
        doubts_(out.report) {}

  runtime::Task<Status> run() {
    out_.shards = options_.shards;
    out_.live.remember_received();
    Status status = co_await files_.run();
    if (status) status = co_await read_mark();
    if (status) status = co_await load_newest_checkpoint();
    for (auto& [shard, found] : found_) found.received = out_.live.mark(shard);
    for (auto& [shard, found] : found_) {
      if (status) status = co_await read_journal(found);
    }
    if (status) doubts_.check_directories(found_);
    if (status) find_lost_beginnings();
    for (auto& [shard, found] : found_) {
      if (status) status = co_await read_spool_tail(found);
    }
    if (!status) co_return status;
    doubts_.conclude(out_.clean_stop.has_value());
    out_.live.drop_early_endings();
    out_.report.messages = out_.live.live_messages();
    out_.report.recipients = out_.live.live_recipients();
    if (out_.clean_stop && out_.clean_stop->messages != out_.report.messages)
      out_.report.messages_at_stop = out_.clean_stop->messages;
    // Nothing has been changed so far.
    if (out_.report.is_refused(options_)) co_return status;
    if (!out_.report.doubts.empty()) out_.report.journal_holes = true;
    out_.holes = doubts_.holes();
    co_await files_.set_aside();
    finish();
    co_return status;
  }

 private:
  // What the last stop has left behind; of an older one, a later run has written something since.
  runtime::Task<Status> read_mark() {
    const auto mark = co_await read_clean_stop(reactor_, options_.directory);
    if (!mark) co_return std::unexpected(mark.error());
    if (*mark && (*mark)->incarnation >= incarnation_max()) out_.clean_stop = **mark;
    doubts_.seen(options_.accounted, "accounting");
    if (out_.clean_stop) doubts_.seen(out_.clean_stop->journals, "the last stop");
    co_return Status();
  }

  runtime::Task<Status> load_newest_checkpoint() {
    const auto listed = list_checkpoints(reactor_, options_.directory);
    if (!listed) co_return std::unexpected(listed.error());
    const std::uint32_t known = out_.clean_stop ? out_.clean_stop->checkpoint : 0;
    if (listed->empty() || listed->back().number < known) {
      if (known != 0) {
        rescan_everything_ = true;
        doubts_.lost_checkpoint(checkpoint_file_name(known) + " is missing");
      }
      if (listed->empty()) co_return Status();
    }
    const CheckpointFile& newest = listed->back();
    const auto loaded = co_await load_checkpoint(reactor_, newest, out_.live);
    if (!loaded) co_return std::unexpected(loaded.error());
    out_.report.bytes_read += newest.bytes;
    positions_ = loaded->positions;
    out_.last_written = std::max(out_.last_written, loaded->written);
    for (const auto& [shard, position] : positions_) doubts_.seen(shard, position, "the checkpoint");
    if (!loaded->complete) {
      doubts_.lost_checkpoint(checkpoint_file_name(newest.number) + " is damaged");
      // What it lost can only be found in the spool itself.
      rescan_everything_ = true;
      for (const log::DamagedStretch& one : loaded->damaged) co_await files_.report(newest.path, one);
      if (loaded->damaged.empty())
        co_await files_.report(newest.path, {0, newest.bytes, 0, "checkpoint incomplete", {}});
    }
    co_return Status();
  }

  void take(Found& found, const log::RecordView& record) {
    ++out_.report.events_read;
    switch (record.type) {
      case log::RecordType::Event:
        if (const auto event = decode_event(record.payload)) {
          out_.live.apply(*event);
          if (event->kind == EventKind::Received && event->place.directory_shard == found.shard) {
            found.received =
                std::max(found.received, {event->place.segment, event->place.offset, event->recipient});
          }
          return;
        }
        break;
      case log::RecordType::Moved:
        if (const auto moved = decode_moved(record.payload)) {
          out_.live.apply(*moved);
          return;
        }
        break;
      case log::RecordType::State:
        if (const auto state = decode_state(record.payload)) {
          out_.live.apply(*state);
          return;
        }
        break;
      default: break;
    }
    // Whole by its checksum, yet not understood: a newer program's.
    files_.add_damage({"journal", record.offset, record.payload.size(), "unknown record", ""});
  }

  runtime::Task<Status> read_journal(Found& found) {
    const auto position = positions_.find(found.shard);
    const JournalPosition from = position == positions_.end() ? JournalPosition{} : position->second;
    // The segment in which the checkpoint ends is read from its beginning: what comes behind the checkpoint has to
    // follow what is before it.
    if (from.segment != 0 && !found.events.contains(from.segment)) note_hole(found);
    std::uint64_t next_sequence = 0;
    const std::function<void(const log::ScannedGroup&)> visit = [&](const log::ScannedGroup& group) {
      const bool follows = next_sequence == 0 || group.header.sequence == next_sequence;
      next_sequence = group.header.sequence + 1;
      out_.last_written = std::max(out_.last_written, group.header.written);
      if (group.header.segment == from.segment && group.offset < from.offset) return;
      if (!group.unbroken || !follows) note_hole(found);
      for (const log::RecordView& record : group.records) take(found, record);
    };
    std::vector<Scanned> scanned;
    for (const auto& [number, file] : found.events) {
      if (number < from.segment) continue;
      const auto scanner = co_await log::scan_file(reactor_, file.path, file.header, log::kBlockBytes, visit,
                                                   !options_.read_only, &out_.report.bytes_read);
      if (!scanner) co_return std::unexpected(scanner.error());
      found.event_sequence = std::max(found.event_sequence, scanner->next_sequence());
      found.events_end = {number, static_cast<std::uint32_t>(scanner->end())};
      scanned.push_back({&file, *scanner});
    }
    doubts_.know_holes(state_of(kHolesKey));
    co_await judge(found, scanned, from);
    doubts_.check_end(found, from);
    co_return Status();
  }

  [[nodiscard]] std::string_view state_of(std::string_view key) const {
    const auto found = out_.live.states().find(key);
    return found == out_.live.states().end() ? std::string_view() : std::string_view(found->second.value);
  }

  // Received events of this directory come in the order of its message log: those that the hole has swallowed lie
  // behind the last one before it. What a hole has swallowed of another directory's, which this journal looked after
  // for a while, lies behind the last one in that directory's own journal, where read_spool_tail() begins anyway.
  void note_hole(Found& found) {
    out_.report.journal_holes = true;
    found.rescan_from = std::min(found.rescan_from.value_or(found.received), found.received);
  }

  struct Scanned {
    const SegmentFile* file;
    log::SegmentScanner scanner;
  };
  // Reports what scans of one log found.
  // `folded`: of a journal, and what stands before that place is in the checkpoint.
  runtime::Task<void> judge(const Found& found, const std::vector<Scanned>& scanned,
                            std::optional<JournalPosition> folded) {
    const bool is_journal = folded.has_value();
    const JournalPosition seen = is_journal ? doubts_.seen_end(found.shard) : JournalPosition{};
    log::SegmentScanner::Later later;
    for (std::size_t i = scanned.size(); i-- > 0;) {
      const auto& [file, scanner] = scanned[i];
      // Only a run of the same process proves anything: a new start numbers on from what it found, not from
      // what there was.
      const bool same_run =
          i + 1 < scanned.size() && scanned[i + 1].file->header.incarnation == file->header.incarnation;
      if (!same_run) later = {};
      const auto verdict = scanner.verdict(later);
      later = {file->header.first_sequence, std::max(later.committed, scanner.committed())};
      // What was read after the run that wrote it is no proof: a torn group is read like any other.
      const bool of_last_run = file->header.incarnation == scanned.back().file->header.incarnation;
      const auto place_of = [&file](const log::DamagedStretch& one) {
        return JournalPosition{file->header.number, static_cast<std::uint32_t>(one.offset)};
      };
      std::vector<log::DamagedStretch> damaged;
      for (const log::DamagedStretch& one : verdict.damaged) {
        if (!folded || *folded <= place_of(one)) damaged.push_back(one);
      }
      for (const log::DamagedStretch& one : verdict.torn) {
        const JournalPosition place = place_of(one);
        if (folded && place < *folded) continue;
        if (is_journal && of_last_run && place < seen) {
          damaged.push_back(one);
          continue;
        }
        if (is_journal) doubts_.hole(found.shard, file->header.number, one, false);
        files_.add_torn(file->path, one);
      }
      for (const log::DamagedStretch& one : damaged) {
        if (is_journal) doubts_.hole(found.shard, file->header.number, one, true);
        co_await files_.report(file->path, one);
      }
      if (is_journal && verdict.groups_missing != 0 && scanner.end() >= file->header.bytes)
        doubts_.hole(found.shard, file->header.number, {scanner.end(), 0, 0, "groups missing", {}}, true);
    }
  }

  // Journals that begin in the middle of things need the checkpoint that stood for what was before.
  void find_lost_beginnings() {
    for (auto& [shard, found] : found_) {
      const bool begins_late = !found.events.empty() &&
                               found.events.begin()->second.header.first_sequence > 1 &&
                               !positions_.contains(shard);
      const bool no_journal = found.events.empty() && !positions_.contains(shard) && !found.messages.empty();
      if (!rescan_everything_ && !begins_late && !no_journal) continue;
      if (begins_late)
        doubts_.lost_checkpoint("the journal of " + shard_directory_name(shard) +
                                " begins in the middle, without a "
                                "checkpoint for what was before");
      found.rescan_from = ReceivedMark{};
      found.lost_beginning = true;
    }
  }

  // Every recipient from the last received event on that no journal knows is received now: behind the end of the
  // journal, and in its holes.
  runtime::Task<Status> read_spool_tail(Found& found) {
    const ReceivedMark from = found.rescan_from.value_or(found.received);
    const std::function<void(const log::ScannedGroup&)> visit = [&](const log::ScannedGroup& group) {
      for (const log::RecordView& record : group.records)
        look_at_message(found, group.header.segment, record, from);
    };
    std::vector<Scanned> scanned;
    for (const auto& [number, file] : found.messages) {
      if (number < from.segment) continue;
      const auto scanner = co_await log::scan_file(reactor_, file.path, file.header, log::kBlockBytes, visit,
                                                   !options_.read_only, &out_.report.bytes_read);
      if (!scanner) co_return std::unexpected(scanner.error());
      found.message_sequence = std::max(found.message_sequence, scanner->next_sequence());
      scanned.push_back({&file, *scanner});
    }
    co_await judge(found, scanned, std::nullopt);
    co_return Status();
  }

  void look_at_message(const Found& found, std::uint32_t segment, const log::RecordView& record,
                       ReceivedMark from) {
    const auto view = spool::MessageView::decode(record.payload);
    if (!view) {
      files_.add_damage({found.path, record.offset, record.payload.size(), "message record", ""});
      return;
    }
    const auto body_bytes = static_cast<std::uint32_t>(view->body.size());
    const spool::MessagePlace place{found.shard, segment, record.offset,
                                    static_cast<std::uint32_t>(record.payload.size()) - body_bytes,
                                    body_bytes};
    const ReceivedMark here{segment, record.offset, 0};
    const ReceivedMark from_message{from.segment, from.offset, 0};
    if (here < from_message) return;
    const std::uint32_t first = here == from_message && from != ReceivedMark{} ? from.recipient + 1 : 0;
    // The message of a copy was received at its first place, and may have ended before the checkpoint: only where
    // nothing tells what was before is a copy as good as a message.
    if (record.type == log::RecordType::MovedMessage && !found.lost_beginning) return;
    const auto complete = [&](const Event& event) {
      if (out_.live.remembers(event.message, event.recipient)) return;
      const LiveSet::Recipient* there = out_.live.find(event.message, event.recipient);
      if (there != nullptr && there->received) return;
      auto& missing = journal_of(found.shard).events_missing.emplace_back(encoded_bytes(event));
      encode(event, missing);
      if (ReceivedMark{segment, record.offset, event.recipient} < found.received)
        ++out_.report.received_found_again;
      out_.live.apply(event);
      ++out_.report.received_completed;
    };
    for_each_received(*view, place, reactor_.wall_now(), complete, first);
  }

  JournalInheritance& journal_of(std::uint32_t directory_shard) {
    if (out_.journals.empty()) out_.journals.resize(options_.shards);
    return out_.journals[home_of(directory_shard, options_.shards)];
  }

  void finish() {
    drop_messages_without_segment();
    out_.spools.resize(options_.shards);
    out_.journals.resize(options_.shards);
    out_.messages_of.resize(options_.shards);
    for (std::uint32_t shard = 0; shard < options_.shards; ++shard) found_[shard].shard = shard;
    // Two above: a run may use one more than it has written (SpoolCore::next_id). Minutes since 2026 keep ids apart
    // when an operator starts over with an empty directory.
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(
        reactor_.wall_now() - WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)));
    const auto now = static_cast<std::uint32_t>(std::clamp<std::int64_t>(minutes.count(), 1, (1 << 26) - 1));
    out_.incarnation = std::max(incarnation_max() + 2, now);
    for (auto& [shard, found] : found_) hand_over(found);
    const auto messages = out_.live.messages();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (!messages[i].used) continue;
      const std::uint32_t home = home_of(messages[i].place.directory_shard, options_.shards);
      out_.messages_of[home].push_back(static_cast<std::uint32_t>(i));
    }
    out_.report.messages = out_.live.live_messages();
    out_.report.recipients = out_.live.live_recipients();
  }

  // Of all directories: one whose files an adopter has deleted tells nothing itself.
  [[nodiscard]] std::uint32_t incarnation_max() const {
    std::uint32_t most = 0;
    for (const auto& [shard, found] : found_) most = std::max(most, found.incarnation_max);
    return most;
  }

  // Every accepted recipient gets one ending, these too, and the operator learns of it where he looks for the others.
  // Whom nothing names any more gets none: he is counted at every start, until his segment is put back.
  void drop_messages_without_segment() {
    std::vector<MessageId> lost;
    for (const LiveSet::Message& message : out_.live.messages()) {
      if (!message.used) continue;
      const auto found = found_.find(message.place.directory_shard);
      if (found != found_.end() && found->second.messages.contains(message.place.segment)) continue;
      lost.push_back(message.id);
      for (std::uint32_t at = message.first; at != LiveSet::kNone; at = out_.live.recipient(at).next) {
        Event event = lost_event(out_.live, message, out_.live.recipient(at), reactor_);
        if (!out_.live.name(event)) {
          ++out_.report.lost_unnamed;
          continue;
        }
        ++out_.report.lost_segment;
        auto& missing =
            journal_of(message.place.directory_shard).events_missing.emplace_back(encoded_bytes(event));
        encode(event, missing);
      }
    }
    for (const MessageId id : lost) out_.live.drop(id);
  }

  void hand_over(Found& found) {
    const bool foreign = found.shard >= options_.shards;
    const std::uint32_t home = home_of(found.shard, options_.shards);
    const auto give = [&](log::Inheritance& to, std::map<std::uint32_t, SegmentFile>& segments,
                          std::vector<log::Inheritance::Unused>& unused) {
      for (auto& [number, file] : segments) to.kept.push_back({file.path, file.header, foreign});
      for (auto& one : unused) to.unused.push_back({one.path, one.bytes, foreign});
    };
    give(out_.spools[home], found.messages, found.unused_messages);
    give(out_.journals[home], found.events, found.unused_events);
    if (!foreign) {
      out_.spools[home].incarnation = out_.journals[home].incarnation = out_.incarnation;
      // Numbers are not used again even when an adopter has deleted every file here: marks and cursors know
      // them.
      const auto position = positions_.find(found.shard);
      const std::uint32_t events_passed = std::max(
          position == positions_.end() ? 0 : position->second.segment, doubts_.seen_end(found.shard).segment);
      out_.spools[home].next_segment =
          std::max(found.number_max_messages, out_.live.mark(found.shard).segment) + 1;
      out_.journals[home].next_segment = std::max(found.number_max_events, events_passed) + 1;
      out_.spools[home].next_sequence = found.message_sequence;
      out_.journals[home].next_sequence = found.event_sequence;
    }
    auto track = std::make_unique<JournalTrack>();
    track->directory_shard = found.shard;
    track->path = options_.directory + "/" + shard_directory_name(found.shard);
    track->has_writer = !foreign;
    track->owner = ShardId(home);
    track->first_segment = found.events.empty() ? found.number_max_events + 1 : found.events.begin()->first;
    track->judged_segment = found.events_end.segment;
    track->settled.store(!out_.report.journal_holes || foreign);
    track->durable.store(std::uint64_t{found.events_end.segment} << 32 | found.events_end.offset);
    out_.tracks.push_back(std::move(track));
  }

  runtime::Reactor& reactor_;
  const RecoveryOptions& options_;
  Recovered::Impl& out_;
  std::map<std::uint32_t, Found> found_;
  FileSearch files_;
  Doubts doubts_;
  JournalPositions positions_;
  bool rescan_everything_ = false;
};

}  // namespace

Recovered::Recovered() : impl_(std::make_unique<Impl>()) {}
Recovered::Recovered(Recovered&&) noexcept = default;
Recovered& Recovered::operator=(Recovered&&) noexcept = default;
Recovered::~Recovered() = default;
const RecoveryReport& Recovered::report() const { return impl_->report; }

const std::optional<CleanStop>& Recovered::clean_stop() const { return impl_->clean_stop; }
void Recovered::drop_live() { impl_->live = LiveSet(); }
std::uint32_t Recovered::incarnation() const { return impl_->incarnation; }

WallTime Recovered::last_written() const { return impl_->last_written; }

std::string_view Recovered::state(std::string_view key) const {
  const auto found = impl_->live.states().find(key);
  return found == impl_->live.states().end() ? std::string_view() : std::string_view(found->second.value);
}

void Recovered::for_each_state(std::string_view prefix,
                               void (*visit)(void*, std::string_view key, std::string_view value),
                               void* context) const {
  const auto& states = impl_->live.states();
  for (auto at = states.lower_bound(prefix); at != states.end() && at->first.starts_with(prefix); ++at) {
    if (!at->second.value.empty()) visit(context, at->first, at->second.value);
  }
}

runtime::Task<Result<Recovered>> recover(runtime::Reactor& reactor, RecoveryOptions options) {
  SLUICE_ASSERT(options.shards >= 1 && options.shards <= kDirectoryShardMax + 1);
  Recovered out;
  Recovery recovery(reactor, options, out.impl());
  const Status status = co_await recovery.run();
  if (!status) co_return std::unexpected(status.error());
  co_return std::move(out);
}

}  // namespace sluice::journal
