// Goal: the name DNS is asked for is the one a domain outside ASCII stands for, and nothing else passes.
// How: a table; names as large as they may be and larger.

#include "policy/base/idn.h"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

TEST(Idn, Table) {
  const struct {
    std::string_view domain;
    std::optional<std::string> want;
  } rows[] = {
      {"example.com", "example.com"},
      {"EXAMPLE.Com", "example.com"},
      {"a_b.example", "a_b.example"},
      {"", ""},
      {"b\xc3\xbc"
       "cher.example",
       "xn--bcher-kva.example"},
      {"B\xc3\x9c"
       "CHER.example",
       "xn--bcher-kva.example"},
      // u and a combining diaeresis: the same name in another normal form.
      {"bu\xcc\x88"
       "cher.example",
       "xn--bcher-kva.example"},
      {"stra\xc3\x9f"
       "e.example",
       "xn--strae-oqa.example"},
      {"\xe4\xbe\x8b\xe3\x81\x88.jp", "xn--r8jz45g.jp"},
      // An ideographic full stop divides labels.
      {"\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82jp", "xn--r8jz45g.jp"},
      {"b\xfc"
       "cher.example",
       std::nullopt},  // Latin-1
      {std::string_view("b\xc3\xbc\0.x", 6), std::nullopt},
      {"\xe2\x80\xaa.example", std::nullopt},  // a control character
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.domain);
    EXPECT_EQ(to_a_labels(row.domain), row.want);
  }
}

TEST(Idn, Sizes) {
  std::string label = "\xc3\xbc";
  EXPECT_TRUE(to_a_labels(label + std::string(50, 'a') + ".example").has_value());
  EXPECT_FALSE(to_a_labels(label + std::string(70, 'a') + ".example").has_value());
  std::string many;
  while (many.size() < 2000) many += "\xc3\xbc.";
  EXPECT_FALSE(to_a_labels(many).has_value());
}

}  // namespace
}  // namespace sluice::test
