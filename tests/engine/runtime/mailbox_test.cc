// Goal: jobs between shards arrive once, in order for each pair, also beyond the ring's size; nobody sleeps
// through mail.
// How: the same exchange on a simulated machine (seeded schedules) and on real threads with io_uring (MSG_RING wakes,
// and eventfd wakes as on kernels without it).
#include "engine/runtime/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/runtime/sim/world.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime {
namespace {

constexpr std::size_t kShards = 3;

sim::WorldOptions three_shards() {
  sim::WorldOptions options;
  options.machine.reactors = kShards;
  return options;
}

/// What one shard has heard from each other one. Touched only on its own shard.
struct Inbox {
  std::vector<std::vector<std::uint64_t>> from = std::vector<std::vector<std::uint64_t>>(kShards);
};

class SimMailboxes : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SimMailboxes, EveryPairKeepsItsOrderBeyondTheRing) {
  static constexpr std::uint64_t kJobs = Mailboxes::kRingMax * 2 + 7;
  sim::World world(GetParam(), three_shards());
  std::vector<Inbox> inboxes(kShards);
  for (std::uint32_t from = 0; from < kShards; ++from) {
    for (std::uint64_t i = 0; i < kJobs; ++i) {
      for (std::uint32_t to = 0; to < kShards; ++to) {
        world.reactor(from).send_to(ShardId{to},
                                    [&inboxes, from, to, i] { inboxes[to].from[from].push_back(i); });
      }
    }
  }
  EXPECT_EQ(world.run_until_idle(), sim::Ended::Idle);
  for (std::size_t to = 0; to < kShards; ++to) {
    for (std::size_t from = 0; from < kShards; ++from) {
      ASSERT_EQ(inboxes[to].from[from].size(), kJobs) << "from " << from << " to " << to;
      for (std::uint64_t i = 0; i < kJobs; ++i) ASSERT_EQ(inboxes[to].from[from][i], i);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, SimMailboxes, ::testing::Range<std::uint64_t>(1, 6));

Task<int> asks_around(Reactor& here) {
  int sum = 0;
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    sum += co_await call_on(here, ShardId{shard}, [shard] { return 1 << shard; });
  }
  int seen = 0;
  co_await call_on(here, ShardId{1}, [&seen] { seen = 5; });
  EXPECT_EQ(seen, 5);
  co_return sum;
}
TEST(Mailboxes, CallOnRunsThereAndResumesHere) {
  sim::World world(1, three_shards());
  EXPECT_EQ(test::finish(world, asks_around(world.reactor(2))), 7);
}

Task<int> throws_there(Reactor& there) {
  co_await yield(there);
  throw std::runtime_error("not there");
}
Task<std::string> asks_for_trouble(Reactor& here) {
  std::string words;
  const auto throws = []() -> int { throw std::runtime_error("not now"); };
  try {
    (void)co_await call_on(here, ShardId{0}, throws);
  } catch (const std::exception& error) {
    words = error.what();
  }
  Reactor* const there = &reactor_at(*here.mailboxes(), ShardId{1});
  try {
    (void)co_await run_on<int>(here, ShardId{1}, [there] { return throws_there(*there); });
  } catch (const std::exception& error) {
    words += std::string(", ") + error.what();
  }
  co_return words;
}
TEST(Mailboxes, AnExceptionThereGoesOnHere) {
  sim::World world(1, three_shards());
  EXPECT_EQ(test::finish(world, asks_for_trouble(world.reactor(2))), "not now, not there");
}

/// A ball that visits the shards in turn.
void pass_on(Reactor& at, std::uint64_t left, std::atomic<std::uint64_t>& touched, std::atomic<bool>& over) {
  touched.fetch_add(1);
  if (left == 0) {
    over.store(true);
    // The world ends where the ball ends: every shard is told by mail.
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      at.send_to(ShardId{shard},
                 [boxes = at.mailboxes(), shard] { reactor_at(*boxes, ShardId{shard}).stop(); });
    }
    return;
  }
  const ShardId next{static_cast<std::uint32_t>((at.shard().raw() + 1) % kShards)};
  at.send_to(next, [boxes = at.mailboxes(), next, left, &touched, &over] {
    pass_on(reactor_at(*boxes, next), left - 1, touched, over);
  });
}

class RealMailboxes : public ::testing::TestWithParam<bool> {};

TEST_P(RealMailboxes, SleepingShardsAreWokenByMail) {
  static constexpr std::uint64_t kPasses = 3000;
  Mailboxes boxes(kShards);
  std::atomic<std::uint64_t> touched{0};
  std::atomic<bool> over{false};
  std::atomic<bool> unusable{false};
  UringOptions options = UringOptions::small();
  options.wake_by_eventfd = GetParam();
  {
    ShardThreads threads;
    for (std::uint32_t shard = 0; shard < kShards; ++shard) {
      threads.start("mailbox-" + std::to_string(shard), ShardId{shard}, options, std::nullopt,
                    [&](Result<std::unique_ptr<UringReactor>> made) {
                      if (!made) {
                        unusable.store(true);
                        return;
                      }
                      Reactor& reactor = **made;
                      reactor.join_world(boxes);
                      while (!boxes.complete() && !unusable.load()) {
                      }
                      if (unusable.load()) return;
                      if (reactor.shard() == ShardId{0}) pass_on(reactor, kPasses, touched, over);
                      reactor.run();
                    });
    }
    threads.join();
  }
  if (unusable.load()) GTEST_SKIP() << "no io_uring here";
  EXPECT_TRUE(over.load());
  EXPECT_EQ(touched.load(), kPasses + 1);
}
INSTANTIATE_TEST_SUITE_P(Wakes, RealMailboxes, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Eventfd" : "MsgRing"; });

}  // namespace
}  // namespace sluice::runtime
