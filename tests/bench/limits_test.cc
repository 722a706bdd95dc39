// Goal: caps, rates and greylisting hold exactly.
// How: times are given; no clock.
#include "bench/provider/limits.h"

#include <gtest/gtest.h>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

constexpr MonoTime kStart{1000s};

TEST(Limits, GaugeKeepsItsCeilingAndPeak) {
  Gauge gauge;
  EXPECT_TRUE(gauge.enter(2));
  EXPECT_TRUE(gauge.enter(2));
  EXPECT_FALSE(gauge.enter(2));
  gauge.leave();
  EXPECT_TRUE(gauge.enter(2));
  EXPECT_TRUE(gauge.enter(std::nullopt));
  EXPECT_EQ(gauge.now(), 3U);
  EXPECT_EQ(gauge.peak(), 3U);
}

TEST(Limits, RateLetsABurstAndThenTheRate) {
  RateGate gate;
  const Rate rate{10, 1s};
  int taken = 0;
  for (int i = 0; i < 100; ++i) taken += gate.take(rate, kStart) ? 1 : 0;
  EXPECT_EQ(taken, 10);
  taken = 0;
  for (int ms = 1; ms <= 10'000; ++ms)
    taken += gate.take(rate, kStart + std::chrono::milliseconds(ms)) ? 1 : 0;
  EXPECT_EQ(taken, 100);
}

TEST(Limits, SourcesAreToldApart) {
  Provider provider;
  ProviderState state(provider);
  for (std::uint8_t i = 1; i < 200; ++i) {
    SourceState& source = state.source(IpAddress::from_v4({127, 0, 0, i}));
    for (std::uint8_t k = 0; k < i; ++k) EXPECT_TRUE(source.connections.enter(std::nullopt));
  }
  EXPECT_EQ(state.sources_seen(), 199U);
  EXPECT_EQ(state.source(IpAddress::from_v4({127, 0, 0, 7})).connections.now(), 7U);
  EXPECT_EQ(state.source_peak(), 199U);
  EXPECT_EQ(state.source_overflows(), 0U);
}

TEST(Limits, Greylisting) {
  Provider provider;
  provider.greylist = Limit<Duration>{60s, ""};
  ProviderState state(provider);
  const std::uint64_t one = mix(1);
  const std::uint64_t two = mix(2);
  EXPECT_FALSE(state.greylist_passes(one, 60s, kStart, kStart));
  EXPECT_FALSE(state.greylist_passes(one, 60s, kStart + 59s, kStart));
  EXPECT_TRUE(state.greylist_passes(one, 60s, kStart + 60s, kStart));
  EXPECT_FALSE(state.greylist_passes(two, 60s, kStart + 60s, kStart));
  EXPECT_TRUE(state.greylist_passes(one, 60s, kStart + 3600s, kStart));
}

}  // namespace
}  // namespace sluice::bench
