// Goal: commands as people type them, and their way over the socket.
// How:  tables for words and options; a server and a client in one simulated world for the wire.
#include "engine/control/command.h"

#include <gtest/gtest.h>

#include "tests/support/sim_test.h"

namespace sluice::control {
namespace {

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

constexpr std::size_t kLongLines = 50'000;
std::size_t sent_lines = 0;

runtime::Task<Answer> echo(const Command& command, Reply& reply) {
  if (command.words[0] == "fail") co_return Answer::error("no\n");
  if (command.words[0] == "long") {
    // More than fits into a socket, in small parts.
    for (std::size_t i = 0; i < kLongLines; ++i) {
      Reply::Part part;
      part.text = std::string(99, 'x') + '\n';
      part.tree.add_item("line").add_number("n", i);
      const bool read = co_await reply.add(part);
      if (!read) co_return Answer();
      sent_lines = i + 1;
    }
    co_return Answer();
  }
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

/// A client that sends its command and reads nothing; empty: it sends nothing either.
runtime::Stream connect_and_stall(runtime::Reactor& reactor) {
  const int fd = *reactor.unix_socket();
  EXPECT_TRUE(reactor.connect_unix(fd, "/run/test"));
  return {reactor, fd};
}

/// A slow reader costs its slice and is cut; others are served meanwhile; too many are told so.
runtime::Task<bool> converse_with_many(runtime::Reactor& reactor) {
  EXPECT_TRUE(reactor.make_directories("/run", 0755));
  CommandServer server(reactor, &echo);
  const auto opened = co_await server.open("/run/test");
  EXPECT_TRUE(opened);
  server.start();
  const std::vector<std::string> lengthy{"long"}, json{"long", "--json"}, show{"show", "x"};
  const auto whole = co_await ask(reactor, "/run/test", lengthy);
  EXPECT_EQ(whole ? whole->text.size() : 0, kLongLines * 100);
  const auto tree = co_await ask(reactor, "/run/test", json);
  EXPECT_TRUE(tree && tree->text.starts_with("{\"data\":{\"line\":[{\"n\":0},{\"n\":1},"));
  EXPECT_TRUE(tree && tree->text.ends_with("{\"n\":49999}]},\"status\":\"success\",\"message\":\"\"}\n"));
  sent_lines = 0;
  runtime::Stream slow = connect_and_stall(reactor);
  const std::string request = encode_request(lengthy);
  EXPECT_TRUE(co_await slow.send(request));
  reactor.end_output(slow.fd());
  co_await runtime::sleep_for(reactor, 1s);
  const std::size_t held = sent_lines;
  EXPECT_LT(held, kLongLines) << "the whole answer was made for somebody who does not read";
  const auto other = co_await ask(reactor, "/run/test", show);
  EXPECT_TRUE(other && other->ok);
  std::vector<runtime::Stream> idle;
  for (std::size_t i = 1; i < CommandServer::kClientsMax; ++i) {
    idle.push_back(connect_and_stall(reactor));
    co_await runtime::sleep_for(reactor, 1ms);  // accepted, before the line is full
  }
  const auto refused = co_await ask(reactor, "/run/test", show);
  EXPECT_TRUE(refused && !refused->ok && refused->text.starts_with("too many commands at once"));
  co_await runtime::sleep_for(reactor, CommandServer::kSliceTimeout + 1s);
  EXPECT_EQ(sent_lines, held) << "the slow one was not cut";
  const auto again = co_await ask(reactor, "/run/test", show);
  EXPECT_TRUE(again && again->ok) << "those who sent nothing are gone";
  // A stop waits for nobody.
  runtime::Stream last = connect_and_stall(reactor);
  EXPECT_TRUE(co_await last.send(request));
  reactor.end_output(last.fd());
  co_await runtime::sleep_for(reactor, 1s);
  const MonoTime before = reactor.now();
  co_await server.stop();
  EXPECT_LE(reactor.now() - before, CommandServer::kFarewellTime + 100ms);
  co_return true;
}

using CommandWire = test::SimTest;
TEST_F(CommandWire, BoundsWhatReadersCost) {
  EXPECT_EQ(test::finish(world, converse_with_many(here()), 10min), true);
}
TEST_F(CommandWire, AsksAndAnswers) { EXPECT_EQ(test::finish(world, converse(here())), true); }

}  // namespace
}  // namespace sluice::control
