// Goal: questions are read, however hostile; answers are correct on the wire, compressed, and cut when too long.
// How: bytes in, bytes out; answers are read back by a small independent reader.
#include "bench/dns/dns_message.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

std::string query_bytes(std::string_view dotted, std::uint16_t type, bool edns) {
  std::string out("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  if (edns) out[11] = 1;
  while (!dotted.empty()) {
    const std::string_view label = dotted.substr(0, dotted.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    dotted.remove_prefix(std::min(dotted.size(), label.size() + 1));
  }
  out += '\0';
  out += static_cast<char>(type >> 8);
  out += static_cast<char>(type & 0xff);
  out += std::string("\0\1", 2);
  if (edns) out += std::string("\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);
  return out;
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// Reads a name with pointers followed; moves `at` behind it.
std::string read_name(const std::string& message, std::size_t& at) {
  std::string out;
  std::size_t here = at;
  bool jumped = false;
  for (int steps = 0; steps < 100; ++steps) {
    const auto size = static_cast<unsigned char>(message.at(here));
    if (size == 0) {
      if (!jumped) at = here + 1;
      return out;
    }
    if (size >= 0xc0) {
      if (!jumped) at = here + 2;
      jumped = true;
      here = static_cast<std::size_t>(size & 0x3f) << 8 | static_cast<unsigned char>(message.at(here + 1));
      continue;
    }
    if (!out.empty()) out += '.';
    out += message.substr(here + 1, size);
    here += size + 1U;
  }
  return "LOOP";
}

TEST(DnsQuestion, IsRead) {
  const std::string bytes = query_bytes("MX.Example.COM", 15, true);
  const auto question = parse_dns_question(bytes_of(bytes));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->id, 0x1234);
  EXPECT_EQ(question->name, "mx.example.com");
  EXPECT_EQ(question->type, 15);
  EXPECT_TRUE(question->recursion_desired);
  EXPECT_TRUE(question->edns);
  EXPECT_TRUE(question->dnssec_ok);
  EXPECT_EQ(question->udp_bytes_max, 1232);
}

TEST(DnsQuestion, CutAnywhereIsRefusedOrHarmless) {
  const std::string bytes = query_bytes("a.example", 1, true);
  const std::size_t question_end = bytes.size() - 11;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    EXPECT_EQ(parse_dns_question(bytes_of(cut)).has_value(), size >= question_end) << size;
  }
}

TEST(DnsQuestion, HostileNames) {
  std::string response = query_bytes("a.example", 1, false);
  response[2] = static_cast<char>(0x80);
  EXPECT_FALSE(parse_dns_question(bytes_of(response)));
  std::string pointer = query_bytes("", 1, false);
  pointer.replace(12, 1, "\xc0\x0c");
  EXPECT_FALSE(parse_dns_question(bytes_of(pointer)));
  std::string endless;
  for (int i = 0; i < 10; ++i) endless += std::string(60, 'a') + ".";
  EXPECT_FALSE(parse_dns_question(bytes_of(query_bytes(endless, 1, false))));
  const auto dotted =
      parse_dns_question(bytes_of(std::string("\0\0\0\0\0\1\0\0\0\0\0\0\3a.b\0\0\1\0\1", 21)));
  ASSERT_TRUE(dotted);
  EXPECT_EQ(dotted->name,
            "a\x01"
            "b");
}

TEST(DnsResponse, NamesAreCompressedAndReadable) {
  const std::string bytes = query_bytes("d1.example", 15, false);
  const auto question = parse_dns_question(bytes_of(bytes));
  DnsResponse response(*question);
  response.add_mx("d1.example", 300, 10, "mx1.d1.example");
  response.add_mx("d1.example", 300, 20, "mx2.d1.example");
  response.add_address(DnsResponse::Section::Additional, "mx2.d1.example", 300,
                       *IpAddress::parse("127.0.0.9"));
  const std::string out = response.finish(512);
  EXPECT_EQ(out.substr(0, 2), "\x12\x34");
  EXPECT_EQ(static_cast<unsigned char>(out[2]) & 0x84, 0x84);  // response, authoritative
  EXPECT_EQ(out[7], 2);
  EXPECT_EQ(out[11], 1);
  std::size_t at = 12;
  EXPECT_EQ(read_name(out, at), "d1.example");
  at += 4;
  EXPECT_EQ(read_name(out, at), "d1.example");
  at += 10 + 2;
  EXPECT_EQ(read_name(out, at), "mx1.d1.example");
  EXPECT_EQ(read_name(out, at), "d1.example");
  at += 12;
  EXPECT_EQ(read_name(out, at), "mx2.d1.example");
  EXPECT_EQ(read_name(out, at), "mx2.d1.example");
  EXPECT_EQ(out.substr(at + 8), std::string("\0\4\x7f\0\0\x09", 6));
}

TEST(DnsResponse, TooLongIsCutWithTcSet) {
  const auto question = parse_dns_question(bytes_of(query_bytes("x.example", 16, true)));
  DnsResponse response(*question);
  response.add_text("x.example", 60, std::string(600, 't'));
  const std::string cut = response.finish(512);
  EXPECT_NE(static_cast<unsigned char>(cut[2]) & 0x02, 0);
  EXPECT_EQ(cut[7], 0);
  EXPECT_EQ(cut[11], 1);  // EDNS stays
  EXPECT_LE(cut.size(), 512U);
  EXPECT_GT(response.finish(65535).size(), 600U);
}

TEST(DnsResponse, NeverPassesItsLimit) {
  const auto question = parse_dns_question(bytes_of(query_bytes("x.example", 15, true)));
  DnsResponse response(*question);
  for (int i = 0; i < 20'000 && !response.overflowed(); ++i) {
    response.add_mx("x.example", 60, 1, "m" + std::to_string(i) + ".x.example");
  }
  EXPECT_TRUE(response.overflowed());
  EXPECT_LE(response.finish(DnsResponse::kBytesMax).size(), DnsResponse::kBytesMax);
}

}  // namespace
}  // namespace sluice::bench
