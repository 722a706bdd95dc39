#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::accounting {

/// The rule at the end of a zone file, for all years its table does not list: "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ
/// with the ranges of RFC 8536 3.3.1). Pure value.
class PosixTimeRule {
 public:
  [[nodiscard]] static std::optional<PosixTimeRule> parse(std::string_view text);
  /// East of Greenwich is positive.
  [[nodiscard]] std::chrono::seconds offset_at(std::chrono::sys_seconds time) const;

 private:
  struct Change {
    enum class Kind : std::uint8_t { MonthWeekDay, Julian, DayOfYear };
    Kind kind = Kind::MonthWeekDay;
    int month = 1, week = 1, weekday = 0;  // MonthWeekDay: week 5 is the last one; weekday 0 is Sunday
    int day = 0;                           // Julian: 1 .. 365, never February 29; DayOfYear: 0 .. 365
    std::chrono::seconds time{7200};       // local, may lie outside the day
  };
  class Reader;
  [[nodiscard]] static std::chrono::local_seconds when(const Change& change, std::chrono::year year);

  std::chrono::seconds standard_{0};
  std::optional<std::chrono::seconds> daylight_;
  Change begin_, end_;
};

}  // namespace sluice::accounting
