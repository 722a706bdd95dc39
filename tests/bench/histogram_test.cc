// Goal: percentiles are within 0.1 % of the exact ones over the whole range, and merging equals recording together.
// How: compared with a sorted list of the same values.
#include "bench/lib/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

std::uint64_t exact(const std::vector<std::uint64_t>& sorted, double percent) {
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100.0 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(Histogram, SlotsAreContiguousAndOrdered) {
  std::size_t before = 0;
  for (std::uint64_t value = 0; value < 300'000; ++value) {
    const std::size_t slot = Histogram::slot_of(value);
    ASSERT_TRUE(slot == before || slot == before + 1) << value;
    ASSERT_GE(Histogram::highest_in(slot), value);
    ASSERT_EQ(Histogram::slot_of(Histogram::highest_in(slot)), slot);
    before = slot;
  }
}

TEST(Histogram, PercentilesAgreeWithTheExactOnes) {
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    // From nanoseconds to minutes, evenly on a logarithmic scale.
    const double exponent = static_cast<double>(mix(i) >> 11) * 0x1p-53 * 11.0;
    const auto value = static_cast<std::uint64_t>(std::pow(10.0, exponent));
    values.push_back(value);
    histogram.record(value);
  }
  std::ranges::sort(values);
  for (const double percent : {0.1, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto want = static_cast<double>(exact(values, percent));
    const auto got = static_cast<double>(histogram.percentile(percent));
    EXPECT_NEAR(got, want, want * 0.001 + 0.5) << percent;
  }
  EXPECT_EQ(histogram.min(), values.front());
  EXPECT_EQ(histogram.max(), values.back());
  EXPECT_EQ(histogram.count(), values.size());
}

TEST(Histogram, MergeEqualsRecordingTogether) {
  Histogram all;
  Histogram odd;
  Histogram even;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    all.record(i * i);
    (i % 2 == 0 ? even : odd).record(i * i);
  }
  even.merge(odd);
  for (const double percent : {1.0, 50.0, 99.0, 100.0})
    EXPECT_EQ(even.percentile(percent), all.percentile(percent));
  EXPECT_DOUBLE_EQ(even.mean(), all.mean());
  EXPECT_EQ(even.min(), all.min());
}

TEST(Histogram, EmptyAndClipped) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(50), 0U);
  EXPECT_EQ(histogram.min(), 0U);
  histogram.record(Histogram::kValueMax + 1);
  EXPECT_EQ(histogram.clipped(), 1U);
  EXPECT_EQ(histogram.max(), Histogram::kValueMax);
}

}  // namespace
}  // namespace sluice::bench
