// Goal: the vector scan finds exactly what the byte-by-byte scan finds, at every place and length.
// How: the plain version is the reference; texts are made of the four bytes that matter and one that does not.
#include "bench/lib/body_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

void expect_same(std::string_view text, char before) {
  const BodyScan plain = scan_body_plain(text, before);
  const BodyScan fast = scan_body(text, before);
  ASSERT_EQ(fast.line_dot, plain.line_dot) << text;
  ASSERT_EQ(fast.bare, plain.bare) << text;
}

TEST(BodyScan, Table) {
  EXPECT_EQ(scan_body("abc\r\n.def", '\n').line_dot, 4U);
  EXPECT_EQ(scan_body("abc\r\ndef", '\n').line_dot, std::string_view::npos);
  EXPECT_FALSE(scan_body("abc\r\ndef\r\n", '\0').bare);
  EXPECT_TRUE(scan_body("abc\ndef", '\0').bare);
  EXPECT_TRUE(scan_body("abc\rdef", '\0').bare);
  EXPECT_TRUE(scan_body("def", '\r').bare);
  EXPECT_FALSE(scan_body("\ndef", '\r').bare);
  EXPECT_FALSE(scan_body("abc\r", '\0').bare);  // judged with the next piece
}

TEST(BodyScan, OddBytesBehindTheDotAreLeftToTheNextCall) {
  const std::string text = std::string(20, 'a') + "\r\n." + "b\nc" + std::string(20, 'd');
  EXPECT_EQ(scan_body(text, '\0').line_dot, 21U);
  EXPECT_FALSE(scan_body(text, '\0').bare);
}

TEST(BodyScan, SameAsPlainForEveryPlaceOfOneEvent) {
  for (std::size_t size = 1; size < 80; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const std::string_view event : {"\r\n.", "\n.", "\r", "\n", "\r\n"}) {
        std::string text(size, 'x');
        text.replace(at, std::min(event.size(), size - at), event.substr(0, size - at));
        expect_same(text, 'x');
      }
    }
  }
}

TEST(BodyScan, SameAsPlainForRandomTexts) {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::string text;
    const std::size_t size = mix(seed) % 100;
    for (std::size_t i = 0; i < size; ++i) text += "\r\n.xxxxx"[mix(seed, i) % 8];
    expect_same(text, "\r\nx"[seed % 3]);
  }
}

}  // namespace
}  // namespace sluice::bench
