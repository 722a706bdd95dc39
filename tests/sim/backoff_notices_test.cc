// Goal: changes of mode and of disabled sources are told by mail, once each, and never too many.
// How:  a whole node in the simulated world that mails its notices to a receiver.
#include "tests/sim/backoff_rig.h"

namespace sluice::test {
namespace {

TEST(Backoff, ChangesAreToldByMailOnceEach) {
  bool angry = true;
  Backoff run(std::string(kSlowList) + R"(
<domain a.test>
    smtp-pattern-list slow
    backoff-notify ops@c.test,boss@c.test
    disabled-source-ip-notify ops@c.test
    backoff-to-normal-after 10m
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt || !asked.recipient.ends_with("a.test") || !angry) return "";
    return asked.recipient == rcpt(0) ? "450 4.7.0 slow" : "450 4.7.0 this address is listed";
  });
  run.send(1);
  run.run(2min);
  const auto notices = [&](std::string_view subject) {
    std::size_t count = 0;
    for (const auto& [id, body] : run.scenario.ledger.bodies)
      count += body.find(subject) != std::string::npos ? 1 : 0;
    return count;
  };
  EXPECT_EQ(notices("Subject: Queue a.test/v1 is now in backoff mode\r\n"), 1u)
      << "once, although it was said often";
  EXPECT_EQ(run.scenario.ledger.delivered.size(), 2u) << "to both";
  const std::string& body = run.scenario.ledger.bodies.begin()->second;
  EXPECT_NE(body.find("From: ops@node.sim\r\nTo: ops@c.test,\r\n boss@c.test\r\n"), std::string::npos)
      << body;
  EXPECT_NE(body.find("Why: backoff, by reply: 450 4.7.0 slow"), std::string::npos) << body;
  run.send(1);
  run.run(2min);
  EXPECT_EQ(notices("Subject: Queue a.test/v1: source IP 10.255.0.1 disabled for 420s"), 1u);
  angry = false;
  run.run(20min);
  EXPECT_EQ(notices("Subject: Queue a.test/v1 is now in normal mode\r\n"), 1u);
  EXPECT_EQ(notices("Subject: Queue a.test/v1: source IP 10.255.0.1 enabled"), 1u);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, AStormOfChangesDoesNotFillTheMailbox) {
  Backoff run(R"(
<domain *>
    backoff-notify ops@c.test
</domain>
)");
  run.open(nullptr);
  run.send(1);
  run.run(2s);
  ASSERT_NE(run.ask({"pause", "queue", "a.test/*"}).find("paused"), std::string::npos);
  run.send(1);
  for (int i = 0; i < 100; ++i) {
    (void)run.ask({"set", "queue", "--mode=backoff", "a.test/*"});
    (void)run.ask({"set", "queue", "--mode=normal", "a.test/*"});
    run.run(1s);
  }
  EXPECT_EQ(run.scenario.ledger.bodies.size(), 60u + 1u);
  run.run(1h);
  (void)run.ask({"set", "queue", "--mode=backoff", "a.test/*"});
  run.run(10s);
  EXPECT_EQ(run.scenario.ledger.bodies.size(), 61u + 1u);
  bool counted = false;
  for (const auto& [id, body] : run.scenario.ledger.bodies) {
    counted = counted || body.find("140 more notices were left out") != std::string::npos;
  }
  EXPECT_TRUE(counted);
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
