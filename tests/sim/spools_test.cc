// Goal: several <spool> blocks: mail spreads by priority, survives kill and power cut wherever it lies,
//       drains out of what is deliver-only; and no start mistakes a missing, foreign or forgotten spool for
//       an empty one.
// How:  a whole node in the simulated world whose configuration changes between its starts.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

struct Spools : Scenario {
  using Scenario::Scenario;
  std::size_t segments_in(const std::string& spool) {
    std::size_t count = 0;
    for (const std::string& path : world.disk().files_below(spool)) {
      if (path.find("/msg-") != std::string::npos) ++count;
    }
    return count;
  }
  void send(std::size_t count, const std::string& prefix) {
    ASSERT_TRUE(
        finish(world, inject(peers.reactor(0), Scenario::listener(), mails(count, prefix), injected), 1h));
  }
  /// The configuration with `from` replaced.
  void change(const std::string& from, const std::string& to) {
    std::string& text = files.files["/etc/config"];
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  void rename(const std::string& from, const std::string& to) {
    const std::string parent = to.substr(0, to.rfind('/'));
    if (!parent.empty()) ASSERT_TRUE(world.disk().make_directories(parent, world.now()));
    ASSERT_EQ(world.disk().rename(from, to, world.now()), 0);
    world.disk().make_all_durable();
  }
  /// Starts in vain; answers why.
  std::string refusal() {
    node =
        std::make_unique<SimNode>(world.machine(), files, [](resolver::TableTransport& dns) { zone(dns); });
    const auto started = finish(world, node->start(), 10min);
    EXPECT_TRUE(started && !*started) << "it started";
    std::string why = started && !*started ? started->error() : "";
    EXPECT_TRUE(finish(world, node->stop(), 5min));
    node.reset();
    return why;
  }
  void stop_node() {
    EXPECT_TRUE(finish(world, node->stop(), 5min));
    node.reset();
  }
  Injected injected;
};

constexpr const char* kFirst = "<spool /var/spool/sluice>\n</spool>\n";
constexpr const char* kSecond = "<spool /mnt/b>\n</spool>\n";

TEST(SpoolsSim, EqualOnesTakeTurnsAndSurviveEveryCrash) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Spools at(seed, kSecond);
    at.open_receivers({.defer_rcpt = 0.3, .drop_anywhere = 0.02});
    ASSERT_TRUE(at.boot());
    for (int round = 0; round < 3; ++round) {
      at.send(60, "r" + std::to_string(round) + "-");
      at.world.run_for(Duration{std::chrono::milliseconds(at.world.random().below(900))});
      at.crash((seed + static_cast<std::uint64_t>(round)) % 2 == 0 ? Crash::PowerCut : Crash::Kill);
      ASSERT_TRUE(at.boot());
    }
    EXPECT_GT(at.segments_in("/mnt/b"), 0u);
    EXPECT_GT(at.segments_in("/var/spool/sluice"), 0u);
    EXPECT_TRUE(at.drain(6h));
    at.close();
    at.check_promises(at.injected, true);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(SpoolsSim, TheHighestPriorityIsUsedUntilItIsFull) {
  Spools at(1, "<spool /mnt/b>\n    priority 50\n</spool>\n");
  at.open_receivers({.defer_rcpt = 1});
  ASSERT_TRUE(at.boot());
  at.send(150, "m");
  EXPECT_GT(at.segments_in("/mnt/b"), 0u);
  EXPECT_EQ(at.segments_in("/var/spool/sluice"), 0u);
  at.stop_node();
  const std::size_t before = at.segments_in("/mnt/b");
  at.change("    priority 50\n", "    priority 50\n    min-free-space 1000g\n");
  ASSERT_TRUE(at.boot());
  at.send(150, "n");
  EXPECT_LE(at.segments_in("/mnt/b"), before);
  EXPECT_GT(at.segments_in("/var/spool/sluice"), 0u);
  for (auto& one : at.receivers) one->set_mood({});
  EXPECT_TRUE(at.drain(6h));
  at.close();
  at.check_promises(at.injected, false);
}

TEST(SpoolsSim, ADeliverOnlySpoolIsEmptiedAndMayThenGo) {
  Spools at(1, kSecond);
  at.open_receivers({.defer_rcpt = 1});
  ASSERT_TRUE(at.boot());
  at.send(150, "m");
  at.stop_node();
  ASSERT_GT(at.segments_in("/mnt/b"), 0u);

  // Taken out while mail lies there.
  at.change(kSecond, "");
  EXPECT_NE(at.refusal().find("the spool /mnt/b still holds mail"), std::string::npos);

  // The other way round, and nothing new in the second: the first one is still known for what it is.
  at.change(kFirst, std::string("<spool /mnt/b>\n    deliver-only yes\n</spool>\n") + kFirst);
  const std::size_t before = at.segments_in("/mnt/b");
  ASSERT_TRUE(at.boot());
  EXPECT_GT(at.queued(), 100u);
  at.send(100, "n");
  EXPECT_LE(at.segments_in("/mnt/b"), before);
  for (auto& one : at.receivers) one->set_mood({});
  EXPECT_TRUE(at.drain(6h));
  at.world.run_for(1min);
  EXPECT_EQ(at.segments_in("/mnt/b"), 0u);
  at.stop_node();

  at.change("<spool /mnt/b>\n    deliver-only yes\n</spool>\n", "");
  ASSERT_TRUE(at.boot());
  at.send(10, "o");
  EXPECT_TRUE(at.drain(1h));
  at.close();
  at.check_promises(at.injected, false);
  EXPECT_NE(at.world.disk().content("/var/log/sluice.log").find("The spool /mnt/b is empty and used no more"),
            std::string::npos);
}

TEST(SpoolsSim, FileHoldersAreDeleted) {
  Spools at(1, "<spool /mnt/b>\n    priority 9\n    delete-file-holders yes\n</spool>\n");
  at.open_receivers({});
  ASSERT_TRUE(at.boot());
  at.send(200, "m");
  EXPECT_TRUE(at.drain(1h));
  at.world.run_for(1min);
  // An open segment and a spare for each of two shards.
  EXPECT_LE(at.segments_in("/mnt/b"), 4u);
  at.close();
}

TEST(SpoolsSim, WhatIsNotThereOrNotOursIsNotTakenForEmpty) {
  Spools at(1, kSecond);
  at.open_receivers({.defer_rcpt = 1});
  ASSERT_TRUE(at.boot());
  at.send(100, "m");
  at.stop_node();
  const auto refused = [&at](const std::string& why) {
    const std::string said = at.refusal();
    EXPECT_NE(said.find(why), std::string::npos) << said;
  };
  runtime::sim::Disk& disk = at.world.disk();
  // The journal's spool has gone from the configuration.
  at.change(kFirst, "");
  refused("whose journal is in another spool");
  at.change(kSecond, std::string(kFirst) + kSecond);
  // Its disk is not mounted: whichever comes first.
  const std::string main_id = disk.content("/var/spool/sluice/spool-id");
  at.rename("/var/spool/sluice", "/unmounted");
  refused("is the disk of /var/spool/sluice mounted?");
  at.rename("/unmounted", "/var/spool/sluice");
  // Somebody else's disk under our name, a copy of ours, then none at all.
  const std::string id = disk.content("/mnt/b/spool-id");
  disk.put("/mnt/b/spool-id", "somebody else\n");
  refused("/mnt/b belongs to another server");
  disk.put("/mnt/b/spool-id", main_id);
  refused("are the same directory, or one is a copy");
  disk.put("/mnt/b/spool-id", id);
  disk.put("/mnt/c/spool-id", id);
  constexpr const char* kThird = "<spool /mnt/c>\n</spool>\n";
  at.change(kSecond, std::string(kSecond) + kThird);
  refused("the spools /mnt/b and /mnt/c are the same directory, or one is a copy");
  at.change(kThird, "");
  at.rename("/mnt/b", "/unmounted");
  refused("is its disk mounted?");
  // Not mounted and taken out of the configuration: an empty mount point proves nothing.
  disk.put("/mnt/b/lost+found/x", "");
  at.change(kSecond, "");
  refused("the spool /mnt/b may still hold mail");
  // Mounted elsewhere and named first: known again by its id, and the other is still the one with the
  // journal.
  at.rename("/unmounted", "/srv/b");
  at.change(kFirst, std::string("<spool /srv//b/>\n</spool>\n") + kFirst);
  ASSERT_TRUE(at.boot());
  for (auto& one : at.receivers) one->set_mood({});
  EXPECT_TRUE(at.drain(6h));
  at.close();
  at.check_promises(at.injected, false);
}

TEST(SpoolsSim, ASecondServerOnOneSpoolDoesNotStart) {
  Spools at(1, kSecond);
  ASSERT_TRUE(at.boot());
  at.stop_node();
  const auto held = finish(
      at.world, runtime::File::open(at.world.machine().reactor(0), "/mnt/b/spool-id", {.read_only = true}),
      1min);
  ASSERT_TRUE(held && *held);
  ASSERT_TRUE(at.world.machine().reactor(0).try_lock((*held)->fd()));
  EXPECT_NE(at.refusal().find("another sluiced is running with the spool /mnt/b"), std::string::npos);
}

TEST(SpoolsSim, AReloadDoesNotLeaveMailBehind) {
  Spools at(1, kSecond);
  at.open_receivers({.defer_rcpt = 1});
  ASSERT_TRUE(at.boot());
  at.send(100, "m");
  const auto reload = [&at] { return finish(at.world, at.node->node().reload(), 1min)->text; };
  at.change(kSecond, "");
  EXPECT_NE(reload().find("the spool /mnt/b is in use; give it `deliver-only yes`"), std::string::npos)
      << reload();
  at.change(kFirst, kSecond);
  EXPECT_NE(reload().find("the spool /var/spool/sluice holds the journal"), std::string::npos) << reload();
  at.change(kSecond, std::string(kFirst) + "<spool /mnt/b>\n    deliver-only yes\n</spool>\n");
  EXPECT_NE(reload().find("takes effect at the next start: <spool /mnt/b>"), std::string::npos) << reload();
  at.close();
}

TEST(SpoolsSim, AFullOrBrokenOneIsPassedOver) {
  Spools at(3, "<spool /mnt/b>\n    priority 50\n</spool>\n<spool /mnt/c>\n    priority 40\n</spool>\n");
  at.open_receivers({.defer_rcpt = 1});
  using runtime::OpKind;
  using runtime::sim::FaultRule;
  const auto full = at.world.faults().add({.kind = OpKind::Allocate,
                                           .path_contains = "/mnt/b/",
                                           .times = FaultRule::kForever,
                                           .sys_errno = ENOSPC});
  for (const char* shard : {"0", "1"}) {
    at.world.faults().add({.kind = OpKind::Open,
                           .path_contains = std::string("/mnt/c/shard-000") + shard + "/msg-",
                           .times = FaultRule::kForever,
                           .sys_errno = EROFS});
  }
  ASSERT_TRUE(at.boot());
  at.send(100, "m");
  EXPECT_EQ(at.segments_in("/mnt/b"), 0u) << "no remains of what could not be made";
  EXPECT_EQ(at.segments_in("/mnt/c"), 0u);
  EXPECT_GT(at.segments_in("/var/spool/sluice"), 0u);
  EXPECT_TRUE(at.injected.refusals.empty()) << at.injected.refusals.front();
  EXPECT_GT(at.world.faults().hits(full), 0u);
  // Room again: it is used again, without a restart.
  at.world.faults().remove(full);
  at.send(600, "n");
  EXPECT_GT(at.segments_in("/mnt/b"), 0u);
  EXPECT_EQ(at.segments_in("/mnt/c"), 0u);
  at.crash(Crash::Kill);
  ASSERT_TRUE(at.boot());
  for (auto& one : at.receivers) one->set_mood({});
  EXPECT_TRUE(at.drain(6h));
  at.close();
  at.check_promises(at.injected, true);
}

}  // namespace
}  // namespace sluice::test
