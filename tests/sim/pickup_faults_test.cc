// Goal: files of a pickup directory go away only after their messages are durable, so that whatever dies and
// whenever, nothing is lost; trouble with directories, disks and files ends neither the daemon nor the taking
// of others, and is told once. How: a whole node in the simulated world; crashes at many moments, operations
// that fail.
#include "tests/sim/pickup_run.h"

namespace sluice::test {
namespace {

TEST(PickupFolder, AStopInABatchRepeatsNothing) {
  constexpr int kMessages = 2000;
  PickupRun run(13);
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/batch", batch_of(kMessages));
  run.scenario.world.run_until([&run] { return run.delivered("b300") > 0; }, 1min);
  ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
  run.scenario.node.reset();
  EXPECT_EQ(run.delivered("b1999"), 0) << "it did not stop in the middle";
  ASSERT_EQ(run.left().size(), 1u);
  EXPECT_TRUE(run.left().front().starts_with("/in/.sluice-pickup-")) << run.left().front();
  ASSERT_TRUE(run.boot());
  ASSERT_TRUE(run.scenario.drain(10min));
  run.scenario.world.run_for(1min);
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_TRUE(run.left().empty());
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(run.delivered("b" + std::to_string(i)), 1) << i;
  run.scenario.close();
}

TEST(PickupFolder, AFullSpoolDiskLeavesFilesWhereTheyAre) {
  PickupRun run(16);
  ASSERT_TRUE(run.boot());
  auto& faults = run.scenario.world.faults();
  const auto rule = faults.add({.kind = runtime::OpKind::Write,
                                .path_contains = "/var/spool/sluice",
                                .times = runtime::sim::FaultRule::kForever,
                                .sys_errno = 28});
  const std::string batch = batch_of(3);
  run.disk.put("/in/one", message("m1"));
  run.disk.put("/in/batch", batch);
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.left().size(), 2u) << run.log();
  EXPECT_TRUE(run.bad().empty());
  EXPECT_TRUE(run.logged("Pickup: files wait: ")) << run.log();
  EXPECT_LE(run.times_logged("Pickup: "), 6) << run.log();
  faults.remove(rule);
  run.scenario.crash(Crash::Kill);  // what the spool thinks of a disk with errors is its own matter
  ASSERT_TRUE(run.boot());
  run.scenario.world.run_for(1min);
  EXPECT_TRUE(run.left().empty());
  for (const char* id : {"m1", "b0", "b1", "b2"}) EXPECT_EQ(run.delivered(id), 1) << id;
  run.scenario.close();
}

TEST(PickupFolder, WhatCannotBeRemovedIsNotSentAgain) {
  PickupRun run(17);
  ASSERT_TRUE(run.boot());
  auto& faults = run.scenario.world.faults();
  const auto rule = faults.add(
      {.kind = runtime::OpKind::Unlink, .path_contains = "/in/", .times = runtime::sim::FaultRule::kForever});
  run.disk.put("/in/one", message("m1"));
  run.scenario.world.run_for(30s);
  run.disk.put("/in/two", message("m2"));
  run.scenario.world.run_for(2min);
  EXPECT_EQ(run.delivered("m1"), 1);
  EXPECT_EQ(run.delivered("m2"), 0) << "nothing more before that is settled";
  EXPECT_EQ(run.times_logged("whose messages are stored: "), 1) << run.log();
  faults.remove(rule);
  run.scenario.world.run_for(1min);
  EXPECT_EQ(run.delivered("m1"), 1);
  EXPECT_EQ(run.delivered("m2"), 1);
  EXPECT_TRUE(run.left().empty());
  EXPECT_EQ(run.times_logged("whose messages are stored: "), 2) << "and that it is over";
  run.scenario.close();
}

TEST(PickupFolder, ABadDirectoryOnAnotherFileSystemGetsCopies) {
  for (const bool full : {false, true}) {
    PickupRun run(18);
    ASSERT_TRUE(run.boot());
    auto& faults = run.scenario.world.faults();
    faults.add({.kind = runtime::OpKind::Rename,
                .path_contains = ".sluice-pickup-",
                .times = runtime::sim::FaultRule::kForever,
                .sys_errno = 18});
    const auto no_room = faults.add({.kind = runtime::OpKind::Write,
                                     .path_contains = "/bad/",
                                     .times = full ? runtime::sim::FaultRule::kForever : 0,
                                     .sys_errno = 28});
    const std::string large = "no pickup file\n" + std::string(700'000, 'x');
    run.disk.put("/in/wrong", large);
    run.scenario.world.run_for(1min);
    if (full) {
      EXPECT_TRUE(run.bad().empty()) << run.bad().front();
      EXPECT_EQ(run.left().size(), 1u);
      EXPECT_EQ(run.times_logged("nor be moved to /bad: "), 1) << run.log();
      faults.remove(no_room);
      run.scenario.world.run_for(1min);
    }
    EXPECT_EQ(run.bad(), std::vector<std::string>{"/bad/wrong"}) << run.log();
    EXPECT_EQ(run.disk.content("/bad/wrong"), large);
    EXPECT_TRUE(run.left().empty());
    run.scenario.close();
  }
}

TEST(PickupFolder, WhatIsWrittenToWhileItIsTakenIsTold) {
  int told = 0;
  for (int moment = 0; moment < 30; ++moment) {
    PickupRun run(200 + static_cast<std::uint64_t>(moment));
    ASSERT_TRUE(run.boot());
    run.disk.put("/in/f", message("m1"));
    run.scenario.world.run_until([&run] { return !run.disk.exists("/in/f"); }, 10s);
    run.scenario.world.run_for(moment * 100us);
    const std::vector<std::string> own = run.left();
    if (own.size() == 1) run.disk.put(own.front(), message("m1") + "and more\n");
    run.scenario.world.run_for(20s);
    EXPECT_TRUE(run.left().empty()) << run.log();
    EXPECT_EQ(run.delivered("m1"), 1);
    const bool has_all = run.scenario.ledger.bodies["<m1@sim>"].find("and more") != std::string::npos;
    if (run.bad().size() == 1) {
      ++told;
      EXPECT_FALSE(has_all);
      EXPECT_EQ(run.disk.content("/bad/f"), message("m1") + "and more\n");
      EXPECT_TRUE(run.logged("/bad/f: was written to after it was read")) << run.log();
    } else {
      EXPECT_EQ(has_all, own.size() == 1);
    }
    run.scenario.close();
  }
  EXPECT_GT(told, 0);
}

TEST(PickupFolder, WithoutABadDirectoryTheFileStaysAndOthersGoOn) {
  PickupRun run(11);
  run.scenario.files.files["/etc/config"] = kConfig + std::string("pickup /in /nowhere\n");
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/wrong", "no pickup file\n");
  run.disk.put("/in/right", message("m1"));
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.delivered("m1"), 1);
  ASSERT_EQ(run.left().size(), 1u);
  EXPECT_EQ(run.disk.content(run.left().front()), "no pickup file\n");
  EXPECT_TRUE(run.logged("nor be moved to /nowhere: "));
  EXPECT_EQ(run.times_logged("cannot use the folder /nowhere: "), 1) << run.log();
  EXPECT_EQ(run.times_logged("nor be moved to /nowhere: "), 1) << run.log();
  run.scenario.close();
}

class PickupCrash : public ::testing::TestWithParam<Crash> {};

TEST_P(PickupCrash, AtAnyMomentLosesNothing) {
  int repeated = 0;
  for (int moment = 0; moment < 60; ++moment) {
    SCOPED_TRACE(moment);
    PickupRun run(100 + static_cast<std::uint64_t>(moment));
    ASSERT_TRUE(run.boot());
    for (int i = 0; i < 5; ++i) run.disk.put("/in/f" + std::to_string(i), message("m" + std::to_string(i)));
    run.disk.put("/in/batch",
                 "MAIL FROM:<s@sim.test>\nRCPT TO:<joe@a.test>\nDATA\nMessage-ID: <b1@sim>\n\nx\n.\n"
                 "MAIL FROM:<s@sim.test>\nRCPT TO:<joe@a.test>\nDATA\nMessage-ID: <b2@sim>\n\nx\n.\n");
    // From the taking of the first file on, in small steps.
    run.scenario.world.run_until([&run] { return !run.disk.exists("/in/f0"); }, 10s);
    run.scenario.world.run_for(moment * 100us);
    run.scenario.crash(GetParam());
    ASSERT_TRUE(run.boot());
    run.scenario.world.run_for(3min);
    EXPECT_TRUE(run.left().empty()) << run.left().front();
    EXPECT_TRUE(run.bad().empty());
    for (const char* id : {"m0", "m1", "m2", "m3", "m4", "b1", "b2"}) {
      EXPECT_GE(run.delivered(id), 1) << id;
      if (run.delivered(id) > 1) ++repeated;
    }
    run.scenario.close();
  }
  EXPECT_LT(repeated, 210) << "of 420: only those whose files were under way";
}
INSTANTIATE_TEST_SUITE_P(How, PickupCrash, ::testing::Values(Crash::Kill, Crash::PowerCut));

}  // namespace
}  // namespace sluice::test
