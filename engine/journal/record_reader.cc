#include "engine/journal/record_reader.h"

#include <algorithm>

#include "engine/log/bytes.h"
#include "engine/log/scan_file.h"
#include "engine/log/segment_store.h"

namespace sluice::journal {

RecordReader::RecordReader(runtime::Reactor& reactor, std::string path, JournalPosition from)
    : reactor_(reactor), path_(std::move(path)), position_(from) {}

// Opens the segment at the position, or the next one there is up to `end`. Numbers have gaps: spares that were never
// used keep theirs. False: there is none.
runtime::Task<Result<bool>> RecordReader::open_segment(JournalPosition end) {
  const auto listed = reactor_.list_directory(path_);
  if (!listed) co_return std::unexpected(listed.error());
  std::vector<std::uint32_t> numbers;
  for (const auto& entry : *listed) {
    const auto number = log::segment_file_number(log::Role::Events, entry.name);
    if (number && *number >= position_.segment && *number <= end.segment) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  for (const std::uint32_t number : numbers) {
    const std::string path = path_ + "/" + log::segment_file_name(log::Role::Events, number);
    // What recovery takes for a segment is one here, too: a checkpoint has to hold what recovery has read.
    const auto head = co_await log::read_segment_head(reactor_, path, log::Role::Events);
    if (!head && head.error().code == Errc::NotFound) continue;
    if (!head) co_return std::unexpected(head.error());
    if (!head->header || head->header->number != number) continue;  // a spare
    Result<runtime::File> file =
        co_await runtime::File::open(reactor_, path, {.direct = true, .read_only = true});
    if (!file) {
      if (file.error().code == Errc::NotFound) continue;
      co_return std::unexpected(file.error());
    }
    if (number != position_.segment || position_.offset < log::kBlockBytes) {
      position_ = {number, static_cast<std::uint32_t>(log::kBlockBytes)};
    }
    file_ = std::move(*file);
    header_ = *head->header;
    co_return true;
  }
  co_return false;
}

runtime::Task<Result<std::optional<RecordBatch>>> RecordReader::next(JournalPosition end) {
  for (;;) {
    if (!(position_ < end)) co_return std::optional<RecordBatch>();
    if (!header_) {
      const Result<bool> opened = co_await open_segment(end);
      if (!opened) co_return std::unexpected(opened.error());
      if (!*opened) co_return std::optional<RecordBatch>();
      continue;
    }
    // Up to the durable end in the writer's segment; up to the end of the file in those before.
    const std::uint64_t limit =
        header_->number == end.segment ? end.offset : std::uint64_t{header_->bytes};
    log::SegmentHeader shown = *header_;
    shown.bytes = limit;
    log::SegmentScanner scanner(shown, position_.offset);
    RecordBatch batch;
    std::size_t window = static_cast<std::size_t>(
        std::min<std::uint64_t>(kWindowBytes, log::round_up(limit - position_.offset, log::kBlockBytes)));
    std::uint64_t window_at = position_.offset;
    batch.bytes = log::AlignedMemory::make(window);
    auto have = co_await file_.read(batch.bytes.bytes(), window_at);
    if (!have) co_return std::unexpected(have.error());
    bool finished = false;
    for (;;) {
      const auto need = scanner.need();
      const std::uint64_t in_window = need.offset - window_at;
      const bool file_ends = window_at + *have >= limit || *have < window;
      if (need.offset + need.bytes > window_at + *have && !file_ends) {
        if (!batch.records.empty()) break;  // the rest next time
        // One group larger than the window, or a search through damage.
        window_at = need.offset;
        window = std::max<std::size_t>(kWindowBytes, log::round_up(need.bytes, log::kBlockBytes));
        batch.bytes = log::AlignedMemory::make(window);
        have = co_await file_.read(batch.bytes.bytes(), window_at);
        if (!have) co_return std::unexpected(have.error());
        continue;
      }
      const auto all = std::span<const std::byte>(batch.bytes.bytes()).first(*have);
      const auto step = scanner.step(in_window < all.size() ? all.subspan(in_window) : std::span<const std::byte>());
      if (step == log::SegmentScanner::Step::End) {
        finished = true;
        break;
      }
      if (step == log::SegmentScanner::Step::Group) {
        batch.records.insert(batch.records.end(), scanner.group().records.begin(), scanner.group().records.end());
      }
    }
    const auto verdict = scanner.verdict();
    batch.damaged = verdict.damaged.size();
    batch.holes = verdict.damaged.size() + verdict.torn.size();
    segment_read_ = header_->number;
    position_.offset = static_cast<std::uint32_t>(scanner.end());
    if (finished && header_->number == end.segment) position_ = end;
    if (finished && header_->number != end.segment) {
      position_ = {header_->number + 1, 0};
      header_.reset();
      file_ = runtime::File();
    }
    batch.after = position_;
    co_return std::optional<RecordBatch>(std::move(batch));
  }
}

}  // namespace sluice::journal
