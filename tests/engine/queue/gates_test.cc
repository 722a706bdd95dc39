// Goal: what all queues of a domain share is set by nobody twice, is never exceeded while shards load a
//       configuration at different times, and takes room only while it limits something.
// How:  queues are played by calls: they join, take and leave; others take on threads of their own.
#include "engine/queue/gates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <tuple>
#include <vector>

namespace sluice::queue {
namespace {

class SharedGatesTest : public ::testing::Test {
 protected:
  SharedGates::Joined join(const std::string& domain, const ModeLimits& limits,
                           std::uint64_t configuration = 1, MonoTime now = kStart) {
    return gates.join(domain, {limits, configuration}, now, WallTime{}, remembered);
  }
  static constexpr MonoTime kStart{100h};
  Remembered remembered;
  SharedGates gates;
};

ModeLimits rate(std::uint64_t events, Duration per) { return {5, Rate{1, 1s}, Rate{events, per}, {}}; }

TEST_F(SharedGatesTest, TheLowestOfTheNewestConfigurationHolds) {
  const auto first = join("a.test", rate(10, 1min));
  EXPECT_EQ(join("a.test", rate(20, 1min)).gates.messages.bucket->gap(), first.gates.messages.bucket->gap());
  EXPECT_GT(join("a.test", rate(300, 1h)).gates.messages.bucket->gap(), 11s) << "5 a minute";
  EXPECT_LT(join("a.test", rate(20, 1min), 2).gates.messages.bucket->gap(), 4s) << "a new configuration";
  const Duration now = first.gates.messages.bucket->gap();
  const auto late = join("a.test", rate(1, 1h));
  EXPECT_EQ(late.gates.messages.bucket->gap(), now) << "a shard that has not heard of it changes nothing";
  ModeLimits none;
  none.connections = 3;
  EXPECT_FALSE(join("a.test", none, 2).gates.messages) << "not for a queue that asks for none";
  EXPECT_EQ(first.connections->limit(), 3u);
}

TEST_F(SharedGatesTest, ADomainAtRestLeavesNothingBehind) {
  for (int i = 0; i < 20'000; ++i) {
    const auto held = join("d" + std::to_string(i) + ".test", rate(10, 1min), 1, kStart + 1ms * i);
  }
  EXPECT_LE(gates.size(), SharedGates::kSpareMin);
  gates.drop_resting(kStart + 1h);
  EXPECT_EQ(gates.size(), 0u);
}

TEST_F(SharedGatesTest, WhatStillLimitsStays) {
  MonoTime now = kStart;
  constexpr config::VolumeRate kVolume{config::ByteCount{1000}, 1h};
  ASSERT_TRUE(join("rate.test", rate(1, 1h)).gates.messages.bucket->try_take(now));
  {
    const auto held = join("volume.test", {.volume = kVolume});
    ASSERT_TRUE(held.gates.volume->budget.try_reserve(now, 900));
    held.gates.volume->budget.delivered(now, 900);
  }
  auto under_way = join("under.test", {.volume = kVolume}).gates.volume;
  ASSERT_TRUE(under_way->budget.try_reserve(now, 900));
  const auto used = join("used.test", {.connections = 1}).connections;
  ASSERT_TRUE(used->try_take());
  now += 30min;
  gates.drop_resting(now);
  EXPECT_EQ(gates.size(), 4u);
  EXPECT_FALSE(join("rate.test", rate(1, 1h), 1, now).gates.messages.bucket->try_take(now));
  EXPECT_FALSE(join("volume.test", {.volume = kVolume}, 1, now).gates.volume->budget.try_reserve(now, 200));
  EXPECT_FALSE(join("under.test", {.volume = kVolume}, 1, now).gates.volume->budget.try_reserve(now, 200));
  EXPECT_FALSE(join("used.test", {.connections = 1}, 1, now).connections->try_take());
  under_way->budget.failed(900);
  under_way.reset();
  now += 40min;
  gates.drop_resting(now);
  EXPECT_EQ(gates.size(), 1u) << "only the connection is left";
}

TEST_F(SharedGatesTest, ReloadsWhileOtherShardsTakeNeverExceedIt) {
  // The owner loads configurations, by shards that hear of them early and late, while two others take; 2 in a
  // millisecond is the most that any of them allows.
  const auto first = join("a.test", rate(2, 1ms));
  std::vector<MonoTime> seen[2];
  std::atomic<std::int64_t> clock{kStart.time_since_epoch().count()};
  std::atomic<int> running{2};
  std::vector<std::thread> shards;
  for (std::vector<MonoTime>& mine : seen) {
    shards.emplace_back([&] {
      for (int i = 0; i < 100'000; ++i) {
        const MonoTime now{Duration{clock += 50'000}};
        if (first.gates.messages.bucket->try_take(now)) mine.push_back(now);
      }
      --running;
    });
  }
  for (std::uint64_t number = 2; running > 0; ++number) {
    const MonoTime now{Duration{clock.load()}};
    std::ignore = join("a.test", rate(1 + number % 2, 1ms), number, now);
    std::ignore = join("a.test", rate(1, 1h), number - 1, now);
    gates.drop_resting(now);
  }
  for (std::thread& one : shards) one.join();
  std::vector<MonoTime> all = seen[0];
  all.insert(all.end(), seen[1].begin(), seen[1].end());
  std::ranges::sort(all);
  ASSERT_GE(all.size(), 1000u);
  for (std::size_t i = 2; i < all.size(); ++i) ASSERT_GT(all[i] - all[i - 2], 1ms) << i;
}

}  // namespace
}  // namespace sluice::queue
