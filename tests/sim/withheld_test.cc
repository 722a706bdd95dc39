// Goal: what asks for protection that Sluice cannot give yet never goes without: mail that must be encrypted or that
//       needs a login waits, says so, ends at its bounce-after and leaves when the demand is gone; a TLS listener does
//       not greet in clear; and every directive without effect is named in the log at each start and reload.
// How:  a whole node in the simulated world; what receivers saw, what commands, log and accounting say.
#include "tests/sim/backoff_rig.h"

namespace sluice::test {
namespace {

std::string log_of(Scenario& scenario) { return scenario.world.disk().content("/var/log/sluice.log"); }

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t out = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++out;
  return out;
}

/// Connections so far that said EHLO at 10.1.0.`host`.
std::ptrdiff_t hellos_at(const Backoff& run, std::uint8_t host) {
  return std::ranges::count_if(run.scenario.ledger.hellos, [&](const Seen& one) { return one.host == host; });
}

struct Demand {
  const char* name;
  const char* lines;
  const char* directive;  // that says why
};

constexpr Demand kDemands[] = {
    {"in the domain", "<domain a.test>\n require-starttls yes\n</domain>\n", "require-starttls"},
    {"everywhere",
     "<domain *>\n require-starttls yes\n</domain>\n<domain b.test>\n require-starttls no\n</domain>\n",
     "require-starttls"},
    {"of the virtual MTA",
     "<virtual-mta v1>\n <domain a.test>\n require-starttls yes\n </domain>\n</virtual-mta>\n",
     "require-starttls"},
    {"outside of a block",
     "<virtual-mta v1>\n require-starttls yes\n <domain b.test>\n require-starttls no\n"
     " </domain>\n</virtual-mta>\n",
     "require-starttls"},
    {"of the pool",
     "<virtual-mta-pool p>\n virtual-mta v1\n <domain a.test>\n auth-username me\n"
     " auth-password it\n </domain>\n</virtual-mta-pool>\n",
     "auth-username"},
    {"a smart host",
     "<domain a.test>\n smtp-hosts [10.1.0.1]:2500\n auth-username me\n auth-password it\n</domain>\n",
     "auth-username"},
    {"no password", "<domain a.test>\n auth-username me\n</domain>\n", "auth-username"},
    {"no use of TLS", "<domain a.test>\n use-starttls no\n require-starttls yes\n</domain>\n",
     "require-starttls"},
    {"of the queue it joins",
     "<domain a.test>\n queue-to hub.test\n</domain>\n<domain hub.test>\n"
     " smtp-hosts [10.1.0.1]:2500\n require-starttls yes\n</domain>\n",
     "require-starttls"},
    {"while in backoff", "<domain a.test>\n require-starttls yes\n backoff-max-smtp-out 1\n</domain>\n",
     "require-starttls"},
};

TEST(Withheld, MailWaitsSaysSoAndLeavesWhenTheDemandIsGone) {
  for (const Demand& demand : kDemands) {
    SCOPED_TRACE(demand.name);
    Backoff run(demand.lines);
    run.open({});
    run.send(3);
    run.send(2, "v1", "b.test");
    run.run(10min);
    EXPECT_EQ(hellos_at(run, 1), 0) << "nobody spoke to the receiver";
    EXPECT_EQ(run.scenario.ledger.delivered.size(), 2u) << "others are not held up";
    EXPECT_EQ(run.scenario.queued(), 3u);
    const std::string shown = run.ask({"show", "queues"});
    EXPECT_NE(shown.find(std::string("held: ") + demand.directive), std::string::npos) << shown;
    EXPECT_EQ(count_of(log_of(run.scenario), std::string(": held: ") + demand.directive), 1u)
        << log_of(run.scenario);
    // What wakes a queue by hand does not get it past this.
    run.ask({"schedule", "*/*", "--retry-recipients"});
    run.ask({"set", "queue", "*/*", "--mode=backoff"});
    run.run(10min);
    EXPECT_EQ(hellos_at(run, 1), 0);
    run.scenario.reload("<domain hub.test>\n smtp-hosts [10.1.0.1]:2500\n</domain>\n");
    run.run(1min);
    EXPECT_EQ(run.scenario.queued(), 0u);
    EXPECT_EQ(run.ask({"show", "queues", "--errors"}).find("held:"), std::string::npos);
    run.scenario.close();
    run.scenario.check_promises(run.injected, false);
  }
}

TEST(Withheld, OtherWaysThanSmtpGoOn) {
  Backoff run(
      "<domain *>\n require-starttls yes\n auth-username me\n</domain>\n<domain a.test>\n type "
      "discard\n</domain>\n");
  run.open({});
  run.send(2);
  run.run(1min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Withheld, ADemandThatComesWithAReloadHoldsForOpenConnectionsToo) {
  Backoff run("<domain *>\n max-msg-rate 10/s\n connection-idle-timeout 5m\n</domain>\n");
  run.open({});
  run.send(200);
  run.run(5s);
  const std::size_t before = run.scenario.ledger.delivered.size();
  ASSERT_GT(before, 10u);
  ASSERT_LT(before, 100u);
  run.scenario.reload(
      "<domain *>\n max-msg-rate 10/s\n connection-idle-timeout 5m\n</domain>\n"
      "<domain a.test>\n require-starttls yes\n</domain>\n");
  const std::size_t at_once = run.scenario.ledger.tried.size();
  run.run(10min);
  EXPECT_LE(run.scenario.ledger.tried.size(), at_once + 2) << "only what was under way";
  EXPECT_EQ(run.scenario.queued() + run.scenario.ledger.delivered.size(), 200u);
  run.restart(Crash::Kill);
  run.run(10min);
  EXPECT_LE(run.scenario.ledger.tried.size(), at_once + 2) << "nor after a start";
  run.scenario.reload("");
  EXPECT_TRUE(run.scenario.drain(10min));
  run.scenario.close();
}

TEST(Withheld, BounceAfterStillHolds) {
  Backoff run(
      "<domain a.test>\n require-starttls yes\n bounce-after 1h\n</domain>\n"
      "<acct-file /var/log/all.csv>\n records d,b,t,tq\n record-fields b rcpt,dsnStatus,dsnDiag,bounceCat\n"
      "</acct-file>\n");
  run.open({});
  run.send(2);
  run.run(59min);
  EXPECT_EQ(run.scenario.queued(), 2u);
  run.run(5min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
  EXPECT_TRUE(acct_rows(run.scenario.world.disk(), "all", "t").empty()) << "no attempt was made";
  EXPECT_TRUE(acct_rows(run.scenario.world.disk(), "all", "tq").empty());
  std::vector<Row> rows = acct_rows(run.scenario.world.disk(), "all", "b");
  ASSERT_EQ(rows.size(), 2u);
  for (Row& row : rows) {
    EXPECT_EQ(row["bounceCat"], "message-expired");
    EXPECT_NE(row["dsnDiag"].find("require-starttls"), std::string::npos) << row["dsnDiag"];
  }
}

TEST(Withheld, AListenerForTlsStaysClosed) {
  const std::string closed = "<smtp-listener 10.255.0.1:465>\n immediate-tls yes\n</smtp-listener>\n";
  Backoff run(closed);
  run.open({});
  const auto greeting = [&run] {
    std::vector<std::string> replies;
    EXPECT_TRUE(
        finish(run.scenario.world,
               converse(run.scenario.peers.reactor(0), *Endpoint::parse("10.255.0.1:465"), {"QUIT"}, replies),
               1min));
    return replies.empty() ? std::string() : replies.front();
  };
  EXPECT_EQ(greeting(), "");
  EXPECT_EQ(count_of(log_of(run.scenario), "Listener 10.255.0.1:465 stays closed: immediate-tls"), 1u)
      << log_of(run.scenario);
  run.send(1);  // the other listener works
  run.scenario.reload("smtp-listener 10.255.0.1:465\n");
  EXPECT_EQ(greeting().substr(0, 3), "220");
  run.scenario.reload(closed);
  run.run(1s);
  EXPECT_EQ(greeting(), "") << "closed by the reload";
  EXPECT_EQ(count_of(log_of(run.scenario), "Listener 10.255.0.1:465 stays closed"), 2u);
  run.scenario.close();
}

TEST(Withheld, WhatHasNoEffectIsNamedAtEachStartAndReload) {
  const std::string idle =
      "<domain c.test>\n use-dane yes\n require-starttls yes\n</domain>\n"
      "<domain d.test>\n use-dane no\n dkim-sign yes\n</domain>\n"
      "<alerts>\n</alerts>\n"
      "thread-reuse yes\n"
      "<bounce-actions>\n match bad-mailbox action=suppress\n</bounce-actions>\n";
  Backoff run(idle);
  run.open({});
  run.run(1s);
  const std::string at_start = log_of(run.scenario);
  for (const char* line :
       {"Without effect as yet, for lack of TLS: use-dane (/etc/config:", "; mail it applies to is held)",
        "Without effect as yet, for lack of DKIM: dkim-sign (/etc/config:",
        "Without effect as yet, for lack of alerts: <alerts> (",
        "Accepted, but without effect: thread-reuse (/etc/config:", "action=suppress (/etc/config:"}) {
    EXPECT_EQ(count_of(at_start, line), 1u) << line << "\n" << at_start;
  }
  run.scenario.reload(idle);
  run.run(1s);
  EXPECT_EQ(count_of(log_of(run.scenario), "Without effect as yet, for lack of TLS: use-dane"), 2u);
  run.scenario.reload("");
  run.run(1s);
  EXPECT_EQ(count_of(log_of(run.scenario), "ithout effect"), count_of(at_start, "ithout effect") * 2)
      << "nothing to name";
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
