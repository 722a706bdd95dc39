// Goal: every shipped rule is reached by its own samples and shadowed by none; the operator's rules come first; hostile
// text and hostile patterns cost bounded time.
// How: the samples stand beside the rules and go through the whole list; the rest are small rule sets of the tests.
#include "policy/classify/bounce_category.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "policy/base/ascii.h"
#include "policy/classify/limited_pcre.h"
#include "policy/classify/status_text.h"

namespace sluice {
namespace {

/// A sample line as the subject the rules see. "550-5.7.1 text" and "550 5.7.1 text" read alike.
std::string subject_of(std::string_view line) {
  if (line.starts_with('=')) return std::string(line.substr(1));
  SmtpReply reply;
  reply.code = static_cast<std::uint16_t>(std::stoi(std::string(line.substr(0, 3))));
  reply.text = line.substr(4);
  reply.enhanced = EnhancedStatus::parse_front(reply.text);
  const EnhancedStatus status = status_of_reply(reply, ReplyPhase::Other, {});
  return status.text() + ";smtp;" + reply.full_text();
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

BounceClassifier make(std::vector<BounceRule> rules, bool shipped) {
  auto out = shipped ? BounceClassifier::make(rules) : BounceClassifier::make_bare(rules);
  EXPECT_TRUE(out) << out.error().rule << ": " << out.error().message;
  return std::move(*out);
}

TEST(ShippedBounceRules, EverySampleReachesItsOwnRule) {
  const BounceClassifier classifier = make({}, true);
  const auto rules = shipped_bounce_rules();
  std::size_t index = 0;
  for (const auto list : {shipped_word_rules(), shipped_code_rules()}) {
    for (const ShippedBounceRule& rule : list) {
      EXPECT_FALSE(rule.samples.empty()) << "rule " << index << " /" << rule.pattern << "/ has no sample";
      for (const std::string_view line : lines_of(rule.samples)) {
        const auto got = classifier.classify_subject(subject_of(line));
        EXPECT_EQ(got.category, rule.category) << line;
        EXPECT_EQ(got.rule, index) << line << "\n  wanted /" << rules[index].pattern << "/\n  met    /"
                                   << (got.rule ? rules[*got.rule].pattern : "none") << "/";
      }
      ++index;
    }
  }
}

TEST(ShippedBounceRules, CategoriesArePowerMtas) {
  const std::set<std::string_view> known = {
      "spam-related",     "virus-related",  "content-related",   "quota-issues",    "invalid-sender",
      "inactive-mailbox", "bad-mailbox",    "bad-domain",        "relaying-issues", "policy-related",
      "protocol-errors",  "routing-errors", "bad-configuration", "bad-connection",  "no-answer-from-host",
      "message-expired",  "other"};
  std::set<std::string_view> met;
  for (const BounceRule& rule : shipped_bounce_rules()) {
    EXPECT_TRUE(known.contains(rule.category)) << rule.category;
    met.insert(rule.category);
  }
  EXPECT_EQ(met.size(), known.size()) << "a category nobody can reach";
}

TEST(ShippedBounceRules, NeedNoBacktracking) {
  // All of them have to fit the linear engine.
  for (const BounceRule& rule : shipped_bounce_rules()) {
    EXPECT_EQ(rule.pattern.find("{who}"), std::string::npos);
    EXPECT_EQ(rule.pattern.find("{code}"), std::string::npos);
    for (const char* perl_only : {"(?=", "(?!", "(?<", "\\1", "++", "*+"}) {
      EXPECT_EQ(rule.pattern.find(perl_only), std::string::npos) << rule.pattern;
    }
  }
}

TEST(BounceClassifier, FirstMatchWinsAndUserRulesComeFirst) {
  const BounceClassifier classifier = make({{"user unknown", "hardbnc"}, {"unknown", "soft"}}, true);
  EXPECT_EQ(classifier.classify({5, 1, 1}, "smtp;550 5.1.1 USER unknown").category, "hardbnc");
  EXPECT_EQ(classifier.classify({5, 1, 1}, "smtp;550 5.1.1 all unknown").category, "soft");
  const auto shipped = classifier.classify({5, 1, 1}, "smtp;550 5.1.1 sorry");
  EXPECT_EQ(shipped.category, "bad-mailbox");
  EXPECT_GE(*shipped.rule, 2u);
}

TEST(BounceClassifier, CausesOfOurOwnAreNotGuessedFromTheirText) {
  const BounceClassifier shipped = make({}, true);
  const struct {
    EnhancedStatus status;
    std::string_view diag, category, expected;
  } kCases[] = {
      {{5, 4, 4}, "smtp;unable to route: no mail hosts for domain", "", "routing-errors"},
      {{5, 1, 2}, "smtp;bad destination system: no such domain", "", "bad-domain"},
      {{5, 1, 10}, "smtp;recipient address has null MX", "", "bad-domain"},
      {{4, 4, 1}, "ECONNREFUSED connecting to mx.spam-quota.example (192.0.2.1)", "", "no-answer-from-host"},
      {{4, 4, 2}, "EDISCON in connection to unknown-user.example (192.0.2.1)", "", "bad-connection"},
      {{4, 4, 2}, "protocol error (reply too long)", "protocol-errors", "protocol-errors"},
      {{4, 4, 7}, "StatusDnsQueryFailed resolving spam.example", "", "message-expired"},
      {{5, 3, 5}, "smtp;specified VirtualMTA does not exist", "", "bad-configuration"},
      {{5, 0, 0}, "smtp;deleted by administrator", "", "other"},
      {{5, 7, 1}, "smtp;550 user unknown on the suppression list", "", "policy-related"},
  };
  for (const auto& one : kCases)
    EXPECT_EQ(shipped.classify_own(one.status, one.diag, one.category).category, one.expected) << one.diag;
  const BounceClassifier own = make({{"no mail hosts", "hard"}, {"too long", "soft"}}, true);
  EXPECT_EQ(own.classify_own(kCases[0].status, kCases[0].diag, {}).category, "hard") << "the operator's rule";
  EXPECT_EQ(own.classify_own({4, 4, 2}, "protocol error (reply too long)", "protocol-errors").category,
            "soft");
  EXPECT_EQ(own.classify_own({5, 1, 2}, "smtp;no such domain", {}).category, "bad-domain");
}

TEST(BounceClassifier, PatternsSeeStatusAndDiagnostic) {
  const BounceClassifier classifier = make({{R"(^[45]\.1\.[1346];)", "a"},
                                            {R"(^5\.7\.1)", "b"},
                                            {R"(^2.\d+.\d+;)", "success"},
                                            {R"(x\-pmta\;bounce\-queue)", "queue"},
                                            {R"(550 .*\/errors\/)", "slash"}},
                                           false);
  EXPECT_EQ(classifier.classify({5, 1, 3}, "").category, "a");
  EXPECT_EQ(classifier.classify({5, 1, 2}, "smtp;5.1.1;").category, "other");
  EXPECT_EQ(classifier.classify({5, 7, 1}, "smtp;554 5.7.1 no").category, "b");
  EXPECT_EQ(classifier.classify({2, 0, 0}, "smtp;250 ok").category, "success");
  EXPECT_EQ(classifier.classify({5, 0, 0}, "x-pmta;bounce-queue").category, "queue");
  EXPECT_EQ(classifier.classify({5, 0, 0}, "smtp;550 see www/errors/1").category, "slash");
  EXPECT_FALSE(classifier.classify({5, 0, 0}, "").rule);
}

TEST(BounceClassifier, AnEmptyPatternMatchesAllAndNoRulesMatchNothing) {
  EXPECT_EQ(make({{"", "everything"}}, true).classify({5, 1, 1}, "smtp;550 user unknown").category,
            "everything");
  EXPECT_EQ(make({}, false).classify({5, 1, 1}, "x").category, "other");
}

TEST(BounceClassifier, PerlOnlyPatternsKeepTheirPlaceInTheOrder) {
  const std::vector<BounceRule> rules = {
      {"one", "re2-first"}, {"(?<!not )two", "perl"}, {"two", "re2-last"}, {R"((a|b)\1)", "perl-last"}};
  const BounceClassifier classifier = make(rules, false);
  EXPECT_EQ(classifier.classify({5, 0, 0}, "one two").category, "re2-first");
  EXPECT_EQ(classifier.classify({5, 0, 0}, "TWO").category, "perl");
  EXPECT_EQ(classifier.classify({5, 0, 0}, "not two").category, "re2-last");
  EXPECT_EQ(classifier.classify({5, 0, 0}, "bb").category, "perl-last");
  EXPECT_EQ(make({{"(?!x)y", "only-perl"}}, false).classify({5, 0, 0}, "y").category, "only-perl");
}

TEST(BounceClassifier, BrokenPatternsNameTheirRule) {
  const std::vector<BounceRule> rules = {{"fine", "a"}, {"(open", "b"}};
  const auto result = BounceClassifier::make(rules);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().rule, 1u);
  EXPECT_FALSE(result.error().message.empty());
}

TEST(BounceClassifier, HostilePatternsAndTextsEnd) {
  // Exponential for a plain backtracker; the limit makes it "no match".
  const auto evil = LimitedPcre::compile(R"((?=a)(a+)+$)");
  ASSERT_TRUE(evil);
  EXPECT_FALSE(evil->matches(std::string(60, 'a') + "!"));
  EXPECT_TRUE(evil->matches("aaa"));
  // Long and odd text: only the front is looked at, any byte may occur.
  const BounceClassifier classifier = make({}, true);
  std::string noise = "smtp;550 ";
  for (int i = 0; i < 100'000; ++i) noise += static_cast<char>(i * 7 % 256);
  noise += " user unknown";
  EXPECT_FALSE(classifier.classify({5, 0, 0}, noise).category.empty());
  EXPECT_EQ(classifier.classify({5, 1, 1}, "smtp;550 \xff\xfe\x80").category, "bad-mailbox");
}

}  // namespace
}  // namespace sluice
