#pragma once
// A node with lists, pools and several sources, asked line by line and judged by its accounting.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/sim/scenario.h"

namespace sluice::test {

struct IdentityRig {
  static constexpr const char* kAccounting = R"(
<acct-file /var/log/identity.csv>
    records d,b,r
    record-fields d timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,vmta,vmtaPool,jobId,envId,queue,header_Message-ID
    record-fields b timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,vmta,vmtaPool,jobId,envId,queue,header_Message-ID
    record-fields r timeLogged,orig,rcpt,orcpt,vmta,vmtaPool,jobId,envId,header_Message-ID
</acct-file>
)";

  explicit IdentityRig(const std::string& extra, std::uint64_t seed = 5, Mood mood = {})
      : scenario(seed, kAccounting + extra) {
    scenario.open_receivers(mood);
  }
  ~IdentityRig() {
    if (scenario.node) scenario.close();
  }

  [[nodiscard]] bool boot() { return scenario.boot(); }
  /// The greeting and the replies to `lines`.
  std::vector<std::string> talk(std::vector<std::string> lines, std::uint16_t port = 2525) {
    std::vector<std::string> replies;
    EXPECT_TRUE(
        finish(scenario.world,
               converse(scenario.peers.reactor(0), Endpoint{IpAddress::from_v4({10, 255, 0, 1}), port},
                        std::move(lines), replies),
               10min));
    return replies;
  }
  /// One message; answers the reply to its end, or the first refusal.
  std::string send(const std::string& id, const std::vector<std::string>& recipients,
                   const std::vector<std::string>& headers = {}, const std::string& mail = "sender@sim.test",
                   std::uint16_t port = 2525) {
    std::vector<std::string> lines{"EHLO injector.sim", "MAIL FROM:<" + mail + ">"};
    if (mail.find('>') != std::string::npos) lines.back() = "MAIL FROM:" + mail;
    for (const std::string& one : recipients) lines.push_back("RCPT TO:<" + one + ">");
    lines.emplace_back("DATA");
    lines.push_back("Message-ID: <" + id + "@sim>");
    for (const std::string& one : headers) lines.push_back(one);
    lines.insert(lines.end(), {"", "body of " + id, "."});
    for (const std::string& reply : talk(std::move(lines), port)) {
      if (reply.front() == '4' || reply.front() == '5') return reply;
    }
    return "250";
  }
  void settle() {
    EXPECT_TRUE(scenario.drain(2h));
    scenario.world.run_for(5s);  // accounting follows within a second
  }

  std::vector<Row> rows(const std::string& type) {
    return acct_rows(scenario.world.disk(), "identity", type);
  }
  /// The rows of one message, by recipient.
  std::map<std::string, Row> rows_of(const std::string& id, const std::string& type) {
    std::map<std::string, Row> out;
    for (Row& row : rows(type)) {
      if (row["header_Message-ID"] == '<' + id + "@sim>") out[row["rcpt"]] = row;
    }
    return out;
  }
  /// The message as a.test and the others got it.
  std::string body(const std::string& id) { return scenario.ledger.bodies['<' + id + "@sim>"]; }
  std::string sender(const std::string& id, const std::string& recipient) {
    return scenario.ledger.senders['<' + id + "@sim> " + recipient];
  }

  Scenario scenario;
};

}  // namespace sluice::test
