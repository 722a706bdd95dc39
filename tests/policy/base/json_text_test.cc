// Goal: any bytes become a JSON string that every reader takes (RFC 8259 7). How: one row of each kind.
#include "policy/base/json_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(JsonText, AnyBytesBecomeAString) {
  std::string out;
  append_json_string(out, std::string_view("a\"\\\r\n\t\0\x01\x7f", 9));
  append_json_string(out, "\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80");
  append_json_string(out, "x\xFFy\xC3");
  EXPECT_EQ(out,
            "\"a\\\"\\\\\\r\\n\\t\\u0000\\u0001\\u007f\"\"\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80\""
            "\"x\xEF\xBF\xBDy\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace sluice
