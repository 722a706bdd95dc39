// Goal: the header is what RFC 8601 2.2 has, and no text of a stranger can end it, a comment or a line. How:
// text against text.
#include "net/mime/auth_results.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::net {
namespace {

std::string header(std::vector<AuthResult> results) {
  std::string out;
  append_auth_results(out, "mx.test", results);
  return out;
}

TEST(AuthResults, ALineForEachResult) {
  EXPECT_EQ(header({{"spf", "pass", "matched \"a\"", {}, "smtp.mailfrom", "joe@example.com"},
                    {"iprev", "fail", {}, {}, "policy.iprev", "2001:db8::1"}}),
            "Authentication-Results: mx.test;\r\n"
            "\tspf=pass (matched \"a\")\r\n\tsmtp.mailfrom=joe@example.com;\r\n"
            "\tiprev=fail policy.iprev=2001:db8::1\r\n");
  EXPECT_EQ(header({{"iprev", "pass", {}, {}, {}, "192.0.2.1"}, {"spf", "none", "x", {}, {}, {}}}),
            "Authentication-Results: mx.test;\r\n\tiprev=pass;\r\n\tspf=none (x)\r\n");
}

TEST(AuthResults, TextsOfStrangersStayInTheirPlace) {
  const std::vector<std::string> trace{"TXT a.test: \"x) y=z\r\nSubject: hi\"", "b\\c"};
  EXPECT_EQ(header({{"spf", "none", {}, trace, "smtp.mailfrom", "a;\"b\"\r\n@x.test"}}),
            "Authentication-Results: mx.test;\r\n\tspf=none\r\n"
            "\t(TXT a.test: \"x\\) y=z??Subject: hi\")\r\n\t(b\\\\c)\r\n"
            "\tsmtp.mailfrom=\"a;\\\"b\\\"??@x.test\"\r\n");
  const std::vector<std::string> many(100, std::string(5000, '('));
  const std::string long_one = header({{"spf", "none", many[0], many, "smtp.helo", many[0]}});
  for (std::size_t at = 0; at < long_one.size();) {
    const std::size_t end = long_one.find("\r\n", at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LE(end - at, 2 * kAuthTextMax + 40);
    at = end + 2;
  }
}

TEST(AuthResults, WhoseHeaderItIs) {
  EXPECT_TRUE(is_auth_results_of(" MX.test; spf=pass", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("\r\n\tmx.test 1; none", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("mx.test", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("mx.test(1);", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("(a (b\\) c)\r\n d) (e)MX.test; none", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("\"mx.test\"; none", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("\"m\\x.test\"; none", "mx.test"));
  EXPECT_TRUE(is_auth_results_of("mx.test.; none", "mx.test"));
  for (const char* other : {" mx.test.example; spf=pass", "", "(mx.test)", "(mx.test; none", "(\\", "\"",
                            "\"\\", "other (mx.test); none", ";mx.test", "a.mx.test; none"}) {
    EXPECT_FALSE(is_auth_results_of(other, "mx.test")) << other;
  }
}

}  // namespace
}  // namespace sluice::net
