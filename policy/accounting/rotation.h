#pragma once
// When an accounting file ends and what becomes of old ones. Pure.

#include <chrono>
#include <cstdint>
#include <optional>

#include "policy/accounting/time_zone.h"
#include "policy/base/units.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

enum class RotationReason : std::uint8_t { Midnight, Interval, Size, Asked };

/// A file being written. It is made for its first row, so it is never empty of rows for long.
struct OpenFile {
  std::chrono::local_days day{};  ///< in its name
  WallTime opened{};
  std::uint64_t bytes = 0;  ///< header row included
};

/// Whether the file has to end before `next_bytes` more are written, and why. Size counts only against files that hold
/// rows: what is larger than `max-size` by itself gets a file of its own.
/// `move-interval` applies with `move-to`, and without it when it was written in the configuration: its manual ties it
/// to move-to, but operators who set it alone expect new files.
[[nodiscard]] std::optional<RotationReason> decide_rotation(const config::AcctFile& spec,
                                                            const TimeZone& zone, const OpenFile& file,
                                                            WallTime now, std::uint64_t next_bytes);
/// When decide_rotation() has to be asked again even if nothing is written.
[[nodiscard]] WallTime next_rotation_check(const config::AcctFile& spec, const TimeZone& zone,
                                           const OpenFile& file);

/// Whether a finished file of `day` is to be deleted: `delete-after` whole days after its own have passed. Never with
/// move-to: moved files belong to whoever they were moved for.
[[nodiscard]] bool is_outdated(const config::AcctFile& spec, std::chrono::local_days day,
                               std::chrono::local_days today);

}  // namespace sluice::accounting
