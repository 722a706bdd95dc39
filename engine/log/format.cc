#include "engine/log/format.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::log {
namespace {

constexpr std::array<char, 8> kSegmentMagic = {'S', 'L', 'U', 'I', 'C', 'S', 'E', 'G'};
constexpr std::uint32_t kGroupMagic = 0x52474c53;  // "SLGR"
constexpr std::uint16_t kRecordMagic = 0x5253;     // "SR"
constexpr std::size_t kSegmentHeaderBytes = 72;
constexpr std::size_t kSegmentChecksumAt = 64;
constexpr std::size_t kGroupSaltAt = 48;
constexpr std::size_t kGroupChecksumAt = 56;

std::uint64_t milliseconds(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}
WallTime wall_time(std::uint64_t ms) {
  return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}

}  // namespace

std::string_view name_of(Role role) {
  switch (role) {
    case Role::Messages: return "messages";
    case Role::Events: return "events";
    case Role::Checkpoint: return "checkpoint";
  }
  return "unknown role";
}

std::string_view name_of(RecordType type) {
  switch (type) {
    case RecordType::Message: return "message";
    case RecordType::MovedMessage: return "moved-message";
    case RecordType::Event: return "event";
    case RecordType::Moved: return "moved";
    case RecordType::State: return "state";
    case RecordType::LiveMessage: return "live-message";
    case RecordType::EarlyEnding: return "early-ending";
    case RecordType::Position: return "position";
    case RecordType::CheckpointEnd: return "checkpoint-end";
  }
  return "unknown record";
}

SegmentSeed seed_of(const SegmentHeader& header) {
  const std::uint64_t place = std::uint64_t{header.number} << 32 | std::uint64_t{header.shard} << 8 |
                              static_cast<std::uint64_t>(header.role);
  return {header.salt ^ place, header.salt};
}

std::uint64_t checksum(std::span<const std::byte> bytes, SegmentSeed seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed.raw);
}

void encode(const SegmentHeader& header, std::span<std::byte, kBlockBytes> block) {
  std::fill(block.begin(), block.end(), std::byte{0});
  Encoder out(block.data());
  out.bytes(std::as_bytes(std::span(kSegmentMagic)));
  out.number(kFormatVersion);
  out.number(static_cast<std::uint8_t>(header.role));
  out.number(std::uint8_t{0});
  out.number(header.shard);
  out.number(header.number);
  out.number(header.incarnation);
  out.number(header.first_sequence);
  out.number(milliseconds(header.created));
  out.number(header.bytes);
  out.number(header.salt);
  store(block.data() + kSegmentChecksumAt, checksum(block.first(kSegmentChecksumAt), SegmentSeed{}));
}

Result<SegmentHeader> decode_segment_header(std::span<const std::byte> block) {
  if (block.size() < kSegmentHeaderBytes) return fail(Errc::NotFound, "segment header: file too short");
  Decoder in(block);
  const auto magic = in.bytes(kSegmentMagic.size());
  if (std::memcmp(magic.data(), kSegmentMagic.data(), magic.size()) != 0) {
    return fail(Errc::NotFound, "segment header: not a segment");
  }
  const auto version = in.number<std::uint16_t>();
  const bool sound = load<std::uint64_t>(block.data() + kSegmentChecksumAt) ==
                     checksum(block.first(kSegmentChecksumAt), SegmentSeed{});
  if (!sound) return fail(Errc::Corrupt, "segment header: checksum");
  // A sound header of another version is a newer program's work: refuse it, never take it for damage.
  if (version < kFormatVersionOldest || version > kFormatVersion)
    return fail(Errc::Unsupported, "segment header: format version");
  SegmentHeader header;
  const auto role = in.number<std::uint8_t>();
  if (role < 1 || role > 3) return fail(Errc::Unsupported, "segment header: role");
  header.role = static_cast<Role>(role);
  (void)in.number<std::uint8_t>();
  header.shard = in.number<std::uint32_t>();
  header.number = in.number<std::uint32_t>();
  header.incarnation = in.number<std::uint32_t>();
  header.first_sequence = in.number<std::uint64_t>();
  header.created = wall_time(in.number<std::uint64_t>());
  header.bytes = in.number<std::uint64_t>();
  header.salt = in.number<std::uint64_t>();
  return header;
}

void encode(const GroupHeader& header, SegmentSeed seed, std::span<std::byte, kGroupHeaderBytes> at) {
  std::fill(at.begin(), at.end(), std::byte{0});
  Encoder out(at.data());
  out.number(kGroupMagic);
  out.number(header.segment);
  out.number(header.sequence);
  out.number(header.committed);
  out.number(header.bytes);
  out.number(header.records);
  out.number(header.shard);
  out.number(std::uint32_t{0});
  out.number(milliseconds(header.written));
  out.number(seed.salt);
  store(at.data() + kGroupChecksumAt, checksum(at.first(kGroupChecksumAt), seed));
}

std::optional<GroupHeader> decode_group_header(std::span<const std::byte> bytes, SegmentSeed seed) {
  if (bytes.size() < kGroupHeaderBytes || load<std::uint32_t>(bytes.data()) != kGroupMagic)
    return std::nullopt;
  const auto sum = load<std::uint64_t>(bytes.data() + kGroupChecksumAt);
  if (sum != checksum(bytes.first(kGroupChecksumAt), seed)) return std::nullopt;
  Decoder in(bytes);
  (void)in.number<std::uint32_t>();
  GroupHeader header;
  header.segment = in.number<std::uint32_t>();
  header.sequence = in.number<std::uint64_t>();
  header.committed = in.number<std::uint64_t>();
  header.bytes = in.number<std::uint32_t>();
  header.records = in.number<std::uint32_t>();
  header.shard = in.number<std::uint32_t>();
  (void)in.number<std::uint32_t>();
  header.written = wall_time(in.number<std::uint64_t>());
  if (header.bytes < kGroupHeaderBytes) return std::nullopt;
  return header;
}

std::optional<SegmentHeader> salvage_segment_header(std::span<const std::byte> bytes, Role role,
                                                    std::uint64_t file_bytes) {
  if (bytes.size() < kGroupHeaderBytes) return std::nullopt;
  SegmentHeader header;
  header.role = role;
  header.number = load<std::uint32_t>(bytes.data() + 4);
  header.shard = load<std::uint32_t>(bytes.data() + 32);
  header.salt = load<std::uint64_t>(bytes.data() + kGroupSaltAt);
  const auto group = decode_group_header(bytes, seed_of(header));
  if (!group) return std::nullopt;
  header.first_sequence = group->sequence;
  header.created = group->written;
  header.bytes = file_bytes;
  return header;
}

void seal_record(std::byte* record, RecordType type, std::uint32_t payload_bytes, SegmentSeed seed) {
  store(record + 8, kRecordMagic);
  store(record + 10, static_cast<std::uint8_t>(type));
  store(record + 11, std::uint8_t{0});
  store(record + 12, payload_bytes);
  const std::size_t end = kRecordHeaderBytes + payload_bytes;
  std::memset(record + end, 0, record_bytes(payload_bytes) - end);
  store(record, checksum({record + 8, end - 8}, seed));
}

std::optional<RecordView> parse_record(std::span<const std::byte> bytes, std::uint32_t offset,
                                       SegmentSeed seed) {
  if (bytes.size() < kRecordHeaderBytes || load<std::uint16_t>(bytes.data() + 8) != kRecordMagic)
    return std::nullopt;
  const auto payload = load<std::uint32_t>(bytes.data() + 12);
  if (payload > bytes.size() - kRecordHeaderBytes) return std::nullopt;
  const std::size_t end = kRecordHeaderBytes + std::size_t{payload};
  if (load<std::uint64_t>(bytes.data()) != checksum(bytes.subspan(8, end - 8), seed)) return std::nullopt;
  RecordView view;
  view.type = static_cast<RecordType>(load<std::uint8_t>(bytes.data() + 10));
  view.offset = offset;
  view.payload = bytes.subspan(kRecordHeaderBytes, payload);
  return view;
}

std::size_t claimed_bytes(std::span<const std::byte> bytes) {
  if (bytes.size() < kRecordHeaderBytes || load<std::uint16_t>(bytes.data() + 8) != kRecordMagic) return 0;
  const auto payload = load<std::uint32_t>(bytes.data() + 12);
  return payload > bytes.size() - kRecordHeaderBytes ? 0 : kRecordHeaderBytes + std::size_t{payload};
}

}  // namespace sluice::log
