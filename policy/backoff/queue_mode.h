#pragma once
// Normal and backoff: when a queue changes from one to the other.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/base/units.h"
#include "policy/settings/values.h"

namespace sluice {

/// The settings of one queue that decide how backoff ends.
struct ModeRules {
  config::TimeOrNever to_normal_after;  ///< backoff-to-normal-after
  bool to_normal_after_delivery = false;
};

/// Why a mode began.
enum class ModeCause : std::uint8_t { Reply, Command, AllSourcesDisabled, Time, Delivery };
[[nodiscard]] std::string_view name_of(ModeCause cause);

/// The mode of one queue.
///
///   Normal  -> Backoff   enter_backoff(): a reply rule, a command, all source addresses disabled
///   Backoff -> Normal    leave_backoff(): a reply rule, a command; on_delivery(); on_time()
///
/// The time in backoff counts from its beginning: more replies that ask for backoff do not begin it anew. But
/// a reply rule with a time of its own may put the end off. A value: no clock, no I/O. Times are those of the
/// caller's clock.
class ModeState {
 public:
  struct Entry {
    ModeCause cause = ModeCause::Reply;
    std::string reason;                       ///< the reply, or who asked; for operators
    std::optional<Duration> to_normal_after;  ///< of the reply rule; wins over the settings
  };

  [[nodiscard]] config::QueueMode mode() const { return mode_; }
  [[nodiscard]] bool in_backoff() const { return mode_ == config::QueueMode::Backoff; }
  [[nodiscard]] ModeCause cause() const { return cause_; }
  /// Why the mode began; empty for a queue that never changed.
  [[nodiscard]] const std::string& reason() const { return reason_; }

  /// Each answers whether the mode changed.
  bool enter_backoff(Entry entry, const ModeRules& rules, MonoTime now);
  bool leave_backoff(ModeCause cause, std::string_view reason);
  bool on_delivery(const ModeRules& rules);
  bool on_time(MonoTime now);
  /// When on_time() will change the mode; never before backoff began.
  [[nodiscard]] std::optional<MonoTime> ends_at() const { return ends_at_; }

  /// One line for the next start, empty in normal mode; and back. A line that is damaged is normal mode. A
  /// time that passed meanwhile: backoff, which the next on_time() ends.
  [[nodiscard]] std::string encode(MonoTime now, WallTime wall_now) const;
  [[nodiscard]] static ModeState decode(std::string_view text, MonoTime now, WallTime wall_now);

 private:
  static constexpr std::size_t kReasonBytesMax = 512;
  config::QueueMode mode_ = config::QueueMode::Normal;
  ModeCause cause_ = ModeCause::Command;
  std::string reason_;
  std::optional<MonoTime> ends_at_;
};

}  // namespace sluice
