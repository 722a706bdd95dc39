// Goal: times, sizes, rates, shares and quoted words are read as written, and nonsense is refused.
// How: tables; every parser is pure.
#include "bench/lib/values.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

TEST(Values, Durations) {
  struct Row {
    const char* text;
    Duration want;
  };
  const Row rows[] = {{"0", 0s},     {"5", 5s},      {"250ms", 250ms}, {"1.5s", 1500ms}, {"2m", 120s},
                      {"1h", 3600s}, {"1d", 86400s}, {"30us", 30us},   {"0.5ms", 500us}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    ASSERT_TRUE(parse_duration(row.text));
    EXPECT_EQ(*parse_duration(row.text), row.want);
  }
  for (const char* wrong : {"", "s", "-1s", "1x", "1.2.3s", "400d", "1 s"}) {
    SCOPED_TRACE(wrong);
    EXPECT_FALSE(parse_duration(wrong));
  }
}

TEST(Values, DurationTextIsReadBack) {
  for (const Duration one : {Duration(0), Duration(30us), Duration(250ms), Duration(1500ms), Duration(90s)}) {
    EXPECT_EQ(*parse_duration(duration_text(one)), one) << duration_text(one);
  }
}

TEST(Values, Sizes) {
  EXPECT_EQ(*parse_size("512"), 512U);
  EXPECT_EQ(*parse_size("10k"), 10240U);
  EXPECT_EQ(*parse_size("10KB"), 10240U);
  EXPECT_EQ(*parse_size("4m"), 4U << 20);
  EXPECT_EQ(*parse_size("1.5k"), 1536U);
  for (const char* wrong : {"", "k", "10x", "-1"}) EXPECT_FALSE(parse_size(wrong)) << wrong;
}

TEST(Values, Rates) {
  EXPECT_EQ(*parse_rate("500/h"), (Rate{500, 3600s}));
  EXPECT_EQ(*parse_rate("10/s"), (Rate{10, 1s}));
  EXPECT_EQ(*parse_rate("3/5m"), (Rate{3, 300s}));
  for (const char* wrong : {"", "500", "/s", "0/s", "5/", "5/x", "5/0s"})
    EXPECT_FALSE(parse_rate(wrong)) << wrong;
}

TEST(Values, Shares) {
  EXPECT_EQ(parse_share("5%")->millionths, 50'000U);
  EXPECT_EQ(parse_share("0.01%")->millionths, 100U);
  EXPECT_EQ(parse_share("100%")->millionths, 1'000'000U);
  for (const char* wrong : {"5", "101%", "%", "-1%"}) EXPECT_FALSE(parse_share(wrong)) << wrong;
}

TEST(Values, DurationRanges) {
  EXPECT_EQ(*parse_duration_range("10ms..50ms"), (DurationRange{10ms, 50ms}));
  EXPECT_EQ(*parse_duration_range("1s"), (DurationRange{1s, 1s}));
  EXPECT_FALSE(parse_duration_range("50ms..10ms"));
  EXPECT_FALSE(parse_duration_range("..1s"));
}

std::vector<std::string> texts_of(std::string_view line) {
  std::vector<std::string> out;
  const auto words = split_words(line);
  if (!words) return {"ERROR"};
  for (const Word& word : *words) out.push_back(word.text);
  return out;
}

TEST(Values, Words) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(texts_of(""), Texts{});
  EXPECT_EQ(texts_of("  a\tb  # c"), (Texts{"a", "b"}));
  EXPECT_EQ(texts_of("at dot reply \"451 later # not a comment\""),
            (Texts{"at", "dot", "reply", "451 later # not a comment"}));
  EXPECT_EQ(texts_of(R"("a\r\n\t\"\\\x41")"), (Texts{"a\r\n\t\"\\A"}));
  EXPECT_EQ(texts_of(R"("\0")"), (Texts{std::string(1, '\0')}));
  EXPECT_EQ(texts_of("\"open"), Texts{"ERROR"});
  EXPECT_EQ(texts_of(R"("\q")"), Texts{"ERROR"});
  EXPECT_EQ(texts_of(R"("\x4)"), Texts{"ERROR"});
  EXPECT_EQ(texts_of("word\r"), (Texts{"word"}));
}

TEST(Values, Split) {
  using Views = std::vector<std::string_view>;
  EXPECT_EQ(split("", ','), Views{});
  EXPECT_EQ(split("a", ','), Views{"a"});
  EXPECT_EQ(split("a,,b,", ','), (Views{"a", "", "b", ""}));
}

}  // namespace
}  // namespace sluice::bench
