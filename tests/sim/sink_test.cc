// Goal: the built-in sink takes mail and keeps nothing, refuses the share it is told to with the replies of
//       its file, offers what it is told to, comes and goes with the configuration.
// How:  a whole node in the simulated world; a client that talks to the sink line by line.
#include <gtest/gtest.h>

#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

constexpr const char* kSink = "dummy-smtp-ip 10.255.0.1\ndummy-smtp-port 2600\n";
constexpr std::uint16_t kPort = 2600;

std::vector<std::string> one_message(int recipients = 1) {
  std::vector<std::string> lines{"EHLO client.sim", "MAIL FROM:<a@sim.test>"};
  for (int i = 0; i < recipients; ++i) lines.push_back("RCPT TO:<u" + std::to_string(i) + "@b.test>");
  lines.insert(lines.end(), {"DATA", "Subject: x", "", "body", ".", "QUIT"});
  return lines;
}
std::string received(IdentityRig& rig) {
  const std::string text = rig.scenario.ask({"--dom", "show", "status"});
  const std::size_t at = text.find("status.traffic.total.in.rcp=\"");
  return at == std::string::npos ? text : text.substr(at + 29, text.find("\"\n", at) - at - 29);
}
/// Every line of the reply to EHLO.
std::string offered(IdentityRig& rig) {
  std::string out;
  EXPECT_TRUE(
      finish(rig.scenario.world, [](runtime::Reactor& reactor, std::string& said) -> runtime::Task<void> {
        Result<runtime::Stream> stream = co_await runtime::Stream::connect(
            reactor, Endpoint{IpAddress::from_v4({10, 255, 0, 1}), kPort}, nullptr, 5s);
        if (!stream || !co_await stream->send("EHLO client.sim\r\n")) co_return;
        while (said.find("250 ") == std::string::npos) {
          const auto input = co_await stream->receive();
          if (!input || input->bytes().empty()) co_return;
          said.append(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
        }
      }(rig.scenario.peers.reactor(0), out)));
  return out;
}

TEST(Sink, TakesMailAndKeepsNothing) {
  IdentityRig rig(kSink);
  ASSERT_TRUE(rig.boot());
  const std::vector<std::string> said = rig.talk(one_message(3), kPort);
  ASSERT_EQ(said.size(), 9u);
  EXPECT_TRUE(said[0].starts_with("220 node.sim"));
  for (const std::size_t i : {1u, 2u, 3u, 4u, 5u, 7u, 8u}) EXPECT_EQ(said[i][0], '2') << said[i];
  EXPECT_EQ(rig.scenario.queued(), 0u);
  EXPECT_TRUE(rig.rows("r").empty());
  EXPECT_EQ(received(rig), "3") << "dummy-smtp-update-stats is yes unless said otherwise";
  const std::string offers = offered(rig);
  for (const char* word : {"CHUNKING", "PIPELINING", "VERP"}) EXPECT_EQ(offers.find(word), std::string::npos);
}

TEST(Sink, OffersWhatItIsToldTo) {
  IdentityRig rig(std::string(kSink) +
                  "dummy-smtp-has-chunking yes\ndummy-smtp-has-pipelining yes\ndummy-smtp-has-verp yes\n"
                  "dummy-smtp-update-stats no\n");
  ASSERT_TRUE(rig.boot());
  const std::string offers = offered(rig);
  for (const char* word : {"CHUNKING", "PIPELINING", "VERP"}) EXPECT_NE(offers.find(word), std::string::npos);
  (void)rig.talk(one_message(), kPort);
  EXPECT_EQ(received(rig), "0");
}

TEST(Sink, RefusesTheShareItIsToldTo) {
  IdentityRig rig(std::string(kSink) +
                  "dummy-smtp-blacklist /etc/blacklist.dat\ndummy-smtp-blacklist-bounce-method random\n"
                  "dummy-smtp-blacklist-bounce-percent 30\ndummy-smtp-log-blacklist yes\n");
  rig.scenario.files.files["/etc/blacklist.dat"] =
      "# replies\nrandom_bounce:550 5.1.1 <<RCPT_USER>@<RCPT_DOMAIN>> unknown\n\n"
      "random_bounce:452 4.2.2 Over Quota\nbounce:550 x\n";
  ASSERT_TRUE(rig.boot());
  const std::vector<std::string> said = rig.talk(one_message(2000), kPort);
  std::size_t unknown = 0, full = 0;
  for (const std::string& one : said) {
    unknown += one == "550 5.1.1 <<RCPT_USER>@<RCPT_DOMAIN>> unknown" ? 1 : 0;
    full += one == "452 4.2.2 Over Quota" ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(unknown + full), 600, 90);
  EXPECT_NEAR(static_cast<double>(unknown), 300, 70);
  EXPECT_EQ(received(rig), std::to_string(2000 - unknown - full));
  const std::string log = rig.scenario.world.disk().content("/var/log/sluice.log");
  EXPECT_NE(log.find("@b.test>: 452 4.2.2 Over Quota"), std::string::npos);
}

TEST(Sink, A421EndsTheConnection) {
  IdentityRig rig(std::string(kSink) +
                  "dummy-smtp-blacklist /etc/blacklist.dat\ndummy-smtp-blacklist-bounce-percent 100\n");
  rig.scenario.files.files["/etc/blacklist.dat"] = "random_bounce:421 4.3.2 closing\n";
  ASSERT_TRUE(rig.boot());
  const std::vector<std::string> said = rig.talk(one_message(2), kPort);
  ASSERT_GE(said.size(), 4u);
  EXPECT_EQ(said[3], "421 4.3.2 closing");
  EXPECT_LE(said.size(), 5u);
}

TEST(Sink, LatencyIsPerReply) {
  IdentityRig rig(std::string(kSink) + "dummy-smtp-latency 700\n");
  ASSERT_TRUE(rig.boot());
  const MonoTime before = rig.scenario.world.now();
  (void)rig.talk(one_message(), kPort);
  const Duration took = rig.scenario.world.now() - before;
  EXPECT_GE(took, 7 * 700ms);  // greeting, EHLO, MAIL, RCPT, DATA, the dot, QUIT
  EXPECT_LE(took, 7 * 700ms + 1s);
}

TEST(Sink, ComesAndGoesWithTheConfiguration) {
  IdentityRig rig("");
  ASSERT_TRUE(rig.boot());
  EXPECT_TRUE(rig.talk(one_message(), kPort).empty());
  rig.scenario.reload(std::string(IdentityRig::kAccounting) + kSink);
  EXPECT_EQ(rig.talk(one_message(), kPort).size(), 7u);
  rig.scenario.reload(std::string(IdentityRig::kAccounting) + kSink + "dummy-smtp-has-verp yes\n");
  EXPECT_NE(offered(rig).find("VERP"), std::string::npos);
  // A port that is taken: all stays as it was.
  rig.scenario.files.files["/etc/config"] =
      std::string(kConfig) + IdentityRig::kAccounting + "dummy-smtp-ip 10.255.0.1\ndummy-smtp-port 2525\n";
  const auto refused = finish(rig.scenario.world, rig.scenario.node->node().reload(), 1min);
  ASSERT_TRUE(refused.has_value());
  EXPECT_FALSE(refused->ok);
  EXPECT_NE(refused->text.find("dummy-smtp-port: cannot listen on 10.255.0.1:2525"), std::string::npos)
      << refused->text;
  EXPECT_EQ(rig.talk(one_message(), kPort).size(), 7u);
  rig.scenario.reload(IdentityRig::kAccounting);
  EXPECT_TRUE(rig.talk(one_message(), kPort).empty());
}

}  // namespace
}  // namespace sluice::test
