// Goal: the adaptive rate is cut on push-back, recovers on calm, is never above the ceiling, and outlives a
// restart. How:  the machine is a value: stories with times, and random histories whose every step is
// checked.
#include "policy/backoff/pacing.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

constexpr WallTime kWall{std::chrono::milliseconds(1'700'000'000'000)};
constexpr MonoTime kStart{1000h};

double per_second(const Rate& rate) {
  return static_cast<double>(rate.events) * 1e9 / static_cast<double>(rate.per.count());
}
double limit_of(const Pacing& pacing, double otherwise) {
  return pacing.limit() ? per_second(*pacing.limit()) : otherwise;
}
/// Sends at `rate` a second from `from` for `length`.
void send(Pacing& pacing, MonoTime from, Duration length, double rate) {
  const auto gap = Duration{static_cast<std::int64_t>(1e9 / rate)};
  for (MonoTime at = from; at < from + length; at += gap) pacing.count(at, 1);
}

TEST(Pacing, APushBackCutsWhatWasSent) {
  const Rate ceiling{100, 1s};
  Pacing pacing;
  EXPECT_FALSE(pacing.limit());
  send(pacing, kStart, 30s, 100);
  EXPECT_TRUE(pacing.on_push_back(kStart + 30s, {}, ceiling));
  EXPECT_NEAR(limit_of(pacing, 0), 50, 1);
  EXPECT_FALSE(pacing.on_push_back(kStart + 31s, {}, ceiling)) << "the same burst";
  EXPECT_NEAR(limit_of(pacing, 0), 50, 1);
  EXPECT_TRUE(pacing.on_push_back(kStart + 41s, {}, ceiling));
  EXPECT_NEAR(limit_of(pacing, 0), 25, 1);
}

TEST(Pacing, AQueueThatUsesLittleOfItsCeilingIsCutFromWhatItUses) {
  Pacing pacing;
  send(pacing, kStart, 20s, 10);
  EXPECT_TRUE(pacing.on_push_back(kStart + 20s, {}, Rate{1000, 1s}));
  EXPECT_NEAR(limit_of(pacing, 0), 5, 0.6);
}

TEST(Pacing, NeverBelowTheFloorButBelowALowerCeiling) {
  Pacing pacing;
  const PacingRules rules{.floor = {30, 60s}};
  MonoTime now = kStart;
  for (int i = 0; i < 50; ++i) pacing.on_push_back(now += 5min, rules, Rate{100, 1s});
  EXPECT_NEAR(limit_of(pacing, 0), 0.5, 0.01);
  Pacing slow;
  for (int i = 0; i < 5; ++i) slow.on_push_back(now += 5min, rules, Rate{6, 60s});
  EXPECT_FALSE(slow.limit()) << "a ceiling below the floor is left alone";
}

TEST(Pacing, RecoversInFullStepsToTheLastGoodRateThenCarefully) {
  const Rate ceiling{100, 1s};
  const PacingRules rules;
  Pacing pacing;
  send(pacing, kStart, 20s, 100);
  MonoTime now = kStart + 20s;
  ASSERT_TRUE(pacing.on_push_back(now, rules, ceiling));
  EXPECT_FALSE(pacing.on_time(now + 10min - 1ns, rules, ceiling));
  std::vector<double> seen{limit_of(pacing, 100)};
  while (pacing.limit() && seen.size() < 100) {
    ASSERT_EQ(pacing.next_time(), now + 10min);
    now = *pacing.next_time();
    EXPECT_TRUE(pacing.on_time(now, rules, ceiling));
    seen.push_back(limit_of(pacing, 100));
  }
  EXPECT_EQ(seen.back(), 100);
  EXPECT_FALSE(pacing.next_time());
  // 50, 60, 70, 75 (last good: half way to where it went wrong), then by 2.5.
  EXPECT_NEAR(seen[1], 60, 1);
  EXPECT_NEAR(seen[2], 70, 1);
  EXPECT_NEAR(seen[3], 75, 1);
  EXPECT_NEAR(seen[4], 77.5, 1);
  EXPECT_EQ(seen.size(), 14u);
}

TEST(Pacing, APushBackDuringRecoveryBeginsACalmIntervalAnew) {
  const Rate ceiling{100, 1s};
  Pacing pacing;
  send(pacing, kStart, 20s, 100);
  pacing.on_push_back(kStart + 20s, {}, ceiling);
  pacing.on_push_back(kStart + 25s, {}, ceiling);
  EXPECT_EQ(pacing.next_time(), kStart + 25s + 10min);
}

TEST(Pacing, WithoutCeilingALimitNobodyNeedsGoes) {
  Pacing pacing;
  send(pacing, kStart, 20s, 40);
  ASSERT_TRUE(pacing.on_push_back(kStart + 20s, {}, std::nullopt));
  const double first = limit_of(pacing, 0);
  EXPECT_NEAR(first, 20, 1);
  send(pacing, kStart + 20s, 10min, first);  // the backlog uses all of it
  EXPECT_TRUE(pacing.on_time(kStart + 20s + 10min, {}, std::nullopt));
  ASSERT_TRUE(pacing.limit());
  EXPECT_GT(limit_of(pacing, 0), first);
  // Now there is less to send than the limit allows.
  send(pacing, kStart + 20s + 10min, 10min, 2);
  EXPECT_TRUE(pacing.on_time(kStart + 20s + 20min, {}, std::nullopt));
  EXPECT_FALSE(pacing.limit());
}

TEST(Pacing, RandomHistoriesKeepTheirPromises) {
  std::mt19937_64 random(7);
  const auto below = [&random](std::uint64_t n) { return random() % n; };
  for (int history = 0; history < 200; ++history) {
    SCOPED_TRACE(history);
    Pacing pacing;
    PacingRules rules{.floor = {1 + below(100), 60s},
                      .cut_percent = static_cast<std::uint32_t>(1 + below(99)),
                      .step_percent = static_cast<std::uint32_t>(1 + below(100)),
                      .interval = std::chrono::seconds(1 + below(3600))};
    std::optional<Rate> ceiling;
    if (below(3) > 0) ceiling = Rate{1 + below(100'000), std::chrono::seconds(1 + below(86400))};
    MonoTime now = kStart;
    WallTime wall = kWall;
    for (int step = 0; step < 300; ++step) {
      const auto pass = std::chrono::milliseconds(below(20 * 60 * 1000));
      now += pass;
      wall += pass;
      const double before = limit_of(pacing, 1e18);
      switch (below(7)) {
        case 0:
        case 1:
          pacing.on_push_back(now, rules, ceiling);
          EXPECT_LE(limit_of(pacing, 1e18), before * 1.001 + 0.02) << "a push-back never raises";
          break;
        case 2:
          pacing.on_time(now, rules, ceiling);
          EXPECT_GE(limit_of(pacing, 1e18) * 1.001 + 0.02, before) << "calm never lowers";
          break;
        case 3: pacing.count(now, static_cast<std::uint32_t>(below(1000))); break;
        case 4:
          if (ceiling && below(10) == 0) {
            ceiling->events = 1 + below(100'000);
            pacing.on_ceiling(ceiling);
          }
          break;
        case 5: {
          // A restart: another monotonic clock, the same calendar.
          const Pacing again = Pacing::decode(pacing.encode(now, wall), now, wall);
          EXPECT_NEAR(limit_of(again, -1), limit_of(pacing, -1), limit_of(pacing, 0) * 0.01 + 0.02);
          EXPECT_EQ(again.last_good().has_value(), pacing.last_good().has_value());
          if (pacing.next_time()) EXPECT_LE(*again.next_time(), std::max(now, *pacing.next_time()) + 1ms);
          pacing = again;
          break;
        }
        default: break;
      }
      if (pacing.limit() && ceiling) EXPECT_LT(per_second(*pacing.limit()), per_second(*ceiling));
      if (pacing.limit()) {
        const double floor = per_second(rules.floor);
        const double least = ceiling ? std::min(floor, per_second(*ceiling)) : floor;
        EXPECT_GE(limit_of(pacing, 0), least * 0.98 - 0.02);
      }
      EXPECT_EQ(pacing.next_time().has_value(), pacing.limit().has_value());
    }
    // However bad it was: enough calm and the ceiling is back.
    for (int step = 0; ceiling && pacing.limit() && step < 500; ++step) {
      now = std::max(now, *pacing.next_time());
      pacing.on_time(now, rules, ceiling);
    }
    if (ceiling) EXPECT_FALSE(pacing.limit());
  }
}

TEST(Pacing, DamagedTextIsNothing) {
  for (const char* text :
       {"", "x", "5", "5 5", "-5 5 -", "5 5 x", "5000000 5 -", "9999999999999999999 1 -"}) {
    EXPECT_FALSE(Pacing::decode(text, kStart, kWall).limit()) << text;
  }
  EXPECT_TRUE(Pacing::decode("5000000 5000000 1700000000000", kStart, kWall).limit());
}

TEST(Pacing, RateText) {
  EXPECT_EQ(rate_text({30, 60s}), "30/min");
  EXPECT_EQ(rate_text({500, 24h}), "500/d");
  EXPECT_EQ(rate_text({83, 5s}), "83/5s");
  EXPECT_EQ(rate_text({1, 240'000'000'001ns}), "15/h");
  EXPECT_EQ(rate_text({1, 8h + 1ns}), "3/d");
}

}  // namespace
}  // namespace sluice
