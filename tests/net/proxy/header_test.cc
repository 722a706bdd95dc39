// Goal: the header of the PROXY protocol is what HAProxy's document says, to the byte.
// How: both versions and families against bytes written down by hand from its sections 2.1 and 2.2.
#include "net/proxy/header.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sluice::net {
namespace {

Endpoint at(std::string_view text) { return *Endpoint::parse(text); }

std::string hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

TEST(ProxyHeader, TextIsOneLine) {
  EXPECT_EQ(proxy_header(ProxyVersion::Text, at("65.30.42.1:0"), at("198.51.100.7:25")),
            "PROXY TCP4 65.30.42.1 198.51.100.7 0 25\r\n");
  EXPECT_EQ(proxy_header(ProxyVersion::Text, at("[2001:db8::1]:40000"), at("[2001:db8:1::19]:2525")),
            "PROXY TCP6 2001:db8::1 2001:db8:1::19 40000 2525\r\n");
}

TEST(ProxyHeader, TextStaysWithinWhatReceiversReadAtOnce) {
  // Section 2.1 bounds the line at 107 bytes; no address of ours is longer than these.
  const Endpoint longest = at("[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
  EXPECT_EQ(proxy_header(ProxyVersion::Text, longest, longest).size(), 11u + 39 + 1 + 39 + 1 + 5 + 1 + 5 + 2);
  EXPECT_LE(proxy_header(ProxyVersion::Text, longest, longest).size(), kProxyHeaderBytesMax);
}

TEST(ProxyHeader, BinaryForIpv4) {
  EXPECT_EQ(hex(proxy_header(ProxyVersion::Binary, at("65.30.42.1:513"), at("198.51.100.7:25"))),
            "0d0a0d0a000d0a515549540a"  // signature
            "21"                        // version 2, PROXY
            "11"                        // TCP over IPv4
            "000c"                      // 12 bytes follow
            "411e2a01"
            "c6336407"
            "0201"
            "0019");
}

TEST(ProxyHeader, BinaryForIpv6) {
  EXPECT_EQ(hex(proxy_header(ProxyVersion::Binary, at("[2001:db8::1]:0"), at("[2001:db8:1::19]:65535"))),
            "0d0a0d0a000d0a515549540a"
            "2121"
            "0024"
            "20010db8000000000000000000000001"
            "20010db8000100000000000000000019"
            "0000"
            "ffff");
}

TEST(ProxyHeader, OneFamilyOnly) {
  EXPECT_DEATH((void)proxy_header(ProxyVersion::Text, at("65.30.42.1:0"), at("[2001:db8::1]:25")), "");
}

}  // namespace
}  // namespace sluice::net
