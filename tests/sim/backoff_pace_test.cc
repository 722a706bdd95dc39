// Goal: the limits of backoff mode replace the normal ones, and adaptive pacing finds what a receiver takes
//       without ever passing the configured rate.
// How:  a whole node in the simulated world; the times at which receivers saw each recipient and connection.
#include "tests/sim/backoff_rig.h"

namespace sluice::test {
namespace {

TEST(Backoff, ItsLimitsReplaceTheNormalOnesAndAreKept) {
  bool angry = false;
  Backoff run(std::string(kSlowList) + R"(
<domain a.test>
    smtp-pattern-list slow
    max-rcpt-per-message 1
    max-smtp-out 10
    max-msg-rate 20/s
    backoff-max-smtp-out 2
    backoff-max-msg-rate 30/min
    backoff-max-connect-rate 4/min
    max-msg-per-connection 3
    backoff-to-normal-after 30m
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    return angry && asked.at == Asked::At::Rcpt ? std::exchange(angry, false),
           "421 4.7.0 please slow down"         : "";
  });
  run.send(4000);
  run.run(20s);
  EXPECT_FALSE(run.in_backoff("a.test/v1"));
  EXPECT_GT(run.tried(run.now() - 10s, run.now()), 190u);
  angry = true;
  run.run(2s);
  EXPECT_FALSE(angry);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  run.run(10s);  // what was under way has ended
  const std::vector<Attempt>& seen = run.scenario.ledger.tried;
  const std::size_t first = seen.size();
  const std::size_t opened_before = run.scenario.ledger.opened.size();
  const MonoTime from = run.now();
  for (int i = 0; i < 20; ++i) {
    run.run(1min);
    EXPECT_LE(run.scenario.ledger.connections, 2u);
  }
  for (std::size_t i = first + 30; i < seen.size(); ++i) {
    ASSERT_GE(seen[i].time - seen[i - 30].time, 1min) << "window ending at recipient " << i;
  }
  const std::vector<MonoTime>& opened = run.scenario.ledger.opened;
  for (std::size_t i = opened_before + 4; i < opened.size(); ++i)
    ASSERT_GE(opened[i] - opened[i - 4], 1min) << i;
  // 4 connections of 3 messages a minute are what the connect rate leaves of the 30.
  EXPECT_GE(run.tried(from, run.now()), 12 * 20 - 12u);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  run.run(9min + 50s);
  EXPECT_FALSE(run.in_backoff("a.test/v1")) << "backoff-to-normal-after";
  run.run(30s);
  EXPECT_GT(run.tried(run.now() - 10s, run.now()), 190u);
  const std::string events = run.ask({"show", "queues", "a.test/v1", "--mode-events", "--errors"});
  EXPECT_NE(events.find("mode backoff, by reply: 421 4.7.0 please slow down"), std::string::npos) << events;
  EXPECT_NE(events.find("mode normal, by time"), std::string::npos) << events;
  EXPECT_NE(events.find("message rate limit reached (based on queue's "), std::string::npos) << events;
  run.scenario.close();
}

TEST(Backoff, AdaptivePaceFindsWhatTheReceiverTakes) {
  // The receiver takes 10 a second over any 10 seconds and refuses the rest; the ceiling is four times that.
  std::vector<MonoTime> accepted;
  std::size_t refused = 0;
  Backoff run(R"(
<domain a.test>
    max-rcpt-per-message 1
    max-smtp-out 5
    max-msg-rate 40/s
    retry-recipients-after 1m
    adaptive-pacing yes
    adaptive-pacing-interval 1m
    adaptive-pacing-step 10
</domain>
)");
  run.open([&](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt) return "";
    const auto lately =
        std::ranges::count_if(std::span(accepted).last(std::min<std::size_t>(accepted.size(), 200)),
                              [&](MonoTime time) { return asked.now - time < 10s; });
    if (lately >= 100) {
      ++refused;
      return "421 4.7.28 unusual rate of mail from your address";
    }
    accepted.push_back(asked.now);
    return "";
  });
  run.send(20'000);
  run.run(3min);
  const std::string shown = run.ask({"show", "queues", "a.test/v1"});
  EXPECT_NE(shown.find("adaptive pace: "), std::string::npos) << shown;
  EXPECT_NE(shown.find(" of 40/s"), std::string::npos) << shown;
  run.restart(Crash::Kill);
  EXPECT_NE(run.ask({"show", "queues", "a.test/v1"}).find("adaptive pace: "), std::string::npos)
      << "the pace is remembered";
  const std::size_t refused_before = refused;
  const std::size_t accepted_before = accepted.size();
  run.run(10min);
  const std::size_t more = accepted.size() - accepted_before;
  EXPECT_GT(more, 600 * 4u) << "not starved";
  EXPECT_LT(refused - refused_before, more / 10) << "few are refused once the rate is found";
  // Never above the configured ceiling.
  const std::vector<Attempt>& seen = run.scenario.ledger.tried;
  for (std::size_t i = 40; i < seen.size(); ++i) ASSERT_GE(seen[i].time - seen[i - 40].time, 1s) << i;
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
