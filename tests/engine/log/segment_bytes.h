#pragma once
// Segments made in memory.

#include <cstring>
#include <string>
#include <vector>

#include "engine/log/bytes.h"
#include "engine/log/format.h"
#include "engine/log/scan.h"

namespace sluice::log {

inline SegmentHeader header_for_test(std::uint32_t number = 1, std::uint64_t first_sequence = 1) {
  SegmentHeader header;
  header.role = Role::Events;
  header.number = number;
  header.incarnation = 7;
  header.first_sequence = first_sequence;
  header.salt = 0x1122'3344'5566'7788 + number;
  return header;
}

/// Groups of records, each given by its payload.
inline std::vector<std::byte> segment_of(SegmentHeader header, const std::vector<std::vector<std::string>>& groups) {
  std::vector<std::byte> out(kBlockBytes);
  std::uint64_t sequence = header.first_sequence;
  for (const auto& group : groups) {
    const std::size_t start = out.size();
    std::size_t bytes = kGroupHeaderBytes;
    for (const std::string& payload : group) bytes += record_bytes(payload.size());
    out.resize(start + round_up(bytes, kBlockBytes));
    std::byte* at = out.data() + start + kGroupHeaderBytes;
    for (const std::string& payload : group) {
      std::memcpy(at + kRecordHeaderBytes, payload.data(), payload.size());
      seal_record(at, RecordType::Event, static_cast<std::uint32_t>(payload.size()), seed_of(header));
      at += record_bytes(payload.size());
    }
    GroupHeader head;
    head.segment = header.number;
    head.sequence = sequence;
    head.committed = sequence - 1;
    head.bytes = static_cast<std::uint32_t>(bytes);
    head.records = static_cast<std::uint32_t>(group.size());
    encode(head, seed_of(header), std::span(out).subspan(start).first<kGroupHeaderBytes>());
    ++sequence;
  }
  header.bytes = out.size();
  encode(header, std::span(out).first<kBlockBytes>());
  return out;
}

struct Scanned {
  std::vector<std::string> payloads;
  SegmentScanner::Verdict verdict;
  std::uint64_t end = 0;
};

/// Scans `file` as a reader with windows of `window` bytes would.
inline Scanned scan(const SegmentHeader& header, std::span<const std::byte> file, std::size_t window = 1 << 20) {
  Scanned out;
  SegmentScanner scanner(header);
  for (;;) {
    const auto need = scanner.need();
    const std::size_t from = std::min<std::size_t>(need.offset, file.size());
    const std::size_t size = std::min(file.size() - from, std::max<std::size_t>(window, need.bytes));
    const auto step = scanner.step(file.subspan(from, size));
    if (step == SegmentScanner::Step::End) break;
    if (step != SegmentScanner::Step::Group) continue;
    for (const RecordView& record : scanner.group().records) {
      out.payloads.emplace_back(reinterpret_cast<const char*>(record.payload.data()), record.payload.size());
    }
  }
  out.verdict = scanner.verdict();
  out.end = scanner.end();
  return out;
}

}  // namespace sluice::log
