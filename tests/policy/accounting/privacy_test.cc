// Goal: no form of a recipient's local part survives `privacy-policy`, equal recipients stay equal, and
//       nothing else of a row changes.
// How:  published vectors for the hashes; tables of texts; rows.
#include "policy/accounting/privacy.h"

#include <gtest/gtest.h>

#include "policy/accounting/row_formatter.h"

namespace sluice::accounting {
namespace {

using config::PrivacyKind;

Privacy made(PrivacyKind kind, std::string argument) {
  auto out = Privacy::make({kind, std::move(argument)});
  EXPECT_TRUE(out) << out.error();
  return out.value_or(Privacy());
}

std::string address(const Privacy& privacy, std::string_view text) {
  std::string out;
  privacy.address(out, text);
  return out;
}

TEST(Privacy, HashesAsPublished) {
  std::array<std::uint8_t, 16> key{};
  for (std::uint8_t i = 0; i < 16; ++i) key[i] = i;
  std::string input;
  EXPECT_EQ(siphash24(key, input), 0x726fdb47dd0e0e31u);
  for (char i = 0; i < 15; ++i) input += i;
  EXPECT_EQ(siphash24(key, input), 0xa129ca6149be45e5u);
  // RFC 4231, test case 2.
  EXPECT_EQ(address(made(PrivacyKind::HmacSha256, "Jefe"), "what do ya want for nothing?@a.example"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843@a.example");
}

TEST(Privacy, KeysAsTextAndInHex) {
  const std::string text = address(made(PrivacyKind::Siphash, "key"), "Bob@a.example");
  EXPECT_EQ(text.size(), 16 + std::string("@a.example").size());
  EXPECT_EQ(address(made(PrivacyKind::Siphash, "key"), "bob@a.example"), text) << "in lower case";
  EXPECT_EQ(address(made(PrivacyKind::SiphashHexkey, "6b6579"), "bob@a.example"), text);
  EXPECT_EQ(address(made(PrivacyKind::SiphashHexkey, "6B657900"), "bob@a.example"), text)
      << "filled up with zeros";
  EXPECT_NE(address(made(PrivacyKind::Siphash, "kez"), "bob@a.example"), text);
  EXPECT_NE(address(made(PrivacyKind::Siphash, "key"), "bobo@a.example"), text);
  EXPECT_EQ(address(made(PrivacyKind::HmacSha256Hexkey, "4a656665"), "x@y"),
            address(made(PrivacyKind::HmacSha256, "Jefe"), "x@y"));
  EXPECT_FALSE(Privacy::make({PrivacyKind::SiphashHexkey, "6b657"}));
  EXPECT_FALSE(Privacy::make({PrivacyKind::HmacSha256Hexkey, "6g"}));
  EXPECT_FALSE(Privacy::make({PrivacyKind::Siphash, "12345678901234567"}));
}

TEST(Privacy, FindsTheRecipientWhereverItStands) {
  const Privacy privacy = made(PrivacyKind::Redact, "...");
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {"smtp;550 5.1.1 <Bob.Smith@a.example>: no such user", "smtp;550 5.1.1 <...@a.example>: no such user"},
      {"smtp;550 user bob.smith unknown", "smtp;550 user ... unknown"},
      {"smtp;550 unknown: bob.smith.", "smtp;550 unknown: ...."},
      {"smtp;550 v-bob.smith=a.example@b.example", "smtp;550 v-...=a.example@b.example"},
      {"smtp;550 bob.smithers and notbob.smith", "smtp;550 bob.smithers and notbob.smith"},
      {"BOB.SMITH, bob.smith", "..., ..."},
      {"", ""},
  };
  for (const Case& one : cases) {
    std::string out;
    privacy.text(out, one.text, "bob.smith@a.example");
    EXPECT_EQ(out, one.expected);
  }
  std::string out;
  privacy.text(out, "no: is@a.example is not here", "is@a.example");
  EXPECT_EQ(out, "no: ...@a.example is not here") << "a short name is a word of its own elsewhere";
  privacy.original_recipient(out, "rfc822;bob+2Bx@a.example");
  EXPECT_EQ(out, "rfc822;...@a.example");
  privacy.original_recipient(out, "");
  EXPECT_EQ(out, "");
  privacy.sender(out, "v-Bob.Smith=a.example@news.example", "bob.smith@a.example");
  EXPECT_EQ(out, "v-...=a.example@news.example");
  privacy.sender(out, "bob.smith@news.example", "bob.smith@a.example");
  EXPECT_EQ(out, "bob.smith@news.example") << "who sends is not hidden";
}

TEST(Privacy, RowsHideTheRecipientOnly) {
  config::AcctFile spec;
  spec.records = {config::RecordType::Bounce};
  spec.record_fields = {{config::RecordType::Bounce, {"orig", "rcpt", "orcpt", "dsnDiag", "dsnMta"}, {}}};
  AcctRecord record;
  record.type = config::RecordType::Bounce;
  record.orig = "v-bob=a.example@news.example";
  record.rcpt = "bob@a.example";
  record.orcpt = "rfc822;bob@a.example";
  record.dsn_diag = "smtp;550 <bob@a.example>";
  record.dsn_mta = "bob.a.example (192.0.2.1)";
  const auto layout = RecordLayout::make(spec);
  ASSERT_TRUE(layout);
  const TimeZone utc;
  RowFormatter hides(*layout, utc, {.user_string = {}, .privacy = made(PrivacyKind::Redact, "x")});
  std::string row;
  hides.append_row(row, record);
  EXPECT_EQ(row,
            "b,v-x=a.example@news.example,x@a.example,rfc822;x@a.example,smtp;550 <x@a.example>,"
            "bob.a.example (192.0.2.1)\r\n");
  RowFormatter shows(*layout, utc, {});
  row.clear();
  shows.append_row(row, record);
  EXPECT_NE(row.find(",bob@a.example,"), std::string::npos);
}

}  // namespace
}  // namespace sluice::accounting
