#include "engine/log/scan.h"

#include <algorithm>
#include <cstring>

#include "engine/log/bytes.h"

namespace sluice::log {

namespace {
bool looks_like_ours(std::span<const std::byte> window, SegmentSeed seed) {
  return std::memcmp(window.data(), "SLGR", 4) == 0 && load<std::uint64_t>(window.data() + 48) == seed.salt;
}
}  // namespace

SegmentScanner::SegmentScanner(const SegmentHeader& header, std::uint64_t from)
    : header_(header), seed_(seed_of(header)), end_(from),
      next_sequence_(header.first_sequence), sequence_known_(from == kBlockBytes) {
  need_ = {from, kBlockBytes};
}

SegmentScanner::Step SegmentScanner::step(std::span<const std::byte> window) {
  const std::uint64_t at = need_.offset;
  if (window.size() < kGroupHeaderBytes || at >= header_.bytes) {
    if (gap_from_) close_gap(at + window.size(), true);
    return Step::End;
  }
  const auto found = decode_group_header(window, seed_);
  const bool fits = found && at + found->bytes <= header_.bytes;
  const bool in_order = fits && (found->sequence >= next_sequence_);
  if (!in_order) {
    if (!gap_from_) {
      gap_from_ = at;
      gap_why_ = "no valid group header";
      gap_is_ours_ = looks_like_ours(window, seed_);
    }
    return search(window);
  }
  const std::size_t padded = round_up(found->bytes, kBlockBytes);
  if (found->bytes > window.size()) {
    if (need_.bytes < padded) {
      need_.bytes = padded;
      return Step::Again;
    }
    // The file ends inside the group: keep what is there of it.
  }
  const bool behind_gap = gap_from_.has_value();
  if (behind_gap) close_gap(at, false);
  group_.offset = at;
  group_.header = *found;
  parse_group(window.first(std::min<std::size_t>(found->bytes, window.size())));
  group_.unbroken = !behind_gap && group_.records.size() == found->records &&
                    (!sequence_known_ || found->sequence == next_sequence_);
  next_sequence_ = found->sequence + 1;
  sequence_known_ = true;
  committed_ = std::max(committed_, found->committed);
  end_ = at + padded;
  need_ = {end_, kBlockBytes};
  return Step::Group;
}

// Records one by one; a bad one is passed over to the next place where one passes its check.
void SegmentScanner::parse_group(std::span<const std::byte> bytes) {
  group_.records.clear();
  const std::size_t first_stretch = stretches_.size();
  std::optional<std::size_t> bad_from;
  const auto close = [&](std::size_t until) {
    if (!bad_from) return;
    stretches_.push_back(
        {group_.offset + *bad_from, until - *bad_from, group_.header.sequence, "record checksum", 0});
    bad_from.reset();
  };
  std::size_t at = kGroupHeaderBytes;
  std::uint64_t vain_bytes = 0;
  while (at + kRecordHeaderBytes <= bytes.size()) {
    const auto record = parse_record(bytes.subspan(at), static_cast<std::uint32_t>(group_.offset + at), seed_);
    if (!record) {
      if (!bad_from) bad_from = at;
      vain_bytes += claimed_bytes(bytes.subspan(at));
      if (vain_bytes > kVainChecksumsMax * bytes.size()) break;
      at += kRecordAlign;
      continue;
    }
    close(at);
    group_.records.push_back(*record);
    at += record_bytes(record->payload.size());
  }
  if (!bad_from && group_.header.bytes > bytes.size()) bad_from = std::min(at, bytes.size());
  close(std::max<std::size_t>(group_.header.bytes, at));
  // How they are spread over the stretches cannot be told.
  if (stretches_.size() > first_stretch) {
    const auto found = static_cast<std::uint32_t>(group_.records.size());
    stretches_[first_stretch].records = group_.header.records - std::min(found, group_.header.records);
  }
}

SegmentScanner::Step SegmentScanner::search(std::span<const std::byte> window) {
  // Forward by blocks, without parsing: only a header that passes its check counts.
  std::size_t at = kBlockBytes;
  for (; at + kGroupHeaderBytes <= window.size(); at += kBlockBytes) {
    const auto found = decode_group_header(window.subspan(at), seed_);
    if (found && found->sequence >= next_sequence_) break;
  }
  const bool at_end = window.size() < need_.bytes;
  need_ = {need_.offset + at, kBlockBytes};
  if (at_end && at + kGroupHeaderBytes > window.size()) {
    close_gap(need_.offset, true);
    return Step::End;
  }
  return Step::Again;
}

// At the end of the log the rest of the file is blank or of an earlier use; only what shows our mark is torn.
void SegmentScanner::close_gap(std::uint64_t until, bool at_end) {
  if (until > *gap_from_ && (!at_end || gap_is_ours_)) {
    stretches_.push_back({*gap_from_, until - *gap_from_, next_sequence_, gap_why_, std::nullopt});
  }
  gap_from_.reset();
}

// Every group up to the answer was acknowledged.
std::uint64_t SegmentScanner::proven(Later later) const {
  std::uint64_t durable = std::max(committed_, later.committed);
  if (header_.role != Role::Events) return durable;
  // The group found last was written after the one before it was done, and so was the next segment's first.
  if (next_sequence_ > header_.first_sequence) durable = std::max(durable, next_sequence_ - 2);
  if (later.first_sequence != 0) durable = std::max(durable, later.first_sequence - 1);
  return durable;
}

SegmentScanner::Verdict SegmentScanner::verdict(Later later) const {
  Verdict out;
  const std::uint64_t durable = proven(later);
  for (const DamagedStretch& one : stretches_) {
    (one.first_sequence <= durable ? out.damaged : out.torn).push_back(one);
  }
  const std::uint64_t ours_end = later.first_sequence == 0 ? 0 : std::min(durable + 1, later.first_sequence);
  if (sequence_known_ && ours_end > next_sequence_) {
    out.groups_missing = ours_end - next_sequence_;
    const bool known = !out.damaged.empty() && out.damaged.back().offset >= end_;
    if (!known && end_ < header_.bytes) {
      out.damaged.push_back(
          {end_, header_.bytes - end_, next_sequence_, "groups missing at the end", std::nullopt});
    }
  }
  return out;
}

}  // namespace sluice::log
