// Goal: ranges and stars match what they name and nothing else.
// How: tables; and every generated name is contained in its own range.
#include "bench/lib/name_pattern.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

TEST(NameRange, Names) {
  const auto range = NameRange::parse("d[8-11].example");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->size(), 4U);
  EXPECT_EQ(range->name(0), "d8.example");
  EXPECT_EQ(range->name(3), "d11.example");
  const auto padded = NameRange::parse("x[007-100]");
  ASSERT_TRUE(padded);
  EXPECT_EQ(padded->name(0), "x007");
  EXPECT_EQ(padded->name(93), "x100");
  EXPECT_EQ(NameRange::parse("single.example")->size(), 1U);
}

TEST(NameRange, EveryNameIsInIt) {
  for (const char* text : {"d[0-999].example", "d[000-999].example", "127.0.1.[1-254]", "plain"}) {
    const auto range = NameRange::parse(text);
    for (std::uint64_t i = 0; i < range->size(); ++i)
      ASSERT_TRUE(range->contains(range->name(i))) << range->name(i);
  }
}

TEST(NameRange, WhatIsNotInIt) {
  const auto range = NameRange::parse("d[5-20].example");
  for (const char* name : {"d4.example", "d21.example", "d05.example", "d.example", "d5.exampl", "e5.example",
                           "d5x.example", "d99999999999999999999.example", ""}) {
    EXPECT_FALSE(range->contains(name)) << name;
  }
}

TEST(NameRange, Mistakes) {
  for (const char* text : {"", "d[5-", "d5-6]", "d[6-5]", "d[a-b]", "d[1]", "d[1-2][3-4]", "d]1-2["}) {
    EXPECT_FALSE(NameRange::parse(text)) << text;
  }
}

TEST(DomainPattern, Matches) {
  const auto below = DomainPattern::parse("*.Corp.Example");
  EXPECT_TRUE(below->matches("a.corp.example"));
  EXPECT_TRUE(below->matches("a.b.corp.example"));
  EXPECT_FALSE(below->matches("corp.example"));
  EXPECT_FALSE(below->matches("xcorp.example"));
  EXPECT_TRUE(DomainPattern::parse("*")->matches("anything"));
  EXPECT_TRUE(DomainPattern::parse("D[0-9].x")->matches("d3.x"));
  for (const char* text : {"a.*", "*.", "*x", "*.d[1-2].x"}) EXPECT_FALSE(DomainPattern::parse(text)) << text;
}

}  // namespace
}  // namespace sluice::bench
