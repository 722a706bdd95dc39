// Goal: size lists, rate steps and weights are read as documented.
// How: tables.
#include "bench/load/load_plan.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

TEST(LoadPlan, Sizes) {
  const auto sizes = parse_sizes("2k:70,1k..50k:25,100k");
  ASSERT_TRUE(sizes);
  ASSERT_EQ(sizes->size(), 3U);
  EXPECT_EQ((*sizes)[0].weight, 70U);
  EXPECT_EQ((*sizes)[1].value.low, 1024U);
  EXPECT_EQ((*sizes)[1].value.high, 51'200U);
  EXPECT_EQ((*sizes)[2].weight, 1U);
  for (const char* wrong : {"", "0", "5k..1k", "1k:0", "1k:x", "65m"})
    EXPECT_FALSE(parse_sizes(wrong)) << wrong;
}

TEST(LoadPlan, RateSteps) {
  const auto steps = parse_rate_steps("500/s:30s,10/m");
  ASSERT_TRUE(steps);
  EXPECT_EQ((*steps)[0].lasts, Duration(30s));
  EXPECT_FALSE((*steps)[1].lasts);
  for (const char* wrong : {"", "500", "500/s,1/s", "500/s:x"})
    EXPECT_FALSE(parse_rate_steps(wrong)) << wrong;
}

TEST(LoadPlan, CountsAndWeights) {
  EXPECT_EQ(parse_count_range("1..10", 1000)->high, 10U);
  EXPECT_FALSE(parse_count_range("0", 1000));
  EXPECT_FALSE(parse_count_range("1001", 1000));
  EXPECT_EQ(parse_weighted("vmta:30")->weight, 30U);
  EXPECT_EQ(parse_weighted("vmta")->value, "vmta");
  EXPECT_FALSE(parse_weighted(":3"));
}

TEST(LoadPlan, PickKeepsTheWeights) {
  const std::vector<Weighted<std::string>> list{{"a", 3}, {"b", 1}};
  EXPECT_EQ(total_weight(list), 4U);
  EXPECT_EQ(pick(list, 2), "a");
  EXPECT_EQ(pick(list, 3), "b");
}

}  // namespace
}  // namespace sluice::bench
