// Goal: disabled source addresses come back when they should, and not before, also over a restart.
// How:  the set is a value that takes the time as an argument.
#include "policy/backoff/shut_sources.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr MonoTime kStart{10h};
constexpr WallTime kWall{std::chrono::milliseconds(1'700'000'000'000)};
IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(ShutSources, ComeBackInTime) {
  ShutSources shut;
  EXPECT_TRUE(shut.empty());
  EXPECT_TRUE(shut.disable(ip("192.0.2.1"), kStart + 7min, "421 no"));
  EXPECT_TRUE(shut.disable(ip("192.0.2.2"), std::nullopt, "command"));
  EXPECT_TRUE(shut.disable(ip("2001:db8::1"), kStart + 5min, "421 no"));
  EXPECT_EQ(shut.next_time(), kStart + 5min);
  EXPECT_TRUE(shut.take_due(kStart + 5min - 1ns).empty());
  EXPECT_EQ(shut.take_due(kStart + 5min), std::vector{ip("2001:db8::1")});
  EXPECT_FALSE(shut.contains(ip("2001:db8::1")));
  EXPECT_TRUE(shut.contains(ip("192.0.2.1")));
  EXPECT_EQ(shut.take_due(kStart + 100h), std::vector{ip("192.0.2.1")});
  EXPECT_EQ(shut.next_time(), std::nullopt);
  EXPECT_TRUE(shut.contains(ip("192.0.2.2"))) << "for ever";
  EXPECT_TRUE(shut.enable(ip("192.0.2.2")));
  EXPECT_FALSE(shut.enable(ip("192.0.2.2")));
  EXPECT_TRUE(shut.empty());
}

TEST(ShutSources, TheLaterEndCounts) {
  ShutSources shut;
  shut.disable(ip("192.0.2.1"), kStart + 7min, "");
  EXPECT_FALSE(shut.disable(ip("192.0.2.1"), kStart + 5min, ""));
  EXPECT_EQ(shut.next_time(), kStart + 7min);
  EXPECT_FALSE(shut.disable(ip("192.0.2.1"), kStart + 9min, ""));
  EXPECT_EQ(shut.next_time(), kStart + 9min);
  EXPECT_FALSE(shut.disable(ip("192.0.2.1"), std::nullopt, ""));
  EXPECT_EQ(shut.next_time(), std::nullopt);
  EXPECT_FALSE(shut.disable(ip("192.0.2.1"), kStart + 9min, ""));
  EXPECT_EQ(shut.next_time(), std::nullopt) << "for ever is later than any time";
}

TEST(ShutSources, OverARestart) {
  ShutSources shut;
  EXPECT_EQ(shut.encode(kStart, kWall), "");
  shut.disable(ip("192.0.2.1"), kStart + 7min, "421 4.7.0 two\nlines");
  shut.disable(ip("2001:db8::1"), std::nullopt, "");
  const MonoTime now{3s};
  const ShutSources again = ShutSources::decode(shut.encode(kStart, kWall), now, kWall + 2min);
  ASSERT_EQ(again.entries().size(), 2u);
  EXPECT_EQ(again.next_time(), now + 5min);
  EXPECT_EQ(again.entries()[0].reason, "421 4.7.0 two lines");
  EXPECT_TRUE(again.contains(ip("2001:db8::1")));
  EXPECT_EQ(ShutSources::decode("nonsense\n192.0.2.9 x y\n192.0.2.8 - ok\n\n", now, kWall).entries().size(),
            1u);
}

TEST(ShutSources, StoredTextStaysBelowTheJournalsLimit) {
  ShutSources shut;
  for (std::size_t i = 0; i < 2 * ShutSources::kSourcesMax; ++i) {
    shut.disable(ip(("2001:db8:1111:2222:3333:4444:5555:" + std::to_string(1000 + i)).c_str()), kStart,
                 std::string(1000, 'x'));
  }
  EXPECT_EQ(shut.entries().size(), ShutSources::kSourcesMax);
  EXPECT_LT(shut.encode(kStart, kWall).size(), 64 * kKiB);
}

}  // namespace
}  // namespace sluice
