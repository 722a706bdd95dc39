// Goal: addresses, networks and endpoints as operators and peers write them.
// How:  tables of texts with what they mean, and of what must be refused.
#include "policy/base/ip_address.h"

#include <gtest/gtest.h>

#include <functional>

namespace sluice {
namespace {

TEST(IpAddress, HasOneText) {
  struct Case {
    const char* written;
    const char* text;
    bool is_v4;
  };
  static constexpr Case kCases[] = {
      {"192.0.2.1", "192.0.2.1", true},
      {"0.0.0.0", "0.0.0.0", true},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1", false},
      {"::", "::", false},
      {"::ffff:192.0.2.1", "192.0.2.1", true},
  };
  for (const Case& one : kCases) {
    const auto address = IpAddress::parse(one.written);
    ASSERT_TRUE(address) << one.written;
    EXPECT_EQ(address->text(), one.text);
    EXPECT_EQ(address->is_v4(), one.is_v4) << one.written;
    EXPECT_EQ(IpAddress::parse(address->text()), address);
    EXPECT_EQ(std::hash<IpAddress>{}(*address), std::hash<IpAddress>{}(*IpAddress::parse(one.text)));
  }
}

TEST(IpAddress, RefusesWhatIsNone) {
  for (const char* text : {"", "10.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", "[::1]", "fe80::1%eth0",
                           ":::", "1:2:3:4:5:6:7:8:9", "10.0.0.1/8", "example.com"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(Cidr, HoldsWhatItsPrefixSays) {
  struct Case {
    const char* network;
    const char* address;
    bool holds;
  };
  static constexpr Case kCases[] = {
      {"10/8", "10.255.0.1", true},
      {"10/8", "11.0.0.1", false},
      {"127.0.0.1", "127.0.0.1", true},
      {"127.0.0.1", "127.0.0.2", false},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.128/25", "192.0.2.200", true},
      {"0/0", "203.0.113.9", true},
      {"0/0", "2001:db8::1", true},
      {"::/0", "2001:db8::1", true},
      {"2001:db8::/33", "2001:db8:7fff::1", true},
      {"2001:db8::/33", "2001:db8:8000::1", false},
      {"10/8", "::ffff:10.1.2.3", true},
      {"10/8", "2001:db8::1", false},
  };
  for (const Case& one : kCases) {
    const auto network = Cidr::parse(one.network);
    ASSERT_TRUE(network) << one.network;
    EXPECT_EQ(network->contains(*IpAddress::parse(one.address)), one.holds)
        << one.network << ' ' << one.address;
  }
}

TEST(Cidr, RefusesWhatIsNone) {
  for (const char* text : {"", "/8", "10/", "10/33", "::/129", "10/-1", "10/8/8", "x/8", "300/8", "10/8 "})
    EXPECT_FALSE(Cidr::parse(text)) << text;
}

TEST(Endpoint, ReadsAndWritesPorts) {
  for (const char* text : {"192.0.2.1:25", "[2001:db8::1]:2525", "0.0.0.0:0"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text(), text);
    EXPECT_EQ(RawEndpoint(*endpoint).endpoint(), *endpoint) << text;
  }
  for (const char* text :
       {"192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", ":25", "2001:db8::1:25x", "[::1]", "[::1:25"})
    EXPECT_FALSE(Endpoint::parse(text)) << text;
}

}  // namespace
}  // namespace sluice
