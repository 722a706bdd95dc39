#pragma once
// The frame that message logs, journals and checkpoints share: segments of groups of records. FORMAT.md has
// it byte by byte. Pure.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "policy/base/result.h"
#include "policy/base/units.h"

namespace sluice::log {

inline constexpr std::size_t kBlockBytes = 4096;  ///< groups begin on multiples of it
inline constexpr std::size_t kGroupHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 16;
inline constexpr std::size_t kRecordAlign = 8;
inline constexpr std::uint16_t kFormatVersion = 3;
inline constexpr std::uint16_t kFormatVersionOldest = 1;                   ///< what is still read
inline constexpr std::uint64_t kSegmentBytesMax = 4 * kGiB - kBlockBytes;  ///< offsets are 32 bits
inline constexpr std::uint32_t kRecordsPerGroupMax = 65'535;

/// What a segment holds. Stored: never renumber.
enum class Role : std::uint8_t { Messages = 1, Events = 2, Checkpoint = 3 };
[[nodiscard]] std::string_view name_of(Role role);

/// Kinds of records. Stored: never renumber.
enum class RecordType : std::uint8_t {
  Message = 1,         ///< in Messages
  MovedMessage = 2,    ///< in Messages: a copy of one that was received earlier
  Event = 16,          ///< in Events
  Moved = 17,          ///< in Events: where a message lies now
  State = 18,          ///< in Events and Checkpoint: a key and its value
  LiveMessage = 32,    ///< in Checkpoint: a message with its live recipients
  EarlyEnding = 33,    ///< in Checkpoint: a recipient that ended before its received event was seen
  Position = 34,       ///< in Checkpoint: how far a directory's journal is contained
  CheckpointEnd = 35,  ///< in Checkpoint: the last record, with counts
};
[[nodiscard]] std::string_view name_of(RecordType type);

/// The first block of a segment file.
struct SegmentHeader {
  Role role = Role::Messages;
  std::uint32_t shard = 0;           ///< number of the directory it was written in
  std::uint32_t number = 0;          ///< grows by one in a log, never used twice in a directory
  std::uint32_t incarnation = 0;     ///< of the process run that wrote it: part of message ids
  std::uint64_t first_sequence = 0;  ///< of the groups in it
  WallTime created{};
  std::uint64_t bytes = 0;  ///< size of the file
  std::uint64_t salt = 0;   ///< random, new with every use of the file
};

/// The first bytes of a group.
struct GroupHeader {
  std::uint32_t segment = 0;  ///< number of the segment it was written for: stale groups show by it
  std::uint32_t shard = 0;
  std::uint64_t sequence = 0;   ///< grows by one from group to group in a log
  std::uint64_t committed = 0;  ///< every group up to this one was durable when this one was built
  std::uint32_t bytes = 0;      ///< header and records, without the padding to the next block
  std::uint32_t records = 0;
  WallTime written{};
};

/// What checksums of one segment are seeded with. The salt in it keeps bytes of an earlier use of the file
/// from passing, and bytes of a stranger's message body too: nobody outside can make a record that looks like
/// ours.
struct SegmentSeed {
  std::uint64_t raw = 0;
  std::uint64_t salt = 0;
};
[[nodiscard]] SegmentSeed seed_of(const SegmentHeader& header);
/// XXH3, 64 bits.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, SegmentSeed seed);

/// Fills a whole block.
void encode(const SegmentHeader& header, std::span<std::byte, kBlockBytes> block);
/// Errors: NotFound (blank, or not a segment at all), Unsupported (another version or role), Corrupt.
[[nodiscard]] Result<SegmentHeader> decode_segment_header(std::span<const std::byte> block);

void encode(const GroupHeader& header, SegmentSeed seed, std::span<std::byte, kGroupHeaderBytes> at);
/// nullopt: not a valid group header of this segment.
[[nodiscard]] std::optional<GroupHeader> decode_group_header(std::span<const std::byte> bytes,
                                                             SegmentSeed seed);
/// The header of a segment whose own first block is lost, told from its first group (`bytes`, at
/// kBlockBytes).
[[nodiscard]] std::optional<SegmentHeader> salvage_segment_header(std::span<const std::byte> bytes, Role role,
                                                                  std::uint64_t file_bytes);

/// Space of a record with `payload_bytes`, header and alignment included.
[[nodiscard]] constexpr std::size_t record_bytes(std::size_t payload_bytes) {
  return (kRecordHeaderBytes + payload_bytes + kRecordAlign - 1) / kRecordAlign * kRecordAlign;
}
/// Completes a record whose payload already lies behind the header space; the alignment bytes are zeroed.
void seal_record(std::byte* record, RecordType type, std::uint32_t payload_bytes, SegmentSeed seed);

/// A record in memory. Lifetime: views the bytes it was parsed from.
struct RecordView {
  RecordType type = RecordType::Message;
  std::uint32_t offset = 0;  ///< of the record's header, in the segment
  std::span<const std::byte> payload;
};
/// Checks and views the record at the front of `bytes`; nullopt: none there that passes.
[[nodiscard]] std::optional<RecordView> parse_record(std::span<const std::byte> bytes, std::uint32_t offset,
                                                     SegmentSeed seed);
/// How many bytes parse_record() checksums at most to find out; 0 when it sees at once that there is no
/// record.
[[nodiscard]] std::size_t claimed_bytes(std::span<const std::byte> bytes);

}  // namespace sluice::log
