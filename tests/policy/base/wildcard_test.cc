// Goal: matches_wildcard(), which names queues, virtual MTAs and recipients in commands and filters.
// How:  a table; and every pattern over a small alphabet against a plain recursive definition.
#include "policy/base/wildcard.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(Wildcard, FitsAsTheTableSays) {
  struct Case {
    const char* pattern;
    const char* text;
    bool fits;
  };
  static constexpr Case kCases[] = {
      {"", "", true},           {"", "a", false},          {"*", "", true},
      {"*", "anything", true},  {"a*", "A", true},         {"a*", "ba", false},
      {"*.com", "x.COM", true}, {"*.com", ".com", true},   {"*.com", "x.com.", false},
      {"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false}, {"**a**", "xa", true},
      {"*ab", "aab", true},     {"*aab", "aaab", true},    {"[a-z]", "b", false},
      {"a?c", "abc", false},    {"a?c", "a?c", true},      {"gmail.com", "gmail.comx", false},
  };
  for (const Case& one : kCases)
    EXPECT_EQ(matches_wildcard(one.pattern, one.text), one.fits) << one.pattern << " and " << one.text;
}

/// What a star means, without any cleverness.
bool fits_plainly(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return fits_plainly(pattern.substr(1), text) || (!text.empty() && fits_plainly(pattern, text.substr(1)));
  }
  return !text.empty() && pattern.front() == text.front() && fits_plainly(pattern.substr(1), text.substr(1));
}

std::vector<std::string> words_over(std::string_view letters, std::size_t length_max) {
  std::vector<std::string> out{""};
  for (std::size_t from = 0; from < out.size(); ++from) {
    if (out[from].size() == length_max) continue;
    const std::string word = out[from];
    for (const char letter : letters) out.push_back(word + letter);
  }
  return out;
}

TEST(Wildcard, IsWhatAStarMeans) {
  const std::vector<std::string> texts = words_over("ab", 5);
  std::size_t fitting = 0;
  for (const std::string& pattern : words_over("ab*", 5)) {
    for (const std::string& text : texts) {
      const bool fits = matches_wildcard(pattern, text);
      fitting += fits ? 1 : 0;
      ASSERT_EQ(fits, fits_plainly(pattern, text)) << '"' << pattern << "\" and \"" << text << '"';
    }
  }
  EXPECT_GT(fitting, texts.size());
}

}  // namespace
}  // namespace sluice
