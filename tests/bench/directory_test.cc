// Goal: a name finds its provider by the documented order, and a hundred thousand generated domains cost nothing.
// How: lookups on a small Internet.
#include "bench/provider/directory.h"

#include <gtest/gtest.h>

#include "bench/provider/provider_file.h"

namespace sluice::bench {
namespace {

TEST(Directory, OrderOfLookup) {
  const auto internet = parse_provider_file(
      "provider single\n domain d5.bulk.example\nend\n"
      "provider range\n domain d[0-99999].bulk.example\n mx 10 mx.range.example 127.0.0.1\nend\n"
      "provider below\n domain *.example\nend\n"
      "provider deeper\n domain *.deep.example\nend\n"
      "provider rest\n any-domain\nend\n");
  ASSERT_TRUE(internet) << internet.error();
  const Directory directory(*internet);
  const auto name = [&](std::string_view domain) {
    return internet->providers[*directory.provider_of(domain)].name;
  };
  EXPECT_EQ(name("d5.bulk.example"), "single");
  EXPECT_EQ(name("d6.bulk.example"), "range");
  EXPECT_EQ(name("d100000.bulk.example"), "below");
  EXPECT_EQ(name("a.deep.example"), "deeper");
  EXPECT_EQ(name("elsewhere.test"), "rest");
  EXPECT_FALSE(directory.named_provider_of("elsewhere.test"));
  EXPECT_NE(directory.host("mx.range.example"), nullptr);
  EXPECT_EQ(directory.host("mx.other.example"), nullptr);
  EXPECT_TRUE(directory.is_above("bulk.example"));
}

TEST(Directory, FaultsByShare) {
  const auto internet =
      parse_provider_file("dns-fault half.example 50% servfail\ndns-fault all.example refused\n");
  ASSERT_TRUE(internet) << internet.error();
  const Directory directory(*internet);
  int hits = 0;
  for (std::uint64_t draw = 0; draw < 10'000; ++draw)
    hits += directory.fault("half.example", draw) != nullptr ? 1 : 0;
  EXPECT_NEAR(hits, 5000, 300);
  EXPECT_EQ(directory.fault("all.example", 1)->kind, DnsFault::Kind::Refused);
  EXPECT_EQ(directory.fault("none.example", 1), nullptr);
}

}  // namespace
}  // namespace sluice::bench
