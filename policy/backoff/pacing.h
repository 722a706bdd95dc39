#pragma once
// Adaptive pacing (`adaptive-pacing yes`, an extension): a queue finds the rate its receiver takes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/base/rate.h"
#include "policy/base/units.h"

namespace sluice {

struct PacingRules {
  Rate floor{1, 60s};  ///< adaptive-pacing-floor: never cut below (but never above the ceiling either)
  std::uint32_t cut_percent = 50;  ///< adaptive-pacing-cut: what a push-back takes off, 1 .. 99
  std::uint32_t step_percent =
      10;  ///< adaptive-pacing-step: what a calm interval gives back, of the ceiling, 1 .. 100
  Duration interval = 10min;  ///< adaptive-pacing-interval
};

/// Cuts the message rate of one queue when the receiver pushes back, and recovers it step by step.
///
///   push-back      limit := max(floor, (1 - cut) * base); base is the limit before, or what was sent lately,
///   or the
///                  ceiling, whichever is lowest. One burst of push-backs is one cut: what was under way when
///                  the first arrived was sent at the old rate.
///   calm interval  limit += step of the ceiling; above the last good rate only a quarter of that, for there
///   it went
///                  wrong last time. At the ceiling the limit goes.
///   last good      the highest limit under which a whole interval stayed calm. A push-back at or below it,
///   or the first
///                  of all, sets it half way between the new limit and base.
///
/// Without a ceiling (no rate is configured) a step is that share of the limit itself, and a limit of which
/// an interval used less than half goes. A value: no clock, no I/O. limit() is never above the ceiling that
/// was passed in with the same call or the last one.
class Pacing {
 public:
  /// Push-backs this soon after a cut belong to it; longer at slow rates: two gaps between messages.
  static constexpr Duration kCutPauseMin = 10s;
  static constexpr Duration kMeterWindow = 10s;

  /// Recipients were attempted: what the meter counts. Cost: a few instructions.
  void count(MonoTime now, std::uint32_t recipients);
  /// Each answers whether limit() changed.
  bool on_push_back(MonoTime now, const PacingRules& rules, const std::optional<Rate>& ceiling);
  bool on_time(MonoTime now, const PacingRules& rules, const std::optional<Rate>& ceiling);
  /// The ceiling has changed (reload, mode): a limit that is no longer below it goes.
  bool on_ceiling(const std::optional<Rate>& ceiling);

  /// In force now; empty: the ceiling alone counts.
  [[nodiscard]] std::optional<Rate> limit() const;
  [[nodiscard]] std::optional<Rate> last_good() const;
  /// When on_time() is due; empty while nothing is limited.
  [[nodiscard]] std::optional<MonoTime> next_time() const { return limit_ > 0 ? next_step_ : std::nullopt; }

  /// One line for the next start, empty when there is nothing to remember; and back (damaged: nothing).
  [[nodiscard]] std::string encode(MonoTime now, WallTime wall_now) const;
  [[nodiscard]] static Pacing decode(std::string_view text, MonoTime now, WallTime wall_now);

 private:
  [[nodiscard]] double measured(MonoTime now) const;
  void roll(MonoTime now);

  // Rates in recipients per second; 0: none.
  double limit_ = 0;
  double last_good_ = 0;
  std::optional<MonoTime> next_step_;
  std::optional<MonoTime> cut_pause_until_;
  // The meter: two windows, so that one is always whole.
  MonoTime window_start_{};
  std::uint32_t window_count_ = 0;
  std::uint32_t window_before_ = 0;
  std::uint64_t interval_count_ = 0;  // since the last step or cut
};

/// "30/min": for `show queues`.
[[nodiscard]] std::string rate_text(const Rate& rate);

}  // namespace sluice
