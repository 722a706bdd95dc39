// Goal: all threads' arrivals together make the plan's rate, step by step.
// How: the times of all threads are merged and counted; no clock.
#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::bench {
namespace {

std::vector<Duration> all_times(const LoadPlan& plan, std::uint64_t threads, std::size_t most) {
  std::vector<Duration> out;
  for (std::uint64_t i = 0; i < threads; ++i) {
    ArrivalTimes times(plan, i, threads);
    for (std::size_t k = 0; k < most; ++k) {
      const auto next = times.next();
      if (!next) break;
      out.push_back(*next);
    }
  }
  std::ranges::sort(out);
  return out;
}

TEST(Arrivals, EvenStepsOverThreads) {
  LoadPlan plan;
  plan.rates = *parse_rate_steps("100/s:2s,1000/s:1s");
  for (const std::uint64_t threads : {1U, 2U, 3U, 7U}) {
    const auto times = all_times(plan, threads, SIZE_MAX);
    ASSERT_EQ(times.size(), 1200U) << threads;
    for (std::size_t i = 0; i < times.size(); ++i) {
      const Duration want = i < 200 ? Duration(10ms) * i : Duration(2s) + Duration(1ms) * (i - 200);
      EXPECT_NEAR(static_cast<double>(times[i].count()), static_cast<double>(want.count()), 10.0) << i;
    }
  }
}

TEST(Arrivals, PoissonHasTheRateAndTheSpread) {
  LoadPlan plan;
  plan.rates = *parse_rate_steps("1000/s");
  plan.arrivals = Arrivals::Poisson;
  const auto times = all_times(plan, 2, 20'000);
  const double seconds = static_cast<double>(times.back().count()) / 1e9;
  EXPECT_NEAR(40'000 / seconds, 1000.0, 30.0);
  // Of exponential gaps 63 % are shorter than the mean.
  std::size_t shorter = 0;
  for (std::size_t i = 1; i < times.size(); ++i) shorter += times[i] - times[i - 1] < 1ms ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(shorter) / static_cast<double>(times.size()), 0.632, 0.02);
}

}  // namespace
}  // namespace sluice::bench
