#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "policy/accounting/posix_time_rule.h"
#include "policy/base/units.h"

namespace sluice::accounting {

/// Local time as a value: the content of a compiled zone file (RFC 8536, as in /etc/localtime), so that
/// nothing here asks the C library, whose zone is a global. Thread: immutable. Limits: kTransitionsMax,
/// kFileBytesMax.
class TimeZone {
 public:
  static constexpr std::size_t kFileBytesMax = 256 * kKiB;
  static constexpr std::size_t kTransitionsMax = 8192;

  /// UTC.
  TimeZone() = default;
  /// nullopt: not a zone file, or one with values out of range.
  [[nodiscard]] static std::optional<TimeZone> parse_tzif(std::span<const std::byte> file);

  /// A rule as the variable TZ may hold one: "CET-1CEST,M3.5.0,M10.5.0/3". Without dates daylight time is that of the
  /// United States, as the C library has it. nullopt: no such rule.
  [[nodiscard]] static std::optional<TimeZone> parse_rule(std::string_view text);

  /// East of Greenwich is positive.
  [[nodiscard]] std::chrono::seconds offset_at(std::chrono::sys_seconds time) const;
  [[nodiscard]] std::chrono::local_days day_of(WallTime time) const;
  /// The moment a calendar and a clock here show `local`. A time that a change of clocks leaves out is the
  /// moment as much later; of one that it repeats, the first is meant.
  [[nodiscard]] std::chrono::sys_seconds moment_of(std::chrono::local_seconds local) const;
  /// The first moment of the next local day.
  [[nodiscard]] WallTime next_midnight(WallTime time) const;

 private:
  struct Transition {
    std::int64_t at = 0;      // seconds since 1970
    std::int32_t offset = 0;  // from then on
  };
  std::vector<Transition> transitions_;  // ascending
  std::int32_t first_offset_ = 0;        // before them
  std::optional<PosixTimeRule> rule_;    // behind them
};

}  // namespace sluice::accounting
