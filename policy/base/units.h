#pragma once
// Quantities with one meaning each. No bare integer stands for time, bytes or an identity in a header of this
// project.

#include <chrono>
#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>

namespace sluice {

using namespace std::chrono_literals;

/// An integer with one meaning. Converts neither from nor to other integers by itself.
template <class Tag, std::unsigned_integral Rep = std::uint64_t>
class Strong {
 public:
  using rep = Rep;
  constexpr Strong() = default;
  constexpr explicit Strong(Rep raw) : raw_(raw) {}
  /// For codecs, logs and metrics only.
  [[nodiscard]] constexpr Rep raw() const { return raw_; }
  friend constexpr auto operator<=>(Strong, Strong) = default;
  friend constexpr bool operator==(Strong, Strong) = default;

 private:
  Rep raw_ = 0;
};

/// Identity of an accepted message, unique in one installation for ever: see engine/spool/FORMAT.md.
using MessageId = Strong<struct MessageIdTag>;
/// Number of a shard: 0 .. shard count - 1. The control shard is the one after the last data shard.
using ShardId = Strong<struct ShardIdTag, std::uint32_t>;

/// Monotonic time for timers and limits; never stored, never shown. Its origin has no meaning.
struct MonoClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonoClock, duration>;
  static constexpr bool is_steady = true;
  // No now(): time is read from a runtime::Reactor, so that a simulated world can own it.
};
using Duration = MonoClock::duration;
using MonoTime = MonoClock::time_point;

/// Calendar time (UTC, milliseconds) for the spool, the journal and accounting; never for a timer.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

}  // namespace sluice

template <class Tag, class Rep>
struct std::hash<sluice::Strong<Tag, Rep>> {
  std::size_t operator()(sluice::Strong<Tag, Rep> value) const noexcept {
    return std::hash<Rep>{}(value.raw());
  }
};
