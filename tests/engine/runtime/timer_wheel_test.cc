// Goal: TimerWheel fires every timer once, never early, within one tick, in the order of ticks, at any distance.
// How: the wheel runs beside a naive model (a sorted multimap) through random arming, re-arming, disarming and
// advancing, with distances chosen around the boundaries of the wheel's levels; then single cases by hand.
#include "engine/runtime/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace sluice::runtime {
namespace {

constexpr MonoTime kStart{5'000s + 123'456ns};  // not on a tick of the clock's origin

struct TestTimer : Timer {
  TestTimer() : Timer([](Timer& timer) { static_cast<TestTimer&>(timer).on_fire(); }) {}
  std::function<void()> on_fire = [] {};
};

/// What TimerWheel promises, in the simplest words: a timer fires at the first advance() whose time, cut to whole ticks
/// from the start, reaches its due time rounded up to a tick, and not before the tick after its arming.
class Model {
 public:
  void arm(std::size_t id, MonoTime due) {
    disarm(id);
    const std::int64_t tick =
        due <= kStart ? 0 : (due - kStart + TimerWheel::kTick - 1ns) / TimerWheel::kTick;
    due_[id] = std::max(tick, now_tick_ + 1);
  }
  void disarm(std::size_t id) { due_.erase(id); }
  [[nodiscard]] bool armed(std::size_t id) const { return due_.contains(id); }
  std::multimap<std::int64_t, std::size_t> advance(MonoTime now) {
    std::multimap<std::int64_t, std::size_t> fired;
    if (now < kStart) return fired;
    now_tick_ = std::max(now_tick_, std::int64_t{(now - kStart) / TimerWheel::kTick});
    for (auto it = due_.begin(); it != due_.end();) {
      if (it->second <= now_tick_) {
        fired.emplace(it->second, it->first);
        it = due_.erase(it);
      } else {
        ++it;
      }
    }
    return fired;
  }
  [[nodiscard]] std::size_t size() const { return due_.size(); }
  [[nodiscard]] std::optional<std::int64_t> earliest() const {
    std::optional<std::int64_t> out;
    for (const auto& [id, tick] : due_) out = out ? std::min(*out, tick) : tick;
    return out;
  }
  [[nodiscard]] std::int64_t tick_of(std::size_t id) const { return due_.at(id); }

 private:
  std::int64_t now_tick_ = 0;
  std::map<std::size_t, std::int64_t> due_;
};

/// Distances that meet the seams: ticks and levels, one more, one less, and anything between.
/// At most 64^levels ms; level 7 is 139 years, more than one of which the clock cannot hold.
Duration odd_distance(std::mt19937_64& random, unsigned levels) {
  const unsigned level = static_cast<unsigned>(random() % levels);
  const auto span = std::int64_t{1} << (6 * level);
  switch (random() % 6) {
    case 0: return std::chrono::milliseconds(span);
    case 1: return std::chrono::milliseconds(span) - 1ns;
    case 2: return std::chrono::milliseconds(span) + 1ns;
    case 3: return std::chrono::milliseconds(span - 1);
    case 4: return Duration{static_cast<std::int64_t>(random() % 200'000'000)};
    default:
      return std::chrono::milliseconds(
          static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span)));
  }
}

class AgainstModel : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(AgainstModel, FiresTheSameTimersInTheSameTicks) {
  static constexpr std::size_t kTimers = 60;
  std::mt19937_64 random(GetParam());
  TimerWheel wheel(kStart);
  Model model;
  std::deque<TestTimer> timers(kTimers);
  std::vector<std::size_t> fired;
  for (std::size_t id = 0; id < kTimers; ++id) timers[id].on_fire = [&fired, id] { fired.push_back(id); };
  MonoTime now = kStart;
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()) + " round " + std::to_string(round));
    const std::size_t id = random() % kTimers;
    const auto what = static_cast<unsigned>(random() % 10);
    if (what < 5) {
      const MonoTime due = random() % 8 == 0 ? now - odd_distance(random, 5) : now + odd_distance(random, 8);
      wheel.arm(timers[id], due);
      model.arm(id, due);
    } else if (what < 7) {
      wheel.disarm(timers[id]);
      model.disarm(id);
    } else {
      if (what == 7 && wheel.next() && *wheel.next() < now + 24h * 365) {
        now = std::max(now, *wheel.next());  // what an idle loop does
      } else {
        now += odd_distance(random, round % 100 == 0 ? 7 : 6);
      }
      fired.clear();
      const auto expected = model.advance(now);
      ASSERT_EQ(wheel.advance(now), expected.size());
      ASSERT_EQ(fired.size(), expected.size());
      // By tick; timers of one tick have no promised order.
      std::size_t at = 0;
      for (auto it = expected.begin(); it != expected.end();) {
        const auto [begin, end] = expected.equal_range(it->first);
        std::vector<std::size_t> want;
        for (auto one = begin; one != end; ++one) want.push_back(one->second);
        std::vector<std::size_t> got(fired.begin() + static_cast<std::ptrdiff_t>(at),
                                     fired.begin() + static_cast<std::ptrdiff_t>(at + want.size()));
        std::sort(want.begin(), want.end());
        std::sort(got.begin(), got.end());
        ASSERT_EQ(got, want);
        at += want.size();
        it = end;
      }
    }
    ASSERT_EQ(wheel.size(), model.size());
    for (std::size_t i = 0; i < kTimers; ++i) ASSERT_EQ(timers[i].armed(), model.armed(i));
    ASSERT_EQ(wheel.next().has_value(), model.earliest().has_value());
    if (wheel.next()) {
      ASSERT_LE(*wheel.next(), kStart + TimerWheel::kTick * *model.earliest());
      ASSERT_GT(*wheel.next(), now - TimerWheel::kTick);  // a loop that sleeps until next() makes progress
    }
  }
  for (TestTimer& timer : timers) wheel.disarm(timer);
}
INSTANTIATE_TEST_SUITE_P(Seeds, AgainstModel, ::testing::Range<std::uint64_t>(1, 41));

struct Row {
  const char* name;
  Duration delay;      // of arming, from the start
  Duration fires_not;  // advancing to here fires nothing
  Duration fires_at;   // advancing to here fires
};

TEST(TimerWheel, Boundaries) {
  // clang-format off
  static constexpr Row kRows[] = {
      {"now", 0ns, 999'999ns, 1ms},
      {"in the past", -5s, 999'999ns, 1ms},
      {"within the first tick", 1ns, 999'999ns, 1ms},
      {"exactly one tick", 1ms, 999'999ns, 1ms},
      {"just after a tick is rounded up", 1ms + 1ns, 1ms + 1ns, 2ms},
      {"last slot of level 0", 63ms, 63ms - 1ns, 63ms},
      {"first slot of level 1", 64ms, 64ms - 1ns, 64ms},
      {"within level 1", 65ms, 64ms, 65ms},
      {"last of level 1", 4095ms, 4094ms, 4095ms},
      {"first of level 2", 4096ms, 4095ms, 4096ms},
      {"a day", 24h, 24h - 1ns, 24h},
      {"a year", 24h * 365, 24h * 365 - 1ns, 24h * 365},
      {"two hundred years", 24h * 365 * 200, 24h * 365 * 200 - 1ns, 24h * 365 * 200},
  };
  // clang-format on
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    TimerWheel wheel(kStart);
    TestTimer timer;
    int fired = 0;
    timer.on_fire = [&fired] { ++fired; };
    wheel.arm(timer, kStart + row.delay);
    EXPECT_EQ(wheel.advance(kStart + row.fires_not), 0u);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(wheel.advance(kStart + row.fires_at), 1u);
    EXPECT_EQ(fired, 1);
    EXPECT_FALSE(timer.armed());
    EXPECT_EQ(wheel.size(), 0u);
  }
}

TEST(TimerWheel, TheLastMomentOfTheClockDoesNotOverflow) {
  TimerWheel wheel(kStart);
  TestTimer never;
  wheel.arm(never, MonoTime::max());
  EXPECT_EQ(wheel.advance(kStart + 24h * 365 * 100), 0u);
  ASSERT_TRUE(wheel.next().has_value());
  EXPECT_GT(*wheel.next(), kStart);
  wheel.disarm(never);
}

TEST(TimerWheel, AnIdleLoopMeetsATimerWithinOneTickAndFewWakes) {
  for (const Duration delay :
       {Duration{1ns}, Duration{1ms}, Duration{64ms}, Duration{5s + 300us}, Duration{26h + 7ns}}) {
    TimerWheel wheel(kStart);
    TestTimer timer;
    wheel.arm(timer, kStart + delay);
    MonoTime now = kStart;
    int wakes = 0;
    while (timer.armed()) {
      now = std::max(now, *wheel.next());
      wheel.advance(now);
      ASSERT_LT(++wakes, 9);  // one for each level, not one for each tick
    }
    EXPECT_GE(now, kStart + delay);
    EXPECT_LT(now, kStart + delay + TimerWheel::kTick);
  }
}

TEST(TimerWheel, ArmingForNowWhileFiringWaitsForTheNextCall) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  int fired = 0;
  timer.on_fire = [&] {
    if (++fired < 3) wheel.arm(timer, kStart);
  };
  wheel.arm(timer, kStart);
  EXPECT_EQ(wheel.advance(kStart + 1ms), 1u);
  EXPECT_EQ(wheel.advance(kStart + 1ms), 0u);
  EXPECT_EQ(wheel.advance(kStart + 2ms), 1u);
  EXPECT_EQ(wheel.advance(kStart + 3ms), 1u);
  EXPECT_EQ(wheel.size(), 0u);
}

TEST(TimerWheel, AFiringTimerMayDisarmAndMoveItsNeighbours) {
  TimerWheel wheel(kStart);
  TestTimer first;
  TestTimer second;
  TestTimer third;
  int others = 0;
  first.on_fire = [&] {
    wheel.disarm(second);
    wheel.arm(third, kStart + 50ms);
  };
  // Whichever of the three comes first in the slot, the others are touched while the slot is being emptied.
  second.on_fire = [&] { ++others; };
  third.on_fire = [&] { ++others; };
  wheel.arm(first, kStart + 10ms);
  wheel.arm(second, kStart + 10ms);
  wheel.arm(third, kStart + 10ms);
  EXPECT_EQ(wheel.advance(kStart + 10ms), 1u);
  EXPECT_EQ(others, 0);
  EXPECT_EQ(wheel.advance(kStart + 49ms), 0u);
  EXPECT_EQ(wheel.advance(kStart + 50ms), 1u);
  EXPECT_EQ(others, 1);
}

TEST(TimerWheel, ALongSleepFiresEverythingInOrder) {
  TimerWheel wheel(kStart);
  std::deque<TestTimer> timers(500);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].on_fire = [&order, i] { order.push_back(i); };
    wheel.arm(timers[i], kStart + 777ms * (i + 1));
  }
  EXPECT_EQ(wheel.advance(kStart + 24h), timers.size());
  ASSERT_EQ(order.size(), timers.size());
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(TimerWheel, TimeThatStandsStillOrGoesBackChangesNothing) {
  TimerWheel wheel(kStart);
  TestTimer timer;
  wheel.arm(timer, kStart + 10ms);
  EXPECT_EQ(wheel.advance(kStart + 9ms), 0u);
  EXPECT_EQ(wheel.advance(kStart + 3ms), 0u);
  EXPECT_EQ(wheel.advance(kStart - 1h), 0u);
  EXPECT_EQ(wheel.advance(kStart + 10ms), 1u);
}

}  // namespace
}  // namespace sluice::runtime
