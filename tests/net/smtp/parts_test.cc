// Goal: addresses, replies, capabilities and DSN parameters are read as the RFCs say, and nothing else is.
// How: tables; replies in fragments of every size.

#include <gtest/gtest.h>

#include "net/smtp/capabilities.h"
#include "net/smtp/dsn.h"
#include "net/smtp/reply_parser.h"
#include "policy/base/mail_address.h"
#include "policy/base/utf8.h"

namespace sluice::net::test {
namespace {

TEST(MailAddress, Accepted) {
  struct Row {
    std::string text;
    const char* local;
    const char* domain;
    AddressRules rules = {};
  };
  const Row rows[] = {
      {"<a@b>", "a", "b"},
      {"<Joe.Q@Example.COM>", "Joe.Q", "example.com"},
      {"<joe@example.com.>", "joe", "example.com"},
      {"<a!#$%&'*+-/=?^_`{|}~z@x-y.example>", "a!#$%&'*+-/=?^_`{|}~z", "x-y.example"},
      {"<a@_x.example>", "a", "_x.example"},
      {"<a@1.example>", "a", "1.example"},
      {"<\"joe\"@x>", "joe", "x"},
      {"<\"j\\oe\"@x>", "joe", "x"},
      {"<\"a b\"@x>", "\"a b\"", "x"},
      {"<\"a@b\"@x>", "\"a@b\"", "x"},
      {"<\"a>b\"@x>", "\"a>b\"", "x"},
      {"<\"a\\\"b\\\\\"@x>", "\"a\\\"b\\\\\"", "x"},
      {"<\"a..b\"@x>", "\"a..b\"", "x"},
      {"<\"\"@x>", "\"\"", "x"},
      {"<a@[192.0.2.1]>", "a", "[192.0.2.1]"},
      {"<a@[IPv6:2001:DB8::1]>", "a", "[ipv6:2001:db8::1]"},
      {"<@a.example,@b.example:joe@x>", "joe", "x"},
      {"<@a.example:\"q q\"@x>", "\"q q\"", "x"},
      {"<>", "", "", {.allow_null = true}},
      {"<postmaster>", "postmaster", "", {.allow_no_domain = true}},
      {"joe@X", "joe", "x", {.bare = true}},
      {"<j\xc3\xb6@b\xc3\xbc.example>", "j\xc3\xb6", "b\xc3\xbc.example", {.allow_utf8 = true}},
      {"<a..b.@x>", "a..b.", "x", {.allow_loose_dots = true}},
      {"<" + std::string(254, 'a') + "@x>", nullptr, "x"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto address = MailAddress::parse(row.text, row.rules);
    ASSERT_TRUE(address.has_value());
    if (row.local != nullptr) {
      EXPECT_EQ(address->local(), row.local);
    }
    EXPECT_EQ(address->domain(), row.domain);
    // What was read reads again as itself.
    AddressRules again = row.rules;
    again.bare = true;
    if (address->is_null()) continue;
    EXPECT_EQ(MailAddress::parse(address->text(), again), address);
  }
}

TEST(MailAddress, Refused) {
  struct Row {
    std::string text;
    AddressFault want;
    AddressRules rules = {};
  };
  const std::string label(63, 'd');
  const Row rows[] = {
      {"", AddressFault::Syntax},
      {"<", AddressFault::Syntax},
      {"a@b", AddressFault::Syntax},
      {"<a@b", AddressFault::Syntax},
      {"<>", AddressFault::NullPath},
      {"<a>", AddressFault::NoDomain},
      {"<@b>", AddressFault::Syntax},
      {"<a@>", AddressFault::Syntax},
      {"<a@b@c>", AddressFault::Syntax},
      {"<a.@b>", AddressFault::Syntax},
      {"<.a@b>", AddressFault::Syntax},
      {"<a..a@b>", AddressFault::Syntax},
      {"<a b@c>", AddressFault::Syntax},
      {"<a@b c>", AddressFault::Syntax},
      {"<a,b@c>", AddressFault::Syntax},
      {"<a@b..c>", AddressFault::Syntax},
      {"<a@.b>", AddressFault::Syntax},
      {"<a@-b>", AddressFault::Syntax},
      {"<a@b->", AddressFault::Syntax},
      {"<a@b-.c>", AddressFault::Syntax},
      {"<a@b!c>", AddressFault::Syntax},
      {"<a@[1.2.3]>", AddressFault::Syntax},
      {"<a@[2001:db8::1]>", AddressFault::Syntax},
      {"<a@[IPv6:192.0.2.1]>", AddressFault::Syntax},
      {"<a@[]>", AddressFault::Syntax},
      {std::string("<a@[IPv6:::1\0x]>", 17), AddressFault::Syntax},
      {"<\"a@b>", AddressFault::Syntax},
      {"<\"a\\\"@b>", AddressFault::Syntax},
      {"<\"a\"b@c>", AddressFault::Syntax},
      {"<\"a\rb\"@c>", AddressFault::Syntax},
      {"<a\n@c>", AddressFault::Syntax},
      {"<@a@x>", AddressFault::Syntax},
      {"<@a,b:c@x>", AddressFault::Syntax},
      {"<@a:>", AddressFault::Syntax},
      {"<j\xc3\xb6@x>", AddressFault::NotAscii},
      {"<j@\xc3\xb6>", AddressFault::NotAscii},
      {"<j\xc3@x>", AddressFault::NotAscii, {.allow_utf8 = true}},
      {"<j@\xff>", AddressFault::NotAscii, {.allow_utf8 = true}},
      {"<" + std::string(255, 'a') + "@x>", AddressFault::LocalTooLong},
      {"<a@" + label + "d>", AddressFault::DomainTooLong},
      {"<a@" + label + '.' + label + '.' + label + '.' + label + ".d>", AddressFault::DomainTooLong},
      {"<" + std::string(2000, 'a') + ">", AddressFault::PathTooLong},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto address = MailAddress::parse(row.text, row.rules);
    ASSERT_FALSE(address.has_value());
    EXPECT_EQ(name_of(address.error()), name_of(row.want));
  }
}

TEST(MailAddress, Qualify) {
  MailAddress address = *MailAddress::parse("<joe>", {.allow_no_domain = true});
  EXPECT_FALSE(address.has_domain());
  address.qualify("Example.COM");
  EXPECT_EQ(address.text(), "joe@example.com");
  EXPECT_TRUE(address.has_domain());
  EXPECT_FALSE(address.needs_utf8());
}

TEST(Utf8, Table) {
  for (const char* good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << testing::PrintToString(good);
  }
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xe2\x82", "\xf0\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad)) << testing::PrintToString(bad);
  }
}

TEST(Dsn, NotifyAndXtext) {
  const auto bits = [](std::string_view text) {
    const auto notify = DsnNotify::parse(text);
    return notify ? int{notify->bits} : -1;
  };
  EXPECT_EQ(bits("NEVER"), DsnNotify::kNever);
  EXPECT_EQ(bits("success,Delay"), DsnNotify::kSuccess | DsnNotify::kDelay);
  EXPECT_EQ(bits("FAILURE,FAILURE"), DsnNotify::kFailure);
  for (const char* bad : {"", ",", "NEVER,SUCCESS", "SUCCESS,", "SOON"}) EXPECT_EQ(bits(bad), -1) << bad;
  std::string out;
  DsnNotify{DsnNotify::kDelay | DsnNotify::kSuccess}.append_to(out);
  EXPECT_EQ(out, "SUCCESS,DELAY");

  EXPECT_EQ(encode_xtext("a+b=c d\xff"), "a+2Bb+3Dc+20d+FF");
  EXPECT_EQ(decode_xtext("a+2Bb+3Dc+20d+FF"), "a+b=c d\xff");
  for (const char* bad : {"a b", "a=b", "a+", "a+2", "a+2b", "a+GG", "\x7f", "\xc3\xa9"})
    EXPECT_FALSE(is_xtext(bad)) << bad;
  EXPECT_TRUE(is_orcpt("rfc822;a@b"));
  for (const char* bad : {"", "a@b", ";a", "rfc822;", "rf c;a", "rfc822;a b"})
    EXPECT_FALSE(is_orcpt(bad)) << bad;
}

/// All replies in `input`, or a fault at the end, read in fragments.
std::string read_replies(std::string_view input, std::size_t fragment) {
  ReplyParser parser;
  std::string out;
  while (!input.empty()) {
    std::string_view piece = input.substr(0, fragment);
    input.remove_prefix(piece.size());
    while (!piece.empty()) {
      const auto step = parser.feed(std::as_bytes(std::span(piece)));
      piece.remove_prefix(step.consumed);
      if (step.state == ReplyParser::State::Faulty) return out + std::string(name_of(parser.fault()));
      if (step.state == ReplyParser::State::Complete) {
        const auto& enhanced = parser.reply().enhanced;
        out += "[" + std::to_string(parser.reply().code) + (enhanced ? " (" + enhanced->text() + ")" : "") +
               " " + parser.reply().text + "]";
      }
    }
  }
  return out + (parser.in_reply() ? "..." : "");
}

TEST(ReplyParser, TableAtEveryFragmentSize) {
  struct Row {
    std::string input;
    std::string want;
  };
  const Row rows[] = {
      {"250 ok\r\n", "[250 ok]"},
      {"250\r\n", "[250 ]"},
      {"250 \r\n", "[250 ]"},
      {"250 ok\n", "[250 ok]"},
      {"250 2.1.0 ok\r\n354 go\r\n", "[250 (2.1.0) 2.1.0 ok][354 go]"},
      {"550-5.1.1 no such\r\n550-5.1.1 user\r\n550 5.1.1  here\r\n", "[550 (5.1.1) 5.1.1 no such user here]"},
      {"550-5.1.1 a\r\n550 5.7.1 b\r\n", "[550 (5.1.1) 5.1.1 a 5.7.1 b]"},
      {"550-\r\n550-a\r\n550-\r\n550 b\r\n", "[550 a b]"},
      {"250-a\n250 b\n", "[250 a b]"},
      {"250 a\tb\x01\x7f\r\n", "[250 a b??]"},
      {std::string("250 a\0b\r\n", 9), "[250 a?b]"},
      {"250 a\rb\r\n", "[250 a?b]"},
      {"250 \xc3\xa9 \xff\xc3\r\n", "[250 \xc3\xa9 ??]"},
      {"250-a\r\n", "..."},
      {"25", "..."},
      {"250-a\r\n251 b\r\n", "[251 a b]"},
      {"220-mx ESMTP\r\n521 5.7.1 client blocked\r\n", "[521 (5.7.1) mx ESMTP 5.7.1 client blocked]"},
      {"220-2.0.0 mx\r\n220-hello\r\n421 busy\r\n", "[421 2.0.0 mx hello busy]"},
      {"250 a\r\nhello\r\n", "[250 a]reply without a valid code"},
      {"\r\n", "reply without a valid code"},
      {"199 a\r\n", "reply without a valid code"},
      {"600 a\r\n", "reply without a valid code"},
      {"25 a\r\n", "reply without a valid code"},
      {"2500 a\r\n", "reply code not followed by a blank or hyphen"},
      {"250_a\r\n", "reply code not followed by a blank or hyphen"},
  };
  for (const Row& row : rows) {
    for (std::size_t fragment = 1; fragment <= row.input.size(); ++fragment) {
      SCOPED_TRACE(testing::PrintToString(row.input) + " fragment=" + std::to_string(fragment));
      EXPECT_EQ(read_replies(row.input, fragment), row.want);
    }
  }
}

TEST(ReplyParser, Limits) {
  for (const std::size_t fragment : {std::size_t{1}, std::size_t{1000}, SIZE_MAX}) {
    SCOPED_TRACE(fragment);
    const std::string longest = "250 " + std::string(ReplyParser::kLineBytesMax - 6, 'x') + "\r\n";
    EXPECT_EQ(read_replies(longest, fragment), "[250 " + std::string(SmtpReply::kTextBytesMax, 'x') + "]");
    // What is too long is cut; the code counts, and so does what follows.
    const std::string cut(SmtpReply::kTextBytesMax, 'x');
    const std::string longer = "250 " + std::string(ReplyParser::kLineBytesMax * 3, 'x');
    EXPECT_EQ(read_replies(longer + "\r\n550 no\r\n", fragment), "[250 " + cut + "][550 no]");
    EXPECT_EQ(read_replies("550-" + longer + "\r\n550 y\r\n", fragment), "[550 250 " + cut.substr(4) + "]");
    for (std::size_t size = ReplyParser::kLineBytesMax - 7; size < ReplyParser::kLineBytesMax + 3; ++size) {
      EXPECT_EQ(read_replies("452 " + std::string(size, 'x') + "\r\n250\n", fragment),
                "[452 " + cut + "][250 ]");
    }
    EXPECT_EQ(read_replies(std::string(ReplyParser::kReplyBytesMax, '2'), fragment),
              "reply code not followed by a blank or hyphen");
    EXPECT_EQ(read_replies("250 " + std::string(ReplyParser::kReplyBytesMax, '2'), fragment),
              "reply too long");
    std::string lines;
    while (lines.size() < ReplyParser::kReplyBytesMax) lines += "250-" + std::string(60, 'x') + "\r\n";
    EXPECT_EQ(read_replies(lines + "250 x\r\n", fragment), "reply too long");
  }
}

TEST(Capabilities, Table) {
  ReplyParser parser;
  parser.keep_lines(true);
  const std::string_view ehlo =
      "250-mx.example at your service\r\n250-SIZE 35882577\r\n250-8bitmime\r\n250-STARTTLS\r\n"
      "250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-DSN\r\n250-X-SOMETHING yes\r\n"
      "250-AUTH PLAIN login CRAM-MD5 XOAUTH2\r\n250-AUTH=LOGIN\r\n250-LIMITS RCPTMAX=100 MAILMAX=20 FOO=1\r\n"
      "250 SMTPUTF8\r\n";
  ASSERT_EQ(parser.feed(std::as_bytes(std::span(ehlo))).state, ReplyParser::State::Complete);
  Capabilities got = Capabilities::parse(parser.lines());
  EXPECT_TRUE(got.esmtp && got.pipelining && got.chunking && got.eight_bit_mime && got.smtp_utf8 &&
              got.enhanced_status_codes && got.starttls && got.dsn && got.size);
  EXPECT_EQ(got.size_max_bytes, 35882577U);
  EXPECT_EQ(got.rcpt_max, 100U);
  EXPECT_EQ(got.mail_max, 20U);
  EXPECT_EQ(got.auth.bits, AuthMechanisms::kPlain | AuthMechanisms::kLogin | AuthMechanisms::kCramMd5);
  EXPECT_EQ(got.listed,
            "SIZE,8BITMIME,STARTTLS,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,DSN,AUTH,LIMITS,SMTPUTF8");
  got.ignore({.pipelining = true, .chunking = true, .eight_bit_mime = true, .dsn = true});
  EXPECT_FALSE(got.pipelining || got.chunking || got.eight_bit_mime || got.dsn);

  // The first line is the host's, whatever it looks like.
  const std::string_view tricky = "250-PIPELINING\r\n250 DSN\r\n";
  ASSERT_EQ(parser.feed(std::as_bytes(std::span(tricky))).state, ReplyParser::State::Complete);
  EXPECT_EQ(Capabilities::parse(parser.lines()).listed, "DSN");
  const std::string_view nameless = "250-\r\n250 DSN\r\n";
  ASSERT_EQ(parser.feed(std::as_bytes(std::span(nameless))).state, ReplyParser::State::Complete);
  EXPECT_EQ(Capabilities::parse(parser.lines()).listed, "DSN");
  EXPECT_FALSE(Capabilities::parse("PIPELINING").pipelining);
  EXPECT_TRUE(Capabilities::parse("\nPIPELINING").pipelining);
  const Capabilities odd =
      Capabilities::parse("mx\nSIZE\nSIZEX 5\nPIPELININGX\nLIMITS RCPTMAX=0 MAILMAX=x\nAUTH");
  EXPECT_TRUE(odd.size);
  EXPECT_FALSE(odd.size_max_bytes || odd.rcpt_max || odd.mail_max || odd.pipelining);
  EXPECT_FALSE(Capabilities::parse("mx\nSIZE 99999999999999999999").size_max_bytes);
}

}  // namespace
}  // namespace sluice::net::test
