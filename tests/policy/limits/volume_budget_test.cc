// Goal: a volume is never exceeded in any window, counted at the time messages were delivered; failed ones do
// not count;
//       the limit is used within one percent, from bytes per day to gigabytes per minute, over changes and
//       restarts.
// How:  a virtual loop starts messages as the budget lets it, on many connections with transfer times of its
//       own; all windows between two deliveries are then summed up. Threads draw from one budget at once.
#include "policy/limits/volume_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>
#include <random>
#include <thread>
#include <vector>

#include "policy/limits/mode_limits.h"

namespace sluice {
namespace {

struct Delivery {
  MonoTime at;
  std::uint64_t bytes;
};

struct Play {
  std::uint64_t size_max = 1000;
  Duration transfer_max{};
  double failing = 0;
  unsigned seed = 1;
};

/// Sends as much as the budget allows from `from` until `until`.
std::vector<Delivery> play(VolumeBudget& budget, MonoTime from, MonoTime until, const Play& how) {
  std::mt19937_64 random(how.seed);
  std::vector<Delivery> out;
  struct Under {
    MonoTime ends;
    std::uint64_t bytes;
    bool fails;
    bool operator>(const Under& other) const { return ends > other.ends; }
  };
  std::priority_queue<Under, std::vector<Under>, std::greater<>> under_way;
  MonoTime ask_at = from;
  std::uint64_t size = 1 + random() % how.size_max;
  while (true) {
    const bool ends_first = !under_way.empty() && under_way.top().ends <= ask_at;
    const MonoTime now = ends_first ? under_way.top().ends : ask_at;
    if (now >= until) break;
    if (ends_first) {
      const Under one = under_way.top();
      under_way.pop();
      if (one.fails) {
        budget.failed(one.bytes);
        ask_at = budget.next_time(now);  // its pace came back
      } else {
        budget.delivered(now, one.bytes);
        out.push_back({now, one.bytes});
      }
      continue;
    }
    if (const auto passed = budget.try_reserve(now, size)) {
      const auto transfer = Duration{static_cast<std::int64_t>(
          how.transfer_max.count() == 0 ? 0
                                        : random() % static_cast<std::uint64_t>(how.transfer_max.count()))};
      under_way.push({now + transfer, size, static_cast<double>(random() % 1000) < how.failing * 1000});
      size = 1 + random() % how.size_max;
      ask_at = budget.next_time(now);
    } else {
      EXPECT_GT(passed.error().again, now);
      ask_at = passed.error().again;
    }
  }
  for (; !under_way.empty(); under_way.pop()) budget.failed(under_way.top().bytes);
  return out;
}

void expect_kept(const std::vector<Delivery>& all, std::uint64_t bytes, Duration per) {
  std::uint64_t sum = 0;
  std::size_t begin = 0;
  for (const Delivery& one : all) {
    sum += one.bytes;
    while (one.at - all[begin].at >= per) sum -= all[begin++].bytes;
    ASSERT_LE(sum, bytes) << "window ending " << one.at.time_since_epoch() / 1ms << " ms";
  }
}

std::uint64_t total(const std::vector<Delivery>& all) {
  std::uint64_t sum = 0;
  for (const Delivery& one : all) sum += one.bytes;
  return sum;
}

TEST(VolumeBudget, KeptInEveryWindowAndUsed) {
  struct Case {
    std::uint64_t bytes;
    Duration per;
    Play how;
  };
  const Case cases[] = {
      {1'000'000, 24h, {.size_max = 4000}},
      {10 * kMiB, 1h, {.size_max = 60'000}},
      {10 * kMiB, 1h, {.size_max = 60'000, .transfer_max = 8s}},
      {10 * kMiB, 1h, {.size_max = 60'000, .transfer_max = 2s, .failing = 0.5}},
      {kGiB, 1min, {.size_max = kMiB, .transfer_max = 200ms, .failing = 0.3}},
      {100 * kMiB, 5s, {.size_max = 100'000, .transfer_max = 10ms}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.bytes);
    SCOPED_TRACE(one.how.failing);
    VolumeBudget budget(one.bytes, one.per);
    const MonoTime start{1000h};
    const std::vector<Delivery> all = play(budget, start, start + 10 * one.per, one.how);
    expect_kept(all, one.bytes, one.per);
    EXPECT_GE(static_cast<double>(total(all)), 9.85 * static_cast<double>(one.bytes));
    EXPECT_EQ(budget.reserved(), 0u);
  }
}

TEST(VolumeBudget, SmoothAfterARest) {
  VolumeBudget budget(3600 * 1000, 1h);  // 1000 bytes a second
  const std::vector<Delivery> all = play(budget, MonoTime{5h}, MonoTime{5h + 60s}, {.size_max = 1000});
  // A minute's worth and one slot of the hour (14 s), not the hour's.
  EXPECT_LE(total(all), 76'000u);
  EXPECT_GE(total(all), 60'000u);
}

TEST(VolumeBudget, ALargerMessageThanTheLimitGoesAlone) {
  VolumeBudget budget(1000, 1min);
  const MonoTime now{1h};
  ASSERT_TRUE(budget.try_reserve(now, 5000));
  budget.delivered(now, 5000);
  const auto again = budget.try_reserve(now, 1);
  ASSERT_FALSE(again);
  EXPECT_GE(budget.next_time(now), now + 5min - 1s);
  EXPECT_TRUE(budget.try_reserve(now + 5min, 1));
}

TEST(VolumeBudget, FailedBytesDoNotCount) {
  VolumeBudget budget(1000, 1min);
  MonoTime now{1h};
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(budget.try_reserve(now, 900)) << i;
    ASSERT_FALSE(budget.try_reserve(now + 58s, 900)) << "under way counts";
    budget.failed(900);
  }
  EXPECT_EQ(budget.past(now).bytes, 0u);
}

TEST(VolumeBudget, HoldsOverChangesOfTheConfiguration) {
  VolumeBudget budget(100'000, 1min);
  MonoTime now{1h};
  auto all = play(budget, now, now + 2min, {.size_max = 500});
  now += 2min;
  budget.set_rate(now, 50'000, 1min);
  const auto lower = play(budget, now, now + 3min, {.size_max = 500, .seed = 2});
  // What went before is still in the first windows: the sum never exceeds the old limit, and soon the new one
  // holds.
  all.insert(all.end(), lower.begin(), lower.end());
  expect_kept(all, 100'000, 1min);
  expect_kept(lower, 50'000, 1min);
  now += 3min;
  budget.set_rate(now, 3'000'000, 1h);
  const auto hour = play(budget, now, now + 3h, {.size_max = 5000, .seed = 3});
  expect_kept(hour, 3'000'000, 1h);
  EXPECT_GE(total(hour), 8'800'000u);
}

TEST(VolumeBudget, HoldsOverARestart) {
  for (const Duration down : {Duration{0}, Duration{10s}, Duration{40s}}) {
    VolumeBudget before(100'000, 1min);
    MonoTime now{1h};
    auto all = play(before, now, now + 150s, {.size_max = 700});
    now += 150s;
    const VolumeBudget::Past past = before.past(now);
    VolumeBudget after(100'000, 1min);
    now += down;
    after.restore(now, past, down);
    const auto later = play(after, now, now + 150s, {.size_max = 700, .seed = 2});
    const MonoTime restarted = now;
    all.insert(all.end(), later.begin(), later.end());
    expect_kept(all, 100'000, 1min);
    // And mail goes on at once, at the pace of the limit.
    const auto soon =
        std::ranges::count_if(later, [&](const Delivery& one) { return one.at < restarted + 2s; });
    EXPECT_GE(soon, 1) << down / 1s;
  }
}

TEST(VolumeBudget, ThreadsTogetherStayWithin) {
  VolumeBudget budget(1'000'000, 1s);
  // One moment for all: only the count decides.
  const MonoTime now{1h};
  std::atomic<std::uint64_t> passed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        if (!budget.try_reserve(now + Duration{i * 50'000}, 100)) continue;
        if (i % 3 == 0) {
          budget.failed(100);
        } else {
          budget.delivered(now + Duration{i * 50'000}, 100);
          passed += 100;
        }
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_LE(passed.load(), 1'000'000u);
  EXPECT_EQ(budget.reserved(), 0u);
}

TEST(ModeLimits, BackoffHasItsOwn) {
  config::DomainSettings settings;
  settings.max_smtp_out = 7;
  settings.max_msg_rate = Rate{100, 1s};
  settings.backoff_max_msg_rate = Rate{1, 1h};
  settings.max_connect_rate = settings.backoff_max_connect_rate = Rate{2, 1s};
  EXPECT_EQ(limits_of(settings, config::QueueMode::Normal), (ModeLimits{7, Rate{2, 1s}, Rate{100, 1s}, {}}));
  EXPECT_EQ(limits_of(settings, config::QueueMode::Backoff), (ModeLimits{20, Rate{2, 1s}, Rate{1, 1h}, {}}));
}

}  // namespace
}  // namespace sluice
