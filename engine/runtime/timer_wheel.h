#pragma once
// Timers in O(1): a hierarchical wheel of 8 levels of 64 slots with a tick of one millisecond (reaches 2^48
// ms).

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "policy/base/units.h"

namespace sluice::runtime {

/// One timer, embedded in its owner. Fires once; arming again re-places it. Disarm before destruction
/// (asserted). Thread: its reactor's.
class Timer {
 public:
  using Fire = void (*)(Timer&);
  explicit Timer(Fire fire) : fire_(fire) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();
  [[nodiscard]] bool armed() const { return next_ != nullptr; }
  [[nodiscard]] MonoTime due() const { return due_; }  ///< of the last arming

 private:
  friend class TimerWheel;
  Fire fire_;
  MonoTime due_{};
  std::uint64_t tick_ = 0;
  Timer* next_ = nullptr;
  Timer* prev_ = nullptr;
  std::uint16_t slot_ = 0;
};

/// Thread: one shard. Accuracy: a timer fires never before its due time and, in an idle loop, within one tick
/// after it.
class TimerWheel {
 public:
  static constexpr Duration kTick = 1ms;

  explicit TimerWheel(MonoTime start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  void arm(Timer& timer, MonoTime due);
  void disarm(Timer& timer);
  /// Fires what is due at `now`. Timers armed by a firing timer for `now` or earlier fire at the next call.
  /// Returns how many fired.
  std::size_t advance(MonoTime now);
  /// A time at which advance() should be called: never later than the earliest due timer's tick, and possibly
  /// earlier (when timers of a higher level have to be spread). nullopt: no timer is armed.
  [[nodiscard]] std::optional<MonoTime> next() const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr unsigned kLevels = 8;
  static constexpr unsigned kSlotBits = 6;
  static constexpr unsigned kSlots = 1u << kSlotBits;
  struct Slot;  // a Timer used as list head
  void insert(Timer& timer);
  static void unlink(Timer& timer);
  [[nodiscard]] std::uint64_t tick_at_or_after(MonoTime time) const;

  MonoTime start_;
  std::uint64_t now_tick_ = 0;  // every timer with tick_ <= now_tick_ has fired
  std::size_t size_ = 0;
  std::array<std::uint64_t, kLevels> used_{};  // one bit a slot
  std::array<Timer*, kLevels * kSlots> heads_{};
};

}  // namespace sluice::runtime
