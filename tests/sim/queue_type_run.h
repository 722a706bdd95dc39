#pragma once
// A node whose accounting shows everything, for tests of queue types and schedules.

#include <map>
#include <string>
#include <vector>

#include "tests/sim/scenario.h"

namespace sluice::test {

/// The scenario, mail into it, and accounting rows out of it.
struct QueueTypeRun {
  static constexpr const char* kRows = R"(
<acct-file /var/log/all.csv>
    records d,b,t,tq
    record-fields d timeLogged,orig,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvType,dlvSourceIp,dlvSize,queue
    record-fields b timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvType,dlvSourceIp,queue
    record-fields t timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,dlvType,dlvSourceIp,queue
    record-fields tq timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,queue
</acct-file>
)";
  explicit QueueTypeRun(const std::string& extra, std::uint64_t seed = 1) : scenario(seed, kRows + extra) {}

  /// Boots when that has not happened; false when something was refused.
  bool inject_all(std::vector<Mail> mails) {
    if (!scenario.node && !scenario.boot()) return false;
    return finish(scenario.world,
                  inject(scenario.peers.reactor(0), Scenario::listener(), std::move(mails), injected), 1h);
  }
  /// One message to each recipient.
  static std::vector<Mail> mails_to(const std::vector<std::string>& recipients) {
    std::vector<Mail> out;
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      out.push_back({.id = "m" + std::to_string(i), .recipients = {recipients[i]}, .vmta = "v1"});
    }
    return out;
  }
  /// All rows so far; the run goes on.
  std::vector<Row> rows(const std::string& type = {}) {
    scenario.world.run_for(5s);  // accounting follows within a second
    return acct_rows(scenario.world.disk(), "all", type);
  }
  /// The answer of a command.
  std::string command(std::initializer_list<std::string> words) {
    const auto made = control::Command::of(std::vector<std::string>(words));
    EXPECT_TRUE(made.has_value());
    const auto answer = finish(scenario.world, scenario.node->node().execute(*made), 5min);
    return answer ? answer->text : std::string();
  }
  void close() { scenario.close(); }

  Scenario scenario;
  Injected injected;
};

}  // namespace sluice::test
