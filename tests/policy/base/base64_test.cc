// Goal: base64 with one spelling per value: what decodes encodes to the same text again.
// How:  the vectors of RFC 4648 10, every short sequence of bytes, and spellings that must be refused.
#include "policy/base/base64.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Base64, VectorsOfTheRfc) {
  struct Case {
    const char* bytes;
    const char* text;
  };
  static constexpr Case kCases[] = {{"", ""},
                                    {"f", "Zg=="},
                                    {"fo", "Zm8="},
                                    {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="},
                                    {"fooba", "Zm9vYmE="},
                                    {"foobar", "Zm9vYmFy"}};
  for (const Case& one : kCases) {
    EXPECT_EQ(encode_base64(one.bytes), one.text);
    EXPECT_EQ(decode_base64(one.text), one.bytes);
  }
}

TEST(Base64, EveryPairOfBytesComesBack) {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string bytes{static_cast<char>(first), static_cast<char>(second)};
      ASSERT_EQ(decode_base64(encode_base64(bytes)), bytes) << first << ' ' << second;
    }
  }
}

TEST(Base64, RefusesASecondSpelling) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8", "Z===", "=", "====", "Zm9v\n",
                           " Zm9v", "Zm9v Zm9v", "Zg==Zg==", "Zm-v", "Zm_v", "Zg=a"})
    EXPECT_FALSE(decode_base64(text)) << text;
}

}  // namespace
}  // namespace sluice
