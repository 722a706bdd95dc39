#pragma once
// Finding groups and records in bytes that may be torn or damaged. Pure: the caller reads the file.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/log/format.h"

namespace sluice::log {

/// A stretch that holds nothing valid.
struct DamagedStretch {
  std::uint64_t offset = 0;          ///< in the segment
  std::uint64_t bytes = 0;
  std::uint64_t first_sequence = 0;  ///< first group that is missing or hurt
  const char* why = "";
  std::optional<std::uint32_t> records;  ///< how many are missing; nullopt: the group's header is lost too
};

/// A group that was found, with those of its records that pass their check.
struct ScannedGroup {
  std::uint64_t offset = 0;  ///< in the segment
  GroupHeader header;
  std::vector<RecordView> records;
  /// False: some of its records are missing, or a group before it in this segment.
  bool unbroken = true;
};

/// Walks one segment. The caller shows it windows of the file; it asks for more when a group does not fit.
///   loop: step(window at need().offset) -> Group | Again (ask need()) | End
/// Thread: any. Lifetime: record views point into the last window.
/// Rule: after something invalid it goes on at the next block that begins with a valid header of this segment and a
/// sequence above the last one. What it passed over is damaged if a later group proves that it had been durable, and
/// torn otherwise. A later group proves what its `committed` says; in a journal, whose writer has one group under way
/// at a time, it proves all groups before it.
class SegmentScanner {
 public:
  enum class Step : std::uint8_t { Group, Again, End };
  struct Need {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  ///< at least; more is welcome
  };
  /// Looking for the next good record behind a bad one stops once this many times the group's size was checksummed
  /// in vain: bodies are strangers' bytes and might be made to look like a great many records.
  static constexpr std::uint64_t kVainChecksumsMax = 16;

  /// `from`: where the first group is expected (a block boundary, normally kBlockBytes).
  SegmentScanner(const SegmentHeader& header, std::uint64_t from = kBlockBytes);

  [[nodiscard]] Need need() const { return need_; }
  /// `window` holds the file from need().offset on; shorter than need().bytes means that the file ends there.
  Step step(std::span<const std::byte> window);
  [[nodiscard]] const ScannedGroup& group() const { return group_; }

  /// Offset behind the last valid group; sequence expected next.
  [[nodiscard]] std::uint64_t end() const { return end_; }
  [[nodiscard]] std::uint64_t next_sequence() const { return next_sequence_; }
  [[nodiscard]] std::uint64_t committed() const { return committed_; }

  /// What later segments of the same run say.
  struct Later {
    std::uint64_t first_sequence = 0;  ///< of the next segment; 0: there is none
    std::uint64_t committed = 0;       ///< the highest in them
  };
  struct Verdict {
    std::vector<DamagedStretch> damaged;
    std::vector<DamagedStretch> torn;
    std::uint64_t groups_missing = 0;  ///< acknowledged groups of which nothing is left (a disk that lied)
  };
  /// After End.
  [[nodiscard]] Verdict verdict(Later later) const;
  [[nodiscard]] Verdict verdict() const { return verdict(Later()); }

 private:
  void parse_group(std::span<const std::byte> bytes);
  Step search(std::span<const std::byte> window);
  void close_gap(std::uint64_t until, bool at_end);
  [[nodiscard]] std::uint64_t proven(Later later) const;

  SegmentHeader header_;
  SegmentSeed seed_;
  Need need_;
  ScannedGroup group_;
  std::uint64_t end_ = kBlockBytes;
  std::uint64_t next_sequence_ = 0;
  bool sequence_known_ = false;            // false: started in the middle and has seen no group yet
  std::uint64_t committed_ = 0;
  std::optional<std::uint64_t> gap_from_;  // searching since here
  const char* gap_why_ = "";
  bool gap_is_ours_ = false;               // begins with a group header's magic and this segment's salt
  std::vector<DamagedStretch> stretches_;
};

}  // namespace sluice::log
