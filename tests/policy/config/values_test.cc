// Goal: every value type of the language reads what operators write, refuses the rest, and prints what it
// would read. How: one table per type; a row is the text and what it is printed as, or nothing where it is
// refused.
#include "policy/config/value.h"

#include <gtest/gtest.h>

#include "policy/config/directive.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

struct Row {
  std::string_view text;
  std::optional<std::string_view> printed;
};

template <class T>
void check(std::initializer_list<Row> rows, const ValueRules& rules = {}) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    Value value(row.text, rules, {});
    const auto item = Codec<T>::parse(row.text, value);
    ASSERT_EQ(item.has_value() && !value.failed(), row.printed.has_value())
        << (value.failed() ? value.failure()->message : "read without complaint");
    if (!row.printed) {
      EXPECT_FALSE(value.failure()->message.empty());
      continue;
    }
    const std::string printed = Codec<T>::format(*item);
    EXPECT_EQ(printed, *row.printed);
    Value again(printed, rules, {});
    const auto second = Codec<T>::parse(printed, again);
    ASSERT_TRUE(second.has_value()) << printed;
    EXPECT_TRUE(*second == *item) << printed;
  }
}

TEST(Values, Boolean) {
  check<bool>({{"yes", "yes"},
               {"true", "yes"},
               {"no", "no"},
               {"false", "no"},
               {"YES", "yes"},
               {"1", {}},
               {"on", {}},
               {"", {}}});
}

TEST(Values, Time) {
  check<Duration>({{"10m", "10m"},
                   {"4d12h", "4d12h"},
                   {"1w2d12h", "9d12h"},
                   {"300s", "5m"},
                   {"90m", "1h30m"},
                   {"0", "0s"},
                   {"0s", "0s"},
                   {"1h30m15s", "1h30m15s"},
                   {"24h", "1d"},
                   {"10M", "10m"},
                   {"10", {}},
                   {"m", {}},
                   {"10 m", {}},
                   {"1x", {}},
                   {"-5m", {}},
                   {"5m3", {}},
                   {"", {}},
                   {"99999999999999999999w", {}},
                   {"9999999w", {}}});
  check<TimeOrNever>({{"never", "never"}, {"2h", "2h"}, {"Never", "never"}, {"no", {}}});
  check<Duration>({{"10m", "10m"}, {"11m", {}}}, {.min = 0, .max = 600, .zero_is_unlimited = false});
}

TEST(Values, Rate) {
  check<RateLimit>({{"500/h", "500/h"},
                    {"120/hr", "120/h"},
                    {"25/min", "25/m"},
                    {"1/20m", "1/20m"},
                    {"83/5s", "83/5s"},
                    {"500/d", "500/d"},
                    {"500/day", "500/d"},
                    {"5/sec", "5/s"},
                    {"100/15m", "100/15m"},
                    {"1/60m", "1/h"},
                    {"unlimited", "unlimited"},
                    {"0", "unlimited"},
                    {"0/h", {}},
                    {"500", {}},
                    {"/h", {}},
                    {"5/", {}},
                    {"5/x", {}},
                    {"5/0m", {}},
                    {"-1/h", {}},
                    {"5/h/2", {}}});
  Value value("500/h", ValueRules{}, {});
  EXPECT_EQ(**Codec<RateLimit>::parse("500/h", value), (Rate{500, 1h}));
}

TEST(Values, VolumeRate) {
  check<VolumeLimit>({{"10M/h", "10M/h"},
                      {"1g/2d", "1G/2d"},
                      {"500/s", "500/s"},
                      {"2048b/s", "2K/s"},
                      {"0", "unlimited"},
                      {"unlimited", "unlimited"},
                      {"M/h", {}},
                      {"10M", {}},
                      {"10X/h", {}},
                      {"9999999999T/s", {}}});
}

TEST(Values, Size) {
  check<SizeLimit>({{"50M", "50M"},
                    {"50m", "50M"},
                    {"1G", "1G"},
                    {"1024k", "1M"},
                    {"0", "unlimited"},
                    {"unlimited", "unlimited"},
                    {"1000", "1000"},
                    {"10b", "10"},
                    {"2T", "2T"},
                    {"10MB", "10M"},
                    {"M", {}},
                    {"1.5G", {}},
                    {"10X", {}},
                    {"-1", {}}});
  check<ByteCount>({{"1M", "1M"}, {"10K", {}}},
                   {.min = 50 * kKiB, .max = UINT64_MAX, .zero_is_unlimited = false});
}

TEST(Values, Count) {
  check<CountLimit>(
      {{"20", "20"}, {"unlimited", "unlimited"}, {"0", "0"}, {"x", {}}, {"4294967296", {}}, {"-1", {}}});
  check<CountLimit>({{"0", "unlimited"}}, {.min = 0, .max = UINT64_MAX, .zero_is_unlimited = true});
}

TEST(Values, Cidr) {
  check<Cidr>({{"10/8", "10.0.0.0/8"},
               {"10.0.0.0/8", "10.0.0.0/8"},
               {"1.2.3.4", "1.2.3.4"},
               {"0/0", "0.0.0.0/0"},
               {"::1", "::1"},
               {"127.0.0.1/32", "127.0.0.1"},
               {"2001:db8::/32", "2001:db8::/32"},
               {"10.1.0/24", "10.1.0.0/24"},
               {"10/33", {}},
               {"300.1.1.1", {}},
               {"host", {}},
               {"1.2.3.4/", {}}});
}

TEST(Values, HostNames) {
  const std::string longest = std::string(63, 'a') + '.' + std::string(63, 'b');
  const std::vector<std::string> good{"mail.x.example", "localhost", "MAIL.x.example.",    "a_b-c.example",
                                      "\"mail.x\"",     longest,     "b\u00fccher.example"};
  for (const std::string& name : good) {
    EXPECT_TRUE(load_fragment("host-name " + name).ok()) << name;
    EXPECT_TRUE(load_fragment("smtp-source-host 192.0.2.1 " + name).ok()) << name;
    EXPECT_TRUE(load_fragment("<virtual-mta v>\nhost-name " + name + "\n</virtual-mta>").ok()) << name;
  }
  EXPECT_TRUE(load_fragment("smtp-source-host 192.0.2.1 [192.0.2.1]").ok())
      << "EHLO may be an address literal";
  const std::vector<std::string> bad{"\"a b\"",   "a;b",         "<a>",        "a..b",  ".a",
                                     "192.0.2.1", "[192.0.2.1]", "a/b",        "a@b",   "*.a",
                                     "$a",        "\"\"",        "\"a\\\"b\"", "a\x01", 'a' + longest};
  for (const std::string& name : bad) {
    const LoadResult result = load_fragment("host-name " + name);
    EXPECT_FALSE(result.ok()) << name;
    ASSERT_EQ(result.diagnostics.size(), 1u) << name << format(result.diagnostics);
    EXPECT_EQ(result.diagnostics[0].line, 1u);
    if (name.front() == '[') continue;
    EXPECT_FALSE(load_fragment("smtp-source-host 192.0.2.1 " + name).ok()) << name;
    EXPECT_FALSE(load_fragment("ehlo-hostname " + name).ok()) << name;
    EXPECT_FALSE(load_fragment("<virtual-mta v>\nhost-name " + name + "\n</virtual-mta>").ok()) << name;
    EXPECT_FALSE(load_fragment("<proxy p>\nserver h.example:9\nclient 192.0.2.1 " + name + "\n</proxy>").ok())
        << name;
  }
}

TEST(Values, NameServerPortIsOptional) {
  check<Endpoint>({{"127.0.0.1", "127.0.0.1"},
                   {"127.0.0.1:5353", "127.0.0.1:5353"},
                   {"::1", "::1"},
                   {"[::1]:5353", "[::1]:5353"},
                   {"[::1]", "::1"},
                   {"127.0.0.1:99999", {}},
                   {"dns.example.com", {}}});
  Value value("127.0.0.1", ValueRules{}, {});
  EXPECT_EQ(Codec<Endpoint>::parse("127.0.0.1", value)->port, 53);
}

TEST(Values, DomainPattern) {
  check<DomainPattern>({{"*", "*"},
                        {"Example.COM", "example.com"},
                        {"*.example.com", "*.example.com"},
                        {"[*.]example.com", "[*.]example.com"},
                        {"[10/8]", "[10.0.0.0/8]"},
                        {"[10.0.0.1]", "[10.0.0.1/32]"},
                        {"bücher.de", "xn--bcher-kva.de"},
                        {"BÜCHER.de", "xn--bcher-kva.de"},
                        {"例え.jp", "xn--r8jz45g.jp"},
                        {"mailé-ñ.example", "xn--mail--esa1d.example"},
                        {"example.com.", "example.com"},
                        {"{bounce}", "{bounce}"},
                        {"a*.example.com", {}},
                        {"", {}},
                        {"a b", {}},
                        {"[*.]", {}},
                        {"[host]", {}}});
}

TEST(Values, DomainPatternMatches) {
  struct Case {
    std::string_view pattern, domain;
    bool match;
  };
  constexpr Case kCases[] = {
      {"*", "a.b", true},
      {"b.c", "b.c", true},
      {"b.c", "a.b.c", false},
      {"*.b.c", "a.b.c", true},
      {"*.b.c", "b.c", false},
      {"*.b.c", "xb.c", false},
      {"[*.]b.c", "b.c", true},
      {"[*.]b.c", "x.a.b.c", true},
      {"[*.]b.c", "ab.c", false},
      {"[10/8]", "[10.2.3.4]", true},
      {"[10/8]", "[11.2.3.4]", false},
      {"[10/8]", "10.2.3.4", false},
      {"[2001:db8::/32]", "[ipv6:2001:db8::1]", true},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(std::string(c.pattern) + " ~ " + std::string(c.domain));
    EXPECT_EQ(DomainPattern::parse(c.pattern)->matches(c.domain), c.match);
  }
}

TEST(Values, HostList) {
  check<HostList>(
      {{"a.example", "a.example"},
       {"a.example,b.example; c.example:2525", "a.example, b.example; c.example:2525"},
       {"[10.0.0.1]:2525", "[10.0.0.1]:2525"},
       {"[IPv6:2001::1]", "[IPv6:2001::1]"},
       {"lookup-mx:gmail.com", "lookup-mx:gmail.com"},
       {"lookup-mx:bücher.de, MX.Bücher.de:26", "lookup-mx:xn--bcher-kva.de, mx.xn--bcher-kva.de:26"},
       {"10.0.0.1", "[10.0.0.1]"},
       {"\"a.example, b.example\"", "a.example, b.example"},
       {"\"\"", "\"\""},
       {"a:0", {}},
       {"a:99999", {}},
       {"[10.0.0.1", {}},
       {"[x]", {}},
       {"lookup-mx:", {}}});
  Value value("a,b;c", ValueRules{}, {});
  const auto hosts = Codec<HostList>::parse("a,b;c", value);
  ASSERT_EQ(hosts->hosts.size(), 3u);
  EXPECT_EQ(hosts->hosts[1].group, 0u);
  EXPECT_EQ(hosts->hosts[2].group, 1u);
  EXPECT_EQ(hosts->hosts[2].name, "c");
}

TEST(Values, Route) {
  const auto kind = [](std::string_view text) {
    Value value(text, ValueRules{}, {});
    const auto hosts = parse_route(text, value);
    return hosts ? hosts->text() : "refused: " + value.failure()->message;
  };
  EXPECT_EQ(kind("relay.example:2525"), "relay.example:2525");
  EXPECT_EQ(kind("relay.example"), "lookup-mx:relay.example") << "a domain: its MX hosts are asked";
  EXPECT_EQ(kind("[10.0.0.1]:26"), "[10.0.0.1]:26");
  EXPECT_TRUE(kind("a b").starts_with("refused: "));
}

TEST(Values, Text) {
  check<std::string>({{"plain", "plain"},
                      {"\"with blanks\"", "\"with blanks\""},
                      {"\"\"", "\"\""},
                      {"a\\ b", "\"a b\""},
                      {R"("say \"hi\"")", R"("say \"hi\"")"},
                      {R"("--from=""$from"" --to=""$to""")", R"("--from=\"$from\" --to=\"$to\"")"},
                      {R"(c:\pmta\log)", R"(c:\pmta\log)"},
                      {R"(\$x)", "$x"},
                      {"\"open", {}}});
}

TEST(Values, BounceUponNoMx) {
  check<BounceUponNoMx>({{"yes", "yes"}, {"no", "no"}, {"never", "no"}, {"1d", "1d"}, {"maybe", {}}});
}

TEST(Values, ReplyRule) {
  check<ReplyRule>(
      {{"/421/ mode=backoff", "/421/ mode=backoff"},
       {"// mode=backoff", "// mode=backoff"},
       {R"(/a\/b\d\x23/ skip-mx)", R"(/a\/b\d\x23/ skip-mx)"},
       {"/x/mode=normal", "/x/ mode=normal"},
       {"/x/ mode=backoff, disable-source-ip, reenable-after=7m",
        "/x/ mode=backoff,disable-source-ip,reenable-after=7m"},
       {"/x/ mode=backoff,backoff-to-normal-after=1h", "/x/ mode=backoff,backoff-to-normal-after=1h"},
       {"/x/ mode=backoff,retry-after=10m", "/x/ mode=backoff,retry-after=10m"},
       {"/x/ bounce-rcpt", "/x/ bounce-rcpt"},
       {"/x/ mode=backoff,mode=normal", {}},
       {"/x/ skip-mx,bounce-queue", {}},
       {"/x/ reenable-after=7m", {}},
       {"/x/ disable-source-ip,reenable-after=7m,reenable-after=8m", {}},
       {"/x/ backoff-to-normal-after=1h", {}},
       {"/x/ pause", {}},
       {"/x/", {}},
       {"/x mode=backoff", {}},
       {"x mode=backoff", {}},
       {"/x/ skip-mx=yes", {}}});
}

TEST(Values, RegexKeepsEverythingButItsSlashes) {
  std::string_view text = R"(/^5\.1\.1 \/x\\/ rest)";
  Value value(text, ValueRules{}, {});
  EXPECT_EQ(take_regex(text, value)->text, R"(^5\.1\.1 /x\\)");
  EXPECT_EQ(text, " rest");
}

TEST(Values, DomainKey) {
  check<DomainKey>({{"s1,example.com,/k.pem", "s1,example.com,/k.pem"},
                    {"s1, Example.com,  /k.pem", "s1,example.com,/k.pem"},
                    {"s1,*,/k.pem", "s1,*,/k.pem"},
                    {R"(name="a" domain="x.y" path="/k")", "a,x.y,/k"},
                    {"s1,example.com", {}},
                    {"s1,,/k", {}},
                    {"a,b,c,d", {}}});
}

TEST(Values, Accounting) {
  check<RecordFields>({{"b timeLogged,rcpt", "b timeLogged,rcpt"},
                       {"delivery *, !dsnDiag, header_x-id", "d *,!dsnDiag,header_x-id"},
                       {"feedback-loop *", "f *"},
                       {"b", {}},
                       {"zz a", {}}});
  check<HeaderToField>({{"f header_X-Rcpt rcpt", "f header_X-Rcpt rcpt"},
                        {"fbl header_X-Rcpt rcpt", "f header_X-Rcpt rcpt"},
                        {"tq header_X rcpt", {}},
                        {"f X-Rcpt rcpt", {}},
                        {"f header_ rcpt", {}}});
  check<QueueFilter>({{"gmail.com", "gmail.com"},
                      {"!gmail.com/v1", "!gmail.com/v1"},
                      {"*/v1", "*/v1"},
                      {"{bounce}", {}},
                      {"!", {}}});
}

TEST(Values, SourceHost) {
  check<SourceHost>({{"192.0.2.1 Mail.Example.com", "192.0.2.1 mail.example.com"},
                     {"192.0.2.0/28 m.example", "192.0.2.0/28 m.example"},
                     {R"(192.0.2.1 name="m.example")", "192.0.2.1 m.example"},
                     {"192.0.2.1", "192.0.2.1"},
                     {"m.example", {}},
                     {"192.0.2.1 a b", {}},
                     {"", {}}});
}

TEST(Values, PoolMember) {
  check<PoolMember>({{"v1", "v1"},
                     {"v1 weight=3", "v1 weight=3"},
                     {"v1 weight=0", {}},
                     {"v1 heavy", {}},
                     {"v1 weight=1001", {}}});
}

TEST(Values, MxRollup) {
  check<MxRollup>({{"mx1.hotmail.com hotmail.rollup", "mx1.hotmail.com hotmail.rollup"},
                   {"*.mail.protection.outlook.com outlook.rollup rollup-by-ip",
                    "*.mail.protection.outlook.com outlook.rollup rollup-by-ip"},
                   {"mx1 hotmail", {}},
                   {"mx1 .rollup", {}},
                   {"mx1 a.rollup by-ip", {}}});
}

TEST(Values, SplitListKnowsQuotesAndRegexes) {
  EXPECT_EQ(split_list(R"(a, "b,c" ,/x,y/, d)"),
            (std::vector<std::string_view>{"a", "\"b,c\"", "/x,y/", "d"}));
  EXPECT_EQ(split_list("a,,b,"), (std::vector<std::string_view>{"a", "b"}));
}

}  // namespace
}  // namespace sluice::config
