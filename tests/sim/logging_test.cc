// Goal: what the log-* directives of a <domain> put into the main log, and that they put nothing there
// otherwise. How:  a whole node in the simulated world with one message; mail hosts play scripts; the log is
// read.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"
#include "tests/support/smtp_script.h"

namespace sluice::test {
namespace {

struct Logged {
  explicit Logged(const std::string& extra) : scenario(1, extra) {}
  ~Logged() {
    for (auto& one : hosts) {
      if (!one->idle()) scenario.peers.bury(std::move(one));
    }
  }
  ScriptedHost& host(const char* address) {
    hosts.push_back(std::make_unique<ScriptedHost>(scenario.peers.reactor(1), *Endpoint::parse(address)));
    return *hosts.back();
  }
  /// The log after one message for joe@`domain` has been tried.
  std::string run(const std::string& domain) {
    Injected injected;
    if (!scenario.boot()) return {};
    EXPECT_TRUE(finish(scenario.world,
                       inject(scenario.peers.reactor(0), Scenario::listener(),
                              {{.id = "one", .recipients = {"joe@" + domain}, .vmta = "v1"}}, injected),
                       10min));
    scenario.world.run_for(15s);
    for (auto& one : hosts) one->stop();
    scenario.close();
    scenario.world.run_for(1min);
    return scenario.world.disk().content("/var/log/sluice.log");
  }

  Scenario scenario;
  std::vector<std::unique_ptr<ScriptedHost>> hosts;
};

SmtpScript delivers() {
  return SmtpScript()
      .says("220 mx ESMTP")
      .expects("EHLO *")
      .says("250-mx\n250 SIZE")
      .expects("MAIL *")
      .says("250 ok")
      .expects("RCPT *")
      .says("250 ok")
      .expects("DATA")
      .says("354 go")
      .expects_message()
      .says("250 2.0.0 taken")
      .expects("QUIT")
      .says("221 bye");
}

void expect_parts(const std::string& log, std::initializer_list<const char*> parts) {
  std::size_t at = 0;
  for (const char* part : parts) {
    const std::size_t found = log.find(part, at);
    EXPECT_NE(found, std::string::npos) << part << "\n" << log;
    if (found != std::string::npos) at = found;
  }
}

TEST(LoggingSim, ConnectionsAndCommandsOfADomain) {
  Logged node("<domain a.test>\nlog-connections yes\nlog-commands yes\n</domain>\n");
  node.host("10.1.0.1:2500").next(delivers());
  const std::string log = node.run("a.test");
  expect_parts(
      log, {") starting a.test/v1\n", ") connecting from v1.node.sim (10.255.0.1) to mx.a.test (10.1.0.1)\n",
            ") connected from [10.255.0.1]:", ") >>> 220 mx ESMTP\n", ") <<< EHLO v1.node.sim\n",
            ") >>> 250-mx\n", ") >>> 250 SIZE\n", ") <<< MAIL FROM:<", ") <<< RCPT TO:<joe@a.test>\n",
            ") <<< DATA\n", ") >>> 354 go\n", ") <<< .\n", ") >>> 250 2.0.0 taken\n", ") <<< QUIT\n",
            ") closed mx.a.test (10.1.0.1) in=", ") done a.test/v1\n"});
  EXPECT_EQ(log.find("<<< Received"), std::string::npos) << "the body is data";
  EXPECT_EQ(log.find("00000  "), std::string::npos) << "log-data was not asked for";
}

TEST(LoggingSim, DataOfADomain) {
  Logged node("<domain a.test>\nlog-data yes\n</domain>\n");
  node.host("10.1.0.1:2500").next(delivers());
  const std::string log = node.run("a.test");
  expect_parts(log, {") 000000  52 65 63 65 69 76 65 64", " Received"});
  EXPECT_EQ(log.find("<<<"), std::string::npos);
  EXPECT_EQ(log.find(") starting"), std::string::npos);
}

TEST(LoggingSim, RefusedConnectionsAreSaid) {
  Logged node("<domain b.test>\nlog-connections yes\n</domain>\n");
  expect_parts(node.run("b.test"),
               {") connecting from ", ") ECONNREFUSED connecting to mx.b.test (10.1.0.2)\n"});
}

TEST(LoggingSim, ResolutionOfADomain) {
  Logged node("<domain b.test>\nlog-resolution yes\n</domain>\n");
  expect_parts(node.run("b.test"), {") resolving b.test: 10 mx.b.test (10.1.0.2):2500\n"});
  Logged failing("<domain *>\nlog-resolution yes\n</domain>\n");
  expect_parts(failing.run("nowhere.test"), {") resolving nowhere.test: "});
}

TEST(LoggingSim, BrokenTransfersAreSaid) {
  const std::string directives = "<domain a.test>\nlog-transfer-failures yes\n</domain>\n";
  Logged node(directives);
  node.host("10.1.0.1:2500")
      .next(SmtpScript()
                .says("220 mx ESMTP")
                .expects("EHLO *")
                .says("250-mx\n250 SIZE")
                .expects("MAIL *")
                .says("250 ok")
                .expects("RCPT *")
                .says("250 ok")
                .expects("DATA")
                .says("354 go")
                .expects_message()
                .closes());
  expect_parts(node.run("a.test"),
               {") transfer failure: ",
                " bytes from <sender@sim.test> to <joe@a.test> through mx.a.test (10.1.0.1): EDISCON"});
  Logged fine(directives);
  fine.host("10.1.0.1:2500").next(delivers());
  EXPECT_EQ(fine.run("a.test").find("transfer failure"), std::string::npos);
}

TEST(LoggingSim, NothingIsSaidUnasked) {
  Logged node("");
  node.host("10.1.0.1:2500").next(delivers());
  const std::string log = node.run("a.test");
  EXPECT_EQ(log.find(") "), std::string::npos) << log;
}

}  // namespace
}  // namespace sluice::test
