// Goal: commands as people type them, and their way over the socket.
// How:  tables for words and options; a server and a client in one simulated world for the wire.
#include "engine/control/command.h"

#include <gtest/gtest.h>

#include "tests/support/sim_test.h"

namespace sluice::control {
namespace {

TEST(Command, WordsMayBeCutShort) {
  const auto is = [](std::vector<std::string> words, std::initializer_list<std::string_view> names) {
    return Command::of(words)->starts_with(names);
  };
  EXPECT_TRUE(is({"show", "status"}, {"show", "status"}));
  EXPECT_TRUE(is({"sho", "stat"}, {"show", "status"}));
  EXPECT_TRUE(is({"SHOW", "Status", "detail"}, {"show", "status"}));
  EXPECT_FALSE(is({"sh", "status"}, {"show", "status"}));
  EXPECT_FALSE(is({"show"}, {"show", "status"}));
  EXPECT_FALSE(is({"show", "statusx"}, {"show", "status"}));
}

TEST(Command, TakesOptionsApart) {
  const auto command = Command::of({"show", "queues", "--maxitems=5", "--errors", "*/v1"});
  ASSERT_TRUE(command);
  EXPECT_EQ(command->words, (std::vector<std::string>{"show", "queues", "*/v1"}));
  EXPECT_EQ(command->option("maxitems"), "5");
  EXPECT_TRUE(command->has("errors"));
  EXPECT_FALSE(command->has("sort"));
  EXPECT_FALSE(Command::of({"--json"}));
}

TEST(Command, RequestsSurviveTheWire) {
  const std::vector<std::string> words{"pause", "queue", "", "a b\n*"};
  EXPECT_EQ(decode_request(encode_request(words)), words);
  EXPECT_FALSE(decode_request("cut"));
  EXPECT_FALSE(decode_answer(""));
  EXPECT_FALSE(decode_answer("hello"));
}

runtime::Task<Answer> echo(Command command) {
  if (command.words[0] == "fail") co_return Answer::error("no\n");
  std::string text;
  for (const std::string& word : command.words) text += word + '\n';
  co_return Answer{true, text};
}

runtime::Task<bool> converse(runtime::Reactor& reactor) {
  CommandServer server(reactor, &echo);
  EXPECT_TRUE(reactor.make_directories("/run", 0755));
  const auto opened = co_await server.open("/run/test");
  EXPECT_TRUE(opened);
  // Nobody takes its place.
  CommandServer second(reactor, &echo);
  const auto refused = co_await second.open("/run/test");
  EXPECT_FALSE(refused);
  EXPECT_NE((refused ? "" : refused.error()).find("another sluiced"), std::string::npos);
  server.start();
  // Named: g++ 12 cannot build lists of strings inside a co_await.
  const std::vector<std::string> show{"show", "x"};
  const std::vector<std::string> failing{"fail"};
  const auto good = co_await ask(reactor, "/run/test", show);
  EXPECT_TRUE(good && good->ok);
  EXPECT_EQ(good ? good->text : "", "show\nx\n");
  const auto bad = co_await ask(reactor, "/run/test", failing);
  EXPECT_TRUE(bad && !bad->ok);
  co_await server.stop();
  const auto followed = co_await second.open("/run/test");
  EXPECT_TRUE(followed) << (followed ? "" : followed.error());
  co_await second.stop();
  const auto there = reactor.list_directory("/run");
  EXPECT_TRUE(there && there->empty());
  co_return true;
}

using CommandWire = test::SimTest;
TEST_F(CommandWire, AsksAndAnswers) { EXPECT_EQ(test::finish(world, converse(here())), true); }

}  // namespace
}  // namespace sluice::control
