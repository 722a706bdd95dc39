// Goal: a count by key never passes its limit, whoever takes and gives back at the same moment, and keys at
//       rest take no room.
// How:  one thread with more keys than fit a line; then four threads on few keys, counting what they hold.
#include "engine/queue/keyed_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace sluice::queue {
namespace {

constexpr std::uint64_t key_of(std::uint64_t number) { return (number + 1) * 0x9e3779b97f4a7c15u; }

TEST(KeyedBudget, CountsEachKeyForItself) {
  KeyedBudget budget;
  std::vector<KeyedBudget::Unit> units;
  for (std::uint64_t key = 0; key < 5000; ++key) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const auto unit = budget.try_take(key_of(key), 3);
      ASSERT_TRUE(unit) << key;
      units.push_back(*unit);
    }
    ASSERT_FALSE(budget.try_take(key_of(key), 3));
    ASSERT_EQ(budget.used(key_of(key)), 3u);
  }
  // A lowered limit ends nothing and lets nothing in.
  EXPECT_FALSE(budget.try_take(key_of(7), 2));
  EXPECT_TRUE(budget.try_take(key_of(7), 4));
  EXPECT_FALSE(budget.try_take(key_of(9999), 0));
  for (const auto unit : units) budget.give_back(unit);
  EXPECT_EQ(budget.used(key_of(1)), 0u);
  EXPECT_EQ(budget.used(key_of(7)), 1u);
}

TEST(KeyedBudget, KeysAtRestTakeNoRoom) {
  KeyedBudget budget;
  for (std::uint64_t key = 0; key < 1'000'000; ++key) {
    const auto unit = budget.try_take(key_of(key), 1);
    ASSERT_TRUE(unit) << key;
    budget.give_back(*unit);
  }
}

TEST(KeyedBudget, AFullLineRefuses) {
  KeyedBudget budget;
  for (std::uint64_t i = 1; i <= KeyedBudget::kWays; ++i) {
    EXPECT_TRUE(budget.try_take(i << 32, 5));
  }
  EXPECT_FALSE(budget.try_take(std::uint64_t{99} << 32, 5));
}

TEST(KeyedBudget, ThreadsNeverHoldMoreThanTheLimit) {
  static constexpr std::uint32_t kLimit = 2;
  static constexpr std::size_t kKeys = 3;
  KeyedBudget budget;
  std::array<std::atomic<int>, kKeys> held{};
  std::atomic<int> over{0};
  std::atomic<std::uint64_t> granted{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 200'000; ++i) {
        // All in one line, so that ways are contended for and change hands.
        const std::size_t which = random() % kKeys;
        const auto unit = budget.try_take((which + 1) << 32, kLimit);
        if (!unit) continue;
        ++granted;
        if (++held[which] > static_cast<int>(kLimit)) ++over;
        if (random() % 64 == 0) std::this_thread::yield();
        --held[which];
        budget.give_back(*unit);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(over.load(), 0);
  EXPECT_GT(granted.load(), 100'000u);
  for (std::uint64_t which = 1; which <= kKeys; ++which) EXPECT_EQ(budget.used(which << 32), 0u);
}

}  // namespace
}  // namespace sluice::queue
