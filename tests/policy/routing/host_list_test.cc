// Goal: every form of HOST-LIST and `route`, and a precise complaint for everything else.
// How: tables; what parses is printed in canonical form, which has to parse to the same list again.

#include <gtest/gtest.h>

#include "policy/routing/host_list.h"

namespace sluice::routing {
namespace {

struct GoodRow {
  const char* text;
  const char* canonical;
};

// clang-format off
constexpr GoodRow kGood[] = {
    {"mx.example.com", "mx.example.com"},
    {"MX.Example.COM.", "mx.example.com"},
    {"h1, h2; [10.0.0.1]:2525; lookup-mx:dom", "h1, h2; [10.0.0.1]:2525; lookup-mx:dom"},
    {"h1,h2;h3,h4", "h1, h2; h3, h4"},
    {"  h1 ,\th2 ; h3 ", "h1, h2; h3"},
    {"h1, h2;", "h1, h2"},
    {"h1:2525", "h1:2525"},
    {"10.0.0.1", "[10.0.0.1]"},
    {"10.0.0.1:25", "[10.0.0.1]:25"},
    {"[10.0.0.1]", "[10.0.0.1]"},
    {"[IPv6:2001::1]", "[IPv6:2001::1]"},
    {"[ipv6:2001::1]:587", "[IPv6:2001::1]:587"},
    {"[2001:db8::1]", "[IPv6:2001:db8::1]"},
    {"LOOKUP-MX:Gmail.com", "lookup-mx:gmail.com"},
    {"lookup-mx: gmail.com", "lookup-mx:gmail.com"},
    {"lookup-mx:dom:2525", "lookup-mx:dom:2525"},
    {"under_score.example", "under_score.example"},
};
// clang-format on

TEST(HostList, Good) {
  for (const GoodRow& row : kGood) {
    SCOPED_TRACE(row.text);
    const auto list = parse_host_list(row.text);
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ(list->text(), row.canonical);
    const auto again = parse_host_list(list->text());
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *list);
  }
}

TEST(HostList, Parts) {
  const auto list = parse_host_list("h1, [10.0.0.1]:2525; lookup-mx:dom");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->hosts.size(), 3u);
  EXPECT_EQ(list->hosts[0], (StaticHost{StaticHost::Kind::Host, "h1", {}, std::nullopt, 0}));
  EXPECT_EQ(list->hosts[1],
            (StaticHost{StaticHost::Kind::Address, "", *IpAddress::parse("10.0.0.1"), 2525, 0}));
  EXPECT_EQ(list->hosts[2], (StaticHost{StaticHost::Kind::LookupMx, "dom", {}, std::nullopt, 1}));
}

struct BadRow {
  const char* text;
  std::size_t column;
  const char* message;
};

// clang-format off
constexpr BadRow kBad[] = {
    {"", 0, "empty element in host list"},
    {"  ", 0, "empty element in host list"},
    {";", 0, "empty element in host list"},
    {"h1,,h2", 3, "empty element in host list"},
    {"h1; ;h2", 3, "empty element in host list"},
    {"h1:70000", 3, "port '70000' is not in 1..65535"},
    {"h1:0", 3, "port '0' is not in 1..65535"},
    {"h1:", 3, "port '' is not in 1..65535"},
    {"h1, h2:x", 7, "port 'x' is not in 1..65535"},
    {"[10.0.0.1", 0, "'[' without ']'"},
    {"[10.0.0]", 1, "'10.0.0' is not an IP address"},
    {"[IPv6:10.0.0.1]", 1, "'IPv6:10.0.0.1' is not an IP address"},
    {"[10.0.0.1]25", 10, "expected ':port' after ']'"},
    {"[10.0.0.1]:x", 11, "port 'x' is not in 1..65535"},
    {"2001:db8::1", 0, "an IPv6 address has to stand in brackets: [IPv6:2001:db8::1]"},
    {"a b", 0, "'a b' is not a host name"},
    {"a, 10.0.0.300", 3, "'10.0.0.300' is not a host name"},
    {"lookup-mx:", 10, "'' is not a host name"},
    {"lookup-mx:10.0.0.1", 10, "'10.0.0.1' is not a host name"},
    {"a..b", 0, "'a..b' is not a host name"},
};
// clang-format on

TEST(HostList, Bad) {
  for (const BadRow& row : kBad) {
    SCOPED_TRACE(row.text);
    const auto list = parse_host_list(row.text);
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().message, row.message);
    EXPECT_EQ(list.error().column, row.column);
  }
}

TEST(HostList, IsBounded) {
  std::string text = "h0";
  for (std::size_t i = 1; i < HostList::kHostsMax; ++i) text += ",h" + std::to_string(i);
  EXPECT_TRUE(parse_host_list(text));
  EXPECT_FALSE(parse_host_list(text + ",one-more"));
}

// clang-format off
constexpr GoodRow kRoutes[] = {
    {"relay.example.com:2525", "relay.example.com:2525"},
    {"[10.0.0.1]", "[10.0.0.1]"},
    {"[10.0.0.1]:26", "[10.0.0.1]:26"},
    {"10.0.0.1", "[10.0.0.1]"},
    {"example.com", "lookup-mx:example.com"},
    {" example.com ", "lookup-mx:example.com"},
};
// clang-format on

TEST(Route, Forms) {
  for (const GoodRow& row : kRoutes) {
    SCOPED_TRACE(row.text);
    const auto list = parse_route(row.text);
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ(list->text(), row.canonical);
  }
  EXPECT_FALSE(parse_route(""));
  EXPECT_FALSE(parse_route("a, b"));
}

TEST(AddressLiteral, Forms) {
  EXPECT_EQ(parse_address_literal("[192.0.2.1]"), IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(parse_address_literal("[IPv6:2001:db8::1]"), IpAddress::parse("2001:db8::1"));
  for (const char* bad :
       {"", "[]", "[", "192.0.2.1", "[192.0.2]", "[IPv6:]", "[IPv6:192.0.2.1]", "[192.0.2.1]x", "[x]"}) {
    EXPECT_FALSE(parse_address_literal(bad)) << bad;
  }
}

TEST(DomainName, Forms) {
  for (const char* good : {"a", "example.com", "4.example", "xn--p1ai", "a-b.c_d", "1a"})
    EXPECT_TRUE(is_domain_name(good)) << good;
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "10.0.0.1", "25", "a b", "a@b", "\xc3\xa4.de"}) {
    EXPECT_FALSE(is_domain_name(bad)) << bad;
  }
  EXPECT_TRUE(is_domain_name(std::string(63, 'x')));
  EXPECT_FALSE(is_domain_name(std::string(64, 'x')));
}

}  // namespace
}  // namespace sluice::routing
