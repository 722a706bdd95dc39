// Goal: rewrite lists, aliases, address lists, VERP, job ids and cold virtual MTAs decide as documented.
// How:  tables.
#include <gtest/gtest.h>

#include "policy/identity/address_set.h"
#include "policy/identity/alias_table.h"
#include "policy/identity/cold.h"
#include "policy/identity/envelope.h"
#include "policy/identity/rewrite.h"

namespace sluice::identity {
namespace {

struct RewriteCase {
  const char* source;
  const char* destination;
  const char* sender;
  const char* expected;  // nullptr: stays
};

TEST(Rewrite, EnvelopeSender) {
  static constexpr RewriteCase kCases[] = {
      {"a@x.com", "b@y.com", "a@x.com", "b@y.com"},
      {"a@x.com", "b@y.com", "A@X.COM", "b@y.com"},
      {"a@x.com", "b@y.com", "c@x.com", nullptr},
      {"a@*", "b@*", "a@x.com", "b@x.com"},
      {"a@*", "b@*", "c@x.com", nullptr},
      {"*@x.com", "*@y.com", "Joe@x.com", "Joe@y.com"},
      {"*@x.com", "*@y.com", "joe@sub.x.com", nullptr},
      {"*@*", "bounce@y.com", "joe@x.com", "bounce@y.com"},
      {"*@*", "bounce@y.com", "", nullptr},
      {"<>", "null@y.com", "", "null@y.com"},
      {"<>", "null@y.com", "a@x.com", nullptr},
      {"*@x.com", "<>", "joe@x.com", ""},
      {"*@*", "*@*", "joe@x.com", "joe@x.com"},
  };
  for (const RewriteCase& one : kCases) {
    config::RewriteList list;
    list.rules.push_back({config::RewriteRule::Kind::MailFrom, one.source, one.destination});
    const auto result = RewriteList(list).mail_from(one.sender);
    ASSERT_EQ(result.has_value(), one.expected != nullptr) << one.source << ' ' << one.sender;
    if (result) EXPECT_EQ(*result, one.expected);
  }
}

TEST(Rewrite, TheFirstRuleThatFitsDecides) {
  config::RewriteList list;
  list.rules.push_back({config::RewriteRule::Kind::MailFrom, "a@x.com", "first@y.com"});
  list.rules.push_back({config::RewriteRule::Kind::FromDomain, "x.com", "new.com"});
  list.rules.push_back({config::RewriteRule::Kind::MailFrom, "*@x.com", "second@y.com"});
  list.rules.push_back({config::RewriteRule::Kind::FromDomain, "[*.]x.com", "other.com"});
  const RewriteList ready(list);
  EXPECT_EQ(ready.mail_from("a@x.com"), "first@y.com");
  EXPECT_EQ(ready.mail_from("b@x.com"), "second@y.com");
  EXPECT_EQ(ready.from_domain("X.com"), "new.com");
  EXPECT_EQ(ready.from_domain("m.x.com"), "other.com");
  EXPECT_EQ(ready.from_domain("z.com"), "");
}

TEST(Alias, WhoGetsTheMail) {
  config::GlobalSettings global;
  global.host_name = {"Mta.example"};
  global.postmaster = {"ops@corp.example"};
  global.alias = {{"joe@x.com", {"jim@y.com"}},
                  {"team", {"a@y.com", "b@y.com"}},
                  {"*@z.com", {"catch@y.com"}},
                  {"known@z.com", {"known@y.com"}},
                  {"chain@x.com", {"joe@x.com", "k@k.com"}},
                  {"keep@x.com", {"keep@x.com", "archive@y.com"}},
                  {"loop1@x.com", {"loop2@x.com"}},
                  {"loop2@x.com", {"loop1@x.com"}}};
  const AliasTable table(global);
  using Addresses = std::vector<std::string>;
  static const std::vector<std::pair<std::string, Addresses>> kCases{
      {"nobody@x.com", {}},
      {"Joe@X.com", {"jim@y.com"}},
      {"team@mta.example", {"a@y.com", "b@y.com"}},
      {"team@x.com", {}},
      {"any@z.com", {"catch@y.com"}},
      {"known@z.com", {"known@y.com"}},
      {"chain@x.com", {"jim@y.com", "k@k.com"}},
      {"keep@x.com", {"keep@x.com", "archive@y.com"}},
      {"loop1@x.com", {"loop1@x.com"}},
      {"postmaster@mta.example", {"ops@corp.example"}},
      {"Abuse@MTA.example", {"ops@corp.example"}},
      {"postmaster@x.com", {}},
  };
  for (const auto& [address, expected] : kCases) EXPECT_EQ(table.expand(address), expected) << address;
  EXPECT_TRUE(AliasTable().empty());
  EXPECT_TRUE(AliasTable().expand("a@b").empty());
}

TEST(AddressSet, HoldsWhatItsEntriesSay) {
  config::AddressList list;
  list.name = "stop";
  using Kind = config::AddressEntry::Kind;
  list.entries = {{Kind::LocalPart, "Spam", {}},      {Kind::Address, "Joe@X.com", {}},
                  {Kind::Regex, "^test[0-9]+@", {}},  {Kind::Domain, "dead.com", {}},
                  {Kind::Domain, "[*.]gone.com", {}}, {Kind::File, "/list", {}}};
  const std::string file = "# comment\r\n one@file.com \r\nlocalfile\n\nlast@file.com";
  const auto set =
      AddressSet::make(list, [&file](const std::string& path) { return path == "/list" ? &file : nullptr; });
  ASSERT_TRUE(set) << set.error().why;
  for (const char* held :
       {"spam@any.com", "SPAM@other.com", "joe@x.com", "Test12@y.com", "a@dead.com", "b@GONE.com",
        "b@sub.gone.com", "one@file.com", "localfile@x.com", "LAST@file.com"}) {
    EXPECT_TRUE(set->holds(held)) << held;
  }
  for (const char* free : {"joe@y.com", "nospam@x.com", "mytest1@y.com", "a@sub.dead.com", "two@file.com",
                           "comment@x.com", "dead.com@x.com"}) {
    EXPECT_FALSE(set->holds(free)) << free;
  }
  list.entries = {{Kind::File, "/missing", {}}};
  EXPECT_FALSE(AddressSet::make(list, [](const std::string&) -> const std::string* { return nullptr; }));
  list.entries = {{Kind::Regex, "(", {}}};
  EXPECT_FALSE(AddressSet::make(list, [](const std::string&) -> const std::string* { return nullptr; }));
}

TEST(Envelope, Verp) {
  const auto verp = [](std::string_view sender, std::string_view recipient) {
    std::string out;
    append_verp(out, sender, recipient);
    return out;
  };
  EXPECT_EQ(verp("v@b.example.com", "bob@a.example"), "v-bob=a.example@b.example.com");
  EXPECT_EQ(verp("", "bob@a.example"), "");
  EXPECT_EQ(verp("root", "bob@a.example"), "root");
  EXPECT_EQ(verp("v@b", "local"), "v-local@b");
}

TEST(Envelope, JobIds) {
  EXPECT_EQ(job_id("", "", "job1"), "job1");
  EXPECT_EQ(job_id("p-", "app", "job1"), "p-job1");
  EXPECT_EQ(job_id("{auth}", "app", "job1"), "appjob1");
  EXPECT_EQ(job_id("x{auth}-", "app", ""), "xapp-");
  EXPECT_EQ(job_id("{auth}", "", "j"), "j");
}

TEST(Cold, LimitsStepThroughTheListDayByDay) {
  const std::vector<std::uint32_t> limits{2, 3, 5};
  std::optional<ColdCount> count;
  std::vector<int> sent;
  for (DayNumber day = 100; day < 106; ++day) {
    int today = 0;
    while (const auto next = take_cold(limits, count, day)) {
      count = next;
      ++today;
    }
    sent.push_back(today);
  }
  EXPECT_EQ(sent, (std::vector<int>{2, 3, 5, 5, 5, 5}));
  // Days without mail count as days.
  std::optional<ColdCount> pausing = take_cold(limits, std::nullopt, 100);
  EXPECT_EQ(cold_limit(limits, pausing, 102), 5u);
  // A clock that goes back gives nothing away twice.
  EXPECT_FALSE(take_cold(limits, count, 104));
  EXPECT_FALSE(take_cold(limits, count, 50));
  EXPECT_FALSE(take_cold({}, std::nullopt, 100));
  const std::vector<std::uint32_t> none{0};
  EXPECT_FALSE(take_cold(none, std::nullopt, 100));
}

TEST(Cold, CountsAreKeptAsText) {
  const ColdCount count{20'000, 20'007, 399};
  EXPECT_EQ(ColdCount::parse(count.text()), count);
  for (const char* bad : {"", "1", "1 2", "1 2 x", "1 2 3 4", "1 2 3 ", " 1 2 3"}) {
    EXPECT_FALSE(ColdCount::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice::identity
