// Goal: whoever sets the calendar clock, and whenever: waiting mail keeps its age and its retry times, nothing bounces
//       early or stays for longer, and the log says so. What people read shows the calendar.
// How:  whole nodes in the simulated world, whose calendar is stepped while they run and while they are down, over
//       restarts of the process and of the host; ClockWatch alone for the cases of a start.
//       SLUICE_SIM_FIRST and SLUICE_SIM_SEEDS choose the runs of the last test.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/shard/clock_watch.h"
#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

using shard::ClockWatch;
using std::chrono::milliseconds;

constexpr auto kDay = std::chrono::hours(24);

struct Clocks : Limited {
  static constexpr const char* kTimes =
      "<acct-file /var/log/times.csv>\n records d,b,r\n record-fields d timeLogged,timeQueued,rcpt\n"
      " record-fields b timeLogged,timeQueued,rcpt\n record-fields r "
      "timeLogged,timeQueued,rcpt\n</acct-file>\n";

  explicit Clocks(std::uint64_t seed = 3)
      : Limited(kTimes,
                {.judge =
                     [this](const Asked& asked) {
                       return is_open || asked.at != Asked::At::Rcpt ? std::string()
                                                                     : std::string("450 4.2.1 later");
                     }},
                seed) {
    host_boots();
  }
  void host_boots() {
    ++boots;
    scenario.world.disk().put("/proc/sys/kernel/random/boot_id", "boot-" + std::to_string(boots) + "\n");
  }
  void set_clock(milliseconds by) { scenario.world.jump_wall_clock(by); }
  std::string log() { return scenario.world.disk().content("/var/log/sluice.log"); }
  bool has_logged(const std::string& part) { return log().find(part) != std::string::npos; }
  std::size_t bounced() { return acct_rows(scenario.world.disk(), "times", "b").size(); }
  void restart(bool host_too, milliseconds set_by = milliseconds{0}) {
    scenario.crash(host_too ? Crash::PowerCut : Crash::Kill);
    if (host_too) host_boots();
    set_clock(set_by);
    ASSERT_TRUE(scenario.boot());
  }
  /// Delivered within a retry interval of being let in.
  void expect_prompt() {
    is_open = true;
    run_for(35s);
    EXPECT_EQ(scenario.queued(), 0u) << log();
    EXPECT_EQ(seen().messages.size(), mails_sent);
  }

  bool is_open = false;
  int boots = 0;
};

TEST(Clock, SetWhileRunningChangesNothingButWhatPeopleRead) {
  Clocks run;
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 3, .each = 1});
  run.run_for(5s);
  run.set_clock(6 * 24h);
  run.run_for(5min);
  EXPECT_EQ(run.scenario.queued(), 3u) << "six days are no age";
  EXPECT_EQ(run.bounced(), 0u);
  EXPECT_TRUE(run.has_logged("The clock was set forward by 6d 0:00:00: it is 2026-01-11 ")) << run.log();
  run.set_clock(-9 * 24h);
  run.run_for(5min);
  EXPECT_TRUE(run.has_logged("The clock was set back by 9d 0:00:00: it is 2026-01-02 ")) << run.log();
  run.expect_prompt();
  // When it was taken in, by the calendar of today.
  for (Row& row : acct_rows(run.scenario.world.disk(), "times", "d")) {
    EXPECT_EQ(row["timeQueued"].substr(0, 10), "2026-01-02") << row["timeLogged"];
  }
  run.scenario.close();
}

TEST(Clock, SmallStepsAreATimeServices) {
  Clocks run;
  ASSERT_TRUE(run.scenario.boot());
  for (int i = 0; i < 10; ++i) {
    run.set_clock(i % 2 == 0 ? 900ms : -900ms);
    run.run_for(5s);
  }
  EXPECT_FALSE(run.has_logged("clock")) << run.log();
  run.scenario.close();
}

TEST(Clock, BehindAtAStartAndSetRightLater) {
  for (const bool host_too : {false, true}) {
    SCOPED_TRACE(host_too);
    Clocks run;
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 2, .each = 1});
    run.run_for(40s);
    run.restart(host_too, -1h);
    EXPECT_TRUE(run.has_logged(host_too ? "The clock is behind: it is 2026-01-04 23:"
                                        : "While no sluiced was running the clock was set back by 1:00:00"))
        << run.log();
    run.send({.recipients = 1, .each = 1});
    run.run_for(5s);
    run.set_clock(1h);
    run.expect_prompt();
    run.scenario.close();
  }
}

TEST(Clock, AheadAtAStart) {
  Clocks run;
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 2, .each = 1});
  run.run_for(40s);
  run.restart(false, 6 * 24h);
  run.run_for(5min);
  EXPECT_EQ(run.bounced(), 0u);
  EXPECT_TRUE(run.has_logged("the clock was set forward by 6d ")) << run.log();
  run.restart(false, -6 * 24h);
  run.expect_prompt();
  run.scenario.close();
}

TEST(Clock, AHostThatWakesUpInThePast) {
  // Without a battery: years behind at every boot, until a time service answers.
  Clocks run;
  run.set_clock(-6 * 365 * 24h);
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1, .each = 1});
  run.run_for(10s);
  run.set_clock(6 * 365 * 24h);
  run.run_for(10s);
  run.send({.recipients = 1, .each = 1});
  for (int boot = 0; boot < 3; ++boot) {
    run.run_for(2h);
    run.restart(true, -6 * 365 * 24h);
    run.run_for(20s);
    run.set_clock(6 * 365 * 24h);
  }
  EXPECT_EQ(run.bounced(), 0u);
  EXPECT_EQ(run.scenario.queued(), 2u);
  run.expect_prompt();
  run.scenario.close();
}

TEST(Clock, DoesNotDecideWhichOfTwoStatesIsTheNewerOne) {
  Clocks run;
  ASSERT_TRUE(run.scenario.boot());
  run.set_clock(24h);
  run.run_for(5s);
  run.scenario.ask({"pause", "queue", "a.test/v1"});
  run.set_clock(-24h);
  run.run_for(5s);
  run.scenario.ask({"resume", "queue", "a.test/v1"});
  run.run_for(5s);
  run.restart(false);
  run.send({.recipients = 1, .each = 1});
  run.expect_prompt();
  run.scenario.close();
}

// --- A start, alone.

constexpr WallTime kMonday = std::chrono::sys_days(std::chrono::year(2026) / 1 / 5);

struct Start {
  ClockWatch watch;
  std::optional<std::string> said;
  WallTime lasting;
};
Start start_at(const std::string& stored, WallTime last_written, const std::string& boot, Duration steady,
               WallTime calendar) {
  Start out;
  const MonoTime now{steady};
  out.said = out.watch.begin({stored, last_written}, boot, {now, calendar});
  out.lasting = WallTime(std::chrono::floor<milliseconds>(now.time_since_epoch() + out.watch.clock().base));
  EXPECT_EQ(out.lasting + out.watch.clock().offset, calendar) << "people read the calendar";
  return out;
}

TEST(ClockWatch, BeginsWithTheCalendar) {
  const Start first = start_at("", {}, "A", 100s, kMonday);
  EXPECT_EQ(first.lasting, kMonday);
  EXPECT_FALSE(first.said);
}

TEST(ClockWatch, GoesOnBySteadyTimeWhileTheHostRuns) {
  const Start first = start_at("", {}, "A", 100s, kMonday);
  for (const milliseconds set : {milliseconds{0}, milliseconds{-5000h}, milliseconds{5000h}}) {
    const Start next = start_at(first.watch.text(), kMonday + 10s, "A", 160s, kMonday + 60s + set);
    EXPECT_EQ(next.lasting, kMonday + 60s);
    EXPECT_EQ(next.said.has_value(), set != milliseconds{0});
    const Start third = start_at(next.watch.text(), kMonday + 70s, "A", 200s, kMonday + 100s + set);
    EXPECT_EQ(third.lasting, kMonday + 100s);
    EXPECT_FALSE(third.said) << *third.said;
  }
}

TEST(ClockWatch, AfterABootTimeNeverGoesBack) {
  const Start first = start_at("", {}, "A", 100s, kMonday);
  const Start later = start_at(first.watch.text(), kMonday + 1h, "B", 5s, kMonday + 2h);
  EXPECT_EQ(later.lasting, kMonday + 2h);
  EXPECT_FALSE(later.said);
  const Start behind = start_at(first.watch.text(), kMonday + 1h, "B", 5s, kMonday - 300h);
  EXPECT_EQ(behind.lasting, kMonday + 1h);
  ASSERT_TRUE(behind.said);
  EXPECT_NE(behind.said->find("The clock is behind"), std::string::npos);
  // Put right before the next boot: only the time since then counts.
  const Start right = start_at(behind.watch.text(), kMonday + 3h, "C", 5s, kMonday + 4h);
  EXPECT_EQ(right.lasting, kMonday + 4h);
  const Start long_down = start_at(first.watch.text(), kMonday + 1h, "B", 5s, kMonday + 1h + 4 * kDay);
  ASSERT_TRUE(long_down.said);
  EXPECT_NE(long_down.said->find("4d 0:00:00 since this spool was written"), std::string::npos)
      << *long_down.said;
  // A clock that was ahead then and still is: nobody was down for that long.
  ClockWatch watch = first.watch;
  const Duration ahead = 60 * kDay;
  (void)watch.look({MonoTime{101s}, kMonday + 1s + std::chrono::duration_cast<milliseconds>(ahead)});
  (void)watch.look({MonoTime{102s}, kMonday + 2s + std::chrono::duration_cast<milliseconds>(ahead)});
  const Start still = start_at(watch.text(), kMonday + 1h, "B", 5s,
                               kMonday + 2h + std::chrono::duration_cast<milliseconds>(ahead));
  EXPECT_EQ(still.lasting, kMonday + 2h);
}

TEST(ClockWatch, AMachinePutBackToAnEarlierStateIsAnotherBoot) {
  const Start first = start_at("", {}, "A", 5000s, kMonday);
  const Start back = start_at(first.watch.text(), kMonday + 100s, "A", 10s, kMonday + 400s);
  EXPECT_EQ(back.lasting, kMonday + 400s);
}

TEST(ClockWatch, DamagedTextIsNone) {
  for (const char* text : {"", "A", "A 1", "A x y", "A 1 2 3", "A  1 2"}) {
    const Start one = start_at(text, kMonday, "A", 5s, kMonday + 1h);
    EXPECT_GE(one.lasting, kMonday) << text;
    EXPECT_LE(one.lasting, kMonday + 1h) << text;
  }
}

TEST(ClockWatch, OneReadingAsideIsNoStep) {
  Start one = start_at("", {}, "A", 100s, kMonday);
  EXPECT_FALSE(one.watch.look({MonoTime{101s}, kMonday + 1h}));
  EXPECT_FALSE(one.watch.look({MonoTime{102s}, kMonday + 2s}));
  EXPECT_FALSE(one.watch.look({MonoTime{103s}, kMonday + 1h}));
  EXPECT_TRUE(one.watch.look({MonoTime{104s}, kMonday + 1h + 1s}));
  EXPECT_FALSE(one.watch.look({MonoTime{105s}, kMonday + 1h + 2s}));
}

// --- By chance.

std::uint64_t number_of(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::strtoull(value, nullptr, 10);
}

/// Steps of the clock and restarts at random: every recipient is tried on time, and bounces at its age.
void play(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Clocks run(seed);
  run.scenario.files.files["/etc/config"] +=
      "<domain *>\n retry-recipients-after 20m\n retry-after 20m\n</domain>\n";
  auto& world = run.scenario.world;
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 4, .each = 1});
  const MonoTime begin = world.now();
  milliseconds away{0};
  const auto step = [&] {
    const auto by = milliseconds(std::chrono::seconds(world.random().below(20 * 86'400))) - 10 * 24h;
    // Back to the truth as often as not.
    const milliseconds next = world.random().below(2) == 0 ? milliseconds{0} : away + by;
    return next - std::exchange(away, next);
  };
  while (world.now() - begin < 10h + 30min) {
    run.run_for(std::chrono::seconds(60 + world.random().below(3000)));
    switch (world.random().below(4)) {
      case 0: run.restart(false, step()); break;
      case 1: run.restart(false); break;
      default: run.set_clock(step());
    }
    ASSERT_EQ(run.bounced(), 0u) << (world.now() - begin) / 1min << " minutes old\n" << run.log();
  }
  std::map<std::string, MonoTime> last;
  for (const Attempt& one : run.seen().tried) {
    const auto before = last.find(one.recipient);
    if (before != last.end()) EXPECT_LE(one.time - before->second, 21min) << one.recipient << run.log();
    last[one.recipient] = one.time;
  }
  EXPECT_EQ(last.size(), 4u);
  run.run_for(begin + 12h + 2min - world.now());
  EXPECT_EQ(run.scenario.queued(), 0u) << run.log();
  EXPECT_EQ(run.bounced(), 4u);
  run.scenario.close();
}

TEST(Clock, SetByChanceBetweenRestarts) {
  const std::uint64_t first = number_of("SLUICE_SIM_FIRST", 1);
  const std::uint64_t count = number_of("SLUICE_SIM_SEEDS", 5);
  for (std::uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) play(seed);
}

}  // namespace
}  // namespace sluice::test
