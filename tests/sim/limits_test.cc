// Goal: limits are limits: never exceeded in any window, and used up to within one percent.
// How:  a whole node with a backlog in the simulated world, a link without jitter, and the times at which the
//       receiver saw each RCPT and each connection.
#include <gtest/gtest.h>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

struct RateCase {
  const char* rate;
  std::size_t events;
  Duration per;
  Duration measured;
};

TEST(Limits, MessageRatesAreKeptAndUsed) {
  static const RateCase kCases[] = {
      {"1/min", 1, 1min, 30min}, {"6/min", 6, 1min, 10min}, {"10/s", 10, 1s, 60s},    {"83/5s", 83, 5s, 60s},
      {"500/h", 500, 1h, 2h},    {"100/s", 100, 1s, 20s},   {"1000/s", 1000, 1s, 5s},
  };
  for (const RateCase& one : kCases) {
    SCOPED_TRACE(one.rate);
    Limited run("<domain a.test>\n max-rcpt-per-message 1\n max-smtp-out 20\n max-msg-rate " +
                std::string(one.rate) + "\n</domain>\n");
    const double allowed = static_cast<double>(one.events) * static_cast<double>(one.measured / 1ns) /
                           static_cast<double>(one.per / 1ns);
    run.fill(static_cast<std::size_t>(allowed) + one.events + 200);
    run.scenario.world.run_for(one.measured + 10s);
    const std::vector<MonoTime>& seen = run.scenario.ledger.attempts;
    ASSERT_GT(seen.size(), one.events);
    for (std::size_t i = one.events; i < seen.size(); ++i) {
      // One event more than allowed may not fit into a window of `per`.
      ASSERT_GE(seen[i] - seen[i - one.events], one.per) << "window ending at recipient " << i;
    }
    const auto in_time =
        std::ranges::count_if(seen, [&](MonoTime time) { return time - seen.front() < one.measured; });
    EXPECT_GE(static_cast<double>(in_time), allowed * 0.99 - 1);
    run.scenario.close();
  }
}

TEST(Limits, ConnectionsPerQueue) {
  Limited run("<domain a.test>\n max-smtp-out 3\n max-rcpt-per-message 1\n</domain>\n");
  run.fill(2000);
  run.scenario.world.run_for(5min);
  EXPECT_EQ(run.scenario.ledger.connections_top, 3u);
  EXPECT_EQ(run.scenario.ledger.attempts.size(), 2000u);
  run.scenario.close();
}

TEST(Limits, ConnectionsOfAVirtualMta) {
  Limited run(
      "<virtual-mta v3>\n smtp-source-host 10.255.0.5 v3.node.sim\n max-smtp-out 2\n</virtual-mta>\n"
      "<domain *>\n max-rcpt-per-message 1\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 300, .each = 1, .domains = {"a.test", "b.test", "c.test"}, .vmtas = {"v3"}});
  EXPECT_TRUE(run.scenario.drain(1h));
  EXPECT_LE(run.scenario.ledger.connections_top, 2u);
  EXPECT_EQ(run.scenario.ledger.attempts.size(), 300u);
  run.scenario.close();
}

TEST(Limits, ConnectRateAndMessagesPerConnection) {
  Limited run(
      "<domain a.test>\n max-msg-per-connection 5\n max-connect-rate 1/s\n max-rcpt-per-message 1\n"
      " max-smtp-out 50\n</domain>\n");
  run.fill(300);
  run.scenario.world.run_for(100s);
  const std::vector<MonoTime>& opened = run.scenario.ledger.opened;
  EXPECT_EQ(opened.size(), 60u);
  for (std::size_t i = 1; i < opened.size(); ++i) ASSERT_GE(opened[i] - opened[i - 1], 1s) << i;
  EXPECT_EQ(run.scenario.ledger.attempts.size(), 300u);
  run.scenario.close();
}

TEST(Limits, AVirtualMtasMessageRateHoldsOverAllItsQueues) {
  Limited run(
      "<virtual-mta v3>\n smtp-source-host 10.255.0.5 v3.node.sim\n max-smtp-msg-rate 20/s\n</virtual-mta>\n"
      "<domain *>\n max-rcpt-per-message 1\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 900, .each = 1, .domains = {"a.test", "b.test", "c.test"}, .vmtas = {"v3"}});
  run.scenario.world.run_for(50s);
  std::vector<MonoTime> seen = run.scenario.ledger.attempts;
  std::ranges::sort(seen);
  ASSERT_EQ(seen.size(), 900u);
  for (std::size_t i = 20; i < seen.size(); ++i) ASSERT_GE(seen[i] - seen[i - 20], 1s) << i;
  EXPECT_LE(seen.back() - seen.front(), 46s);
  run.scenario.close();
}

TEST(Limits, RatesHoldOverRestarts) {
  for (const RateCase& one : {RateCase{"4/min", 4, 1min, 4min}, RateCase{"50/s", 50, 1s, 10s}}) {
    SCOPED_TRACE(one.rate);
    Limited run("<domain a.test>\n max-rcpt-per-message 1\n max-msg-rate " + std::string(one.rate) +
                "\n</domain>\n");
    run.fill(700);
    for (int round = 0; round < 6; ++round) {
      run.scenario.world.run_for(one.measured / 6);
      if (round % 2 == 0) {
        run.scenario.crash(Crash::Kill);
      } else {
        ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
        run.scenario.crash(Crash::Kill);
      }
      ASSERT_TRUE(run.scenario.boot());
    }
    run.scenario.world.run_for(one.measured / 6);
    const std::vector<MonoTime>& seen = run.scenario.ledger.attempts;
    ASSERT_GT(seen.size(), one.events * 2);
    for (std::size_t i = one.events; i < seen.size(); ++i) {
      ASSERT_GE(seen[i] - seen[i - one.events], one.per) << "window ending at recipient " << i;
    }
    run.scenario.close();
  }
}

TEST(Limits, APauseOutlivesARestart) {
  Limited run("");
  run.fill(100);
  ASSERT_TRUE(run.scenario.drain(1h));
  const auto paused =
      finish(run.scenario.world,
             run.scenario.node->node().execute(*control::Command::of({"pause", "queue", "a.test/*"})), 1min);
  ASSERT_TRUE(paused && paused->ok) << paused->text;
  run.scenario.world.run_for(1s);
  run.scenario.crash(Crash::PowerCut);
  run.scenario.ledger.attempts.clear();
  run.fill(100);  // boots, and injects the same recipients again
  run.scenario.world.run_for(1h);
  EXPECT_TRUE(run.scenario.ledger.attempts.empty());
  EXPECT_EQ(run.scenario.queued(), 100u);
  run.scenario.close();
}

TEST(Limits, ADeadProviderDelaysNobody) {
  // a.test's only host swallows connections; b.test goes on as if nothing were.
  Limited run("total-max-smtp-out 10\n<domain a.test>\n max-smtp-out 20\n</domain>\n");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Silent);
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 200, .each = 1, .domains = {"a.test", "b.test"}});
  run.scenario.world.run_for(2s);
  EXPECT_EQ(run.scenario.ledger.attempts.size(), 100u);
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
