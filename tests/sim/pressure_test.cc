// Goal: new mail is refused, in PowerMTA's words, while memory is short or the queue is full, and taken again
// after;
//       `sync-msg-update no` costs repeated attempts at worst.
// How:  tables for what is read of the host; a node in the simulated world, whose /proc/meminfo the test
// writes.
#include "engine/shard/memory_watch.h"

#include <gtest/gtest.h>

#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

std::string meminfo(int total_kb, int available_kb) {
  return "MemTotal:       " + std::to_string(total_kb) +
         " kB\nMemFree:  1 kB\nMemAvailable:   " + std::to_string(available_kb) + " kB\n";
}

TEST(MemoryWatch, ReadsWhatTheKernelSays) {
  const auto memory = shard::parse_meminfo(meminfo(1000, 250));
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total_bytes, 1000u * 1024);
  EXPECT_EQ(memory->used_percent(), 74u);
  for (const char* bad : {"", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n",
                          "MemTotal: 0 kB\nMemAvailable: 0 kB\n", "MemAvailable: 1 kB\n",
                          "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n"}) {
    EXPECT_FALSE(shard::parse_meminfo(bad)) << bad;
  }
  config::GlobalSettings globals;
  EXPECT_EQ(shard::recipients_max(globals, memory), 1000u * 1024 / 2 / shard::kRecipientBytes);
  EXPECT_GT(shard::recipients_max(globals, std::nullopt), std::uint64_t{1} << 60);
  globals.spool_max_recipients = 7;
  EXPECT_EQ(shard::recipients_max(globals, memory), 7u);
}

TEST(MemoryWatch, SaysChangesOnce) {
  shard::MemoryWatch watch;
  EXPECT_EQ(watch.look(shard::parse_meminfo(meminfo(1000, 250)), 90), "");
  EXPECT_NE(watch.look(shard::parse_meminfo(meminfo(1000, 50)), 90), "");
  EXPECT_TRUE(watch.is_short());
  EXPECT_EQ(watch.look(shard::parse_meminfo(meminfo(1000, 40)), 90), "");
  EXPECT_NE(watch.look(shard::parse_meminfo(meminfo(1000, 40)), 100), "") << "100 is off";
  EXPECT_FALSE(watch.is_short());
}

TEST(PressureSim, ShortMemoryRefusesNewMail) {
  IdentityRig rig("max-memory-usage-percent 80\n");
  rig.scenario.world.disk().put("/proc/meminfo", meminfo(1000, 100));
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m", {"x@a.test"}), "452 4.3.2 Server resources temporarily exhausted");
  rig.scenario.world.disk().put("/proc/meminfo", meminfo(1000, 500));
  rig.scenario.world.run_for(3s);
  EXPECT_EQ(rig.send("m", {"x@a.test"}), "250");
  const std::string log = rig.scenario.world.disk().content("/var/log/sluice.log");
  EXPECT_NE(log.find("% in use, above max-memory-usage-percent 80"), std::string::npos) << log;
  EXPECT_NE(log.find("new mail is accepted again"), std::string::npos) << log;
}

TEST(IntakeWatch, SaysOnceWhatBeginsAndEnds) {
  using Cause = injection::Intake::Refusing::Cause;
  shard::IntakeWatch watch;
  const auto at = [](int seconds) { return WallTime{std::chrono::seconds(1'000'000 + seconds)}; };
  const shard::Refused full{Cause::Spool, "452 4.3.1 full", "no room"},
      other{Cause::Spool, "452 4.3.1 full", "read-only"};
  EXPECT_TRUE(watch.look({}, at(0)).empty());
  EXPECT_EQ(watch.look({full}, at(1)).size(), 1u);
  // Two shards with two reasons of one kind do not take turns.
  for (int second = 2; second < 10; ++second) EXPECT_TRUE(watch.look({other, full}, at(second)).empty());
  ASSERT_EQ(watch.standing().size(), 1u);
  EXPECT_EQ(watch.standing()[0].since, at(1));
  EXPECT_EQ(watch.look({other}, at(10)).size(), 1u) << "another reason is news";
  EXPECT_TRUE(watch.look({}, at(11)).empty()) << "it may come again at once";
  EXPECT_TRUE(watch.look({other}, at(12)).empty());
  EXPECT_EQ(watch.look({}, at(30)).size(), 1u);
  EXPECT_TRUE(watch.standing().empty());
  EXPECT_TRUE(watch.look({}, at(31)).empty());
}

TEST(PressureSim, AFullQueueRefusesNewMailUntilItDrains) {
  IdentityRig rig("spool-max-recipients 3\n");
  ASSERT_TRUE(rig.boot());
  for (auto& one : rig.scenario.receivers) one->set_mood({.defer_rcpt = 1});
  EXPECT_EQ(rig.send("m", {"1@a.test", "2@b.test"}), "250");
  rig.scenario.world.run_for(1s);
  EXPECT_EQ(rig.send("n", {"3@a.test", "4@b.test"}), "250")
      << "the cap is looked at before a message, not within";
  rig.scenario.world.run_for(1s);
  EXPECT_EQ(rig.send("o", {"5@a.test"}).substr(0, 9), "452 4.3.1");
  // Recovered recipients count.
  rig.scenario.crash(Crash::Kill);
  ASSERT_TRUE(rig.scenario.boot());
  EXPECT_EQ(rig.send("o", {"5@a.test"}).substr(0, 9), "452 4.3.1");
  const auto status = [&rig] {
    const auto answer =
        finish(rig.scenario.world,
               rig.scenario.node->node().execute(*control::Command::of({"show", "status"})), 1min);
    return answer ? answer->text : std::string();
  };
  EXPECT_NE(status().find("REFUSED  new mail, with 452 4.3.1 too many recipients queued"), std::string::npos)
      << status();
  for (auto& one : rig.scenario.receivers) one->set_mood({});
  rig.settle();
  EXPECT_EQ(rig.send("o", {"5@a.test"}), "250");
  rig.scenario.world.run_for(shard::IntakeWatch::kCalm + 2s);
  EXPECT_EQ(status().find("REFUSED"), std::string::npos) << status();
  const std::string log = rig.scenario.world.disk().content("/var/log/sluice.log");
  EXPECT_NE(log.find("Ready to deliver, but new mail is refused for now"), std::string::npos) << log;
  EXPECT_NE(log.find("New mail is refused with 452 4.3.1 too many recipients queued"), std::string::npos)
      << log;
  EXPECT_NE(log.find("New mail is no longer refused for this reason"), std::string::npos) << log;
}

TEST(PressureSim, LazyOutcomesLoseNothingWhenThePowerGoes) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scenario scenario(seed, "sync-msg-update no\n");
    scenario.open_receivers({.defer_rcpt = 0.2});
    ASSERT_TRUE(scenario.boot());
    Injected injected;
    ASSERT_TRUE(
        finish(scenario.world,
               inject(scenario.peers.reactor(0), Scenario::listener(), scenario.mails(60, "lazy"), injected),
               10min));
    scenario.world.run_for(Duration{std::chrono::milliseconds(40 * seed)});
    scenario.crash(seed % 2 == 0 ? Crash::PowerCut : Crash::Kill);
    ASSERT_TRUE(scenario.boot());
    EXPECT_TRUE(scenario.drain(6h));
    scenario.close();
    scenario.check_promises(injected, true);
  }
}

}  // namespace
}  // namespace sluice::test
