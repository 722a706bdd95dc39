// Goal: command lines are read as declared, and every mistake names its option.
// How: parse() on word lists.
#include "bench/lib/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

struct Program {
  Arguments arguments{"prog", "tests"};
  bool flag = false;
  std::string text;
  std::uint64_t number = 0;
  std::optional<Endpoint> at;
  Duration time{0};
  std::vector<std::string> list;
  Program() {
    arguments.section("Things");
    arguments.flag("--flag", "a flag", flag);
    arguments.text("--text", "TEXT", "a text", text);
    arguments.number("--number", "N", "a number", number, 100);
    arguments.endpoint("--at", "an address", at);
    arguments.duration("--time", "a time", time);
    arguments.texts("--list", "X", "a list", list);
  }
  Parsed<Arguments::Outcome> parse(std::vector<const char*> words) {
    words.insert(words.begin(), "prog");
    return arguments.parse(static_cast<int>(words.size()), words.data());
  }
};

TEST(Arguments, Values) {
  Program program;
  ASSERT_TRUE(program.parse({"--flag", "--text", "a b", "--number=7", "--at", "127.0.0.1:25", "--time", "5ms",
                             "--list", "x", "--list=y"}));
  EXPECT_TRUE(program.flag);
  EXPECT_EQ(program.text, "a b");
  EXPECT_EQ(program.number, 7U);
  EXPECT_EQ(program.at, Endpoint::parse("127.0.0.1:25"));
  EXPECT_EQ(program.time, 5ms);
  EXPECT_EQ(program.list, (std::vector<std::string>{"x", "y"}));
}

TEST(Arguments, MistakesNameTheOption) {
  struct Row {
    std::vector<const char*> words;
    const char* says;
  };
  const Row rows[] = {{{"--nosuch"}, "--nosuch"},      {{"--number"}, "--number needs a value"},
                      {{"--number", "x"}, "--number"}, {{"--number", "101"}, "too large"},
                      {{"--flag=1"}, "--flag"},        {{"--at", "here"}, "--at"},
                      {{"--time", "soon"}, "--time"},  {{"word"}, "word"}};
  for (const Row& row : rows) {
    Program program;
    const auto outcome = program.parse(row.words);
    ASSERT_FALSE(outcome) << row.says;
    EXPECT_THAT(outcome.error(), ::testing::HasSubstr(row.says));
  }
}

TEST(Arguments, HelpShowsEveryOption) {
  Program program;
  const std::string help = program.arguments.help();
  for (const char* text : {"--flag", "--text TEXT", "--number N", "--at IP:PORT", "Things", "a list"}) {
    EXPECT_THAT(help, ::testing::HasSubstr(text));
  }
}

}  // namespace
}  // namespace sluice::bench
