// Goal: a shutdown ends within its time whatever the disk does, says what it gave up, and nothing acknowledged is lost.
// How:  a whole node under load; its disk, or one kind of file on it, hangs or refuses; then it is stopped, the process
//       ends as it stands where that is needed, and the next start delivers everything.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

constexpr runtime::OpKind kDiskKinds[] = {
    runtime::OpKind::Write,    runtime::OpKind::Read,   runtime::OpKind::Sync,
    runtime::OpKind::Open,     runtime::OpKind::Close,  runtime::OpKind::Allocate,
    runtime::OpKind::Truncate, runtime::OpKind::Rename, runtime::OpKind::Unlink};

struct Stopping : Scenario {
  using Scenario::Scenario;
  // From now on.
  void break_disk(const std::string& path, runtime::sim::Strike how, int sys_errno = EIO) {
    for (const runtime::OpKind kind : kDiskKinds) {
      world.faults().add({.kind = kind,
                          .machine = 0,
                          .path_contains = path,
                          .times = runtime::sim::FaultRule::kForever,
                          .strike = how,
                          .sys_errno = sys_errno});
    }
  }
  // Mail that waits in queues and mail that comes in, on a disk that breaks in between.
  void load() {
    take_in(mails(30, "before"), injected);
    for (int i = 0; i < 4; ++i) {
      start(inject(peers.reactor(0), listener(), mails(200, std::to_string(i) + '-'), injected));
    }
    world.run_for(30ms);
  }
  // Answers what was given up.
  std::string stop_node() {
    const MonoTime begin = world.now();
    EXPECT_TRUE(finish(world, node->stop(), shard::Node::kStopMax + 1s));
    took = world.now() - begin;
    return node->node().gave_up();
  }
  void start_again_and_check() {
    world.faults().clear();
    crash(Crash::Kill);
    ASSERT_TRUE(boot());
    EXPECT_TRUE(drain(6h));
    close();
    // What the disk refused may be on it all the same, and is delivered beside the client's next try.
    for (const Mail& mail : injected.accepted) {
      for (const std::string& recipient : mail.recipients) {
        const std::string key = '<' + mail.id + "@sim> " + recipient;
        EXPECT_TRUE(ledger.delivered.contains(key)) << "lost: " << key;
      }
    }
  }
  Injected injected;
  Duration took{};
};

class HangingDisk : public ::testing::TestWithParam<const char*> {};

TEST_P(HangingDisk, TheStopEndsAndSaysWhatItGaveUp) {
  const std::string path = GetParam();
  Stopping at(1);
  at.open_receivers({.defer_rcpt = 0.5});
  ASSERT_TRUE(at.boot());
  at.load();
  at.break_disk(path, runtime::sim::Strike::Hang);
  at.world.run_for(2s);
  const std::string gave_up = at.stop_node();
  EXPECT_NE(gave_up, "");
  EXPECT_LE(at.took, shard::Node::kStopMax + 10ms);
  const std::string log = at.world.disk().content("/var/log/sluice.log");
  if (path == "/msg-" || path == "/evt-") {
    EXPECT_NE(log.find("Shutdown: gave up waiting for " + gave_up), std::string::npos) << log;
    EXPECT_NE(gave_up.find("shard 0"), std::string::npos) << gave_up;
  }
  at.start_again_and_check();
}

INSTANTIATE_TEST_SUITE_P(Paths, HangingDisk,
                         ::testing::Values("/msg-", "/evt-", "/acct", "/var/log/sluice.log", "/"));

class RefusingDisk : public ::testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(RefusingDisk, TheStopEndsInOrder) {
  const auto [path, sys_errno] = GetParam();
  Stopping at(2);
  at.open_receivers({.defer_rcpt = 0.5});
  ASSERT_TRUE(at.boot());
  at.load();
  at.break_disk(path, runtime::sim::Strike::Error, sys_errno);
  at.world.run_for(2s);
  EXPECT_EQ(at.stop_node(), "");
  at.start_again_and_check();
}

INSTANTIATE_TEST_SUITE_P(Paths, RefusingDisk,
                         ::testing::Combine(::testing::Values("/msg-", "/evt-", "/acct", "/var/spool", "/"),
                                            ::testing::Values(EIO, ENOSPC)));

}  // namespace
}  // namespace sluice::test
