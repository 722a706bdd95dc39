// Goal: addresses and header files mean what RFC 3986 and RFC 9110 say, and nothing slips into a request that
// is not a value. How: tables.
#include <gtest/gtest.h>

#include "net/http/client.h"
#include "net/http/delivery_body.h"
#include "net/http/url.h"

namespace sluice::net::http {
namespace {

TEST(Url, Parses) {
  struct Row {
    const char* text;
    Url want;
    const char* authority;
  };
  const Row rows[] = {
      {"http://hook.example", {false, "hook.example", 80, "/"}, "hook.example"},
      {"HTTP://Hook.Example:8080/in?x=1#part", {false, "hook.example", 8080, "/in?x=1"}, "hook.example:8080"},
      {"https://h/a/b", {true, "h", 443, "/a/b"}, "h"},
      {"https://h:443/", {true, "h", 443, "/"}, "h"},
      {"http://192.0.2.1:80", {false, "192.0.2.1", 80, "/"}, "192.0.2.1"},
      {"http://[2001:DB8::1]:81/x", {false, "2001:db8::1", 81, "/x"}, "[2001:db8::1]:81"},
      {"http://h?q", {false, "h", 80, "/?q"}, "h"},
      {"http://h:/", {false, "h", 80, "/"}, "h"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto got = parse_url(row.text);
    ASSERT_TRUE(got.has_value()) << got.error();
    EXPECT_EQ(*got, row.want);
    EXPECT_EQ(got->authority(), row.authority);
  }
}

TEST(Url, Refuses) {
  for (const char* bad :
       {"", "hook.example", "ftp://h/", "http://", "http:///x", "http://h:0/", "http://h:65536/",
        "http://h:x/", "http://u:p@h/", "http://h /", "http://h/\r\nX: y", "http://[::1/", "http://[::1]x/",
        "http://[x]/", "http://h%41/"}) {
    EXPECT_FALSE(parse_url(bad).has_value()) << bad;
  }
}

TEST(Fields, ParseAndComplainByLine) {
  const auto good = parse_fields("# key\r\nAuthorization: Bearer a:b\r\n\nX-Empty:\nX_y~: \t v w \n");
  EXPECT_EQ(good.error, "");
  EXPECT_EQ(good.fields,
            (std::vector<Field>{{"Authorization", "Bearer a:b"}, {"X-Empty", ""}, {"X_y~", "v w"}}));
  EXPECT_EQ(parse_fields("A: b\nnonsense\n").error, "line 2: expected \"Name: value\"");
  EXPECT_EQ(parse_fields(" A: b\n").error, "line 1: bad field name");
  EXPECT_EQ(parse_fields("A : b\n").error, "line 1: bad field name");
  EXPECT_EQ(parse_fields("A: b\rC: d\n").error, "line 1: control character in the value");
}

TEST(DeliveryBody, TextAndBytes) {
  EXPECT_EQ(
      delivery_body(
          {.from = "a@b", .to = "c@d", .message = "Subject: x\r\n y\r\nTo: c\r\n\r\nHi \"you\"\r\n"}),
      "{\"msg_from\":\"a@b\",\"rcpt_to\":\"c@d\",\"content\":{\"email_rfc822\":\"Subject: x\\r\\n y\\r\\n"
      "To: c\\r\\n\\r\\nHi \\\"you\\\"\\r\\n\",\"headers\":[{\"Subject\":\"x y\"},{\"To\":\"c\"}]}}");
  EXPECT_EQ(delivery_body({.from = "", .to = "c@d", .message = "\xFF"}),
            "{\"msg_from\":\"\",\"rcpt_to\":\"c@d\",\"content\":{\"email_rfc822\":\"/w==\","
            "\"email_rfc822_is_base64\":true,\"headers\":[]}}");
}

}  // namespace
}  // namespace sluice::net::http
