#pragma once
// A node with messages to mail hosts that play scripts, and what accounting says of them.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/scenario.h"
#include "tests/support/smtp_script.h"

namespace sluice::test {

/// A node with one message to x@a.test, whose mail host plays scripts.
struct OneMessage {
  explicit OneMessage(const std::string& extra = {}) : scenario(1, kAccounting + extra) {}

  static constexpr const char* kAccounting = R"(
<acct-file /var/log/all.csv>
    records d,b,t,tq
    record-fields d timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvSourceIp,queue
    record-fields b timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvSourceIp,queue
    record-fields t timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvSourceIp,queue
    record-fields tq timeLogged,dsnStatus,dsnDiag,dsnMta,dlvSourceIp,queue
</acct-file>
)";

  ScriptedHost& host(const char* address) {
    hosts.push_back(std::make_unique<ScriptedHost>(scenario.peers.reactor(1), *Endpoint::parse(address)));
    return *hosts.back();
  }
  /// Another message, while the world stands still.
  void send(const std::string& id, std::vector<std::string> recipients, std::size_t body_bytes = 500) {
    ASSERT_TRUE(finish(
        scenario.world,
        inject(scenario.peers.reactor(0), Scenario::listener(),
               {{.id = id, .recipients = std::move(recipients), .vmta = "v1", .body_bytes = body_bytes}},
               injected),
        10min));
  }
  /// Injects a message and lets the world run.
  void run(Duration time, std::vector<std::string> recipients = {"x@a.test"}) {
    ASSERT_TRUE(scenario.boot());
    ASSERT_TRUE(finish(scenario.world,
                       inject(scenario.peers.reactor(0), Scenario::listener(),
                              {{.id = "one", .recipients = std::move(recipients), .vmta = "v1"}}, injected),
                       10min));
    ASSERT_EQ(injected.accepted.size(), 1u);
    scenario.world.run_for(time);
  }
  std::vector<Row> stop() {
    for (auto& one : hosts) one->stop();
    scenario.close();
    scenario.world.run_for(1min);
    for (auto& one : hosts) {
      EXPECT_EQ(one->failure(), "");
      if (!one->idle()) scenario.peers.bury(std::move(one));
    }
    return acct_rows(scenario.world.disk(), "all");
  }

  Scenario scenario;
  std::vector<std::unique_ptr<ScriptedHost>> hosts;
  Injected injected;
};

}  // namespace sluice::test
