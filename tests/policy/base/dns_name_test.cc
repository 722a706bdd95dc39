// Goal: only names that DNS can be asked for pass (RFC 1035 2.3.4). How: tables of good and bad ones.
#include "policy/base/dns_name.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(DnsName, HostNames) {
  for (const char* good : {"a", "a.b", "mx-1.example.com", "_25._tcp.mx", "1.2", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(is_host_name(good)) << good;
  }
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a\\046b",
                          "b\xc3\xbc"
                          "cher"})
    EXPECT_FALSE(is_host_name(bad)) << bad;
  EXPECT_TRUE(is_host_name(std::string(63, 'x')));
  EXPECT_FALSE(is_host_name(std::string(64, 'x')));
  EXPECT_FALSE(is_host_name(std::string(254, 'x')));
}

TEST(DnsName, PlainNames) {
  EXPECT_TRUE(is_plain_dns_name("user+tag=x._spf.example.com"));
  EXPECT_TRUE(is_plain_dns_name(std::string(63, 'a') + ".test"));
  EXPECT_TRUE(is_askable_dns_name("a b.test"));
  for (const std::string& name :
       {std::string(), std::string("a..b"), std::string(".a"), std::string("a."), std::string("a b.test"),
        std::string("a\\b.test"), std::string("\xc3\xa4.test"), std::string(64, 'a') + ".test",
        std::string(250, '.') + "a.test"}) {
    EXPECT_FALSE(is_plain_dns_name(name)) << name;
  }
}

}  // namespace
}  // namespace sluice
