// Goal: every clause of RFC 7208 4 to 7 that decides about a result, and iprev (RFC 8601 3). How: zones as
// text, one check each; the questions asked are looked at where a limit is about them.
#include "policy/spf/check.h"

#include <gtest/gtest.h>

#include "policy/spf/iprev.h"
#include "tests/policy/spf/zone.h"

namespace sluice::spf::test {
namespace {

// The zone that RFC 7208 A.1 argues with, and a record in place of its R.
std::string appendix(const std::string& record) {
  return "example.com TXT " + record + R"(
example.com A 192.0.2.10
example.com A 192.0.2.11
example.com MX mail-a.example.com
example.com MX mail-b.example.com
amy.example.com A 192.0.2.65
bob.example.com A 192.0.2.66
mail-a.example.com A 192.0.2.129
mail-b.example.com A 192.0.2.130
www.example.com A 192.0.2.10
10.2.0.192.in-addr.arpa PTR example.com
11.2.0.192.in-addr.arpa PTR example.com
65.2.0.192.in-addr.arpa PTR amy.example.com
66.2.0.192.in-addr.arpa PTR bob.example.com
129.2.0.192.in-addr.arpa PTR mail-a.example.com
130.2.0.192.in-addr.arpa PTR mail-b.example.com
140.2.0.192.in-addr.arpa PTR mail-c.example.org
10.0.0.10.in-addr.arpa PTR example.com
example.org TXT v=spf1
example.org MX mail-c.example.org
mail-c.example.org A 192.0.2.140
)";
}

TEST(Spf, AppendixOfTheRfc) {
  const struct {
    const char* record;
    const char* client;
    const char* expected;
  } kCases[] = {
      {"v=spf1 +all", "203.0.113.9", "pass"},
      {"v=spf1 a -all", "192.0.2.10", "pass"},
      {"v=spf1 a -all", "192.0.2.11", "pass"},
      {"v=spf1 a -all", "192.0.2.12", "fail"},
      {"v=spf1 a:example.org -all", "192.0.2.10", "fail"},
      {"v=spf1 mx -all", "192.0.2.129", "pass"},
      {"v=spf1 mx -all", "192.0.2.130", "pass"},
      {"v=spf1 mx -all", "192.0.2.10", "fail"},
      {"v=spf1 mx:example.org -all", "192.0.2.140", "pass"},
      {"v=spf1 mx mx:example.org -all", "192.0.2.129", "pass"},
      {"v=spf1 mx mx:example.org -all", "192.0.2.140", "pass"},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.131", "pass"},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.143", "pass"},
      {"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.144", "fail"},
      {"v=spf1 ptr -all", "192.0.2.10", "pass"},
      {"v=spf1 ptr -all", "192.0.2.65", "pass"},
      {"v=spf1 ptr -all", "192.0.2.140", "fail"},
      {"v=spf1 ptr -all", "10.0.0.10", "fail"},  // a name that does not lead back
      {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129", "pass"},
      {"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.65", "fail"},
  };
  for (const auto& one : kCases) {
    EXPECT_EQ(result(appendix(one.record), one.client), one.expected) << one.record << ' ' << one.client;
  }
}

TEST(Spf, QualifiersAndDefaults) {
  const auto of = [](const std::string& record) { return result("example.com TXT " + record, "192.0.2.1"); };
  EXPECT_EQ(of("v=spf1"), "neutral");
  EXPECT_EQ(of("v=spf1 ip4:10.0.0.0/8"), "neutral");
  EXPECT_EQ(of("v=spf1 -all"), "fail");
  EXPECT_EQ(of("v=spf1 ~all"), "softfail");
  EXPECT_EQ(of("v=spf1 ?all"), "neutral");
  EXPECT_EQ(of("v=spf1 -ip4:192.0.2.1 +all"), "fail") << "the first match decides";
  EXPECT_EQ(of("v=spf1 ip4:192.0.2.1 nonsense"), "permerror") << "the whole record is read first";
  EXPECT_EQ(of("v=spf1 all redirect=gone.test"), "pass") << "redirect is for what nothing matches";
}

TEST(Spf, WhichRecord) {
  EXPECT_EQ(result("", "192.0.2.1"), "none");
  EXPECT_EQ(result("example.com TXT something else", "192.0.2.1"), "none");
  EXPECT_EQ(result("example.com A 192.0.2.1", "192.0.2.1"), "none");
  EXPECT_EQ(result("example.com TXT v=spf10\nexample.com TXT v=spf1 +all", "192.0.2.1"), "pass");
  EXPECT_EQ(result("example.com TXT v=spf1 +all\nexample.com TXT v=spf1 -all", "192.0.2.1"), "permerror");
  EXPECT_EQ(result("example.com FAIL TXT", "192.0.2.1"), "temperror");
  for (const std::string domain :
       {"localhost", "a..example.com", "[192.0.2.1]", "a b.example.com", "\xc3\xa4.example.com"}) {
    const Ran ran = run(Zone(""), "192.0.2.1", "h", "joe@" + domain);
    EXPECT_EQ(ran.outcome.result, Result::None) << domain;
    EXPECT_TRUE(ran.asked.empty()) << domain;
  }
  EXPECT_EQ(run(Zone(""), "192.0.2.1", "h", "joe@" + std::string(64, 'a') + ".com").asked.size(), 0u);
  EXPECT_EQ(run(Zone(""), "192.0.2.1", "h", "joe").outcome.result, Result::None);
  EXPECT_EQ(result("example.com TXT v=spf1 +all", "192.0.2.1", "joe@Example.COM."), "pass");
}

TEST(Spf, WhoIsChecked) {
  EXPECT_EQ(result("mail.example.com TXT v=spf1 +all", "192.0.2.1", ""), "pass")
      << "HELO under the null path";
  EXPECT_EQ(result("", "192.0.2.1", "", "[192.0.2.1]"), "none");
  const std::string exists = "example.com TXT v=spf1 exists:%{l}.%{o}.%{h}.test -all\n";
  EXPECT_EQ(result(exists + "joe.example.com.mail.example.com.test A 127.0.0.2", "192.0.2.1"), "pass");
  EXPECT_EQ(result(exists + "postmaster.example.com.mail.example.com.test A 127.0.0.2", "192.0.2.1",
                   "@example.com"),
            "pass");
  EXPECT_EQ(result("mail.example.com TXT v=spf1 exists:%{l}.%{o}.test -all\n"
                   "postmaster.mail.example.com.test A 127.0.0.2",
                   "192.0.2.1", ""),
            "pass");
}

// Who keeps outcomes may keep them for a domain only where this is false.
TEST(Spf, TheLocalPartMattersWhereARecordAsksForIt) {
  const struct {
    const char* zone;
    bool expected;
  } kCases[] = {
      {"example.com TXT v=spf1 a:%{d} include:%{o} exists:%{i}.%{h}.test -all", false},
      {"example.com TXT v=spf1 exists:%{l}.test -all", true},
      {"example.com TXT v=spf1 exists:%{L1r-}.test -all", true},
      {"example.com TXT v=spf1 exists:%{s}.test -all", true},
      {"example.com TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 redirect=%{l}.test", true},
      {"example.com TXT v=spf1 +all exists:%{l}.test", false},
      {"example.com TXT v=spf1 exists:%%{l}.test -all", false},
      {"example.com TXT v=spf1 -all exp=%{l}.test", false},
  };
  for (const auto& one : kCases) {
    const Ran ran = run(Zone(one.zone), "192.0.2.1", "h.test", "joe@example.com");
    EXPECT_EQ(ran.outcome.used_local_part, one.expected) << one.zone << ": " << ran.outcome.why;
  }
}

TEST(Spf, Families) {
  const std::string zone =
      R"(example.com TXT v=spf1 a/24//64 ip6:2001:db8:5::/48 ip6:::ffff:192.0.2.0/120 mx -all
example.com A 198.51.100.7
example.com AAAA 2001:db8:1::7
example.com MX m.test
m.test A 203.0.113.1
m.test AAAA 2001:db8:2::1
)";
  EXPECT_EQ(result(zone, "198.51.100.200"), "pass");
  EXPECT_EQ(result(zone, "198.51.101.7"), "fail");
  EXPECT_EQ(result(zone, "2001:db8:1::ffff"), "pass");
  EXPECT_EQ(result(zone, "2001:db8:1:1::7"), "fail");
  EXPECT_EQ(result(zone, "2001:db8:5:1::7"), "pass");
  EXPECT_EQ(result(zone, "2001:db8:2::1"), "pass");
  EXPECT_EQ(result(zone, "203.0.113.1"), "pass");
  EXPECT_EQ(result(zone, "192.0.2.1"), "fail") << "ip6 never holds IPv4";
  EXPECT_EQ(result("example.com TXT v=spf1 exists:here.test -all\nhere.test A 127.0.0.2", "2001:db8::1"),
            "pass")
      << "exists asks for A, whatever the client is";
  EXPECT_EQ(result("example.com TXT v=spf1 a/0 -all\nexample.com A 1.1.1.1", "192.0.2.1"), "pass");
  EXPECT_EQ(result("example.com TXT v=spf1 a/0 -all", "192.0.2.1"), "fail");
}

// RFC 7208 5.2, the table.
TEST(Spf, IncludeAndWhatItMeans) {
  const auto of = [](const std::string& included, const char* qualifier = "") {
    return result(
        "example.com TXT v=spf1 " + std::string(qualifier) + "include:b.test ?all\nb.test " + included,
        "192.0.2.1");
  };
  EXPECT_EQ(of("TXT v=spf1 +all"), "pass");
  EXPECT_EQ(of("TXT v=spf1 +all", "-"), "fail") << "the qualifier is the include's";
  EXPECT_EQ(of("TXT v=spf1 -all"), "neutral");
  EXPECT_EQ(of("TXT v=spf1 ~all"), "neutral");
  EXPECT_EQ(of("TXT v=spf1 ?all"), "neutral");
  EXPECT_EQ(of("FAIL TXT"), "temperror");
  EXPECT_EQ(of("TXT v=spf1 x"), "permerror");
  EXPECT_EQ(of("A 1.2.3.4"), "permerror") << "none";
  EXPECT_EQ(result("example.com TXT v=spf1 include:%{l}.x..test ?all", "192.0.2.1"), "permerror");
  const Ran ran =
      run(Zone("example.com TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 include:c.test -all\n"
               "c.test TXT v=spf1 ip4:192.0.2.1 -all"),
          "192.0.2.1", "h", "joe@example.com");
  EXPECT_EQ(ran.outcome.result, Result::Pass);
  EXPECT_EQ(ran.outcome.matched, "include:b.test");
}

TEST(Spf, Redirect) {
  EXPECT_EQ(result("example.com TXT v=spf1 redirect=b.test\nb.test TXT v=spf1 -all", "192.0.2.1"), "fail");
  EXPECT_EQ(
      result("example.com TXT v=spf1 redirect=b.test ip4:192.0.2.1\nb.test TXT v=spf1 -all", "192.0.2.1"),
      "pass");
  EXPECT_EQ(result("example.com TXT v=spf1 redirect=b.test", "192.0.2.1"), "permerror");
  EXPECT_EQ(result("example.com TXT v=spf1 redirect=b.test\nb.test FAIL TXT", "192.0.2.1"), "temperror");
  EXPECT_EQ(result("example.com TXT v=spf1 redirect=example.com", "192.0.2.1"), "permerror") << "a circle";
  EXPECT_EQ(result("example.com TXT v=spf1 redirect=b.test\nb.test TXT v=spf1 exists:%{d}.x.test -all\n"
                   "b.test.x.test A 127.0.0.2",
                   "192.0.2.1"),
            "pass")
      << "the domain is the target's";
  EXPECT_EQ(result("example.com TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 redirect=c.test\n"
                   "c.test TXT v=spf1 ip4:192.0.2.1",
                   "192.0.2.1"),
            "pass")
      << "inside an include";
}

TEST(Spf, LimitOfLookups) {
  std::string zone;
  const auto chain = [](int terms) {
    std::string out = "example.com TXT v=spf1";
    for (int i = 0; i < terms; ++i) out += " a:h.test";
    return out + " +all\nh.test A 10.0.0.1\n";
  };
  EXPECT_EQ(result(chain(10), "192.0.2.1"), "pass");
  EXPECT_EQ(result(chain(11), "192.0.2.1"), "permerror");
  EXPECT_EQ(result("example.com TXT v=spf1 include:example.com -all", "192.0.2.1"), "permerror");
  const Ran circle =
      run(Zone("example.com TXT v=spf1 include:example.com -all"), "192.0.2.1", "h", "j@example.com");
  EXPECT_EQ(circle.asked.size(), 11u);
  // ip4, ip6, all and exp do not count; mx, ptr, exists, include and redirect do.
  zone =
      "example.com TXT v=spf1 ip4:10.0.0.1 ip6:::1 mx a exists:example.com include:b.test ptr a a a a "
      "redirect=c.test\n"
      "example.com A 10.0.0.1\nexample.com MX example.com\nb.test TXT v=spf1\nc.test TXT v=spf1 +all\n"
      "1.2.0.192.in-addr.arpa PTR x.test\nx.test A 10.0.0.1\n";
  EXPECT_EQ(result(zone, "192.0.2.1"), "pass");  // exists matches
  zone.replace(zone.find("exists:example.com"), 18, "exists:%{i}.b.test");
  EXPECT_EQ(result(zone, "192.0.2.1"), "pass") << "ten in all";
  zone.replace(zone.find("ptr a"), 5, "ptr a a");
  EXPECT_EQ(result(zone, "192.0.2.1"), "permerror");
}

TEST(Spf, LimitOfMailHosts) {
  std::string zone = "example.com TXT v=spf1 mx -all\n";
  for (int i = 1; i <= 11; ++i) {
    zone += "example.com MX m" + std::to_string(i) + ".test\n";
    zone += "m" + std::to_string(i) + ".test A 192.0.2." + std::to_string(i) + '\n';
  }
  EXPECT_EQ(result(zone, "192.0.2.10"), "pass");
  EXPECT_EQ(result(zone, "192.0.2.11"), "permerror") << "the eleventh is not asked for";
  EXPECT_EQ(result("example.com TXT v=spf1 mx -all\nexample.com MX .", "192.0.2.1"), "fail") << "null MX";
}

TEST(Spf, MailHostsThatAreNoHostNamesCountAsHosts) {
  std::string zone = "example.com TXT v=spf1 mx -all\nexample.com MX good+1.test\ngood+1.test A 192.0.2.1\n";
  EXPECT_EQ(result(zone, "192.0.2.1"), "pass") << "any name may have an address";
  for (int i = 1; i <= 9; ++i) zone += "example.com MX bad\\00" + std::to_string(i) + ".test\n";
  EXPECT_EQ(result(zone, "192.0.2.2"), "fail");
  EXPECT_EQ(result(zone + "example.com MX bad\\010.test\n", "192.0.2.2"), "permerror") << "the eleventh";
}

TEST(Spf, BlankInAMacroIsAskedFor) {
  const Ran ran =
      run(Zone("example.com TXT v=spf1 exists:a%_b.x.test -all"), "192.0.2.1", "h", "j@example.com");
  ASSERT_EQ(ran.asked.size(), 2u);
  EXPECT_EQ(ran.asked[1], "A a b.x.test");
}

TEST(Spf, LimitOfNames) {
  std::string zone = "example.com TXT v=spf1 ptr -all\n";
  for (int i = 1; i <= 11; ++i) {
    const std::string name = i == 11 ? "a.example.com" : "n" + std::to_string(i) + ".test";
    zone += "1.2.0.192.in-addr.arpa PTR " + name + "\n" + name + " A 192.0.2.1\n";
  }
  const Ran ran = run(Zone(zone), "192.0.2.1", "h", "j@example.com");
  EXPECT_EQ(ran.outcome.result, Result::Fail) << "the eleventh is ignored, without an error";
  EXPECT_EQ(ran.asked.size(), 2u + 10u);
}

TEST(Spf, LimitOfVoidLookups) {
  const std::string two = "example.com TXT v=spf1 a:x.test a:y.test +all\nx.test TXT x";
  const std::string three = "example.com TXT v=spf1 a:x.test a:y.test exists:z.test +all\nx.test TXT x";
  EXPECT_EQ(result(two, "192.0.2.1"), "pass");
  EXPECT_EQ(result(three, "192.0.2.1"), "permerror");
  const auto with = [&](const std::string& zone, std::uint32_t most) {
    return run(Zone(zone), "192.0.2.1", "h", "j@example.com", {.void_lookups_max = most, .receiver = {}})
        .outcome.result;
  };
  EXPECT_EQ(with(three, 3), Result::Pass);
  EXPECT_EQ(with(two, 1), Result::PermError);
  EXPECT_EQ(with("example.com TXT v=spf1 a:x.test +all", 0), Result::PermError);
}

TEST(Spf, FailuresOfDns) {
  for (const char* zone : {"example.com TXT v=spf1 a +all\nexample.com FAIL A",
                           "example.com TXT v=spf1 mx +all\nexample.com FAIL MX",
                           "example.com TXT v=spf1 mx +all\nexample.com MX m.test\nm.test FAIL A",
                           "example.com TXT v=spf1 exists:x.test +all\nx.test FAIL A"}) {
    EXPECT_EQ(result(zone, "192.0.2.1"), "temperror") << zone;
  }
  // RFC 7208 5.5: ptr only does not match then.
  EXPECT_EQ(result("example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa FAIL PTR", "192.0.2.1"), "fail");
  EXPECT_EQ(result("example.com TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR a.test\na.test FAIL A\n"
                   "1.2.0.192.in-addr.arpa PTR b.example.com\nb.example.com A 192.0.2.1",
                   "192.0.2.1"),
            "pass");
  const Ran ran =
      run(Zone("example.com TXT v=spf1 a\nexample.com FAIL A"), "192.0.2.1", "h", "j@example.com");
  EXPECT_EQ(ran.outcome.why, "DNS failure for A example.com");
}

TEST(Spf, ClientNameInMacros) {
  const std::string zone = R"(example.com TXT v=spf1 exists:%{p}.x.test -all
1.2.0.192.in-addr.arpa PTR other.test
1.2.0.192.in-addr.arpa PTR sub.example.com
1.2.0.192.in-addr.arpa PTR lie.example.com
other.test A 192.0.2.1
sub.example.com A 192.0.2.1
lie.example.com A 192.0.2.2
)";
  EXPECT_EQ(result(zone + "sub.example.com.x.test A 127.0.0.2", "192.0.2.1"), "pass");
  EXPECT_EQ(result(zone + "example.com A 192.0.2.1\n1.2.0.192.in-addr.arpa PTR Example.Com\n"
                          "example.com.x.test A 127.0.0.2",
                   "192.0.2.1"),
            "pass")
      << "the domain itself goes before what is below it";
  EXPECT_EQ(result("example.com TXT v=spf1 exists:%{p}.x.test -all\nunknown.x.test A 127.0.0.2", "192.0.2.9"),
            "pass");
}

TEST(Spf, LongTargetsLoseLabelsOnTheLeft) {
  const std::string label(50, 'a');
  const std::string local = label + '.' + label + '.' + label + '.' + label;
  const std::string kept = label + '.' + label + '.' + label + '.' + label + ".here.example.com";
  const std::string zone =
      "example.com TXT v=spf1 exists:%{l}." + label + ".here.example.com -all\n" + kept + " A 127.0.0.2";
  EXPECT_EQ(result(zone, "192.0.2.1", local + "@example.com"), "pass");
}

TEST(Spf, WhatCannotBeAskedForDoesNotMatch) {
  for (const std::string local : {"a..b", "\xc3\xa4",
                                  "a\x7f"
                                  "b"}) {
    EXPECT_EQ(
        result("example.com TXT v=spf1 exists:%{l}.example.com ?all", "192.0.2.1", local + "@example.com"),
        "neutral")
        << local;
  }
}

TEST(Spf, Explanation) {
  const auto of = [](const std::string& zone) {
    return run(Zone(zone), "192.0.2.1", "mail.test", "joe@example.com",
               {.wants_explanation = true, .receiver = "us.test"})
        .outcome;
  };
  const std::string with_exp = "example.com TXT v=spf1 -all exp=why.%{d}\n";
  EXPECT_EQ(of(with_exp + "why.example.com TXT %{i} is not one of %{d}'s, see %%%_http://%{r}").explanation,
            "192.0.2.1 is not one of example.com's, see % http://us.test");
  for (const char* bad : {"", "why.example.com FAIL TXT", "why.example.com TXT a\nwhy.example.com TXT b",
                          "why.example.com TXT bad %{z}", "why.example.com TXT \xc3\xa4"}) {
    const Outcome outcome = of(with_exp + bad);
    EXPECT_EQ(outcome.result, Result::Fail) << bad;
    EXPECT_EQ(outcome.explanation, "") << bad;
  }
  EXPECT_EQ(
      of(with_exp + "why.example.com TXT by %{p}\n1.2.0.192.in-addr.arpa PTR n.test\nn.test A 192.0.2.1")
          .explanation,
      "by n.test");
  EXPECT_EQ(of("example.com TXT v=spf1 ~all exp=why.test\nwhy.test TXT x").explanation, "")
      << "only for a fail";
  // RFC 7208 6.2: the explanation is that of the record redirected to, never of an included one.
  EXPECT_EQ(of("example.com TXT v=spf1 redirect=b.test exp=a.test\nb.test TXT v=spf1 -all exp=c.test\n"
               "a.test TXT wrong\nc.test TXT right")
                .explanation,
            "right");
  EXPECT_EQ(
      of("example.com TXT v=spf1 include:b.test -all\nb.test TXT v=spf1 -all exp=c.test\nc.test TXT wrong")
          .explanation,
      "");
  EXPECT_EQ(run(Zone(with_exp + "why.example.com TXT x"), "192.0.2.1", "h", "joe@example.com").asked.size(),
            1u)
      << "not asked for when nobody wants it";
}

TEST(Spf, GivingUpIsATemporaryError) {
  Check check(*IpAddress::parse("192.0.2.1"), identity_of("h", "joe@example.com"), {});
  ASSERT_NE(check.question(), nullptr);
  check.give_up();
  EXPECT_EQ(check.question(), nullptr);
  EXPECT_EQ(check.outcome().result, Result::TempError);
}

TEST(Iprev, Judges) {
  const auto of = [](const std::string& zone, bool to_the_end = true) {
    ClientNames names(*IpAddress::parse("192.0.2.1"));
    while (const Question* question = names.question()) {
      names.answer(Zone(zone).ask(*question));
      if (!to_the_end) break;
    }
    const IprevOutcome out = judge_iprev(names);
    return std::string(name_of(out.result)) + ' ' + (out.name.empty() ? out.why : out.name);
  };
  const std::string ptr = "1.2.0.192.in-addr.arpa PTR ";
  EXPECT_EQ(of(ptr + "a.test\n" + ptr + "b.test\na.test A 192.0.2.7\nb.test A 192.0.2.1"), "pass b.test");
  EXPECT_EQ(of(ptr + "a.test\na.test A 192.0.2.7"), "fail a.test has other addresses");
  EXPECT_EQ(of(""), "permerror no PTR record");
  EXPECT_EQ(of(ptr + "a.test"), "permerror a.test has no address");
  EXPECT_EQ(of(ptr + "a.test\na.test AAAA 2001:db8::1"), "permerror a.test has no address");
  EXPECT_EQ(of("1.2.0.192.in-addr.arpa FAIL PTR"), "temperror DNS failure for PTR");
  EXPECT_EQ(of(ptr + "a.test\na.test FAIL A"), "temperror DNS failure for an address of a.test");
  EXPECT_EQ(of(ptr + "a.test\na.test FAIL A\n" + ptr + "b.test\nb.test A 192.0.2.1"), "pass b.test");
  EXPECT_EQ(of(ptr + "a.test\na.test A 192.0.2.1", false), "temperror DNS took too long");
  EXPECT_EQ(of(ptr + "a b.test"), "permerror no PTR record") << "a name that nobody can ask for is none";
}

}  // namespace
}  // namespace sluice::spf::test
