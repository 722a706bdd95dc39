// Goal: header fields are found with their folding, bounded, in one pass; trace headers and dates read as RFC
// 5322 says and cannot be broken by what a client sent.
// How: tables, and a reassembly check: fields and body put together are the message again.

#include <gtest/gtest.h>

#include "net/mime/header_scan.h"
#include "net/mime/received.h"

namespace sluice::net::test {
namespace {

struct Scanned {
  std::string fields;  // "name|value;" with CR and LF shown
  HeaderScan::Ended ended;
  std::size_t header_bytes;
  std::size_t body_offset;
};
Scanned scan(std::string_view message) {
  HeaderScan headers(message);
  HeaderField field;
  Scanned out{};
  std::size_t read = 0;
  while (headers.next(field)) {
    EXPECT_GE(field.offset, read);
    EXPECT_EQ(message.substr(field.offset, field.whole.size()), field.whole);
    read = field.offset + field.whole.size();
    out.fields += std::string(field.name) + "|" + std::string(field.value) + ";";
  }
  out.ended = headers.ended();
  out.header_bytes = headers.header_bytes();
  out.body_offset = headers.body_offset();
  EXPECT_GE(out.header_bytes, read);
  EXPECT_LE(out.header_bytes, out.body_offset);
  EXPECT_LE(out.body_offset, message.size());
  return out;
}

TEST(HeaderScan, Table) {
  using Ended = HeaderScan::Ended;
  struct Row {
    const char* message;
    const char* fields;
    Ended ended;
    const char* body;
  };
  const Row rows[] = {
      {"A: 1\r\nB:2\r\n\r\nbody", "A|1;B|2;", Ended::EmptyLine, "body"},
      {"A: 1\nB: 2\n\nbody\n", "A|1;B|2;", Ended::EmptyLine, "body\n"},
      {"A: 1\r\n 2\r\n\t3\r\nB: x\r\n\r\n", "A|1\r\n 2\r\n\t3;B|x;", Ended::EmptyLine, ""},
      {"A:\r\n\r\nbody", "A|;", Ended::EmptyLine, "body"},
      {"A :  x \r\n\r\n", "A|x;", Ended::EmptyLine, ""},
      {"A:\r\n 1\r\n\r\n", "A|1;", Ended::EmptyLine, ""},
      {"A: 1", "A|1;", Ended::EndOfText, ""},
      {"A: 1\r\n", "A|1;", Ended::EndOfText, ""},
      {"", "", Ended::EndOfText, ""},
      {"\r\nbody", "", Ended::EmptyLine, "body"},
      {"no colon\r\n\r\nB: 2\r\n", "", Ended::EmptyLine, "B: 2\r\n"},
      {"A: 1\r\nno colon\r\n folded: line\r\nB: 2\r\n\r\n", "A|1;B|2;", Ended::EmptyLine, ""},
      {" leading: blank\r\nB: 2\r\n", "B|2;", Ended::EndOfText, ""},
      {": no name\r\nB: 2\r\n\r\n", "B|2;", Ended::EmptyLine, ""},
      {"\xef\xbb\xbf"
       "A: 1\r\n\xef\xbb\xbf"
       "B: 2\r\n\r\n",
       "A|1;B|2;", Ended::EmptyLine, ""},
      {"From a@b.example Mon Nov 30 10:00:00 2026\r\nA: 1\r\n\r\n", "A|1;", Ended::EmptyLine, ""},
      {"A: 1\r\n \r\nB: 2\r\n\r\n", "A|1;B|2;", Ended::EmptyLine, ""},  // a line of blanks is folding
      {"A b: 1\r\nB: 2\r\n\r\n", "B|2;", Ended::EmptyLine, ""},
      {"A: b:c\r\n\r\n", "A|b:c;", Ended::EmptyLine, ""},
      {"A\xc3\xa9: 1\r\nB: 2\r\n\r\n", "B|2;", Ended::EmptyLine, ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::PrintToString(std::string(row.message)));
    const Scanned got = scan(row.message);
    EXPECT_EQ(got.fields, row.fields);
    EXPECT_EQ(got.ended, row.ended);
    EXPECT_EQ(std::string_view(row.message).substr(got.body_offset), row.body);
  }
}

TEST(HeaderScan, Limits) {
  const std::string line = "X-A: " + std::string(HeaderScan::kHeaderBytesMax, 'x') + "\r\n\r\n";
  EXPECT_EQ(scan(line).ended, HeaderScan::Ended::TooLarge);
  std::string folded = "X-A: 1\r\n";
  while (folded.size() < HeaderScan::kHeaderBytesMax + 100) folded += " xxxxxxxxxxxxxxx\r\n";
  EXPECT_EQ(scan(folded).ended, HeaderScan::Ended::TooLarge);
  std::string many;
  for (std::uint32_t i = 0; i < HeaderScan::kFieldsMax; ++i) many += "A: 1\r\n";
  EXPECT_EQ(scan(many + "\r\n").ended, HeaderScan::Ended::EmptyLine);
  EXPECT_EQ(scan(many + "A: 1\r\n\r\n").ended, HeaderScan::Ended::TooLarge);
}

TEST(HeaderScan, LargeTextWithoutHeadersIsNoLargeHeader) {
  std::string text;
  while (text.size() < HeaderScan::kHeaderBytesMax + 100) text += "Dear Ann, your order is on its way.\r\n";
  EXPECT_EQ(scan(text).ended, HeaderScan::Ended::Text);
}

TEST(HeaderScan, FirstLine) {
  using First = HeaderScan::FirstLine;
  const struct {
    std::string_view message;
    First want;
    std::size_t front;
  } rows[] = {
      {"", First::Field, 0},
      {"\r\nbody", First::Field, 0},
      {"A: 1\r\n", First::Field, 0},
      {"X Y: 1\r\n", First::BadField, 0},
      {"Dear Ann,\r\nA: 1\r\n", First::Text, 0},
      {" Dear: Ann,\r\n", First::Folded, 0},
      {"\tDear Ann,\r\n", First::Folded, 0},
      {"\xef\xbb\xbf"
       "A: 1\r\n",
       First::Field, 3},
      {"\xef\xbb\xbf"
       "From a b\r\n>From c d\r\nA: 1\r\n",
       First::Field, 24},
      {"From a b", First::Field, 8},
      {"\xef\xbb\xbf\r\nA: 1\r\n", First::Field, 5},
      {"From : a\r\n", First::Field, 0},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.message));
    const HeaderScan headers(row.message);
    EXPECT_EQ(headers.first_line(), row.want);
    EXPECT_EQ(headers.front_bytes(), row.front);
  }
}

TEST(HeaderScan, Unfolded) {
  const auto unfolded = [](std::string_view value) {
    std::string out;
    append_unfolded(out, value);
    return out;
  };
  EXPECT_EQ(unfolded("a b"), "a b");
  EXPECT_EQ(unfolded("a\r\n b\r\n\t c"), "a b c");
  EXPECT_EQ(unfolded("a\n b"), "a b");
  EXPECT_EQ(unfolded("\r\n a"), "a");
  EXPECT_EQ(unfolded("a\r\n"), "a");
  EXPECT_EQ(unfolded("a\r\n \r\n b"), "a b");
  EXPECT_EQ(unfolded(""), "");
}

TEST(Date, Table) {
  using namespace std::chrono;
  const auto at = [](int y, unsigned m, unsigned d, int h, int min, int s) {
    return WallTime(sys_days(year(y) / month(m) / day(d)).time_since_epoch() + hours(h) + minutes(min) +
                    seconds(s));
  };
  EXPECT_EQ(rfc5322_date(WallTime{}), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(rfc5322_date(at(2026, 11, 21, 18, 5, 9)), "Sat, 21 Nov 2026 18:05:09 +0000");
  EXPECT_EQ(rfc5322_date(at(2026, 11, 21, 18, 5, 9) + milliseconds(999)), "Sat, 21 Nov 2026 18:05:09 +0000");
  EXPECT_EQ(rfc5322_date(at(2024, 2, 28, 23, 30, 0), hours(1)), "Thu, 29 Feb 2024 00:30:00 +0100");
  EXPECT_EQ(rfc5322_date(at(2024, 3, 1, 0, 0, 0), -minutes(210)), "Thu, 29 Feb 2024 20:30:00 -0330");
  EXPECT_EQ(rfc5322_date(at(1969, 12, 31, 23, 59, 59)), "Wed, 31 Dec 1969 23:59:59 +0000");
}

TEST(Received, Table) {
  ReceivedFields fields{.helo = "app.example",
                        .client = IpAddress::parse("192.0.2.7"),
                        .host = "mta.example",
                        .product = "Sluice 0.1.0",
                        .id = "h1a2b3c4d5e6",
                        .recipient = "joe@y.example",
                        .date = "Sat, 21 Nov 2026 18:05:09 +0000",
                        .envelope_from = "bounce@x.example"};
  const auto text = [](const ReceivedFields& of) {
    std::string out;
    append_received(out, of);
    return out;
  };
  EXPECT_EQ(text(fields),
            "Received: from app.example (192.0.2.7) by mta.example (Sluice 0.1.0)\r\n"
            "\tid h1a2b3c4d5e6 for <joe@y.example>; Sat, 21 Nov 2026 18:05:09 +0000\r\n"
            "\t(envelope-from <bounce@x.example>)\r\n");
  fields.client.reset();
  fields.recipient = {};
  EXPECT_EQ(text(fields),
            "Received: by mta.example (Sluice 0.1.0) id h1a2b3c4d5e6;\r\n"
            "\tSat, 21 Nov 2026 18:05:09 +0000 (envelope-from <bounce@x.example>)\r\n");
  // What a client calls itself cannot make a header of its own, nor a line that is too long.
  fields.client = IpAddress::parse("2001:db8::1");
  const std::string evil = "x\r\nBcc: all (\x7f" + std::string(5000, 'y');
  fields.helo = evil;
  const std::string got = text(fields);
  EXPECT_NE(got.find("x??Bcc:?all???yyy"), std::string::npos);
  std::size_t start = 0;
  for (std::size_t end = got.find("\r\n"); end != std::string::npos; end = got.find("\r\n", start)) {
    EXPECT_LE(end - start, 998U);
    if (start > 0) {
      EXPECT_EQ(got[start], '\t');
    }
    start = end + 2;
  }
  EXPECT_EQ(start, got.size());
}

}  // namespace
}  // namespace sluice::net::test
