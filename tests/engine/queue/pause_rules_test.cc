// Goal: of all pauses and resumptions that match a queue the last one decides, now and after a restart, and nothing is
//       kept that makes no difference.
// How:  a table of patterns; then commands by chance, held against their whole history.
#include "engine/queue/pause_rules.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "policy/base/wildcard.h"

namespace sluice::queue {
namespace {

std::vector<std::string> patterns_of(const PauseRules& rules) {
  std::vector<std::string> out;
  for (const auto& [pattern, pauses] : rules.all()) out.push_back((pauses ? "" : "!") + pattern);
  return out;
}
using Texts = std::vector<std::string>;

TEST(PauseRules, WholePatterns) {
  EXPECT_EQ(PauseRules::whole_pattern("*"), "*/*");
  EXPECT_EQ(PauseRules::whole_pattern("A.Example"), "a.example/{default}");
  EXPECT_EQ(PauseRules::whole_pattern("*.Example/M1"), "*.example/m1");
}

TEST(PauseRules, AWiderPatternTakesTheNarrowerOnesBack) {
  PauseRules rules;
  (void)rules.set("a.example/m1", true);
  (void)rules.set("b.*/m1", true);
  (void)rules.set("a.example/m2", true);
  EXPECT_EQ(patterns_of(rules), (Texts{"a.example/m1", "b.*/m1", "a.example/m2"}));
  (void)rules.set("*/m1", false);
  EXPECT_EQ(patterns_of(rules), (Texts{"a.example/m2"}));
  (void)rules.set("*/*", true);
  EXPECT_EQ(patterns_of(rules), (Texts{"*/*"}));
}

TEST(PauseRules, ANarrowerOneIsAnException) {
  PauseRules rules;
  (void)rules.set("*/m1", true);
  EXPECT_EQ(rules.set("a.example/m1", false).size(), 1u);
  EXPECT_TRUE(rules.is_paused("b.example/m1"));
  EXPECT_FALSE(rules.is_paused("a.example/m1"));
  EXPECT_FALSE(rules.is_paused("A.EXAMPLE/M1"));
  EXPECT_EQ(rules.set("a.example/m2", false).size(), 0u) << "nothing pauses it";
  (void)rules.set("*/m1", false);
  EXPECT_TRUE(rules.empty());
}

TEST(PauseRules, AnExceptionGoesWithThePauseItIsOf) {
  PauseRules rules;
  (void)rules.set("a*/m1", true);
  (void)rules.set("*b/m1", false);
  EXPECT_EQ(patterns_of(rules), (Texts{"a*/m1", "!*b/m1"}));
  (void)rules.set("a*/m1", false);
  EXPECT_TRUE(rules.empty());
}

TEST(PauseRules, WhatAnOlderVersionStored) {
  PauseRules rules;
  rules.restore("a.example/m1", "1");
  rules.restore("b.example/m1", "yes");
  rules.restore("c.example/m1", "7 x");
  EXPECT_EQ(patterns_of(rules), (Texts{"a.example/m1"}));
  (void)rules.set("*/m1", false);
  EXPECT_FALSE(rules.is_paused("a.example/m1"));
}

TEST(PauseRules, CoversAndOverlaps) {
  EXPECT_TRUE(PauseRules::covers("*/m1", "a*b/m1"));
  EXPECT_TRUE(PauseRules::covers("a*/*", "a*b/m1"));
  EXPECT_FALSE(PauseRules::covers("a*b/m1", "a*/m1"));
  EXPECT_TRUE(PauseRules::overlaps("a*/m1", "*b/m1"));
  EXPECT_FALSE(PauseRules::overlaps("a*/m1", "b*/m1"));
  EXPECT_FALSE(PauseRules::overlaps("*/m1", "a/m2"));
}

TEST(PauseRules, TheLastThatMatchesDecides) {
  const Texts halves{"a", "ab", "b", "*", "a*", "*b", "a*b", "*a*"};
  const Texts names{"a", "b", "ab", "ba", "aab", "bb"};
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    PauseRules rules;
    std::map<std::string, std::string> stored;
    std::vector<std::pair<std::string, bool>> history;
    for (int turn = 0; turn < 40; ++turn) {
      const std::string domain = halves[random() % halves.size()];
      const std::string vmta = halves[random() % halves.size()];
      const bool paused = random() % 2 == 0;
      history.emplace_back(domain + '/' + vmta, paused);
      for (const auto& [pattern, value] : rules.set(history.back().first, paused)) {
        if (value.empty()) {
          EXPECT_EQ(stored.erase(pattern), 1u) << "forgets what nobody stored";
        } else {
          stored[pattern] = value;
        }
      }
      EXPECT_EQ(stored.size(), rules.size());
      PauseRules again;
      for (const auto& [pattern, value] : stored) again.restore(pattern, value);
      EXPECT_EQ(again.all(), rules.all());
      for (const std::string& left : names) {
        for (const std::string& right : names) {
          bool wanted = false;
          for (const auto& [pattern, pauses] : history) {
            const std::size_t slash = pattern.find('/');
            if (matches_wildcard(pattern.substr(0, slash), left) &&
                matches_wildcard(pattern.substr(slash + 1), right))
              wanted = pauses;
          }
          ASSERT_EQ(again.is_paused(left + '/' + right), wanted)
              << "seed " << seed << ", " << left << '/' << right;
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::queue
