#include "engine/runtime/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "policy/base/assert.h"

namespace sluice::runtime {

Timer::~Timer() { SLUICE_ASSERT(!armed()); }

// Lists are circular without a head node: heads_[slot] points at one member, next_/prev_ never null while
// armed.
TimerWheel::TimerWheel(MonoTime start) : start_(start) {}
TimerWheel::~TimerWheel() { SLUICE_ASSERT(size_ == 0); }

std::uint64_t TimerWheel::tick_at_or_after(MonoTime time) const {
  if (time <= start_) return 0;
  return static_cast<std::uint64_t>((time - start_ + kTick - Duration{1}) / kTick);
}

void TimerWheel::unlink(Timer& timer) {
  timer.prev_->next_ = timer.next_;
  timer.next_->prev_ = timer.prev_;
  timer.next_ = timer.prev_ = nullptr;
}

void TimerWheel::insert(Timer& timer) {
  // The level is where the timer's tick first differs from now: all higher digits are equal, so a slot of
  // that level is entered exactly when its timers have to move down.
  const std::uint64_t differing = timer.tick_ ^ now_tick_;
  const unsigned level =
      differing == 0
          ? 0
          : std::min<unsigned>(kLevels - 1,
                               (63u - static_cast<unsigned>(std::countl_zero(differing))) / kSlotBits);
  const auto digit = static_cast<unsigned>((timer.tick_ >> (level * kSlotBits)) & (kSlots - 1));
  const unsigned slot = level * kSlots + digit;
  timer.slot_ = static_cast<std::uint16_t>(slot);
  Timer*& head = heads_[slot];
  if (head == nullptr) {
    timer.next_ = timer.prev_ = &timer;
    head = &timer;
    used_[level] |= std::uint64_t{1} << digit;
  } else {
    timer.next_ = head;
    timer.prev_ = head->prev_;
    head->prev_->next_ = &timer;
    head->prev_ = &timer;
  }
}

void TimerWheel::arm(Timer& timer, MonoTime due) {
  if (timer.armed()) disarm(timer);
  timer.due_ = due;
  timer.tick_ = std::max(tick_at_or_after(due), now_tick_ + 1);
  insert(timer);
  ++size_;
}

void TimerWheel::disarm(Timer& timer) {
  if (!timer.armed()) return;
  const unsigned slot = timer.slot_;
  Timer*& head = heads_[slot];
  if (timer.next_ == &timer) {
    head = nullptr;
    used_[slot / kSlots] &= ~(std::uint64_t{1} << (slot % kSlots));
    timer.next_ = timer.prev_ = nullptr;
  } else {
    if (head == &timer) head = timer.next_;
    unlink(timer);
  }
  --size_;
}

std::size_t TimerWheel::advance(MonoTime now) {
  if (now < start_) return 0;
  const auto target = static_cast<std::uint64_t>((now - start_) / kTick);
  std::size_t fired = 0;
  while (now_tick_ < target) {
    // Jump to the next tick at which anything happens; empty stretches cost nothing.
    std::uint64_t step = target;
    if (size_ == 0) {
      now_tick_ = target;
      break;
    }
    for (unsigned level = 0; level < kLevels; ++level) {
      const auto digit = static_cast<unsigned>((now_tick_ >> (level * kSlotBits)) & (kSlots - 1));
      const std::uint64_t ahead = digit == kSlots - 1 ? 0 : used_[level] & (~std::uint64_t{0} << (digit + 1));
      if (ahead == 0) continue;
      const unsigned shift = level * kSlotBits;
      const auto next_digit = static_cast<std::uint64_t>(std::countr_zero(ahead));
      const std::uint64_t upper =
          shift + kSlotBits >= 64 ? 0 : (now_tick_ >> (shift + kSlotBits)) << (shift + kSlotBits);
      step = std::min(step, upper | (next_digit << shift));
    }
    now_tick_ = step;
    // Spread every higher-level slot this tick enters, from the top, then fire level 0.
    for (unsigned level = kLevels - 1; level > 0; --level) {
      const std::uint64_t below = (std::uint64_t{1} << (level * kSlotBits)) - 1;
      if ((now_tick_ & below) != 0) continue;
      const auto digit = static_cast<unsigned>((now_tick_ >> (level * kSlotBits)) & (kSlots - 1));
      const unsigned slot = level * kSlots + digit;
      if (heads_[slot] == nullptr) continue;
      Timer* list = std::exchange(heads_[slot], nullptr);
      used_[level] &= ~(std::uint64_t{1} << digit);
      list->prev_->next_ = nullptr;  // open the circle
      while (list != nullptr) {
        Timer* timer = list;
        list = list->next_;
        insert(*timer);
      }
    }
    const auto digit = static_cast<unsigned>(now_tick_ & (kSlots - 1));
    // A timer that arms another for "now" places it at now_tick_ + 1 at the earliest, so this loop ends.
    while (Timer* timer = heads_[digit]) {
      SLUICE_ASSERT(timer->tick_ == now_tick_);
      disarm(*timer);
      ++fired;
      timer->fire_(*timer);
    }
  }
  return fired;
}

std::optional<MonoTime> TimerWheel::next() const {
  if (size_ == 0) return std::nullopt;
  std::uint64_t best = ~std::uint64_t{0};
  for (unsigned level = 0; level < kLevels; ++level) {
    const auto digit = static_cast<unsigned>((now_tick_ >> (level * kSlotBits)) & (kSlots - 1));
    const std::uint64_t ahead = digit == kSlots - 1 ? 0 : used_[level] & (~std::uint64_t{0} << (digit + 1));
    if (ahead == 0) continue;
    const unsigned shift = level * kSlotBits;
    const std::uint64_t upper =
        shift + kSlotBits >= 64 ? 0 : (now_tick_ >> (shift + kSlotBits)) << (shift + kSlotBits);
    best = std::min(best, upper | (static_cast<std::uint64_t>(std::countr_zero(ahead)) << shift));
  }
  SLUICE_ASSERT(best != ~std::uint64_t{0});
  return start_ + kTick * static_cast<std::int64_t>(best);
}

}  // namespace sluice::runtime
