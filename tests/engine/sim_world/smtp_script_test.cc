// Goal: scripted SMTP peers say, expect and fail as written, so that tests of delivery and injection can lean on them.
// How: two scripts play against each other over the simulated network, in pieces of one byte and whole.
#include "tests/support/smtp_script.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/sim_test.h"

namespace sluice::test {
namespace {

using runtime::Listener;
using runtime::Stream;
using runtime::Task;

const Endpoint kServer{IpAddress::from_v4({192, 0, 2, 25}), 25};

Task<void> play_client(runtime::Reactor& reactor, SmtpScript script, Conversation& conversation) {
  Result<Stream> stream = co_await Stream::connect(reactor, kServer, nullptr, 60s);
  EXPECT_TRUE(stream.has_value());
  if (stream) co_await play(reactor, std::move(*stream), std::move(script), conversation);
}

class ScriptTest : public SimTest {
 protected:
  ScriptTest() : host(there(), kServer) {}
  ~ScriptTest() override {
    host.stop();
    world.run_for(1min);
  }
  Conversation talk(SmtpScript script) {
    Conversation client;
    EXPECT_TRUE(finish(world, play_client(here(), std::move(script), client)));
    world.run_until([&] { return host.idle(); }, 1min);
    return client;
  }
  ScriptedHost host;
};

SmtpScript a_delivery() {
  return SmtpScript()
      .expects("220 *")
      .says("EHLO client.test")
      .expects("250-*")
      .expects("250 *")
      .says("MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nDATA")
      .expects("250 *")
      .expects("250 2.1.5 ok")
      .expects("354 *")
      .says("Subject: hi\n\n..dotted\nbye\n.")
      .expects("250 *")
      .says("QUIT")
      .expects("221 *")
      .expects_end();
}
SmtpScript its_server() {
  return SmtpScript()
      .says("220 mx.test ESMTP")
      .expects("EHLO *")
      .replies("250-mx.test\n250 PIPELINING")
      .expects("MAIL FROM:<a@b.test>*")
      .replies("250 2.1.0 ok")
      .expects("RCPT TO:<c@d.test>")
      .replies("250 2.1.5 ok")
      .expects("DATA")
      .replies("354 go on")
      .expects_message()
      .replies("250 2.0.0 queued")
      .expects("QUIT")
      .replies("221 bye")
      .closes();
}

TEST_F(ScriptTest, BothSidesPlayTheirPart) {
  for (const std::size_t read_max : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
    world.network().default_link.read_max = read_max;
    host.next(its_server());
    const Conversation client = talk(a_delivery());
    EXPECT_EQ(client.failure, "");
    EXPECT_EQ(host.failure(), "");
    EXPECT_EQ(host.messages().back(), "Subject: hi\r\n\r\n.dotted\r\nbye\r\n");
    EXPECT_EQ(host.conversations().back().peer.address, world.machine().options.address_v4);
  }
}

TEST_F(ScriptTest, AWillingServerTakesWhatComes) {
  const Conversation client = talk(SmtpScript()
                                       .expects("220 *")
                                       .says("EHLO x\nMAIL FROM:<>\nRCPT TO:<c@d>\nBDAT 5 LAST")
                                       .says_raw("he\r\n.")
                                       .says("RSET\nDATA")
                                       .expects("250-*")
                                       .expects("250-*")
                                       .expects("250-*")
                                       .expects("250 SIZE*")
                                       .expects("250 *")
                                       .expects("250 *")
                                       .expects("250 *")
                                       .expects("250 *")
                                       .expects("354 *")
                                       .says("second\n.\nQUIT")
                                       .expects("250 *")
                                       .expects("221 *")
                                       .expects_end());
  EXPECT_EQ(client.failure, "");
  EXPECT_EQ(host.messages(), (std::vector<std::string>{"he\r\n.", "second\r\n"}));
}

TEST_F(ScriptTest, ADifferentLineIsAFailureWithItsStep) {
  host.next(SmtpScript().says("220 hi").expects("EHLO *").says("250 ok"));
  const Conversation client = talk(SmtpScript().expects("220 *").says("HELO x").expects("250 *"));
  EXPECT_EQ(host.failure(), "step 2, expected 'EHLO *': heard 'HELO x'");
  EXPECT_EQ(client.failure, "step 3, expected '250 *': the stream ended, after ''");
}

TEST_F(ScriptTest, StallsWaitsAndSlowTalk) {
  host.next(SmtpScript().waits(10s).says_slowly("220 hi", 1s).stalls());
  const MonoTime begin = world.now();
  const Conversation client = talk(SmtpScript().expects("220 hi").says("EHLO x").waits(1h).closes());
  EXPECT_EQ(client.failure, "");
  EXPECT_GE(world.now() - begin, 1h + 17s);
  EXPECT_TRUE(host.conversations().back().finished);
}

TEST_F(ScriptTest, ResetsAndHalfCloses) {
  host.next(SmtpScript().says("220 hi").expects("EHLO *").resets());
  Conversation client = talk(SmtpScript().expects("220 *").says("EHLO x").expects("250 *"));
  EXPECT_EQ(client.failure, "step 3, expected '250 *': the stream ended, after ''");
  host.next(SmtpScript().says("421 go away").half_closes().expects("QUIT").expects_end());
  client = talk(SmtpScript().expects("421 *").expects_end().says("QUIT").closes());
  EXPECT_EQ(client.failure, "");
  EXPECT_EQ(host.failure(), "");
}

TEST(ScriptPatterns, StarsMatchAnyText) {
  struct Row {
    const char* pattern;
    const char* text;
    bool want;
  };
  // clang-format off
  static constexpr Row kRows[] = {
      {"", "", true},          {"", "x", false},       {"*", "", true},         {"*", "anything", true},
      {"a*c", "ac", true},     {"a*c", "abbc", true},  {"a*c", "abcd", false},  {"*b*", "abc", true},
      {"a*b*c", "a-b-c", true}, {"MAIL*", "mail", false}, {"a**b", "ab", true}, {"ab", "abc", false},
  };
  // clang-format on
  for (const Row& row : kRows)
    EXPECT_EQ(matches(row.pattern, row.text), row.want) << row.pattern << " / " << row.text;
}

}  // namespace
}  // namespace sluice::test
