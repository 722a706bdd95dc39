#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/runtime/reactor.h"
#include "policy/base/units.h"

namespace sluice::shard {

/// Finds the place of this process on the lasting line of time (Reactor::lasting_now), and notices when somebody sets
/// the calendar clock.
///
/// While the host runs, its steady clock tells exactly how long a daemon was down, whatever the calendar says. After a
/// boot there is only the calendar: time goes on from what the spool saw last, never back.
/// Thread: the control shard.
class ClockWatch {
 public:
  /// Smaller steps are those of a time service.
  static constexpr Duration kStepMin = 2s;
  /// A gap of this length that only the calendar vouches for is worth a line in the log.
  static constexpr Duration kLongGap = 24h;
  /// Under which text() is kept for the next start.
  static constexpr std::string_view kStateKey = "clock";

  struct Now {
    MonoTime steady;
    WallTime calendar;
  };
  /// What the process before left behind.
  struct Before {
    std::string_view stored;  ///< its text(); empty: it kept none
    WallTime last_written{};  ///< journal::Recovered::last_written()
  };
  /// `boot_id`: of the kernel's run; empty: not known, and so another one. Answers a line for the log when the calendar
  /// is not where it should be.
  std::optional<std::string> begin(const Before& before, std::string_view boot_id, Now now);
  /// To be asked about every second. Answers a line for the log when the clock was set; clock() and text() are new
  /// then. A step counts when two looks in a row see it: between the two readings of one look the process may have been
  /// stopped.
  std::optional<std::string> look(Now now);

  [[nodiscard]] runtime::LastingClock clock() const { return clock_; }
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] WallTime lasting(MonoTime steady) const;
  void begin_after_boot(const Before& before, Now now);

  std::string boot_id_;
  runtime::LastingClock clock_;
  std::optional<std::chrono::milliseconds> suspected_;
};

}  // namespace sluice::shard
