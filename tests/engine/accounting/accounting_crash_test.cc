// Goal: whatever is cut off and whenever, every event has exactly one row in every file that takes it, no
// file has a torn or doubled row, and a mere death of the process does not even change bytes a consumer has
// seen. How: a writer in a simulated world, killed or cut from power at every step of a small run and at
// random moments of longer ones, with rotation, moving, several journals and several files; then started
// again until all is written.
#include <gtest/gtest.h>

#include "tests/engine/accounting/accounting_world.h"

namespace sluice::accounting {
namespace {

using runtime::sim::Crash;

runtime::Task<bool> begin(AccountingWriter& writer) {
  auto result = co_await writer.start();
  EXPECT_TRUE(result) << result.error();
  co_return result.has_value();
}

runtime::Task<bool> try_to_begin(AccountingWriter& writer) {
  co_return (co_await writer.start()).has_value();
}

/// Starts without waiting: a crash may come while starting, and a fault may keep it from starting.
void start(AccountingWorld& at) {
  at.start();
  auto answer = std::make_unique<std::optional<bool>>();
  test::start(try_to_begin(*at.writer), *answer);
  at.world.machine().bury(std::move(answer));
}

void finish_run(AccountingWorld& at) {
  at.start();
  ASSERT_TRUE(test::finish(at.world, begin(*at.writer)).value_or(false));
  at.world.run_for(2s);
  at.stop();
}

std::vector<config::AcctFile> rotating_files() {
  auto moved = AccountingWorld::file("/log/acct.csv");
  moved.move_to = "/done";
  moved.move_interval = 1s;
  moved.max_size = config::ByteCount{3000};
  return {moved, AccountingWorld::file("/log/plain.csv")};
}

void expect_all(AccountingWorld& at) {
  at.expect_complete("/log/acct.csv", "/done");
  at.expect_complete("/log/plain.csv");
}

class EveryStep : public ::testing::TestWithParam<Crash> {};

TEST_P(EveryStep, CrashOnceThenGoOn) {
  // The number of steps of an undisturbed run bounds the moments to try.
  std::uint64_t steps = 0;
  for (std::uint64_t step = 0; step == 0 || step <= steps; step += step < 150 ? 1 : 3) {
    SCOPED_TRACE(step);
    AccountingWorld at(42);
    at.files = rotating_files();
    start(at);
    for (int i = 0; i < 12; ++i) at.journals.publish(static_cast<std::size_t>(i % 3), 10);
    const std::uint64_t first = at.world.steps();
    if (step == 0) {
      at.world.run_for(2500ms);
      steps = at.world.steps() - first;
      ASSERT_GT(steps, 100u);
    } else {
      at.world.run_until([&] { return at.world.steps() - first >= step; });
    }
    at.crash(GetParam());
    finish_run(at);
    expect_all(at);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Accounting, EveryStep, ::testing::Values(Crash::Kill, Crash::PowerCut),
                         [](const auto& param) { return param.param == Crash::Kill ? "Kill" : "PowerCut"; });

TEST(AccountingCrash, ManyCrashesAtRandomMoments) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    runtime::sim::WorldOptions options;
    options.machine.disk.names_in_order = seed % 2 == 0;
    AccountingWorld at(seed, options);
    at.files = rotating_files();
    if (seed % 3 == 0) {
      at.world.faults().plan = {
          .operation_delayed = 0.01, .write_short = 0.05, .write_error = 0.01, .sync_error = 0.01};
    }
    for (int life = 0; life < 8; ++life) {
      start(at);
      const std::uint64_t pieces = at.world.random().next() % 12;
      for (std::uint64_t i = 0; i < pieces; ++i) {
        at.journals.publish(at.world.random().next() % 3, 1 + at.world.random().next() % 30);
        at.world.run_for(Duration{static_cast<std::int64_t>(at.world.random().next() % 400'000'000)});
      }
      at.crash(at.world.random().next() % 2 == 0 ? Crash::Kill : Crash::PowerCut);
    }
    at.world.faults().clear();
    finish_run(at);
    expect_all(at);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(AccountingCrash, ADeathBetweenWritesChangesNoByteThatWasSeen) {
  // Rows of three journals stand mixed in the file; the next incarnation meets the journals in another order.
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    AccountingWorld at(seed);
    at.files = {AccountingWorld::file("/log/acct.csv"),
                AccountingWorld::file("/log/b.csv", {config::RecordType::Bounce})};
    for (auto& file : at.files) file.sync = at.world.seed() % 2 == 0;
    start(at);
    for (int i = 0; i < 30; ++i) at.journals.publish(static_cast<std::size_t>(i % 3), 7);
    at.world.run_for(300ms);  // all written, nothing committed
    const std::string path = "/log/acct-2026-01-05-0000.csv";
    const std::string before = at.world.disk().content(path);
    const std::string before_b = at.world.disk().content("/log/b-2026-01-05-0000.csv");
    EXPECT_EQ(at.journals.acknowledged.at(0).offset, 0u);
    at.expect_complete("/log/acct.csv");
    at.crash(Crash::Kill);
    for (int i = 0; i < 6; ++i) at.journals.publish(static_cast<std::size_t>(i % 3), 7);
    start(at);
    at.world.run_for(300ms);
    EXPECT_GE(at.writer->counters().bytes_found_again, before.size());
    at.stop();
    EXPECT_TRUE(at.world.disk().content(path).starts_with(before));
    EXPECT_TRUE(at.world.disk().content("/log/b-2026-01-05-0000.csv").starts_with(before_b));
    at.expect_complete("/log/acct.csv");
  }
}

TEST(AccountingCrash, TornAndForeignTailsAreCut) {
  for (const std::string& tail :
       {std::string("d,garbage"), std::string(5000, '\0'), std::string("d,9-0-1,x,y,z\r\n")}) {
    AccountingWorld at(3);
    at.files = {AccountingWorld::file("/log/acct.csv")};
    start(at);
    at.journals.publish(0, 5);
    at.world.run_for(3s);
    at.crash(Crash::Kill);
    const std::string path = "/log/acct-2026-01-05-0000.csv";
    at.world.disk().put(path, at.world.disk().content(path) + tail);
    at.journals.publish(1, 5);
    finish_run(at);
    at.expect_complete("/log/acct.csv");
  }
}

TEST(AccountingCrash, MidnightWhileItWasDown) {
  AccountingWorld at(3);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  start(at);
  at.journals.publish(0, 5);
  at.world.run_for(100ms);
  at.crash(Crash::Kill);
  at.world.freeze_for(24h);
  at.journals.publish(1, 5);
  finish_run(at);
  at.expect_complete("/log/acct.csv");
}

}  // namespace
}  // namespace sluice::accounting
