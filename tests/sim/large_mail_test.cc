// Goal: messages of every size up to the largest, from several connections at once and in any order, cost no other
//       message anything: whatever was answered 250 is delivered or in the spool, and every shard goes on taking mail.
// How:  a whole node with production's limits: two orders that broke it in the field, then random orders on several
//       connections and shards, with a kill or a power cut in the middle and a new start.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

struct Large : Scenario {
  explicit Large(std::uint64_t seed) : Scenario(seed) {
    storage = journal::StorageOptions();
    storage.spool.prefill = storage.journal.prefill = false;
  }
  static Mail mail(const std::string& id, std::size_t bytes) {
    return {.id = id, .recipients = {id + "@a.test"}, .vmta = "v1", .body_bytes = bytes};
  }
  void send(std::vector<Mail> mails) {
    ++connections;
    start(run(std::move(mails)));
  }
  runtime::Task<void> run(std::vector<Mail> mails) {
    co_await inject(peers.reactor(0), listener(), std::move(mails), injected);
    ++ended;
  }
  bool all_ended(Duration at_most) {
    return world.run_until([this] { return ended == connections; }, at_most) == runtime::sim::Ended::Reached;
  }
  // Both shards take mail: every new connection has its own, at random.
  void expect_intake(const std::string& prefix) {
    for (int i = 0; i < 8; ++i) send({mail(prefix + std::to_string(i), 500)});
    EXPECT_TRUE(all_ended(30s)) << "a shard takes no mail any more";
  }
  Injected injected;
  std::size_t connections = 0;
  std::size_t ended = 0;
};

TEST(LargeMailSim, SmallMailBehindLargeMailOfSeveralConnectionsIsKept) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Large at(seed);
    ASSERT_TRUE(at.boot());
    runtime::Gate end(at.peers.reactor(0));
    for (const std::size_t bytes : {40 * kMiB, std::size_t{500}, 30 * kMiB}) {
      Mail one = Large::mail("held" + std::to_string(at.connections), bytes);
      one.end_at = &end;
      at.send({one});
    }
    at.world.run_for(20s);
    end.open();
    for (int connection = 0; connection < 20; ++connection) {
      std::vector<Mail> small;
      for (int i = 0; i < 50; ++i) {
        small.push_back(Large::mail("s" + std::to_string(connection) + '-' + std::to_string(i), 400));
      }
      at.send(std::move(small));
    }
    EXPECT_TRUE(at.all_ended(2min));
    EXPECT_EQ(at.injected.accepted.size(), 1003u);
    at.crash(Crash::Kill);
    ASSERT_TRUE(at.boot());
    at.open_receivers({});
    EXPECT_TRUE(at.drain(6h));
    at.close();
    EXPECT_EQ(at.node, nullptr) << "the stop hangs";
    at.check_promises(at.injected, true);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(LargeMailSim, LargeMailOneAfterTheOtherIsTaken) {
  Large at(1);
  ASSERT_TRUE(at.boot());
  std::vector<Mail> mails;
  for (const std::size_t megabytes : {0u, 40u, 0u, 40u, 30u}) {
    mails.push_back(Large::mail("m" + std::to_string(mails.size()), megabytes * kMiB));
  }
  at.send(std::move(mails));
  EXPECT_TRUE(at.all_ended(5min));
  EXPECT_EQ(at.injected.accepted.size(), 5u);
  at.expect_intake("after");
  at.open_receivers({});
  EXPECT_TRUE(at.drain(6h));
  at.close();
  EXPECT_EQ(at.node, nullptr) << "the stop hangs";
  at.check_promises(at.injected, false);
}

// SLUICE_SIM_FIRST=SEED SLUICE_SIM_SEEDS=1 replays one, larger numbers search on.
TEST(LargeMailSim, AnyOrderOverSeveralConnectionsAndACrash) {
  const auto number = [](const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
  };
  const std::uint64_t first = number("SLUICE_SIM_FIRST", 1);
  for (std::uint64_t seed = first; seed < first + number("SLUICE_SIM_SEEDS", 3); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Large at(seed);
    auto& random = at.world.random();
    at.open_receivers({.defer_rcpt = 0.1, .drop_anywhere = 0.02});
    ASSERT_TRUE(at.boot());
    if (random.below(2) == 0) {
      at.world.faults().plan.operation_delayed = 0.05;
      at.world.faults().plan.delay_max = 20ms;
      at.world.faults().plan.write_short = 0.1;
    }
    std::uint64_t left = 70 * kMiB;
    const std::uint64_t connections = 3 + random.below(8);
    for (std::uint64_t connection = 0; connection < connections; ++connection) {
      std::vector<Mail> mails;
      for (std::uint64_t n = 1 + random.below(12); n > 0; --n) {
        std::size_t bytes = 200 + (std::size_t{1} << random.below(20));
        if (random.below(6) == 0) bytes = 256 * kKiB + random.below(45 * kMiB);
        if (bytes > left) bytes = 300;
        if (bytes > 1 * kMiB) left -= bytes;
        mails.push_back(Large::mail("c" + std::to_string(connection) + '-' + std::to_string(n), bytes));
      }
      at.send(std::move(mails));
    }
    at.world.run_for(std::chrono::milliseconds(random.below(4000)));
    at.crash(random.below(2) == 0 ? Crash::Kill : Crash::PowerCut);
    ASSERT_TRUE(at.boot());
    EXPECT_TRUE(at.all_ended(10min)) << "a client waits for ever";
    at.expect_intake("after");
    EXPECT_TRUE(at.drain(6h));
    at.close();
    EXPECT_EQ(at.node, nullptr) << "the stop hangs";
    at.check_promises(at.injected, true);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::test
