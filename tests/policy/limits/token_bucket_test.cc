// Goal: a rate is never exceeded in any sliding window, and the mean stays within 1 % of it, from one a day to 50,000 a
// second, whatever the loop's lateness, the batch size and the number of shards that share the bucket.
// How: a virtual loop asks to be woken when the bucket says, is late by a random time, takes, and notes the times.
// Every window between two events is then counted. Nothing here reads a real clock.
#include "policy/limits/token_bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

struct Loop {
  Duration late_max{};  // a wake-up comes up to this much after its time
  Duration tick{};      // and is rounded up to this first
  std::uint32_t batch = 1;
  int shards = 1;
  bool gives_back = false;  // now and then part of a grant is returned unused
};

/// Takes as often as the bucket allows until `until`; answers the times of all events, sorted.
std::vector<MonoTime> run(TokenBucket& bucket, MonoTime from, MonoTime until, const Loop& loop,
                          unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<MonoTime> events;
  const auto late = [&](MonoTime due) {
    if (loop.tick > Duration{0})
      due = MonoTime{(due.time_since_epoch() + loop.tick - 1ns) / loop.tick * loop.tick};
    if (loop.late_max == Duration{0}) return due;
    return due + Duration{static_cast<std::int64_t>(random() %
                                                    static_cast<std::uint64_t>(loop.late_max.count() + 1))};
  };
  std::vector<MonoTime> wake(static_cast<std::size_t>(loop.shards));
  for (MonoTime& time : wake) time = late(from);
  for (;;) {
    const auto next = std::min_element(wake.begin(), wake.end());
    const MonoTime now = *next;
    if (now >= until) break;
    for (;;) {
      auto grant = bucket.try_take(now, loop.batch);
      if (!grant) {
        EXPECT_GT(grant.error(), now);
        *next = late(grant.error());
        break;
      }
      EXPECT_GE(grant->count(), 1u);
      EXPECT_LE(grant->count(), loop.batch);
      if (loop.gives_back && random() % 4 == 0) {
        bucket.give_back(*grant, static_cast<std::uint32_t>(random() % (grant->count() + 1)));
      }
      events.insert(events.end(), grant->count(), now);
    }
  }
  std::sort(events.begin(), events.end());
  return events;
}

/// The most events inside any window of length `per`, both ends included.
std::uint64_t fullest_window(const std::vector<MonoTime>& events, Duration per) {
  std::size_t first = 0, fullest = 0;
  for (std::size_t last = 0; last < events.size(); ++last) {
    while (events[last] - events[first] > per) ++first;
    fullest = std::max(fullest, last - first + 1);
  }
  return fullest;
}

struct Case {
  const char* name;
  Rate rate;
  Duration span;
  Loop loop;
};

const Case kCases[] = {
    {"1/d", {1, 24h}, 24h * 400, {2ms, 1ms, 1, 1, false}},
    {"1/min", {1, 1min}, 1min * 2000, {2ms, 1ms, 1, 1, false}},
    {"1/20min", {1, 20min}, 20min * 500, {2ms, 1ms, 1, 1, false}},
    {"25/min", {25, 1min}, 10h, {2ms, 1ms, 1, 1, false}},
    {"1/s", {1, 1s}, 1h, {2ms, 1ms, 1, 1, false}},
    {"7/s", {7, 1s}, 1h, {2ms, 1ms, 1, 1, false}},
    {"83/5s", {83, 5s}, 1h, {2ms, 1ms, 4, 1, false}},
    {"500/h", {500, 1h}, 1h * 100, {2ms, 1ms, 4, 1, false}},
    {"100/15min", {100, 15min}, 24h * 7, {2ms, 1ms, 2, 1, false}},
    {"500/d", {500, 24h}, 24h * 60, {2ms, 1ms, 1, 1, false}},
    {"1000/s", {1000, 1s}, 5min, {2ms, 1ms, 16, 1, false}},
    {"50000/s", {50'000, 1s}, 20s, {2ms, 1ms, 64, 1, false}},
    {"50000/s, one by one", {50'000, 1s}, 20s, {1ms, 1ms, 1, 1, false}},
    {"50000/s, huge batches", {50'000, 1s}, 20s, {2ms, 1ms, 100'000, 1, false}},
    {"1000000/s", {1'000'000, 1s}, 3s, {1ms, 1ms, 4096, 1, false}},
    {"3000000/min", {3'000'000, 1min}, 2min, {2ms, 1ms, 256, 1, false}},
    {"1/min, exact timers", {1, 1min}, 1min * 2000, {0ns, 0ns, 1, 1, false}},
    {"1000/s, exact timers", {1000, 1s}, 2min, {0ns, 0ns, 1, 1, false}},
    {"7/s, four shards", {7, 1s}, 1h, {2ms, 1ms, 1, 4, false}},
    {"5000/s, eight shards", {5000, 1s}, 1min, {2ms, 1ms, 8, 8, false}},
};

TEST(TokenBucket, NoWindowIsExceededAndTheMeanIsRight) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    TokenBucket bucket(c.rate);
    const MonoTime from{Duration{12'345'678'901}};
    const auto events = run(bucket, from, from + c.span, c.loop, 7);
    EXPECT_LE(fullest_window(events, c.rate.per), c.rate.events);
    const double wanted = static_cast<double>(c.rate.events) *
                          (static_cast<double>(c.span.count()) / static_cast<double>(c.rate.per.count()));
    EXPECT_GE(static_cast<double>(events.size()), wanted * 0.99 - 1);
    EXPECT_LE(static_cast<double>(events.size()), wanted + 1);
  }
}

TEST(TokenBucket, ReturnedTokensNeverMakeAWindowOverflow) {
  const Case cases[] = {
      {"one shard", {200, 1s}, 2min, {2ms, 1ms, 8, 1, true}},
      {"four shards", {200, 1s}, 2min, {2ms, 1ms, 8, 4, true}},
      {"slow", {30, 1min}, 5h, {2ms, 1ms, 2, 3, true}},
  };
  for (const Case& c : cases) {
    for (unsigned seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE(c.name + std::string(", seed ") + std::to_string(seed));
      TokenBucket bucket(c.rate);
      const auto events = run(bucket, MonoTime{}, MonoTime{c.span}, c.loop, seed);
      EXPECT_LE(fullest_window(events, c.rate.per), c.rate.events);
      // Here nothing is taken between grant and return, so every token comes back and the mean holds.
      const double wanted = static_cast<double>(c.rate.events) *
                            (static_cast<double>(c.span.count()) / static_cast<double>(c.rate.per.count()));
      EXPECT_GE(static_cast<double>(events.size()), wanted * 0.98);
    }
  }
}

TEST(TokenBucket, HeldGrantsReturnedOutOfOrder) {
  // Grants are held for a while, then used in part; whatever give_back answers, no window may overflow.
  struct Held {
    TokenBucket::Grant grant;
    MonoTime taken;
  };
  const Rate rate{50, 1s};
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    TokenBucket bucket(rate);
    std::vector<Held> held;
    std::vector<MonoTime> events;
    MonoTime now{};
    for (int step = 0; step < 40'000; ++step) {
      now += Duration{random() % 7'000'000};
      if (random() % 500 == 0) now += 300ms;
      if (auto grant = bucket.try_take(now, 1 + random() % 4)) held.push_back({*grant, now});
      if (!held.empty() && random() % 3 != 0) {
        const std::size_t pick = random() % held.size();
        Held chosen = held[pick];
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(pick));
        const auto unused = static_cast<std::uint32_t>(random() % (chosen.grant.count() + 1));
        bucket.give_back(chosen.grant, unused);
        // What is kept counts as having happened when it was taken: the time the bucket judged.
        events.insert(events.end(), chosen.grant.count(), chosen.taken);
      }
    }
    std::sort(events.begin(), events.end());
    EXPECT_LE(fullest_window(events, rate.per), rate.events);
  }
}

TEST(TokenBucket, AnUnusedTokenOfLongAgoMakesNoRoomNow) {
  TokenBucket bucket({1, 1min});
  auto old = bucket.try_take(MonoTime{});
  ASSERT_TRUE(old);
  const MonoTime later{2min};
  ASSERT_TRUE(bucket.try_take(later));
  EXPECT_FALSE(bucket.give_back(*old));
  EXPECT_FALSE(bucket.try_take(later + 1ms)) << "two inside one minute";
}

TEST(TokenBucket, AnUnusedTokenMakesRoomWhenNobodyTookSince) {
  TokenBucket bucket({1, 1min});
  auto grant = bucket.try_take(MonoTime{});
  ASSERT_TRUE(grant);
  ASSERT_FALSE(bucket.try_take(MonoTime{1s}));
  EXPECT_TRUE(bucket.give_back(*grant));
  EXPECT_EQ(grant->count(), 0u);
  EXPECT_TRUE(bucket.try_take(MonoTime{1s}));
}

TEST(TokenBucket, PacingHasNoBurst) {
  // After an hour of rest, the first 100 ms hold 100 ms worth and the tolerance, not a window's worth.
  TokenBucket bucket({36'000, 1h});
  const MonoTime from{1h};
  const auto events = run(bucket, from, from + 10s, {1ms, 1ms, 100'000, 1, false}, 3);
  EXPECT_LE(fullest_window(events, 1s), 11u);  // both ends of the window count
  EXPECT_LE(fullest_window(events, 50ms), 1u);
}

TEST(TokenBucket, ARestartRemembers) {
  const Rate rate{1, 24h};
  TokenBucket before(rate);
  ASSERT_TRUE(before.try_take(MonoTime{5s}));
  const Duration debt = before.debt(MonoTime{1h});
  EXPECT_GT(debt, 22h);

  TokenBucket after(rate);
  after.restore(MonoTime{7s}, debt - 2h);  // two hours down; the clock began anew
  const MonoTime next = after.next_time(MonoTime{7s});
  EXPECT_FALSE(after.try_take(next - 1ns));
  EXPECT_GE(next - MonoTime{7s} + 2h + 1h - 5s, 24h) << "a day between the two events";
  EXPECT_TRUE(after.try_take(next));

  TokenBucket cut(rate);
  cut.restore(MonoTime{}, 24h * 365);
  EXPECT_LE(cut.next_time(MonoTime{}), MonoTime{24h + 1s})
      << "a jumped clock does not stop the queue for a year";
  TokenBucket rested(rate);
  rested.restore(MonoTime{9h}, -3h);
  EXPECT_TRUE(rested.ready(MonoTime{9h}));
  EXPECT_EQ(rested.debt(MonoTime{9h}), Duration{0});
}

TEST(TokenBucket, ReplayedEventsCount) {
  TokenBucket bucket({10, 1min});
  for (int i = 0; i < 3; ++i) bucket.charge(MonoTime{});
  EXPECT_FALSE(bucket.try_take(MonoTime{17s}));
  EXPECT_TRUE(bucket.try_take(MonoTime{19s}));
}

TEST(TokenBucket, AChangedRateKeepsTheDistanceToTheLastEvent) {
  TokenBucket bucket({100, 1s});
  const MonoTime now{10s};
  ASSERT_TRUE(bucket.try_take(now));
  bucket.set_rate({1, 1min});
  EXPECT_FALSE(bucket.try_take(now + 59s));
  EXPECT_TRUE(bucket.try_take(now + 60s + 5ms));
  bucket.set_rate({100, 1s});
  EXPECT_FALSE(bucket.ready(now + 60s + 5ms));
  EXPECT_TRUE(bucket.ready(now + 60s + 50ms));
}

TEST(TokenBucket, ThreadsShareOneBucket) {
  // Real threads, made-up clocks that run apart; the invariant does not depend on whose clock it was.
  const Rate rate{1000, 1s};
  TokenBucket bucket(rate);
  constexpr int kThreads = 4;
  std::vector<MonoTime> events[kThreads];
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&bucket, &mine = events[i], i] {
      MonoTime now{Duration{i * 700'000}};
      while (now < MonoTime{20s}) {
        if (auto grant = bucket.try_take(now, 3)) {
          mine.insert(mine.end(), grant->count(), now);
        }
        now += Duration{1'000'000 + i * 10'000};
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<MonoTime> all;
  for (const auto& mine : events) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  EXPECT_LE(fullest_window(all, rate.per), rate.events);
}

}  // namespace
}  // namespace sluice
