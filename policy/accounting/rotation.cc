#include "policy/accounting/rotation.h"

#include <algorithm>

namespace sluice::accounting {
namespace {

bool rotates_by_interval(const config::AcctFile& spec) {
  return spec.move_interval_given || !spec.move_to.empty();
}

WallTime interval_end(const config::AcctFile& spec, const OpenFile& file) {
  return file.opened + std::chrono::ceil<WallTime::duration>(spec.move_interval);
}

}  // namespace

std::optional<RotationReason> decide_rotation(const config::AcctFile& spec, const TimeZone& zone,
                                              const OpenFile& file, WallTime now, std::uint64_t next_bytes) {
  if (zone.day_of(now) != file.day) return RotationReason::Midnight;
  if (rotates_by_interval(spec) && now >= interval_end(spec, file)) return RotationReason::Interval;
  if (file.bytes > 0 && file.bytes + next_bytes > spec.max_size.raw()) return RotationReason::Size;
  return std::nullopt;
}

WallTime next_rotation_check(const config::AcctFile& spec, const TimeZone& zone, const OpenFile& file) {
  const WallTime midnight = zone.next_midnight(file.opened);
  return rotates_by_interval(spec) ? std::min(midnight, interval_end(spec, file)) : midnight;
}

bool is_outdated(const config::AcctFile& spec, std::chrono::local_days day, std::chrono::local_days today) {
  if (!spec.move_to.empty() || !spec.delete_after) return false;
  return today - day > std::chrono::floor<std::chrono::days>(*spec.delete_after);
}

}  // namespace sluice::accounting
