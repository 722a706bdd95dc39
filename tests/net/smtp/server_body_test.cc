// Goal: a message ends at CRLF.CRLF and nowhere else (SMTP smuggling), dots are unstuffed, and the facts are
// right.
// How: every body over a small alphabet of dangerous bytes up to a length, against a plain byte-by-byte
// reference; known smuggling sequences; all at several fragment sizes.

#include <gtest/gtest.h>

#include <random>

#include "tests/net/smtp/server_rig.h"

namespace sluice::net::test {
namespace {

const std::string kBegin = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n";

/// What DATA bytes mean, the slow way.
struct Plain {
  bool ended = false;
  std::size_t used = 0;  // bytes up to and with the end
  std::string body;      // unstuffed
  bool bare = false;
};
Plain plain_data(std::string_view input) {
  Plain out;
  bool line_start = true;
  for (std::size_t i = 0; i < input.size(); ++i) {
    const std::string_view rest = input.substr(i);
    if (line_start && rest.starts_with(".\r\n")) {
      out.ended = true;
      out.used = i + 3;
      break;
    }
    if (line_start && input[i] == '.') {
      line_start = false;
      continue;
    }
    out.body += input[i];
    line_start = input[i] == '\n' && i > 0 && input[i - 1] == '\r';
  }
  for (std::size_t i = 0; i < out.body.size(); ++i) {
    if (out.body[i] == '\n' && (i == 0 || out.body[i - 1] != '\r')) out.bare = true;
    if (out.body[i] == '\r' && (i + 1 == out.body.size() || out.body[i + 1] != '\n')) out.bare = true;
  }
  return out;
}

TEST(ServerBody, EveryShortBody) {
  const std::string alphabet = "\r\n.x";
  for (std::size_t length = 0; length <= 7; ++length) {
    std::size_t total = 1;
    for (std::size_t i = 0; i < length; ++i) total *= alphabet.size();
    for (std::size_t number = 0; number < total; ++number) {
      std::string text;
      for (std::size_t i = 0, rest = number; i < length; ++i, rest /= alphabet.size())
        text += alphabet[rest % 4];
      const std::string input =
          text + "\r\n.\r\n";  // ends for certain; a bare CR may eat the first CRLF's CR
      const Plain want = plain_data(input);
      for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}, std::size_t{3}}) {
        ServerRig rig(test_settings(), fragment);
        rig.greet();
        rig.client(kBegin + "DATA\r\n");
        rig.output();
        rig.client(input.substr(0, want.used));
        ASSERT_TRUE(want.ended);
        const std::string reply = rig.output();
        if (want.bare) {
          ASSERT_TRUE(reply.starts_with("550 5.6.0 ")) << testing::PrintToString(text);
          ASSERT_TRUE(rig.log.bodies.empty()) << testing::PrintToString(text);
        } else {
          ASSERT_EQ(reply, "250 2.6.0 message received\r\n") << testing::PrintToString(text);
          ASSERT_EQ(rig.log.bodies, std::vector<std::string>{want.body}) << testing::PrintToString(text);
          ASSERT_EQ(rig.log.facts[0].bytes, want.body.size());
          const bool dots = want.body.starts_with('.') || want.body.find("\n.") != std::string::npos;
          ASSERT_EQ(rig.log.facts[0].has_dot_lines, dots) << testing::PrintToString(text);
        }
        ASSERT_EQ(rig.server.phase(), Server::Phase::Command);
      }
    }
  }
}

TEST(ServerBody, SmugglingNeverMakesTwoMessages) {
  const std::string second = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nevil\r\n.\r\n";
  using namespace std::string_literals;
  for (const std::string& end : {"\n.\n"s, "\n.\r\n"s, "\r\n.\n"s, "\r.\r"s, "\r\n.\r"s, "\r.\r\n"s,
                                 "\n\n.\r\n"s, "\r\n.\r\r\n"s, "\r\n\0.\r\n"s, "\r\n.\0\r\n"s, "\n.\r"s,
                                 "\r\n. \r\n"s, "\r\n..\r\n"s, "\r\n.\0\n"s, "\r\0\n.\r\n"s}) {
    for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}, std::size_t{2}}) {
      for (const auto bare_lf : {ServerSettings::BareLf::Refuse, ServerSettings::BareLf::Normalise}) {
        SCOPED_TRACE(testing::PrintToString(end));
        ServerSettings settings = test_settings();
        settings.bare_lf = bare_lf;
        ServerRig rig(settings, fragment);
        rig.greet();
        rig.client(kBegin + "DATA\r\n");
        rig.output();
        rig.log.take();
        const std::string sent = "first" + end + second;
        const Plain want = plain_data(sent);
        rig.client(sent.substr(0, want.used));
        const std::string events = rig.log.take();
        if (end == std::string("\r\r\n.\r\n\n"))
          continue;  // a true end behind a bare CR; "evil" is a command then
        EXPECT_EQ(events.find("mail evil"), std::string::npos);
        EXPECT_LE(rig.log.bodies.size(), 1U);
        for (const std::string& body : rig.log.bodies)
          EXPECT_NE(body.find("MAIL FROM:<evil"), std::string::npos);
      }
    }
  }
}

TEST(ServerBody, BareLineEndsInChunks) {
  for (const std::string body : {"a\nb\r\n", "a\rb\r\n", "a\r\n\n", "a\r", "\n", "\r"}) {
    for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}}) {
      SCOPED_TRACE(testing::PrintToString(body));
      ServerRig rig(test_settings(), fragment);
      rig.greet();
      rig.client(kBegin);
      rig.output();
      rig.client("BDAT " + std::to_string(body.size()) + " LAST\r\n" + body + "NOOP\r\n");
      EXPECT_EQ(rig.output(),
                "550 5.6.0 message has a bare CR or LF, see RFC 5321 2.3.8\r\n250 2.0.0 ok\r\n");
      EXPECT_TRUE(rig.log.bodies.empty());
    }
  }
  // A line end split over two chunks is a good one.
  ServerRig rig;
  rig.greet();
  rig.client(kBegin + "BDAT 2\r\na\rBDAT 1 LAST\r\n\n");
  EXPECT_EQ(rig.log.bodies, std::vector<std::string>{"a\r\n"});
}

TEST(ServerBody, NormalisedLineFeeds) {
  ServerSettings settings = test_settings();
  settings.bare_lf = ServerSettings::BareLf::Normalise;
  struct Row {
    const char* sent;
    const char* want;
    bool dots;
  };
  const Row rows[] = {
      {"a\nb\r\n.\r\n", "a\r\nb\r\n", false},
      {"\n\n\r\n.\r\n", "\r\n\r\n\r\n", false},
      {"a\n.\n.\r\nb\r\n.\r\n", "a\r\n.\r\n.\r\nb\r\n",
       true},  // no end, no unstuffing; but it needs stuffing now
      {"a\n..b\r\n.\r\n", "a\r\n..b\r\n", true},
      {"a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", false},  // a stuffed dot in front of a repaired LF
  };
  for (const Row& row : rows) {
    for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
      SCOPED_TRACE(testing::PrintToString(std::string(row.sent)) + " " + std::to_string(fragment));
      ServerRig rig(settings, fragment);
      rig.greet();
      rig.client(kBegin + "DATA\r\n" + row.sent);
      ASSERT_EQ(rig.log.bodies, std::vector<std::string>{row.want});
      EXPECT_TRUE(rig.log.facts[0].bare_lf);
      EXPECT_EQ(rig.log.facts[0].bytes, rig.log.bodies[0].size());
      EXPECT_EQ(rig.log.facts[0].has_dot_lines, row.dots);
    }
  }
  // A bare CR stays refused.
  ServerRig rig(settings);
  rig.greet();
  rig.client(kBegin + "DATA\r\na\rb\r\n.\r\n");
  EXPECT_TRUE(rig.log.bodies.empty());
  // By chunks, without a line end at the end.
  ServerRig chunks(settings);
  chunks.greet();
  chunks.client(kBegin + "BDAT 4 LAST\r\na\nb\n");
  EXPECT_EQ(chunks.log.bodies, std::vector<std::string>{"a\r\nb\r\n"});
}

TEST(ServerBody, LargeSpansPassUntouched) {
  const std::string line = std::string(76, 'x') + "\r\n";
  std::string body;
  while (body.size() < 100'000) body += line;
  ServerRig rig;
  rig.greet();
  rig.client(kBegin + "DATA\r\n" + body + ".\r\n");
  ASSERT_EQ(rig.log.bodies.size(), 1U);
  EXPECT_EQ(rig.log.bodies[0], body);
  EXPECT_EQ(rig.log.facts[0].line_bytes_max, 76U);
}

/// Facts the slow way.
BodyFacts plain_facts(std::string_view text) {
  BodyFacts out;
  out.bytes = text.size();
  std::size_t line = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool after_cr = i > 0 && text[i - 1] == '\r';
    const bool line_start = i == 0 || text[i - 1] == '\n';
    if (static_cast<std::uint8_t>(c) > 127) out.eight_bit = true;
    if (c == 0) out.has_nul = true;
    if (c == '.' && line_start) out.has_dot_lines = true;
    if (c == '\n' && !after_cr) out.bare_lf = true;
    if (after_cr && c != '\n') out.bare_cr = true;
    if (c == '\n') {
      out.line_bytes_max = std::max<std::uint64_t>(out.line_bytes_max, line - (after_cr ? 1 : 0));
      line = 0;
    } else {
      ++line;
    }
  }
  if (text.ends_with('\r')) out.bare_cr = true;
  out.line_bytes_max = std::max<std::uint64_t>(out.line_bytes_max, line);
  return out;
}

TEST(BodyScan, AgreesWithThePlainReference) {
  std::mt19937 random(20260101);
  const std::string bytes("\r\n..xxxxxxxxxxxxxxxxxxxx\xc3\xa9\0", 28);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const std::size_t size = random() % 300;
    // Some with few line ends, so that lines span blocks.
    const std::size_t range = round % 3 == 0 ? bytes.size() : 24;
    while (text.size() < size) {
      const char c = bytes[random() % range];
      if (round % 2 == 0 && (c == '\r' || c == '\n')) {
        if (random() % 4 == 0) text += "\r\n";
      } else {
        text += c;
      }
    }
    BodyScan scan;
    std::size_t at = 0;
    while (at < text.size()) {
      const std::size_t piece = std::min<std::size_t>(text.size() - at, 1 + random() % 130);
      const auto result = scan.scan(reinterpret_cast<const std::byte*>(text.data()) + at, piece, {});
      ASSERT_EQ(result.scanned, piece);
      at += piece;
    }
    scan.finish();
    const BodyFacts want = plain_facts(text);
    const BodyFacts& got = scan.facts();
    ASSERT_EQ(got.bytes, want.bytes);
    ASSERT_EQ(got.line_bytes_max, want.line_bytes_max) << testing::PrintToString(text);
    ASSERT_EQ(got.eight_bit, want.eight_bit);
    ASSERT_EQ(got.has_nul, want.has_nul);
    ASSERT_EQ(got.has_dot_lines, want.has_dot_lines) << testing::PrintToString(text);
    ASSERT_EQ(got.bare_cr, want.bare_cr) << testing::PrintToString(text);
    ASSERT_EQ(got.bare_lf, want.bare_lf);
  }
}

TEST(BodyScan, InstructionSetsAgree) {
  std::mt19937 random(7);
  const std::string bytes("\r\n.x\x80\0\xff", 7);
  for (int round = 0; round < 10'000; ++round) {
    std::array<std::byte, 64> block;
    for (std::byte& one : block) one = static_cast<std::byte>(bytes[random() % bytes.size()]);
    ASSERT_TRUE(BodyScan::variants_agree(block.data()));
  }
}

TEST(BodyScan, FactsOfWhatLiesBehindTheEndAreNotCounted) {
  ServerRig rig;
  rig.greet();
  rig.client(kBegin + "DATA\r\nplain\r\n.\r\nMAIL FROM:<\xc3\xa9@x> SMTPUTF8\r\n");
  ASSERT_EQ(rig.log.facts.size(), 1U);
  EXPECT_FALSE(rig.log.facts[0].eight_bit);
}

}  // namespace
}  // namespace sluice::net::test
