// Goal: a program behind `<acct-file |CMD>` gets the header row and every row once while it lives; when it
// ends, hangs, cannot be started, is reloaded or the daemon dies it gets what acct_pipe.h promises, says why
// in the log in PowerMTA's words, and never holds up a file or the journals without bound. How: an accounting
// writer in a simulated world with programs whose behaviour is set by each test.
#include <gtest/gtest.h>

#include "engine/accounting/file_specs.h"
#include "tests/engine/accounting/accounting_world.h"

namespace sluice::accounting {
namespace {

using config::RecordType;
using runtime::Task;
using runtime::sim::Crash;

constexpr std::string_view kHeader = "type,recordId,rcpt,timeLogged,dsnDiag";

/// All that was heard by the programs of one command, one string for each life.
struct Heard {
  std::vector<std::string> lives;
  std::size_t stuck_lives = 0;  // the first so many read nothing
  std::size_t ends_after = 0;   // bytes; 0: with its input
  Duration slow{0};             // between two reads
};

Task<int> listen(Heard& heard, runtime::Reactor& reactor, runtime::sim::ProgramSide side) {
  const std::size_t life = heard.lives.size();
  heard.lives.emplace_back();
  if (life < heard.stuck_lives) co_await runtime::sleep_for(reactor, 10min);
  for (;;) {
    {
      const Result<runtime::ReceivedBytes> got = co_await side.input.receive();
      if (!got || got->bytes().empty()) co_return 0;
      heard.lives[life].append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
    }
    if (heard.ends_after > 0 && heard.lives[life].size() >= heard.ends_after) {
      static_cast<void>(co_await side.output.send(std::string_view("first\ncannot reach the database\n")));
      co_return 3;
    }
    if (heard.slow > Duration{0}) co_await runtime::sleep_for(reactor, heard.slow);
  }
}

class AcctPipeTest : public ::testing::Test {
 protected:
  AcctPipeTest() : at(7) { use("/bin/feed", heard); }

  void use(const std::string& program, Heard& by) {
    at.world.machine().programs[program] = [&by](runtime::Reactor& reactor, runtime::sim::ProgramSide side) {
      return listen(by, reactor, std::move(side));
    };
  }
  static config::AcctFile pipe(std::string command) {
    config::AcctFile out = AccountingWorld::file("");
    out.command = std::move(command);
    return out;
  }
  void start() {
    at.start();
    const auto result = test::finish(at.world, at.writer->start());
    ASSERT_TRUE(result && *result) << (result ? result->error() : "");
  }
  bool noted(std::string_view text) const {
    return std::ranges::any_of(at.notes,
                               [text](const std::string& note) { return note.find(text) != note.npos; });
  }
  /// recordId -> how often, of all lives; every life begins with the header and has whole rows.
  static std::map<std::string, int> rows(const Heard& by) {
    std::map<std::string, int> out;
    for (const std::string& life : by.lives) {
      std::string_view rest = life;
      bool first = true;
      while (!rest.empty()) {
        const std::size_t end = rest.find("\r\n");
        if (end == std::string_view::npos) break;  // cut with the program
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 2);
        EXPECT_EQ(first, line == kHeader) << line;
        if (!first) ++out[std::string(line.substr(2, line.find(',', 2) - 2))];
        first = false;
      }
    }
    return out;
  }
  static bool once_each(const std::map<std::string, int>& rows) {
    return std::ranges::all_of(rows, [](const auto& row) { return row.second == 1; });
  }

  AccountingWorld at;
  Heard heard;
};

TEST_F(AcctPipeTest, GetsTheHeaderAtOnceAndEveryRowOnce) {
  at.files = {pipe("/bin/feed --to db"), AccountingWorld::file("/log/acct.csv")};
  start();
  at.world.run_for(10ms);
  ASSERT_EQ(heard.lives.size(), 1u);
  EXPECT_EQ(heard.lives[0], std::string(kHeader) + "\r\n") << "before there is any row";
  for (std::size_t i = 0; i < 30; ++i) {
    at.journals.publish(i % 3, 20);
    at.world.run_for(3ms);
  }
  at.world.run_for(50ms);
  EXPECT_EQ(rows(heard).size(), 600u) << "at once, not at the next commit";
  at.stop();
  EXPECT_EQ(heard.lives.size(), 1u);
  EXPECT_TRUE(once_each(rows(heard)));
  at.expect_complete("/log/acct.csv");
  EXPECT_EQ(at.journals.acknowledged_by.at("|/bin/feed --to db"), at.journals.acknowledged);
}

TEST_F(AcctPipeTest, ASuccessorGoesOnAfterRetryInterval) {
  at.files = {pipe("/bin/feed")};
  heard.ends_after = 2000;
  start();
  at.journals.publish(0, 60);
  at.world.run_for(5s);
  EXPECT_TRUE(noted("Error executing \"/bin/feed\": ended with exit status 3: cannot reach the database"))
      << (at.notes.empty() ? "" : at.notes.back());
  EXPECT_TRUE(at.writer->alarm());
  heard.ends_after = 0;
  at.journals.publish(0, 40);
  at.world.run_for(4min);
  EXPECT_EQ(heard.lives.size(), 1u) << "before retry-interval";
  at.world.run_for(2min);
  ASSERT_EQ(heard.lives.size(), 2u);
  EXPECT_FALSE(at.writer->alarm());
  at.stop();
  const auto got = rows(heard);
  EXPECT_TRUE(once_each(got));
  EXPECT_GE(got.size(), 40u) << "those published while it was away are all there";
}

TEST_F(AcctPipeTest, ASuccessorGoesOnWithinABatch) {
  at.files = {pipe("/bin/feed")};
  heard.ends_after = 200'000;
  start();
  constexpr std::size_t kRows = 20'000;  // of one batch, many times what a pipe holds
  at.journals.publish(0, kRows);
  at.world.run_for(5s);
  heard.ends_after = 0;
  at.world.run_for(10min);
  at.stop();
  ASSERT_EQ(heard.lives.size(), 2u);
  ASSERT_GE(heard.lives[0].size(), 200'000u);
  const auto got = rows(heard);
  EXPECT_TRUE(once_each(got));
  const std::size_t second_rows = rows({.lives = {heard.lives[1]}}).size();
  ASSERT_GT(second_rows, 0u);
  const std::size_t row_bytes = heard.lives[1].size() / second_rows;
  EXPECT_GE(got.size() + 64 * kKiB / row_bytes + 2, kRows) << "more is lost than the pipe held";
}

TEST_F(AcctPipeTest, WhatAStuckProgramWasNotGivenOutlivesTheDaemon) {
  at.files = {pipe("/bin/feed"), AccountingWorld::file("/log/acct.csv")};
  heard.stuck_lives = 1;
  start();
  constexpr std::size_t kRows = 20'000;
  at.journals.publish(0, kRows);
  at.world.run_for(8s);  // the state is stored
  at.crash(Crash::Kill);
  start();
  at.world.run_for(5s);
  at.stop();
  ASSERT_EQ(heard.lives.size(), 2u);
  EXPECT_EQ(rows({.lives = {heard.lives[1]}}).size(), kRows);
}

TEST_F(AcctPipeTest, AStuckProgramIsEndedAndHoldsUpNothing) {
  at.files = {pipe("/bin/feed"), AccountingWorld::file("/log/acct.csv")};
  at.files[0].write_timeout = 30s;
  at.files[0].retry_interval = 1min;
  heard.stuck_lives = 1;
  start();
  for (int i = 0; i < 200; ++i) {
    at.journals.publish(0, 100);
    at.world.run_for(10ms);
  }
  at.world.run_for(3s);
  at.expect_complete("/log/acct.csv");
  EXPECT_EQ(at.journals.acknowledged.at(0).offset, 200u) << "the files go on";
  EXPECT_LT(at.journals.acknowledged_by["|/bin/feed"].at(0).offset, 200u);
  at.world.run_for(40s);
  EXPECT_TRUE(noted("Error writing to \"/bin/feed\": it took nothing for 30s and was ended"));
  at.world.run_for(2min);
  at.stop();
  EXPECT_EQ(heard.lives.size(), 2u);
  EXPECT_EQ(at.journals.acknowledged_by["|/bin/feed"].at(0).offset, 200u);
}

TEST_F(AcctPipeTest, WhatCannotBeStartedIsTriedAgain) {
  at.files = {pipe("/bin/later")};
  at.files[0].retry_interval = 10s;
  start();
  at.journals.publish(1, 10);
  at.world.run_for(1s);
  EXPECT_TRUE(noted("Error starting \"/bin/later\": "));
  use("/bin/later", heard);
  at.world.run_for(10s);
  at.stop();
  EXPECT_EQ(rows(heard).size(), 10u);
}

TEST_F(AcctPipeTest, TheJournalsWaitForItOnlySoLong) {
  at.files = {pipe("/bin/later"), AccountingWorld::file("/log/acct.csv")};
  at.files[0].retry_interval = 1min;
  at.pipe_lag_bytes_max = 10;  // batches, in the journals of this test
  start();
  for (int i = 0; i < 50; ++i) {
    at.journals.publish(0, 2);
    at.world.run_for(200ms);
  }
  at.world.run_for(5s);
  EXPECT_GE(at.journals.acknowledged_by["|/bin/later"].at(0).offset, 30u);
  EXPECT_TRUE(noted("its oldest rows are dropped from now on"));
  use("/bin/later", heard);
  at.world.run_for(1min);
  EXPECT_TRUE(noted("\"/bin/later\" takes rows again; "));
  at.stop();
  const auto got = rows(heard);
  EXPECT_GE(got.size(), 20u);
  EXPECT_LT(got.size(), 60u);
  EXPECT_TRUE(got.contains("64-0-1")) << "the youngest are there";
  at.expect_complete("/log/acct.csv");
}

TEST_F(AcctPipeTest, ASlowProgramIsNotFollowedWithoutBound) {
  at.files = {pipe("/bin/feed")};
  at.pipe_lag_bytes_max = 10;
  heard.slow = 2s;
  start();
  for (int i = 0; i < 100; ++i) {
    at.journals.publish(0, 500);
    at.world.run_for(100ms);
  }
  at.world.run_for(2min);
  EXPECT_TRUE(noted("its oldest rows are dropped from now on"));
  EXPECT_GE(at.journals.acknowledged_by["|/bin/feed"].at(0).offset, 50u);
  heard.slow = Duration{0};
  at.stop();
}

TEST_F(AcctPipeTest, AReloadStartsItAnewAndEndsWhatIsGone) {
  Heard second;
  use("/bin/second", second);
  at.files = {pipe("/bin/feed")};
  start();
  at.journals.publish(0, 10);
  at.world.run_for(100ms);
  auto other = pipe("/bin/feed");
  other.queue_filter = {{.negative = false, .domain = "nobody.example", .vmta = "*"}};
  ASSERT_TRUE(test::finish(at.world, at.writer->reconfigure({other, pipe("/bin/second")})));
  at.journals.publish(0, 5);
  at.world.run_for(7s);
  EXPECT_EQ(heard.lives.size(), 2u);
  EXPECT_EQ(rows(heard).size(), 10u) << "the filter of the new configuration holds";
  EXPECT_EQ(rows(second).size(), 5u) << "it begins where the files stood";
  EXPECT_FALSE(noted("Error"));
  ASSERT_TRUE(test::finish(at.world, at.writer->reconfigure({pipe("/bin/second")})));
  at.journals.publish(2, 5);
  at.world.run_for(7s);
  EXPECT_EQ(heard.lives.size(), 2u);
  EXPECT_EQ(rows(second).size(), 10u);
  at.stop();
  EXPECT_TRUE(once_each(rows(second)));
}

TEST_F(AcctPipeTest, OverKillNothingIsLeftOutAndOnlyTheLastRowsComeTwice) {
  for (std::uint64_t moment = 1; moment < 40; moment += 3) {
    SCOPED_TRACE(moment);
    AccountingWorld world_of_its_own(moment);
    Heard by;
    world_of_its_own.world.machine().programs["/bin/feed"] = [&by](runtime::Reactor& reactor,
                                                                   runtime::sim::ProgramSide side) {
      return listen(by, reactor, std::move(side));
    };
    world_of_its_own.files = {pipe("/bin/feed"), AccountingWorld::file("/log/acct.csv")};
    world_of_its_own.start();
    ASSERT_TRUE(*test::finish(world_of_its_own.world, world_of_its_own.writer->start()));
    world_of_its_own.journals.publish(0, 50);
    world_of_its_own.world.run_for(8s);  // stored
    for (std::uint64_t i = 0; i < moment; ++i) {
      world_of_its_own.journals.publish(i % 3, 7);
      world_of_its_own.world.run_for(20ms);
    }
    const std::size_t before = world_of_its_own.journals.events();
    world_of_its_own.crash(Crash::Kill);
    world_of_its_own.start();
    ASSERT_TRUE(*test::finish(world_of_its_own.world, world_of_its_own.writer->start()));
    world_of_its_own.journals.publish(1, 3);
    world_of_its_own.world.run_for(5s);
    world_of_its_own.stop();
    const auto got = rows(by);
    EXPECT_EQ(got.size(), before + 3);
    for (std::uint64_t id = 1; id <= 50; ++id) {
      char name[40];
      std::snprintf(name, sizeof name, "%llx-0-1", static_cast<unsigned long long>(id));
      EXPECT_EQ(got.at(name), 1) << "given and stored long before";
    }
    world_of_its_own.expect_complete("/log/acct.csv");
  }
}

TEST(AcctPipeCommand, IsStartedWithoutAShellWhereItNeedsNone) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(arguments_of("/usr/bin/php  /opt/bounce.php -v"),
            (Words{"/usr/bin/php", "/opt/bounce.php", "-v"}));
  EXPECT_EQ(arguments_of("cat >> /tmp/x"), (Words{"/bin/sh", "-c", "cat >> /tmp/x"}));
  EXPECT_EQ(arguments_of("feed 'a b'"), (Words{"/bin/sh", "-c", "feed 'a b'"}));
}

TEST(AcctPipeState, IsStoredBesideTheFiles) {
  AcctState state;
  state.cursor.set(0, {3, 70});
  state.pipes.push_back({"/bin/feed --to \"a b\"", {}});
  state.pipes.back().cursor.set(1, {2, 4096});
  state.files.push_back({.path = "/log/a.csv", .layout = 1, .last = {}, .current = {}, .moves = {}});
  EXPECT_EQ(AcctState::parse(state.text()), state);
  EXPECT_FALSE(AcctState::parse("sluice-accounting 1\ncursor 1\ngiven 1 0:1:1\n"));
  EXPECT_FALSE(AcctState::parse("sluice-accounting 1\ncursor 1\npipe x\ngiven nonsense\n"));
}

}  // namespace
}  // namespace sluice::accounting
