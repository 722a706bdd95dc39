// Goal: pattern lists choose as the configuration says: first match, nesting, call-to, all conditions.
// How:  lists in the operator's spelling, loaded by the real loader, and a table of messages.
#include <gtest/gtest.h>

#include "policy/config/config.h"
#include "policy/identity/pattern_list.h"
#include "tests/policy/config/map_files.h"

namespace sluice::identity {
namespace {

constexpr std::string_view kLists = R"(
<virtual-mta v1>
</virtual-mta>
<virtual-mta v2>
</virtual-mta>
<virtual-mta v3>
</virtual-mta>
<virtual-mta-pool pool1>
    virtual-mta v1
</virtual-mta-pool>
<pattern-list L>
    header X-Campaign /^\s*promo/ virtual-mta=v1
    header Subject /^ raw\r\n$/ virtual-mta=v3
    mail-from /@brand\.com$/ virtual-mta=pool1,recipient-priority=60
    rcpt-to /^vip@/ recipient-priority=90
    mail-from /news/ <pattern-list>
        rcpt-to /@a\.com$/ virtual-mta=v2
        rcpt-to /@b\.com$/ virtual-mta=v3
    </pattern-list>
    mail-from /^news$/ virtual-mta=v1
    header X-Sel /abc/ call-to:Other
    header X-Both /./ recipient-priority=10, call-to:Other
    mail-from /^$/ virtual-mta=v2
    rcpt-to /^(?!keep)[^@]+@look\.com/ virtual-mta=v2
    rcpt-to /^(?-i)CASE@/ virtual-mta=v1
</pattern-list>
<pattern-list Other>
    rcpt-to /@a\.com$/ virtual-mta=v3, recipient-priority=70
    header X-Third /yes/ virtual-mta=v1
</pattern-list>
<pattern-list All>
    * virtual-mta=v1
    * virtual-mta=v2
</pattern-list>
)";

struct Case {
  const char* sender;
  std::vector<std::string_view> recipients;
  std::vector<HeaderText> headers;
  const char* vmta;  // nullptr: no line matches
  int priority = -1;
};

TEST(PatternList, DecidesLikeTheConfiguration) {
  const config::LoadResult loaded = config::load_fragment(kLists);
  ASSERT_TRUE(loaded.ok()) << config::format(loaded.diagnostics);
  const auto lists = PatternLists::make(loaded.config->pattern_lists);
  ASSERT_TRUE(lists) << lists.error().why;
  const auto id = lists->find("l");
  ASSERT_TRUE(id);
  static const Case kCases[] = {
      {"x@y.com", {"joe@z.com"}, {}, nullptr},
      {"x@y.com", {"joe@z.com"}, {{"X-Campaign", " Promo 7\r\n"}}, "v1"},
      {"x@y.com", {"joe@z.com"}, {{"x-campaign", "\r\n\tpromo\r\n"}}, "v1"},
      {"x@y.com", {"joe@z.com"}, {{"X-Campaign", " no promo\r\n"}}, nullptr},
      {"x@y.com", {"joe@z.com"}, {{"X-Other", " promo\r\n"}}, nullptr},
      {"x@y.com", {"joe@z.com"}, {{"X-Campaign", " no\r\n"}, {"X-Campaign", " promo\r\n"}}, "v1"},
      {"x@y.com", {"joe@z.com"}, {{"Subject", " raw\r\n"}}, "v3"},
      {"x@y.com", {"joe@z.com"}, {{"Subject", " raw more\r\n"}}, nullptr},
      {"x@Brand.COM", {"joe@z.com"}, {}, "pool1", 60},
      // The first line that matches decides, also when a later one says more.
      {"x@brand.com", {"vip@z.com"}, {}, "pool1", 60},
      {"x@y.com", {"joe@z.com", "vip@z.com"}, {}, "", 90},
      {"news@y.com", {"joe@a.com"}, {}, "v2"},
      {"news@y.com", {"joe@b.com"}, {}, "v3"},
      // One decision for all recipients: the first line wins, not the first recipient.
      {"news@y.com", {"joe@b.com", "joe@a.com"}, {}, "v2"},
      // Nothing in the nested list: the lines behind it are tried.
      {"news", {"joe@c.com"}, {}, "v1"},
      {"news@y.com", {"joe@c.com"}, {}, nullptr},
      {"x@y.com", {"joe@a.com"}, {{"X-Sel", " abc"}}, "v3", 70},
      {"x@y.com", {"joe@b.com"}, {{"X-Sel", " abc"}, {"X-Third", " yes"}}, "v1"},
      {"x@y.com", {"joe@b.com"}, {{"X-Sel", " abc"}}, nullptr},
      {"x@y.com", {"joe@b.com"}, {{"X-Both", " 1"}}, "", 10},
      {"x@y.com", {"joe@a.com"}, {{"X-Both", " 1"}}, "v3", 70},
      {"", {"joe@z.com"}, {}, "v2"},
      // What RE2 cannot express.
      {"x@y.com", {"some@look.com"}, {}, "v2"},
      {"x@y.com", {"keep@look.com"}, {}, nullptr},
      {"x@y.com", {"CASE@look2.com"}, {}, "v1"},
      {"x@y.com", {"case@look2.com"}, {}, nullptr},
  };
  for (const Case& one : kCases) {
    std::string what = one.sender;
    for (const auto recipient : one.recipients) what += " " + std::string(recipient);
    SCOPED_TRACE(what);
    const auto result =
        lists->decide(*id, {.mail_from = one.sender, .recipients = one.recipients, .headers = one.headers});
    EXPECT_EQ(result.has_value(), one.vmta != nullptr);
    if (!result || one.vmta == nullptr) continue;
    EXPECT_EQ(result->virtual_mta, one.vmta);
    EXPECT_EQ(result->priority ? *result->priority : -1, one.priority);
  }
  EXPECT_EQ(std::vector<std::string>(lists->headers_of(*id).begin(), lists->headers_of(*id).end()),
            (std::vector<std::string>{"x-campaign", "subject", "x-sel", "x-third", "x-both"}));
  const auto all = lists->decide(*lists->find("ALL"), {});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->virtual_mta, "v1");
  EXPECT_FALSE(lists->find("none"));
}

config::MessagePattern calling(const char* name) {
  config::MessagePattern out;
  out.call_to = name;
  return out;
}

TEST(PatternList, CirclesAndBadPatternsAreErrors) {
  std::vector<config::PatternList> lists(2);
  lists[0].name = "a";
  lists[0].patterns.push_back(calling("b"));
  lists[1].name = "b";
  lists[1].patterns.push_back(calling("A"));
  ASSERT_FALSE(PatternLists::make(lists));
  lists[1].patterns[0].call_to = "nowhere";
  const auto unknown = PatternLists::make(lists);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().why, "no pattern-list named \"nowhere\"");
  lists[1].patterns[0].call_to.clear();
  lists[1].patterns[0].kind = config::MessagePatternKind::RcptTo;
  lists[1].patterns[0].pattern.text = "(unclosed";
  EXPECT_FALSE(PatternLists::make(lists));
  lists[1].patterns[0].pattern.text = "closed";
  EXPECT_TRUE(PatternLists::make(lists));
}

}  // namespace
}  // namespace sluice::identity
