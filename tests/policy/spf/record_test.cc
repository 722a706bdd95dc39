// Goal: what is an SPF record, what is a syntax error in one (RFC 7208 4.5, 4.6.1, 5, 6, 7.1, 12), and what
// macros expand to (7.2 .. 7.4). How: tables.
#include "policy/spf/record.h"

#include <gtest/gtest.h>

#include "policy/spf/dns.h"
#include "policy/spf/macro.h"

namespace sluice::spf {
namespace {

TEST(SpfRecord, IsKnownByItsVersion) {
  for (const char* text : {"v=spf1", "v=spf1 -all", "V=SPF1 a", "v=spf1  "})
    EXPECT_TRUE(is_spf_record(text)) << text;
  for (const char* text : {"", "v=spf", "v=spf10", "v=spf2.0/pra", "v=spf1-all", " v=spf1", "v=spf1\t-all"}) {
    EXPECT_FALSE(is_spf_record(text)) << text;
  }
}

TEST(SpfRecord, TakesWhatTheGrammarHas) {
  for (const char* terms : {"",
                            "all",
                            "+all",
                            "-ALL",
                            "a",
                            "A",
                            "a/24",
                            "a//64",
                            "a/24//64",
                            "a/0",
                            "a//0",
                            "a:example.com",
                            "a:example.com.",
                            "a:example.com/32//128",
                            "a:foo:bar/baz.example.com",
                            "a:%{d}",
                            "a:%{d}/24",
                            "a:_spf.%{d2}.example.com",
                            "mx",
                            "mx/8",
                            "mx:example.com//48",
                            "ptr",
                            "ptr:example.com",
                            "?ptr:a.b-c",
                            "ip4:192.0.2.1",
                            "ip4:192.0.2.0/24",
                            "ip4:0.0.0.0/0",
                            "ip6:2001:db8::/32",
                            "ip6:::1",
                            "ip6:::ffff:1.2.3.4",
                            "ip6:::/0",
                            "exists:%{ir}.sbl.example.org",
                            "exists:%{l1r-}.%{h}.example.com",
                            "exists:%%.com",
                            "exists:a%%",
                            "exists:a%-",
                            "include:example.com",
                            "~include:%{o}",
                            "redirect=example.com",
                            "redirect=%{d}.example.org",
                            "exp=exp.%{d}",
                            "foo=",
                            "foo=bar/%{i}",
                            "x-y.z_1=1",
                            "all  -all",
                            "a ",
                            "a:.com",
                            "ip4=nonsense",
                            "exists:a.%{d.-+,/_=}"}) {
    const auto record = parse_spf_record("v=spf1 " + std::string(terms));
    EXPECT_TRUE(record.has_value()) << terms << ": " << record.error();
  }
}

TEST(SpfRecord, RefusesTheRest) {
  for (const char* term : {"foo",
                           "all:",
                           "all/8",
                           "all.",
                           "all:example.com",
                           "a:",
                           "a/",
                           "a/33",
                           "a/032",
                           "a/24/64",
                           "a//129",
                           "a//064",
                           "a///64",
                           "a/-1",
                           "a:/24",
                           "a:localhost",
                           "a:localhost.",
                           "a:1.2.3.4",
                           "a:example.-com",
                           "a:example.com-",
                           "a:example.444",
                           "a:ex\tample.com",
                           "a:%",
                           "a:%a.com",
                           "a:%{x}.com",
                           "a:%{d",
                           "a:%{d0}.com",
                           "a:%{dx}.com",
                           "a:%{d2r!}.com",
                           "a:%{r}.com",
                           "a:%{c}.com",
                           "a:%{t}.com",
                           "a:%{}.com",
                           "a:foo}",
                           "a:%%{d}",
                           "mx:",
                           "ptr:",
                           "ptr/24",
                           "ptr:example.com/24",
                           "ip4",
                           "ip4:",
                           "ip4:1.2.3",
                           "ip4:1.2.3.4/33",
                           "ip4:1.2.3.4/",
                           "ip4:1.2.3.4//32",
                           "ip4:1.2.3.256",
                           "ip4:::1",
                           "ip4:1.2.3.4:25",
                           "ip6",
                           "ip6:",
                           "ip6:1.2.3.4",
                           "ip6:::g",
                           "ip6:::1/129",
                           "ip6:::1/",
                           "ip6:::1//64",
                           "exists",
                           "exists:",
                           "exists:foo",
                           "include",
                           "include:",
                           "include:example.com/24",
                           "redirect=",
                           "redirect=localhost",
                           "redirect:example.com",
                           "exp=",
                           "exp=foo",
                           "-redirect=example.com",
                           "redirect=a.com redirect=a.com",
                           "exp=a.com exp=b.com",
                           "foo=%",
                           "foo=%{q}",
                           "=a",
                           "1=a",
                           "--all",
                           "+",
                           "a\xc3\xa4",
                           "a:\xc3\xa4.com"}) {
    EXPECT_FALSE(parse_spf_record("v=spf1 " + std::string(term)).has_value()) << term;
  }
  EXPECT_EQ(parse_spf_record("v=spf1 a ip5:1 -all").error(), "syntax error in \"ip5:1\"");
}

TEST(SpfRecord, KeepsQualifiersAndPrefixes) {
  const auto record = parse_spf_record("v=spf1 a/24//64 -mx:b.test/8 ~ip6:2001:db8::/32 ?all exp=c.test");
  ASSERT_TRUE(record.has_value());
  ASSERT_EQ(record->directives.size(), 4u);
  EXPECT_EQ(record->directives[0].v4_bits, 24);
  EXPECT_EQ(record->directives[0].v6_bits, 64);
  EXPECT_EQ(record->directives[0].result, Result::Pass);
  EXPECT_EQ(record->directives[1].target, "b.test");
  EXPECT_EQ(record->directives[1].result, Result::Fail);
  EXPECT_EQ(record->directives[2].result, Result::SoftFail);
  EXPECT_EQ(record->directives[3].result, Result::Neutral);
  EXPECT_EQ(record->explanation, "c.test");
}

// The samples of RFC 7208 7.4.
TEST(SpfMacro, Expands) {
  MacroValues values{.local = "strong-bad",
                     .sender_domain = "email.example.com",
                     .domain = "email.example.com",
                     .helo = "mx.example.org",
                     .client = *IpAddress::parse("192.0.2.3"),
                     .client_name = "mx.example.org",
                     .receiver = "us.test",
                     .now = WallTime(std::chrono::milliseconds(1'700'000'000'900))};
  const std::pair<const char*, const char*> kSamples[] = {
      {"%{s}", "strong-bad@email.example.com"},
      {"%{o}", "email.example.com"},
      {"%{d}", "email.example.com"},
      {"%{d4}", "email.example.com"},
      {"%{d3}", "email.example.com"},
      {"%{d2}", "example.com"},
      {"%{d1}", "com"},
      {"%{dr}", "com.example.email"},
      {"%{d2r}", "example.email"},
      {"%{l}", "strong-bad"},
      {"%{l-}", "strong.bad"},
      {"%{lr}", "strong-bad"},
      {"%{lr-}", "bad.strong"},
      {"%{l1r-}", "strong"},
      {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
      {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
      {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
      {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
      {"%{h}|%{p}|%{i}", "mx.example.org|mx.example.org|192.0.2.3"},
      {"%%%_%-", "% %20"},
      {"%{d99999999999}", "email.example.com"},
      {"%{c}-%{r}-%{t}", "192.0.2.3-us.test-1700000000"},
      {"%{L}", "strong-bad"},
      {"%{S}", "strong-bad%40email.example.com"}};
  for (const auto& [text, expected] : kSamples) EXPECT_EQ(expand_macros(text, values), expected) << text;
  values.client = *IpAddress::parse("2001:db8::cb01");
  EXPECT_EQ(expand_macros("%{ir}.%{v}._spf.%{d2}", values),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
  EXPECT_EQ(expand_macros("%{c}", values), "2001:db8::cb01");
  std::string endless;
  for (int i = 0; i < 300; ++i) endless += "%{s}";
  EXPECT_FALSE(expand_macros(endless, values).has_value());
}

TEST(SpfDns, ReverseNames) {
  EXPECT_EQ(reverse_name(*IpAddress::parse("192.0.2.10")), "10.2.0.192.in-addr.arpa");
  EXPECT_EQ(reverse_name(*IpAddress::parse("2001:db8::1")),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

}  // namespace
}  // namespace sluice::spf
