// Goal: DNS messages are read exactly, and no lie in one is believed: truncations, pointers, counts, lengths,
//       TTLs.
// How: messages written as hex by hand (RFC 1035 layout) and by build_message(); each lie is one row; every
//      prefix of a
// good message is tried, in a buffer of its own size so that sanitizers see a read beyond it.

#include <gmock/gmock.h>

#include <array>
#include <string>

#include "net/dns/message.h"
#include "net/dns/wire_name.h"

namespace sluice::net::dns {
namespace {

using Bytes = std::vector<std::byte>;

/// "00 1f|abc" : hex bytes; text behind '|' up to a blank is taken as it is.
Bytes bytes_of(std::string_view text) {
  Bytes out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text[i] == '|') {
      for (++i; i < text.size() && text[i] != ' '; ++i) out.push_back(static_cast<std::byte>(text[i]));
      continue;
    }
    out.push_back(static_cast<std::byte>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
    ++i;
  }
  return out;
}

const std::string kAnswerHeader =
    "12 34 81 80 00 01 00 01 00 00 00 00 ";  // response, RD, RA; 1 question, 1 answer
const std::string kQuestion = "07 |Example 03 |com 00 00 01 00 01 ";  // Example.com A IN, name at 12
const std::string kGood = kAnswerHeader + kQuestion + "c0 0c 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01";

TEST(DnsParse, PlainAnswer) {
  const auto message = parse_message(bytes_of(kGood));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->header.id, 0x1234);
  EXPECT_TRUE(message->header.response);
  EXPECT_TRUE(message->header.recursion_available);
  EXPECT_FALSE(message->header.authoritative);
  ASSERT_EQ(message->questions.size(), 1u);
  EXPECT_EQ(message->questions[0], (Question{"example.com", Type::A, 1}));
  ASSERT_EQ(message->answers.size(), 1u);
  EXPECT_EQ(message->answers[0],
            (Record{"example.com", Type::A, 1, std::chrono::seconds{300}, *IpAddress::parse("192.0.2.1")}));
}

TEST(DnsParse, EveryTruncationIsRefused) {
  const Bytes good = bytes_of(kGood);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_message(cut)) << size;
  }
}

struct LieRow {
  const char* name;
  std::string message;
};

TEST(DnsParse, Lies) {
  const std::string one_answer = kAnswerHeader + kQuestion;
  // clang-format off
  const LieRow rows[] = {
      {"pointer to itself", one_answer + "c0 1d 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"pointer ahead", one_answer + "c0 20 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"pointer beyond the end", one_answer + "ff ff 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"pointers in a circle", one_answer + "01 |a c0 1d 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"half a pointer", "12 34 81 80 00 01 00 00 00 00 00 00 c0"},
      {"reserved label type", one_answer + "40 0c 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"data longer than the message", one_answer + "c0 0c 00 01 00 01 00 00 01 2c 00 05 c0 00 02 01"},
      {"A of 3 bytes", one_answer + "c0 0c 00 01 00 01 00 00 01 2c 00 03 c0 00 02"},
      {"AAAA of 4 bytes", one_answer + "c0 0c 00 1c 00 01 00 00 01 2c 00 04 c0 00 02 01"},
      {"MX without host", one_answer + "c0 0c 00 0f 00 01 00 00 01 2c 00 02 00 0a"},
      {"MX with bytes behind its host", one_answer + "c0 0c 00 0f 00 01 00 00 01 2c 00 05 00 0a c0 0c 00"},
      {"MX whose name leaves its data", one_answer + "c0 0c 00 0f 00 01 00 00 01 2c 00 03 00 0a 03 |abc 00"},
      {"CNAME of no bytes", one_answer + "c0 0c 00 05 00 01 00 00 01 2c 00 00"},
      {"SOA cut off", one_answer + "c0 0c 00 06 00 01 00 00 01 2c 00 08 c0 0c c0 0c 00 00 00 01"},
      {"OPT among the answers", one_answer + "00 00 29 04 d0 00 00 00 00 00 00"},
      {"two OPT", "12 34 81 80 00 00 00 00 00 00 00 02 00 00 29 04 d0 00 00 00 00 00 00 00 00 29 04 d0 00 00 00 00 00 00"},
      {"OPT with a name", "12 34 81 80 00 00 00 00 00 00 00 01 01 |a 00 00 29 04 d0 00 00 00 00 00 00"},
      {"more records than the limit", "12 34 81 80 00 00 10 01 00 00 00 00"},
      {"records split over sections beyond the limit", "12 34 81 80 00 00 08 00 08 00 00 01"},
      {"five questions", "12 34 81 80 00 05 00 00 00 00 00 00"},
  };
  // clang-format on
  for (const LieRow& row : rows) EXPECT_FALSE(parse_message(bytes_of(row.message))) << row.name;
}

TEST(DnsParse, ManyPointersInARowEnd) {
  // Names that each point at the one before: 60 labels deep, legal; a name over 255 bytes is not.
  std::string deep = "12 34 81 80 00 00 00 02 00 00 00 00 ";
  std::string labels = "3f ";
  for (int i = 0; i < 63; ++i) labels += "61 ";
  // Owner of 3 labels of 63 = 193 bytes with the root; the second owner adds one more and points back: 257.
  const std::string record = "00 10 00 01 00 00 00 00 00 00 ";
  EXPECT_TRUE(
      parse_message(bytes_of(deep + labels + labels + labels + "00 " + record + "01 |b c0 0c " + record)));
  EXPECT_FALSE(
      parse_message(bytes_of(deep + labels + labels + labels + "00 " + record + labels + "c0 0c " + record)));
}

struct TtlRow {
  const char* wire;
  std::chrono::seconds ttl;
};

TEST(DnsParse, Ttls) {
  // clang-format off
  const TtlRow rows[] = {{"00 00 00 00", std::chrono::seconds{0}},
                         {"00 00 00 01", std::chrono::seconds{1}},
                         {"00 09 3a 80", kTtlMax},
                         {"00 09 3a 81", kTtlMax},
                         {"7f ff ff ff", kTtlMax},
                         {"80 00 00 00", std::chrono::seconds{0}},
                         {"ff ff ff ff", std::chrono::seconds{0}}};
  // clang-format on
  for (const TtlRow& row : rows) {
    const auto message = parse_message(
        bytes_of(kAnswerHeader + kQuestion + "c0 0c 00 01 00 01 " + row.wire + " 00 04 c0 00 02 01"));
    ASSERT_TRUE(message) << row.wire;
    EXPECT_EQ(message->answers[0].ttl, row.ttl) << row.wire;
  }
}

TEST(DnsParse, OtherClassesAreLeftOut) {
  const auto message =
      parse_message(bytes_of(kAnswerHeader + kQuestion + "c0 0c 00 01 00 03 00 00 01 2c 00 01 ff"));
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->answers.empty());
}

TEST(DnsParse, AdditionalRecordsAreOnlyChecked) {
  const auto message =
      parse_message(bytes_of("12 34 81 80 00 00 00 00 00 00 00 02 00 00 29 04 d0 00 00 80 00 00 00 "
                             "01 |x 00 00 01 00 01 00 00 01 2c 00 04 c0 00 02 01"));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->edns, (Edns{1232, true}));
  EXPECT_TRUE(message->answers.empty());
}

TEST(DnsParse, NamesAreLowerCaseAndEscaped) {
  const auto name = read_name(bytes_of("05 |A.b\\Z 02 20 7f 00"), 0);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->text, "a\\046b\\092z. \\127");
  EXPECT_EQ(name->end, 10u);
  const auto wire = encode_name(name->text);
  ASSERT_TRUE(wire);
  EXPECT_EQ(read_name(std::as_bytes(std::span(*wire)), 0)->text, name->text);
}

TEST(DnsName, Encoding) {
  EXPECT_EQ(encode_name(""), std::string(1, '\0'));
  EXPECT_EQ(encode_name("a.bc"), std::string("\1a\2bc\0", 6));
  EXPECT_TRUE(encode_name(std::string(63, 'x')));
  for (const char* bad : {".", "a.", ".a", "a..b", "a\\", "a\\12", "a\\x12", "a\\256"})
    EXPECT_FALSE(encode_name(bad)) << bad;
  EXPECT_FALSE(encode_name(std::string(64, 'x')));
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  EXPECT_TRUE(encode_name(longest + "a")) << "253 characters are 255 bytes";
  EXPECT_FALSE(encode_name(longest + "ab"));
}

Message sample() {
  Message message;
  message.header = {7, true, 0, true, false, true, true, true, false, Rcode::NoError};
  message.questions = {{"example.com", Type::Mx, 1}};
  message.answers = {
      {"example.com", Type::Mx, 1, std::chrono::seconds{60}, MxData{10, "mx.example.com"}},
      {"mx.example.com", Type::A, 1, std::chrono::seconds{60}, *IpAddress::parse("192.0.2.1")},
      {"mx.example.com", Type::Aaaa, 1, std::chrono::seconds{60}, *IpAddress::parse("2001:db8::1")},
      {"alias.example.com", Type::Cname, 1, std::chrono::seconds{0}, NameData{"example.com"}},
      {"_25._tcp.mx.example.com", Type::Tlsa, 1, std::chrono::seconds{9}, RawData{Bytes(35, std::byte{7})}},
      {"example.com", Type::Mx, 1, std::chrono::seconds{60}, MxData{0, ""}}};
  SoaData soa{"ns.example.com", "hostmaster.example.com", 1, 2, 3, 4, std::chrono::seconds{30}};
  message.authority = {{"example.com", Type::Soa, 1, std::chrono::seconds{60}, soa}};
  message.edns = Edns{1400, true};
  return message;
}

TEST(DnsBuild, ComesBackAsItWas) {
  const auto bytes = build_message(sample());
  ASSERT_TRUE(bytes);
  const auto back = parse_message(*bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, sample());
}

TEST(DnsBuild, NamesAreCompressed) {
  const auto bytes = build_message(sample());
  const std::string text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  std::size_t times = 0;
  for (std::size_t at = text.find("example"); at != std::string::npos; at = text.find("example", at + 1))
    ++times;
  EXPECT_EQ(times, 1u);
}

TEST(DnsBuild, WhatDoesNotFitIsLeftOutAndSaid) {
  const std::size_t whole = build_message(sample())->size();
  std::size_t records_before = 0;
  for (std::size_t max = 40; max <= whole; ++max) {
    const auto bytes = build_message(sample(), max);
    if (!bytes) continue;  // not even question and OPT fit
    ASSERT_LE(bytes->size(), max);
    const auto back = parse_message(*bytes);
    ASSERT_TRUE(back) << max;
    const std::size_t records = back->answers.size() + back->authority.size();
    EXPECT_GE(records, records_before);
    EXPECT_EQ(back->header.truncated, records < 7) << max;
    EXPECT_TRUE(back->edns);
    records_before = records;
  }
  EXPECT_EQ(records_before, 7u);
}

TEST(DnsBuild, EveryTruncationOfARichMessageIsRefusedOrFlagged) {
  const Bytes good = *build_message(sample());
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_message(cut)) << size;
  }
}

TEST(DnsBuild, EveryFlippedBitIsSurvived) {
  const Bytes good = *build_message(sample());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const auto parsed = parse_message(bad);
    if (parsed) {
      EXPECT_LE(parsed->answers.size(), 6u);
    }
  }
}

TEST(DnsBuild, Queries) {
  const auto plain = build_query(0xabcd, "Example.com", Type::Mx);
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, bytes_of("ab cd 01 00 00 01 00 00 00 00 00 00 07 |Example 03 |com 00 00 0f 00 01"));
  const auto with_edns = build_query(0xabcd, "a", Type::A, Edns{1232, true});
  ASSERT_TRUE(with_edns);
  EXPECT_EQ(
      *with_edns,
      bytes_of("ab cd 01 00 00 01 00 00 00 00 00 01 01 |a 00 00 01 00 01 00 00 29 04 d0 00 00 80 00 00 00"));
  EXPECT_FALSE(build_query(1, "a..b", Type::A));
}

TEST(DnsParse, TheLargestMessage) {
  Message message;
  message.header.response = true;
  for (int i = 0; i < 4090; ++i)
    message.answers.push_back({"d", Type::A, 1, std::chrono::seconds{1}, *IpAddress::parse("192.0.2.1")});
  const auto bytes = build_message(message);
  ASSERT_TRUE(bytes);
  EXPECT_GT(bytes->size(), 65000u);
  EXPECT_EQ(parse_message(*bytes)->answers.size(), 4090u);
  Bytes larger(kMessageBytesMax + 1);
  EXPECT_FALSE(parse_message(larger));
}

TEST(DnsTxt, StringsAreJoined) {
  EXPECT_EQ(*txt_text(bytes_of("03 |abc 00 02 |de")), "abcde");
  EXPECT_EQ(*txt_text(bytes_of("")), "");
  EXPECT_FALSE(txt_text(bytes_of("04 |abc")));
}

TEST(DnsText, Names) {
  EXPECT_EQ(text_of(Type::Mx), "MX");
  EXPECT_EQ(text_of(static_cast<Type>(257)), "TYPE257");
  EXPECT_EQ(text_of(Rcode::ServFail), "SERVFAIL");
  EXPECT_EQ(text_of(static_cast<Rcode>(11)), "RCODE11");
}

}  // namespace
}  // namespace sluice::net::dns
