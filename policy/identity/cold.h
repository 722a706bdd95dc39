#pragma once
// `cold-virtual-mta` and `max-cold-virtual-mta-msg`: the first messages of a day go by the virtual MTAs being
// warmed up.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::identity {

/// Days since 1970 of the local calendar.
using DayNumber = std::int32_t;

/// What one cold virtual MTA has had for one queue domain. A value: kept over restarts as text.
struct ColdCount {
  DayNumber first_day = 0;  ///< when it got its first message: the list of limits steps on from there
  DayNumber day = 0;        ///< `used` is about this day
  std::uint32_t used = 0;
  friend bool operator==(const ColdCount&, const ColdCount&) = default;

  [[nodiscard]] std::string text() const;
  /// Nothing when `text` is none that text() wrote.
  [[nodiscard]] static std::optional<ColdCount> parse(std::string_view text);
};

/// Messages allowed on `today`: entry by entry of `limits`, one a calendar day from the first; the last one
/// stays. Nothing was sent yet (`count` absent): today is the first day. An empty list: 0.
[[nodiscard]] std::uint32_t cold_limit(std::span<const std::uint32_t> limits,
                                       const std::optional<ColdCount>& count, DayNumber today);
/// Takes one message of today's allowance. Nothing: it is used up.
/// A calendar that goes back (`today` before count.day) gives nothing more until it has caught up.
[[nodiscard]] std::optional<ColdCount> take_cold(std::span<const std::uint32_t> limits,
                                                 const std::optional<ColdCount>& count, DayNumber today);

}  // namespace sluice::identity
