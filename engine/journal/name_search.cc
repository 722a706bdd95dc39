#include "engine/journal/name_search.h"

#include "engine/journal/checkpoint.h"
#include "engine/journal/event_codec.h"
#include "engine/journal/record_reader.h"
#include "engine/log/bytes.h"
#include "engine/log/scan_file.h"

namespace sluice::journal {
namespace {

runtime::Task<Status> search_journal(runtime::Reactor& reactor, const JournalTrack& track,
                                     const std::unordered_set<std::uint64_t>& wanted, LiveSet& into) {
  RecordReader reader(reactor, track.path, {track.first_segment, 0});
  const JournalPosition end = track.end();
  for (;;) {
    const auto batch = co_await reader.next(end);
    if (!batch) co_return std::unexpected(batch.error());
    if (!*batch) co_return Status();
    for (const log::RecordView& record : (*batch)->records) {
      if (record.type != log::RecordType::Event) continue;
      const auto event = decode_event(record.payload);
      if (event && event->kind == EventKind::Received && wanted.contains(event->message.raw()))
        into.apply(*event);
    }
    co_await runtime::yield(reactor);
  }
}

runtime::Task<Status> search_checkpoint(runtime::Reactor& reactor, const CheckpointFile& file,
                                        const std::unordered_set<std::uint64_t>& wanted, LiveSet& into) {
  const auto head = co_await log::read_segment_head(reactor, file.path, log::Role::Checkpoint);
  if (!head) co_return std::unexpected(head.error());
  if (!head->header) co_return Status();
  log::SegmentHeader header = *head->header;
  header.bytes = file.bytes;
  const std::function<void(const log::ScannedGroup&)> visit = [&](const log::ScannedGroup& group) {
    for (const log::RecordView& record : group.records) {
      if (record.type != log::RecordType::LiveMessage || record.payload.size() < sizeof(std::uint64_t))
        continue;
      if (wanted.contains(log::load<std::uint64_t>(record.payload.data())))
        (void)into.apply_checkpointed(record.payload);
    }
  };
  const auto scanned = co_await log::scan_file(reactor, file.path, header, log::kBlockBytes, visit);
  if (!scanned) co_return std::unexpected(scanned.error());
  co_return Status();
}

}  // namespace

// Journals first: what leaves one while it is being read stands in a checkpoint by then.
runtime::Task<Status> find_names(runtime::Reactor& reactor, const JournalDirectory& directory,
                                 const std::string& root, const std::unordered_set<std::uint64_t>& wanted,
                                 LiveSet& into) {
  for (const auto& track : directory.tracks()) {
    const Status status = co_await search_journal(reactor, *track, wanted, into);
    if (!status) co_return status;
  }
  constexpr int kReplacedMax = 3;
  for (int replaced = 0;; ++replaced) {
    const auto listed = list_checkpoints(reactor, root);
    if (!listed) co_return std::unexpected(listed.error());
    if (listed->empty()) co_return Status();
    const Status status = co_await search_checkpoint(reactor, listed->back(), wanted, into);
    // A newer one may have taken its place before it was opened.
    const bool gone = !status && status.error().code == Errc::NotFound;
    if (!gone || replaced == kReplacedMax) co_return status;
  }
}

}  // namespace sluice::journal
