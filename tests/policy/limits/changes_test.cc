// Goal: a limit that is changed while others draw from it loses nothing it has counted and lets nothing pass
//       twice, whatever its number and its unit become.
// How:  threads take while one sets rates, all at one moment of a made-up clock, so that only the count
//       decides; then histories by chance on one thread, held against a plain list of all that happened.
//       SLUICE_LIMITS_ROUNDS plays more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "policy/limits/token_bucket.h"
#include "policy/limits/volume_budget.h"

namespace sluice {
namespace {

unsigned rounds(unsigned usual) {
  const char* more = std::getenv("SLUICE_LIMITS_ROUNDS");
  return more == nullptr ? usual : static_cast<unsigned>(std::strtoul(more, nullptr, 10));
}

/// Runs `take()` on two threads, `takes` times each, while a third one calls `change(turn)`.
template <class Take, class Change>
void race(unsigned takes, Take take, Change change) {
  std::atomic<int> running{2};
  std::atomic<int> ready{0};
  const auto meet = [&ready] {
    for (++ready; ready < 3;) std::this_thread::yield();
  };
  std::vector<std::thread> takers;
  for (int i = 0; i < 2; ++i) {
    takers.emplace_back([&] {
      meet();
      for (unsigned turn = 0; turn < takes; ++turn) take();
      --running;
    });
  }
  meet();
  for (unsigned turn = 0; running > 0; ++turn) change(turn);
  for (std::thread& one : takers) one.join();
}

TEST(LimitChanges, NoTakeMixesTwoRates) {
  // A clock that goes on with every question; no two events may lie in one window of the faster rate.
  TokenBucket bucket({1, 1ms});
  std::atomic<std::int64_t> clock{0};
  std::mutex lock;
  std::vector<MonoTime> events;
  race(
      rounds(2'000'000),
      [&] {
        const MonoTime now{Duration{clock += 300'000}};
        if (!bucket.try_take(now)) return;
        const std::scoped_lock held(lock);
        events.push_back(now);
      },
      [&](unsigned turn) { bucket.set_rate({1, turn % 2 == 0 ? Duration{2ms} : Duration{1ms}}); });
  std::ranges::sort(events);
  ASSERT_GT(events.size(), 100u);
  for (std::size_t i = 1; i < events.size(); ++i) ASSERT_GT(events[i] - events[i - 1], 1ms) << i;
}

TEST(LimitChanges, NothingDeliveredIsForgottenWhileTheWindowChanges) {
  const MonoTime now{24h * 90};
  VolumeBudget budget(VolumeBudget::kBytesMax, 1h);
  std::atomic<std::uint64_t> delivered{0};
  race(
      rounds(30'000),
      [&] {
        if (!budget.try_reserve(now, 1)) return;
        budget.delivered(now, 1);
        ++delivered;
      },
      [&](unsigned turn) {
        constexpr Duration kLengths[] = {1min, 1h, 24h, 1min, 7min};
        budget.set_rate(now, VolumeBudget::kBytesMax - turn, kLengths[turn % std::size(kLengths)]);
      });
  EXPECT_EQ(budget.past(now).bytes, delivered.load());
  EXPECT_GT(delivered.load(), 100u);
  EXPECT_EQ(budget.reserved(), 0u);
}

TEST(LimitChanges, ThreadsNeverReserveMoreThanThereIs) {
  // The limit goes up and down under them; what was admitted stays within the highest.
  std::atomic<std::int64_t> clock{0};
  VolumeBudget budget(500, 1min);
  std::atomic<std::uint64_t> out{0};
  std::atomic<std::uint64_t> most{0};
  race(
      rounds(30'000),
      [&] {
        const std::int64_t turn = clock += 30'000'000'000;
        const auto bytes = static_cast<std::uint64_t>(1 + turn / 1000 % 301);
        if (!budget.try_reserve(MonoTime{Duration{turn}}, bytes)) return;
        const std::uint64_t now_out = out += bytes;
        for (std::uint64_t seen = most; seen < now_out && !most.compare_exchange_weak(seen, now_out);) {
        }
        out -= bytes;
        budget.failed(bytes);
      },
      [&](unsigned turn) {
        budget.set_rate({}, turn % 2 == 0 ? 400 : 500, turn % 4 < 2 ? Duration{1min} : Duration{2min});
      });
  EXPECT_LE(most.load(), 500u);
  EXPECT_EQ(budget.reserved(), 0u);
}

struct Happened {
  MonoTime at;
  std::uint64_t bytes;
};

TEST(LimitChanges, AVolumeCountsWhatWentBeforeEveryChange) {
  constexpr Duration kLengths[] = {10s, 1min, 7min, 1h, 24h};
  for (unsigned seed = 1; seed <= rounds(40); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto length = [&] { return kLengths[random() % std::size(kLengths)]; };
    Duration per = length();
    std::uint64_t limit = 1000 + random() % 100'000;
    VolumeBudget budget(limit, per);
    MonoTime now{100h};
    MonoTime known = now;  // the past counts from here on
    std::vector<Happened> all;
    std::vector<std::uint64_t> under_way;
    std::uint64_t reserved = 0;
    for (int step = 0; step < 4000; ++step) {
      now += Duration{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(per.count() / 50))};
      if (random() % 100 == 0) {
        known = std::max(known, now - per);
        per = length();
        limit = 1000 + random() % 100'000;
        budget.set_rate(now, limit, per);
      } else if (!under_way.empty() && random() % 2 == 0) {
        const std::uint64_t bytes = under_way.back();
        under_way.pop_back();
        reserved -= bytes;
        if (random() % 4 == 0) {
          budget.failed(bytes);
        } else {
          budget.delivered(now, bytes);
          all.push_back({now, bytes});
        }
      } else if (const std::uint64_t bytes = 1 + random() % 800; budget.try_reserve(now, bytes)) {
        std::uint64_t past = 0;
        for (const Happened& one : all) {
          if (one.at > now - per && one.at >= known) past += one.bytes;
        }
        ASSERT_TRUE(past + reserved + bytes <= limit || past + reserved == 0)
            << past << '+' << reserved << '+' << bytes << " of " << limit << " in " << per / 1s << " s";
        reserved += bytes;
        under_way.push_back(bytes);
      }
    }
    EXPECT_EQ(budget.reserved(), reserved);
    EXPECT_GE(all.size(), 20u) << "goes on";
  }
}

TEST(LimitChanges, ARateKeepsItsDistanceOverEveryChange) {
  // Between two events lies the gap of the rate in force at the second one, less the tolerance; and under
  // rates that stay for a while no window is exceeded.
  for (unsigned seed = 1; seed <= rounds(40); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto draw = [&random]() -> Rate {
      constexpr Duration kUnits[] = {1s, 1min, 1h, 24h};
      const Duration per = kUnits[random() % 4];
      return {1 + random() % static_cast<std::uint64_t>(per / 1s * 20), per};
    };
    Rate rate = draw();
    TokenBucket bucket(rate);
    MonoTime now{100h};
    std::vector<MonoTime> stretch;  // events since the last change, and the one before it
    for (int step = 0; step < 20'000; ++step) {
      now = std::max(now, bucket.next_time(now)) + Duration{random() % 3'000'000};
      if (random() % 200 == 0) {
        rate = draw();
        bucket.set_rate(rate);
        if (!stretch.empty()) stretch.erase(stretch.begin(), stretch.end() - 1);
      }
      if (!bucket.try_take(now)) continue;
      stretch.push_back(now);
      const std::size_t events = rate.events;
      if (stretch.size() > events)
        ASSERT_GE(stretch.back() - stretch[stretch.size() - 1 - events], rate.per) << step;
    }
  }
}

TEST(LimitChanges, ARefusalByWhatIsUnderWaySaysSo) {
  VolumeBudget budget(1000, 24h);
  const MonoTime start{100h};
  ASSERT_TRUE(budget.try_reserve(start, 100));
  budget.delivered(start, 100);
  const MonoTime now = start + 12h;
  ASSERT_TRUE(budget.try_reserve(now, 800));
  const auto refused = budget.try_reserve(now + 20h, 300);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().by_reserved);
  EXPECT_LE(refused.error().again, now + 20h + VolumeBudget::kReservedLookMax);
  budget.failed(800);
  EXPECT_EQ(budget.next_time(now + 20h), now + 20h);
  EXPECT_TRUE(budget.try_reserve(now + 20h, 900 - 100));
}

TEST(LimitChanges, AFasterLimitDoesNotWaitForThePaceOfTheOldOne) {
  VolumeBudget budget(1000, 24h);
  const MonoTime now{100h};
  ASSERT_TRUE(budget.try_reserve(now, 900));
  budget.delivered(now, 900);
  EXPECT_GT(budget.next_time(now), now + 20h);
  budget.set_rate(now, 1'000'000, 1min);
  EXPECT_LE(budget.next_time(now), now + 1s);
  EXPECT_TRUE(budget.try_reserve(now + 1s, 900));
}

TEST(LimitChanges, ALimitOfAnotherScopeGoesOnFromTheLastEventOfBoth) {
  TokenBucket own({10, 1min});
  TokenBucket shared({1, 1min});
  const MonoTime now{1h};
  ASSERT_TRUE(own.try_take(now));
  for (int i = 0; i < 3; ++i) shared.count_with(own);
  EXPECT_FALSE(shared.try_take(now + 59s));
  EXPECT_TRUE(shared.try_take(now + 61s));
  own.count_with(shared);
  EXPECT_FALSE(own.try_take(now + 66s));
  EXPECT_TRUE(own.try_take(now + 68s));
}

}  // namespace
}  // namespace sluice
