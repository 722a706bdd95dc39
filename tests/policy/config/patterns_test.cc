// Goal: patterns that cannot match or are shadowed are told from those that may do something.
// How: a table each; a pattern the rules cannot judge for certain must pass.
#include "policy/config/pattern_checks.h"

#include <gtest/gtest.h>

#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

TEST(Patterns, NeverMatch) {
  struct Row {
    std::string_view pattern;
    PatternSubject subject;
    bool never;
  };
  using enum PatternSubject;
  constexpr Row kRows[] = {
      {"", Reply, false},
      {"421", Reply, false},
      {"^421 .* too many errors", Reply, false},
      {"^421-4\\.7\\.0", Reply, false},
      {"^4\\d\\d ", Reply, false},
      {"^[45]", Reply, false},
      {"^.*blocked", Reply, false},
      {"^(421|451) ", Reply, false},
      {"^4.7.0", Reply, false},  // a dot is any byte
      {"^4\\.7\\.0", Reply, true},
      {"^smtp;421", Reply, true},
      {"^blocked", Reply, true},
      {"^ 421", Reply, true},
      {"^421\\.", Reply, true},
      {"^blocked|spam", Reply, false},
      {"^blocked|^spam", Reply, true},
      {"blocked^", Reply, true},
      {"x*^421", Reply, false},
      {"a$b", Reply, true},
      {"blocked$", Reply, false},
      {"\\$5\\.00", Reply, false},
      {"[$^]x", Reply, false},
      {"(?m)x^421", Reply, false},
      {"generating high volumes of.* complaints from AOL", Reply, false},
      {"\\[TSS0?4\\]", Reply, false},
      {"^5\\.1\\.1", StatusDiag, false},
      {"^[45]\\.1\\.[1346];", StatusDiag, false},
      {"^2.\\d+.\\d+;", StatusDiag, false},
      {"^550 ", StatusDiag, true},
      {"^smtp;550", StatusDiag, true},
      {"x\\-pmta\\;bounce\\-queue", StatusDiag, false},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.pattern);
    EXPECT_EQ(!why_never_matches(row.pattern, row.subject).empty(), row.never)
        << why_never_matches(row.pattern, row.subject);
  }
}

TEST(Patterns, Cover) {
  EXPECT_TRUE(pattern_covers("", "x"));
  EXPECT_TRUE(pattern_covers("a.*b", "a.*b"));
  EXPECT_TRUE(pattern_covers("spam", "Blocked SPAM list"));
  EXPECT_TRUE(pattern_covers("^421", "^421 4"));
  EXPECT_TRUE(pattern_covers("4\\.7", "^421 4\\.7\\.0"));
  EXPECT_FALSE(pattern_covers("spam", "sp.m"));
  EXPECT_FALSE(pattern_covers("spam list", "spam"));
  EXPECT_FALSE(pattern_covers("^421", "421"));
  EXPECT_FALSE(pattern_covers("spa+m", "spam"));
  EXPECT_FALSE(pattern_covers("a.*b", "aXb"));
}

TEST(Patterns, WarningsNameTheLine) {
  struct Case {
    std::string_view text, message;
    std::uint32_t line;
  };
  constexpr Case kCases[] = {
      {"<smtp-pattern-list l>\nreply /^4\\.7/ mode=backoff\n</smtp-pattern-list>\n",
       "never matches: replies begin with three digits and a blank, for example 421 4.7.0", 2},
      {"<smtp-pattern-list l>\nreply /spam/ mode=backoff\nreply /spam list/ "
       "mode=backoff\n</smtp-pattern-list>\n",
       "in vain: /spam/ above matches first and does the same", 3},
      {"<bounce-category-patterns>\n/spam/ a\n/is spam/ b\n</bounce-category-patterns>\n",
       "never reached: /spam/ above matches all of it", 3},
      {"<bounce-category-patterns>\n/^550 5/ a\n</bounce-category-patterns>\n",
       "never matches: the text begins with a status, not with the reply's code: 4.7.0;smtp;421 ...", 2},
      {"<virtual-mta v>\n</virtual-mta>\n<pattern-list l>\nmail-from /@a/ virtual-mta=v\nmail-from "
       "/@a\\.com/ "
       "virtual-mta=v\n</pattern-list>\n",
       "never reached: /@a/ above matches all of it", 5},
      {"http-access 10/8 monitor\nhttp-access 10.0.0.1 admin\n",
       "never reached: http-access 10.0.0.0/8 above matches first", 2},
      {"domain-key a,*,/k\ndomain-key b,x.example,/k\n",
       "never used: the domain-key for * above fits every domain", 2},
      {"<smtp-user u>\npassword a#b\n</smtp-user>\n",
       "the value ends at the #, which starts a comment everywhere", 2},
      {"smtp-server-tls-certificate /c.pem se#cret\n",
       "the value ends at the #, which starts a comment everywhere", 1},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const LoadResult result = load_fragment(c.text);
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    ASSERT_EQ(result.diagnostics.size(), 1u) << format(result.diagnostics);
    EXPECT_EQ(result.diagnostics[0].severity, Severity::Warning);
    EXPECT_EQ(result.diagnostics[0].message, c.message);
    EXPECT_EQ(result.diagnostics[0].line, c.line);
  }
  // Rules that do different things add up; different headers are different questions; a comment is no
  // password.
  for (const std::string_view fine :
       {"<smtp-pattern-list l>\nreply /spam/ mode=backoff\nreply /spam list/ mode=backoff,disable-source-ip\n"
        "</smtp-pattern-list>\n",
        "<virtual-mta v>\n</virtual-mta>\n<pattern-list l>\nheader A /x/ virtual-mta=v\nheader B /x/ "
        "virtual-mta=v\n</pattern-list>\n",
        "<smtp-user u>\npassword ab # secret\n</smtp-user>\n",
        "http-access 10.0.0.1 admin\nhttp-access 10/8 monitor\n",
        "domain-key b,x.example,/k\ndomain-key a,*,/k\n"}) {
    EXPECT_TRUE(load_fragment(fine).diagnostics.empty()) << format(load_fragment(fine).diagnostics);
  }
  const LoadResult cut =
      load_fragment("<smtp-pattern-list l>\nreply /a#b/ mode=backoff\n</smtp-pattern-list>\n");
  ASSERT_EQ(cut.diagnostics.size(), 1u);
  EXPECT_EQ(cut.diagnostics[0].suggestion,
            "# starts a comment everywhere; in a regular expression write \\x23");
}

}  // namespace
}  // namespace sluice::config
