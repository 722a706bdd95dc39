// Goal: a seed is a whole story (same digest), time is virtual and only moves forward, and a world that cannot go on
// says why.
// How: small worlds of talking coroutines, run twice or driven to their ends.
#include "engine/runtime/sim/world.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime::sim {
namespace {

using test::SimTest;

const Endpoint kServer{IpAddress::from_v4({192, 0, 2, 1}), 25};

Task<void> echo_one(Reactor&, Stream stream) {
  for (;;) {
    const Result<ReceivedBytes> got = co_await stream.receive();
    if (!got || got->bytes().empty()) co_return;
    if (!co_await stream.send(got->bytes())) co_return;
  }
}
Task<void> echo_all(Reactor& reactor, Listener& listener) {
  for (;;) {
    Result<Stream> stream = co_await listener.accept();
    if (!stream) co_return;
    test::start(echo_one(reactor, std::move(*stream)));
  }
}
Task<void> talk(Reactor& reactor, int rounds, std::uint64_t& received) {
  Result<Stream> stream = co_await Stream::connect(reactor, kServer, nullptr, 60s);
  if (!stream) co_return;
  for (int i = 0; i < rounds; ++i) {
    const std::string text(1 + reactor.random() % 3000, 'x');
    if (!co_await stream->send(text)) co_return;
    for (std::size_t left = text.size(); left != 0;) {
      const Result<ReceivedBytes> got = co_await stream->receive();
      if (!got || got->bytes().empty()) co_return;
      left -= got->bytes().size();
      received += got->bytes().size();
    }
    co_await sleep_for(reactor, std::chrono::milliseconds(reactor.random() % 50));
  }
}

struct Story {
  std::uint64_t digest;
  std::uint64_t steps;
  std::uint64_t received;
  MonoTime end;
  friend bool operator==(const Story&, const Story&) = default;
};

Story story_of(std::uint64_t seed) {
  WorldOptions options;
  options.machine.reactors = 3;
  World world(seed, options);
  Machine& peer = world.add_machine();
  world.faults().plan.send_reset = 0.01;
  world.faults().plan.operation_delayed = 0.05;
  Listener listener = *Listener::open(peer.reactor(), kServer);
  test::start(echo_all(peer.reactor(), listener));
  std::uint64_t received = 0;
  for (std::size_t shard = 0; shard < 3; ++shard) {
    for (int i = 0; i < 5; ++i) test::start(talk(world.reactor(shard), 20, received));
  }
  world.run_for(60s);
  listener.stop();
  world.run_for(1s);
  return {world.digest(), world.steps(), received, world.now()};
}

TEST(World, OneSeedIsOneStory) {
  std::set<std::uint64_t> digests;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Story first = story_of(seed);
    EXPECT_EQ(first, story_of(seed)) << "seed " << seed;
    EXPECT_GT(first.received, 0u);
    digests.insert(first.digest);
  }
  EXPECT_EQ(digests.size(), 8u) << "different seeds tell different stories";
}

TEST(World, TimeIsVirtualAndBothClocksAdvanceTogether) {
  World world(1);
  const MonoTime mono = world.now();
  const WallTime wall = world.wall_now();
  EXPECT_EQ(wall, WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 5)));
  EXPECT_EQ(world.run_for(24h * 365), Ended::Idle);
  EXPECT_EQ(world.now() - mono, 24h * 365);
  EXPECT_EQ(world.wall_now() - wall, 24h * 365);
  EXPECT_EQ(world.reactor().now(), world.now());
  EXPECT_EQ(world.reactor().wall_now(), world.wall_now());
}

Task<void> notes_wake(Reactor& reactor, Duration time, std::vector<Duration>& late) {
  const MonoTime begin = reactor.now();
  co_await sleep_for(reactor, time);
  late.push_back(reactor.now() - begin - time);
}

TEST_F(SimTest, ClockStepsDoNotTouchTimersAndFreezesDelayThem) {
  std::vector<Duration> late;
  test::start(notes_wake(here(), 10s, late));
  world.jump_wall_clock(std::chrono::hours(24));
  const WallTime wall = world.wall_now();
  world.run_for(9s);
  EXPECT_TRUE(late.empty());
  EXPECT_EQ(world.wall_now() - wall, 9s);
  world.jump_wall_clock(-std::chrono::hours(48));
  EXPECT_LT(world.wall_now(), wall);
  world.freeze_for(60s);  // SIGSTOP: what was due runs late, once
  world.run_for(1ms);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_GE(late[0], 59s);
}

TEST_F(SimTest, ADeadLockIsIdleAndALiveLockRunsOutOfSteps) {
  Gate gate(here());
  const auto waits = [](Gate& on) -> Task<void> { co_await on.wait(); };
  test::start(waits(gate));
  EXPECT_EQ(world.run_until([] { return false; }), Ended::Idle);
  gate.open();
  EXPECT_EQ(world.run_until_idle(), Ended::Idle);

  WorldOptions options;
  options.steps_max = 10'000;
  World spinning(1, options);
  bool stop = false;
  const auto spins = [](Reactor& reactor, bool& end) -> Task<void> {
    while (!end) co_await yield(reactor);
  };
  test::start(spins(spinning.reactor(), stop));
  EXPECT_EQ(spinning.run_until([] { return false; }), Ended::OutOfSteps);
  stop = true;
  EXPECT_EQ(spinning.run_until_idle(), Ended::Idle);
}

TEST_F(SimTest, RunUntilStopsAtTheConditionOrTheTime) {
  std::vector<Duration> late;
  test::start(notes_wake(here(), 5s, late));
  const MonoTime begin = world.now();
  EXPECT_EQ(world.run_until([&] { return !late.empty(); }, 2s), Ended::OutOfTime);
  EXPECT_EQ(world.now() - begin, 2s);
  EXPECT_EQ(world.run_until([&] { return !late.empty(); }, 60s), Ended::Reached);
  EXPECT_LT(world.now() - begin, 5s + 2ms);
}

TEST_F(SimTest, ALoopThatReadsTheClockEnds) {
  const MonoTime begin = here().read_clock();
  int reads = 0;
  while (here().read_clock() - begin < 500us) ASSERT_LT(++reads, 1'000'000);
}

Task<void> stops_later(Reactor& reactor, Duration time) {
  co_await sleep_for(reactor, time);
  reactor.stop();
}

TEST_F(SimTest, ReactorRunLetsTheOthersGoOn) {
  // A program's main calls run(); in the simulated world the rest of the world goes on inside its waits.
  std::vector<Duration> late;
  test::start(notes_wake(there(), 3s, late));
  test::start(stops_later(here(), 5s));
  const MonoTime begin = world.now();
  here().run();
  EXPECT_EQ(late.size(), 1u);
  EXPECT_GE(world.now() - begin, 5s);
}

}  // namespace
}  // namespace sluice::runtime::sim
