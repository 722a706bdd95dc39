// Goal: a client that drips bytes is given up in a bounded time, in a command and in a message however it is
// sent; one that keeps the minimum rate never is, and time in which it waits for us does not count.
// How: a real server machine and a clock of our own; clients that send pieces at given moments.
#include "engine/injection/client_clock.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice::injection {
namespace {

class Owner final : public net::ServerOwner {
 public:
  net::Answer on_hello(std::string_view, bool) override { return net::Answer::accept(); }
  net::Answer on_mail(const net::MailCommand&) override {
    return mail_waits ? net::Answer::later() : net::Answer::accept();
  }
  net::Answer on_rcpt(const net::RcptCommand&) override { return net::Answer::accept(); }
  net::Answer on_data(std::uint32_t) override { return net::Answer::accept(); }
  net::Answer on_message_bytes(std::span<const std::byte>) override { return net::Answer::accept(); }
  net::Answer on_message_end(net::MessageSeq, const net::BodyFacts&) override {
    ++messages;
    return net::Answer::accept();
  }
  void on_message_dropped(net::Dropped) override {}
  void on_reset() override {}
  bool mail_waits = false;
  int messages = 0;
};

/// A client and its session's clock.
class ClientClockTest : public ::testing::Test {
 protected:
  static constexpr Duration kCommand = 5min;
  static constexpr Duration kData = 3min;

  ClientClockTest()
      : server({.host = "h", .bad_commands_max = 1'000'000, .idle_commands_max = 1'000'000}, owner) {
    server.start();
    look();
  }
  void look() {
    while (!server.output().empty()) server.consumed(server.output().size());
    until = clock.deadline(server, now);
  }
  /// False: the client was given up before these bytes came.
  bool say(std::string_view text) {
    if (until && now >= *until) return false;
    server.feed(std::as_bytes(std::span(text)));
    look();
    return true;
  }
  void begin_message() {
    say("EHLO c\r\n");
    say("MAIL FROM:<a@b.cd>\r\n");
    say("RCPT TO:<e@f.gh>\r\n");
  }
  /// How long a client lasts that says `text` again and again, one byte every `gap`.
  Duration drip(std::string_view text, Duration gap, Duration most) {
    const MonoTime begin = now;
    for (std::size_t i = 0; now - begin < most; ++i) {
      now += gap;
      if (!say(text.substr(i % text.size(), 1))) break;
    }
    return now - begin;
  }

  MonoTime now{1000s};
  Owner owner;
  net::Server server;
  ClientClock clock{{.command = kCommand, .data = kData}};
  std::optional<MonoTime> until;
};

TEST_F(ClientClockTest, ADrippedCommandHasItsTimeAsAWhole) {
  EXPECT_LE(drip("x", 1s, 1h), kCommand + 1s);
  EXPECT_GE(now - MonoTime{1000s}, kCommand);
}

TEST_F(ClientClockTest, ALineWithoutAnEndToo) {
  const MonoTime begin = now;
  while (now - begin < 1h) {
    now += 1s;
    if (!say(std::string(1000, 'x'))) break;
  }
  EXPECT_LE(now - begin, kCommand + 1s);
}

TEST_F(ClientClockTest, EachCommandHasATimeOfItsOwn) {
  for (int i = 0; i < 20; ++i) {
    now += kCommand - 1s;
    EXPECT_TRUE(say("NOOP\r\n")) << i;
  }
}

TEST_F(ClientClockTest, ADrippedMessageIsGivenUp) {
  begin_message();
  ASSERT_TRUE(say("DATA\r\n"));
  EXPECT_LE(drip("x", 1s, 10h), kData + 5s);
}

TEST_F(ClientClockTest, SilenceInAMessageIsGivenUpHoweverMuchCameBefore) {
  begin_message();
  ASSERT_TRUE(say("DATA\r\n" + std::string(10'000'000, 'x')));
  ASSERT_TRUE(until.has_value());
  EXPECT_EQ(*until, now + kData);
}

TEST_F(ClientClockTest, DrippedChunksAreOneMessage) {
  begin_message();
  const MonoTime begin = now;
  EXPECT_LE(drip("BDAT 1\r\nx", 1s, 10h), kData + 20s);
  EXPECT_GT(now, begin);
}

TEST_F(ClientClockTest, SoAreChunksThatComeWhole) {
  begin_message();
  const MonoTime begin = now;
  while (now - begin < 10h) {
    now += 10s;
    if (!say("BDAT 1\r\nx")) break;
  }
  EXPECT_LE(now - begin, kData + 30s);
}

TEST_F(ClientClockTest, RefusedChunksAreGivenUpToo) {
  ASSERT_TRUE(say("EHLO c\r\n"));
  EXPECT_TRUE(say("BDAT 1000000\r\n"));  // no MAIL
  EXPECT_LE(drip("x", 1s, 10h), kData + 5s);
}

TEST_F(ClientClockTest, TheMinimumRateIsEnough) {
  begin_message();
  ASSERT_TRUE(say("DATA\r\n"));
  const std::string piece(ClientClock::kBodyBytesPerSecond * 100, 'x');
  for (int i = 0; i < 500; ++i) {
    now += 100s;
    ASSERT_TRUE(say(piece)) << i;
  }
  ASSERT_TRUE(say("\r\n.\r\n"));
  EXPECT_EQ(owner.messages, 1);
}

TEST_F(ClientClockTest, TimeThatWeTakeIsOurs) {
  owner.mail_waits = true;
  ASSERT_TRUE(say("EHLO c\r\n"));
  ASSERT_TRUE(say("MAIL FROM:<a@b.cd>\r\nRCPT TO:<e@f.gh>\r\nBDAT 1\r\nx"));
  EXPECT_FALSE(until.has_value());
  now += 10h;
  server.answer(net::Answer::accept());
  look();
  ASSERT_TRUE(until.has_value());
  EXPECT_GE(*until, now + kData);
  EXPECT_LE(drip("BDAT 1\r\nx", 1s, 10h), kData + 20s) << "but the rest is the client's";
}

TEST_F(ClientClockTest, TheNextMessageBeginsAnew) {
  for (int i = 0; i < 5; ++i) {
    begin_message();
    ASSERT_TRUE(say("DATA\r\n"));
    now += kData - 10s;
    ASSERT_TRUE(say("a\r\n.\r\n")) << i;
    EXPECT_EQ(owner.messages, i + 1);
    ASSERT_TRUE(until.has_value());
    EXPECT_EQ(*until, now + kCommand);
  }
}

// Whatever a client does: while it lasts it has said a command within `kCommand` or kept the rate.
TEST_F(ClientClockTest, AtRandomNobodyLastsWithoutProgress) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    Owner one;
    net::Server machine({.host = "h", .bad_commands_max = 1'000'000, .idle_commands_max = 1'000'000}, one);
    ClientClock its({.command = kCommand, .data = kData});
    machine.start();
    MonoTime time{5000s};
    MonoTime progress = time;
    std::uint64_t commands = 0;
    std::uint64_t body_before = 0;
    bool was_in_body = false;
    static const char* const kParts[] = {"EHLO c\r\n",
                                         "MAIL FROM:<a@b.cd>\r\n",
                                         "RCPT TO:<e@f.gh>\r\n",
                                         "DATA\r\n",
                                         "BDAT 3\r\nabc",
                                         "BDAT 2 LAST\r\nxy",
                                         "text\r\n",
                                         ".\r\n",
                                         "NO",
                                         "RSET\r\n",
                                         "x",
                                         "\r\n"};
    for (int step = 0; step < 200; ++step) {
      while (!machine.output().empty()) machine.consumed(machine.output().size());
      const bool in_body = machine.phase() == net::Server::Phase::Body;
      if ((was_in_body && !in_body) || (machine.commands() != commands && !machine.in_message()))
        progress = time;
      was_in_body = in_body;
      if (!machine.in_message()) body_before = machine.body_bytes();
      commands = machine.commands();
      const auto limit = its.deadline(machine, time);
      if (!limit) break;
      const auto earned = std::chrono::seconds((machine.body_bytes() - body_before) / 1000 + 1);
      ASSERT_LE(*limit, progress + kCommand + kData + earned + 40s);  // a step may take 40 s
      ASSERT_GT(*limit, time - 1s);
      time += std::chrono::seconds(random() % 40);
      if (time >= *limit) break;
      const std::string_view part = kParts[random() % std::size(kParts)];
      machine.feed(std::as_bytes(std::span(part)));
    }
    machine.on_closed();
  }
}

}  // namespace
}  // namespace sluice::injection
