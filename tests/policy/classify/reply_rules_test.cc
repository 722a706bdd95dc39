// Goal: every combination rule of `<smtp-pattern-list>`: which matching rule decides, what combines, what
// excludes. How:  small lists of rules and reply texts; each row is one complete case.
#include "policy/classify/reply_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using config::QueueMode;
using config::ReplyRule;

ReplyRule rule(const char* pattern, void (*set)(ReplyRule&)) {
  ReplyRule out;
  out.pattern.text = pattern;
  set(out);
  return out;
}
ReplyRule literal(const char* pattern, std::uint32_t length, std::optional<Duration> retry_after) {
  ReplyRule out;
  out.pattern.text = pattern;
  out.literal_length = length;
  out.mode = QueueMode::Backoff;
  out.retry_after = retry_after;
  return out;
}
ReplyActions actions_of(const std::vector<ReplyRule>& rules, std::string_view text) {
  auto made = ReplyRules::make(rules);
  EXPECT_TRUE(made) << made.error().message;
  ReplyActions out;
  made->find(text, out);
  return out;
}

void backoff(ReplyRule& one) { one.mode = QueueMode::Backoff; }
void normal(ReplyRule& one) { one.mode = QueueMode::Normal; }
void skip(ReplyRule& one) { one.skip_mx = true; }
void bounce_queue(ReplyRule& one) { one.bounce_queue = true; }
void bounce_rcpt(ReplyRule& one) { one.bounce_recipient = true; }
void defer(ReplyRule& one) { one.defer_queue = true; }
void disable(ReplyRule& one) { one.disable_source_ip = true; }

TEST(ReplyRules, TheFirstRuleOfAConflictDecidesAndTheRestCombines) {
  struct Row {
    const char* name;
    std::vector<ReplyRule> rules;
    ReplyActions want;
  };
  const auto with = [](void (*set)(ReplyActions&)) {
    ReplyActions out;
    set(out);
    return out;
  };
  const auto disable_for = [](ReplyRule& one) {
    one.disable_source_ip = true;
    one.reenable_after = 7min;
  };
  const auto backoff_for = [](ReplyRule& one) {
    one.mode = QueueMode::Backoff;
    one.backoff_to_normal_after = 2h;
  };
  const Row rows[] = {
      {"nothing matches", {rule("^999", backoff)}, {}},
      {"one", {rule("too many", backoff)}, with([](auto& a) { a.mode = QueueMode::Backoff; })},
      {"empty matches all", {rule("", backoff)}, with([](auto& a) { a.mode = QueueMode::Backoff; })},
      {"first mode wins", {rule("too", normal), rule("many", backoff)}, with([](auto& a) {
         a.mode = QueueMode::Normal;
       })},
      {"time of the rule that decided", {rule("too", backoff_for), rule("many", backoff)}, with([](auto& a) {
         a.mode = QueueMode::Backoff;
         a.backoff_to_normal_after = 2h;
       })},
      {"no time of a rule that did not", {rule("too", backoff), rule("many", backoff_for)}, with([](auto& a) {
         a.mode = QueueMode::Backoff;
       })},
      {"skip-mx before bounce-queue", {rule("too", skip), rule("many", bounce_queue)}, with([](auto& a) {
         a.skip_mx = true;
       })},
      {"bounce-queue before skip-mx", {rule("too", bounce_queue), rule("many", skip)}, with([](auto& a) {
         a.bounce_queue = true;
       })},
      {"the others combine",
       {rule("too", backoff), rule("many", skip), rule("421", defer), rule("4", bounce_rcpt),
        rule("2", disable)},
       with([](auto& a) {
         a.mode = QueueMode::Backoff;
         a.skip_mx = a.defer_queue = a.bounce_recipient = a.disable_source_ip = true;
       })},
      {"first disable's time", {rule("too", disable_for), rule("many", disable)}, with([](auto& a) {
         a.disable_source_ip = true;
         a.reenable_after = 7min;
       })},
      {"the later disable's time does not count",
       {rule("too", disable), rule("many", disable_for)},
       with([](auto& a) { a.disable_source_ip = true; })},
      {"longest plain text wins, also over file order",
       {literal("^421\\b.*?\\b4\\.7\\.0\\b", 9, 10min),
        literal("^421\\b.*?\\b4\\.7\\.0\\b.*?\\bTS01\\b", 14, 1h)},
       with([](auto& a) {
         a.mode = QueueMode::Backoff;
         a.ends_by_itself = true;
         a.retry_after = 1h;
       })},
      {"plain texts come before regexes", {rule("too", normal), literal("^421\\b", 3, {})}, with([](auto& a) {
         a.mode = QueueMode::Backoff;
         a.ends_by_itself = true;
       })},
      {"look-ahead goes to the other engine, in order",
       {rule("too(?= many)", normal), rule("many", backoff)},
       with([](auto& a) { a.mode = QueueMode::Normal; })},
      {"and behind", {rule("many", backoff), rule("too(?= many)", normal)}, with([](auto& a) {
         a.mode = QueueMode::Backoff;
       })},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(actions_of(row.rules, "421 4.7.0 [TS01] Too many messages") == row.want);
  }
}

TEST(ReplyRules, PlainTextNeedsItsWordsInOrder) {
  const std::vector<ReplyRule> rules = {literal("^421\\b.*?\\b4\\.7\\.0\\b.*?\\bTS01\\b", 14, 1h)};
  EXPECT_TRUE(actions_of(rules, "421 4.7.0 [TS01] Messages from 192.0.2.1 deferred").any());
  EXPECT_FALSE(actions_of(rules, "421 4.7.0 [TS02] deferred").any());
  EXPECT_FALSE(actions_of(rules, "421 4.7.01 [TS01] deferred").any());
  EXPECT_FALSE(actions_of(rules, "450 421 4.7.0 TS01").any());
}

TEST(ReplyRules, ABadPatternIsNamed) {
  const std::vector<ReplyRule> rules = {rule("fine", backoff), rule("((", backoff)};
  const auto made = ReplyRules::make(rules);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().rule, 1u);
  EXPECT_FALSE(made.error().message.empty());
}

TEST(ReplyRules, OnlyRulesThatSayNothingButNormalSpeakOfDeliveries) {
  const auto ends = [](std::vector<ReplyRule> rules) {
    const auto made = ReplyRules::make(rules);
    EXPECT_TRUE(made);
    return made->ends_backoff("250 2.0.0 OK queued");
  };
  EXPECT_TRUE(ends({rule("^250", normal)}));
  EXPECT_TRUE(ends({rule("", backoff), rule("^250", normal)}));
  EXPECT_FALSE(ends({rule("", backoff)}));
  EXPECT_FALSE(ends({rule("^251", normal)}));
  EXPECT_FALSE(ends({rule("^250", [](ReplyRule& one) {
    one.mode = QueueMode::Normal;
    one.defer_queue = true;
  })}));
}

TEST(PatternSet, TwoEnginesOneOrder) {
  PatternSet set;
  ASSERT_TRUE(set.add("a+"));
  ASSERT_TRUE(set.add("(b)\\1"));  // a back reference: not RE2's
  ASSERT_TRUE(set.add("c"));
  ASSERT_TRUE(set.seal());
  std::vector<std::size_t> all;
  set.find_all("C BB A", all);
  EXPECT_EQ(all, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(set.find_first("c bb"), 1u);
  EXPECT_EQ(set.find_first("cab"), 0u);
  EXPECT_EQ(set.find_first("b"), std::nullopt);
  set.find_all("", all);
  EXPECT_TRUE(all.empty());
  EXPECT_FALSE(PatternSet().add("(").has_value());
}

TEST(PatternSet, OnlyTheFrontOfALongTextCounts) {
  PatternSet set;
  ASSERT_TRUE(set.add("end"));
  ASSERT_TRUE(set.add("end\\b(?=$)"));
  ASSERT_TRUE(set.seal());
  const std::string inside = std::string(PatternSet::kTextBytesMax - 4, '.') + "end";
  const std::string outside = std::string(PatternSet::kTextBytesMax - 2, '.') + "end";
  EXPECT_EQ(set.find_first(inside), 0u);
  EXPECT_EQ(set.find_first(outside), std::nullopt);
}

}  // namespace
}  // namespace sluice
