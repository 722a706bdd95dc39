// Goal: mail with delivery windows (x-schedule) is attempted inside a window and never outside one, whatever
// happens in between, and bounces when no window is left. How:  a whole node in the simulated world, which
// starts on 2026-01-05 00:00 UTC; the receivers' times of attempts.
#include <gtest/gtest.h>

#include "tests/sim/queue_type_run.h"

namespace sluice::test {
namespace {

constexpr const char* kRules = "<source 0/0>\n process-x-schedule yes\n</source>\n";

Mail scheduled(const std::string& id, const std::string& to, const std::string& windows) {
  return {.id = id, .recipients = {to}, .vmta = "v1", .headers = "X-Schedule: " + windows + "\r\n"};
}

struct ScheduleRun : QueueTypeRun {
  explicit ScheduleRun(const std::string& extra = {}, Mood mood = {}) : QueueTypeRun(kRules + extra) {
    scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
    scenario.open_receivers(mood);
    zero = scenario.world.now();
  }
  /// To `at` after the start of the world.
  void run_to(Duration at) { scenario.world.run_for(zero + at - scenario.world.now()); }
  [[nodiscard]] std::vector<Duration> attempts() const {
    std::vector<Duration> out;
    for (const MonoTime at : scenario.ledger.attempts) out.push_back(at - zero);
    return out;
  }
  MonoTime zero{};
};

TEST(Schedule, WaitsForTheWindow) {
  ScheduleRun run;
  ASSERT_TRUE(run.inject_all({scheduled("s", "x@a.test", "2026-01-05 03:00:00/2026-01-05 04:00:00"),
                              {.id = "now", .recipients = {"y@a.test"}, .vmta = "v1"}}));
  run.run_to(1h);
  EXPECT_EQ(run.attempts().size(), 1u);  // the other one did not wait
  const std::string shown = run.command({"show", "schedule"});
  EXPECT_NE(shown.find("a.test/v1"), std::string::npos) << shown;
  EXPECT_NE(shown.find("1 of 1 queues with scheduled recipients."), std::string::npos) << shown;
  run.run_to(3h - 1s);
  EXPECT_EQ(run.attempts().size(), 1u);
  run.run_to(3h + 5s);
  ASSERT_EQ(run.attempts().size(), 2u);
  EXPECT_GE(run.attempts()[1], 3h);
  EXPECT_EQ(run.rows("d").size(), 2u);
  EXPECT_EQ(run.scenario.ledger.bodies["<s@sim>"].find("X-Schedule"), std::string::npos);
  run.close();
}

TEST(Schedule, TheHeaderIsStrippedOrKeptAndRefused) {
  for (const bool process : {false, true}) {
    for (const bool retain : {false, true}) {
      SCOPED_TRACE(std::to_string(process) + std::to_string(retain));
      ScheduleRun run(std::string("<source 0/0>\n process-x-schedule ") + (process ? "yes" : "no") +
                      "\n retain-x-schedule " + (retain ? "yes" : "no") + "\n</source>\n");
      ASSERT_TRUE(run.inject_all({scheduled("s", "x@a.test", "2026-01-05 00:00:00/2026-01-06 00:00:00")}));
      run.run_to(10s);
      EXPECT_EQ(run.scenario.ledger.bodies["<s@sim>"].find("X-Schedule") != std::string::npos, retain);
      run.close();
    }
  }
  ScheduleRun run;
  ASSERT_TRUE(run.inject_all({scheduled("s", "x@a.test", "soon")}));
  ASSERT_EQ(run.injected.refusals.size(), 1u);
  EXPECT_EQ(run.injected.refusals[0],
            "554 5.6.0 x-schedule: \"soon\" is no window; expected START/END, each YYYY-MM-DD HH:MM:SS");
  run.close();
}

TEST(Schedule, BounceAfterDoesNotCountWindowsDo) {
  // bounce-after is 12 h here; the second window opens after 30 h.
  ScheduleRun run({}, {.defer_rcpt = 1});
  ASSERT_TRUE(run.inject_all({scheduled(
      "s", "x@a.test", "2026-01-05 01:00:00/2026-01-05 01:02:00, 2026-01-06 06:00:00/2026-01-06 06:02:00")}));
  run.run_to(29h);
  EXPECT_GE(run.attempts().size(), 2u);  // every 30 s, for two minutes
  for (const Duration at : run.attempts()) EXPECT_TRUE(at >= 1h && at < 1h + 2min) << at / 1s;
  EXPECT_EQ(run.scenario.queued(), 1u);
  const std::size_t before = run.attempts().size();
  run.run_to(31h);
  ASSERT_GT(run.attempts().size(), before);
  for (std::size_t i = before; i < run.attempts().size(); ++i) {
    EXPECT_TRUE(run.attempts()[i] >= 30h && run.attempts()[i] < 30h + 2min) << run.attempts()[i] / 1s;
  }
  EXPECT_EQ(run.scenario.queued(), 0u);
  auto bounced = run.rows("b");
  ASSERT_EQ(bounced.size(), 1u);
  EXPECT_EQ(bounced[0]["bounceCat"], "message-expired");
  EXPECT_EQ(bounced[0]["dsnDiag"].find("x-pmta;no delivery window is left (smtp;450"), 0u)
      << bounced[0]["dsnDiag"];
  run.close();
}

TEST(Schedule, WindowsThatAreOverBounceAtOnce) {
  ScheduleRun run;
  ASSERT_TRUE(run.inject_all({scheduled("s", "x@a.test", "2025-01-05 01:00:00/2025-01-05 02:00:00")}));
  run.run_to(10s);
  EXPECT_TRUE(run.attempts().empty());
  auto bounced = run.rows("b");
  ASSERT_EQ(bounced.size(), 1u);
  EXPECT_EQ(bounced[0]["dsnDiag"], "x-pmta;no delivery window is left");
  EXPECT_EQ(run.command({"show", "schedule"}).find("a.test"), std::string::npos);
  run.close();
}

TEST(Schedule, ForEverIsAWindowToo) {
  ScheduleRun run;
  ASSERT_TRUE(run.inject_all({scheduled("open", "x@a.test", "2026-01-05 00:00:00/9999-12-31 23:59:59"),
                              scheduled("far", "y@a.test", "9000-01-01 00:00:00/9999-12-31 23:59:59")}));
  run.run_to(24h);
  EXPECT_EQ(run.attempts().size(), 1u);
  EXPECT_EQ(run.rows("d").size(), 1u);
  EXPECT_EQ(run.rows("b").size(), 0u);
  EXPECT_EQ(run.scenario.queued(), 1u);
  run.close();
}

TEST(Schedule, ADeadHostDoesNotStretchTheWindow) {
  ScheduleRun run("<domain a.test>\n bounce-after 2h\n</domain>\n");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Refusing);
  ASSERT_TRUE(run.inject_all({scheduled("s", "x@a.test", "2026-01-05 01:00:00/2026-01-05 01:30:00"),
                              {.id = "old", .recipients = {"y@a.test"}, .vmta = "v1"}}));
  run.run_to(1h + 29min);
  EXPECT_EQ(run.scenario.queued(), 2u);
  run.run_to(1h + 31min);  // retry-after 20s
  EXPECT_EQ(run.scenario.queued(), 1u);
  ASSERT_EQ(run.rows("b").size(), 1u);
  EXPECT_EQ(run.rows("b")[0].at("rcpt"), "x@a.test");
  run.run_to(2h + 2min);  // and the unscheduled one expires by its age
  EXPECT_EQ(run.rows("b").size(), 2u);
  run.close();
}

TEST(Schedule, SurvivesRestartsOnAnyShard) {
  for (const Crash how : {Crash::Kill, Crash::PowerCut}) {
    ScheduleRun run;
    std::vector<Mail> mails;
    for (int i = 0; i < 60; ++i) {
      Mail mail = scheduled("s" + std::to_string(i), "x" + std::to_string(i) + "@a.test",
                            "2026-01-05 03:00:00/2026-01-05 04:00:00");
      mail.vmta = i % 2 == 0 ? "v1" : "v2";
      mails.push_back(mail);
    }
    ASSERT_TRUE(run.inject_all(mails));
    for (int round = 0; round < 3; ++round) {
      run.scenario.world.run_for(10min);
      run.scenario.crash(how);
      ASSERT_TRUE(run.scenario.boot());
    }
    run.run_to(3h - 1s);
    EXPECT_TRUE(run.attempts().empty());
    EXPECT_EQ(run.scenario.queued(), 60u);
    run.run_to(3h + 1min);
    EXPECT_EQ(run.attempts().size(), 60u);
    EXPECT_EQ(run.rows("d").size(), 60u);
    // While the node is down the window closes: nothing is sent later.
    ASSERT_TRUE(
        run.inject_all({scheduled("late", "late@a.test", "2026-01-05 05:00:00/2026-01-05 06:00:00")}));
    run.scenario.world.machine().crash(how);
    run.scenario.world.machine().bury(std::move(run.scenario.node));
    run.run_to(7h);
    run.scenario.world.machine().boot();
    ASSERT_TRUE(run.scenario.boot());
    run.run_to(8h);
    EXPECT_EQ(run.attempts().size(), 60u);
    EXPECT_EQ(run.rows("b").size(), 1u);
    run.close();
  }
}

}  // namespace
}  // namespace sluice::test
