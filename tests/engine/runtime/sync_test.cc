// Goal: tasks start, wait and end as task.h says; wakeups, gates and semaphores release in order, through the loop.
// How: small coroutines on one simulated reactor that write down what they do.
#include "engine/runtime/sync.h"

#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/runtime/boundary.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime {
namespace {

using test::finish;
using test::SimTest;
using Log = std::vector<std::string>;

struct SyncTest : SimTest {};

Task<int> answers(int value) { co_return value; }
Task<int> adds(int a, int b) { co_return co_await answers(a) + co_await answers(b); }

TEST_F(SyncTest, TasksAreLazyAndAnswer) {
  bool begun = false;
  const auto marks = [](bool& flag) -> Task<void> {
    flag = true;
    co_return;
  };
  {
    Task<void> never = marks(begun);
    EXPECT_FALSE(begun);
  }  // destroyed before it was started: allowed
  EXPECT_FALSE(begun);
  EXPECT_EQ(finish(world, adds(2, 3)), 5);
}

Task<int> deep(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await deep(depth - 1);
}
TEST_F(SyncTest, AwaitingIsSymmetricAndUsesNoStack) {
  // Each level returns at once; without symmetric transfer the way back would nest resumes.
  EXPECT_EQ(finish(world, deep(20'000)), 20'000);
}

Task<void> logs_after(Reactor& reactor, Duration delay, std::string name, Log& log) {
  co_await sleep_for(reactor, delay);
  log.push_back(name);
}
Task<void> group_of_three(Reactor& reactor, Log& log) {
  TaskGroup group;
  co_await group.join();  // empty: at once
  group.spawn(logs_after(reactor, 30ms, "c", log));
  group.spawn(logs_after(reactor, 10ms, "a", log));
  group.spawn(logs_after(reactor, 20ms, "b", log));
  EXPECT_EQ(group.running(), 3u);
  co_await group.join();
  EXPECT_EQ(group.running(), 0u);
  log.push_back("joined");
  group.spawn(logs_after(reactor, 1ms, "again", log));
  co_await group.join();
}
TEST_F(SyncTest, AGroupWaitsForAll) {
  Log log;
  EXPECT_TRUE(finish(world, group_of_three(here(), log)));
  EXPECT_EQ(log, (Log{"a", "b", "c", "joined", "again"}));
}

Task<void> waits_twice(Wakeup& wakeup, Log& log) {
  co_await wakeup.wait();
  log.push_back("first");
  co_await wakeup.wait();
  log.push_back("second");
}
TEST_F(SyncTest, AWakeupIsRememberedOnceAndNeverRunsInline) {
  Wakeup wakeup(here());
  Log log;
  wakeup.set();
  wakeup.set();
  wakeup.set();
  bool done = false;
  test::start(waits_twice(wakeup, log), done);
  EXPECT_EQ(log, Log{"first"});
  world.run_for(1s);
  EXPECT_EQ(log, Log{"first"}) << "three sets before the wait count as one";
  wakeup.set();
  EXPECT_EQ(log, Log{"first"}) << "the waiter runs from the loop, not inside set()";
  world.run_for(1s);
  EXPECT_TRUE(done);
}

Task<void> passes(Gate& gate, int number, std::vector<int>& order) {
  co_await gate.wait();
  order.push_back(number);
}
TEST_F(SyncTest, AGateOpensForAllInOrderAndStaysOpen) {
  Gate gate(here());
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) test::start(passes(gate, i, order));
  world.run_for(1s);
  EXPECT_TRUE(order.empty());
  gate.open();
  EXPECT_TRUE(order.empty());
  world.run_for(1s);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  test::start(passes(gate, 5, order));
  EXPECT_EQ(order.back(), 5);
}

Task<void> takes(Semaphore& semaphore, std::uint64_t units, int number, std::vector<int>& order) {
  co_await semaphore.take(units);
  order.push_back(number);
}
TEST_F(SyncTest, ASemaphoreServesInOrderAndIsNotOvertaken) {
  Semaphore semaphore(here(), 10);
  std::vector<int> order;
  EXPECT_TRUE(semaphore.try_take(8));
  test::start(takes(semaphore, 5, 1, order));  // has to wait
  test::start(takes(semaphore, 1, 2, order));  // would fit, but is behind
  EXPECT_FALSE(semaphore.try_take(1)) << "never ahead of a waiter";
  world.run_for(1s);
  EXPECT_TRUE(order.empty());
  semaphore.give(2);
  world.run_for(1s);
  EXPECT_TRUE(order.empty()) << "four are free, five are asked for";
  semaphore.give(1);
  world.run_for(1s);
  EXPECT_EQ(order, (std::vector<int>{1}));
  semaphore.give(5);
  world.run_for(1s);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(semaphore.free(), 4u);
  EXPECT_EQ(semaphore.total(), 10u);
  semaphore.give(6);
}

Task<void> yields(Reactor& reactor, int number, int rounds, std::vector<int>& order) {
  for (int i = 0; i < rounds; ++i) {
    order.push_back(number);
    co_await yield(reactor);
  }
}
TEST_F(SyncTest, YieldingTakesTurns) {
  std::vector<int> order;
  test::start(yields(here(), 1, 3, order));
  test::start(yields(here(), 2, 3, order));
  world.run_for(1s);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 1, 2, 1, 2}));
}

// --- Exceptions.

Task<void> no_work() { co_return; }
Task<int> throws_at_once() {
  throw std::runtime_error("no luck");
  co_return 1;
}
Task<void> throws_later(Reactor& reactor, int depth, int& destroyed) {
  const struct Counted {
    int& count;
    ~Counted() { ++count; }
  } counted{destroyed};
  co_await yield(reactor);
  if (depth > 0) co_await throws_later(reactor, depth - 1, destroyed);
  static_cast<void>(co_await throws_at_once());
}
Task<void> contains(Reactor& reactor, std::string& words, int& destroyed) {
  const auto first = co_await contained(throws_later(reactor, 3, destroyed));
  words = first.value_or("nothing");
  const auto second = co_await contained(no_work());
  EXPECT_FALSE(second.has_value());
}
TEST_F(SyncTest, AnExceptionGoesOnInWhoeverAwaitsUpToABoundary) {
  std::string words;
  int destroyed = 0;
  ASSERT_TRUE(test::finish(world, contains(here(), words, destroyed)));
  EXPECT_EQ(words, "no luck");
  EXPECT_EQ(destroyed, 4);
}
TEST_F(SyncTest, ABoundaryCountsAndSaysWhatItCan) {
  std::vector<std::string> said;
  const auto say = [&said](std::string line) { said.push_back(std::move(line)); };
  const auto fails = [](const std::string&) { throw std::bad_alloc(); };
  const std::vector<std::function<void(std::string)>> logs{say, fails, nullptr};
  for (const auto& log : logs) {
    try {
      throw std::runtime_error("no luck");
    } catch (...) {
      note_contained(here(), log, "reading", "a file");
    }
  }
  note_contained_words(here(), say, "a session failed", {}, "no words");
  EXPECT_EQ(said, (std::vector<std::string>{"reading a file: internal error: no luck",
                                            "a session failed: internal error: no words"}));
  EXPECT_EQ(here().counters().contained, 4u);
}
TEST(SyncDeathTest, AnExceptionWithoutABoundaryEndsTheProcess) {
  const auto spawn = [] {
    TaskGroup group;
    const auto body = []() -> Task<void> { static_cast<void>(co_await throws_at_once()); };
    group.spawn(body());
  };
  EXPECT_DEATH(spawn(), "no luck: .*without a boundary");
}

TEST(SyncDeathTest, ATaskThatRunsIsNotDestroyed) {
  EXPECT_DEATH(
      {
        sim::World world(1);
        std::optional<Task<void>> task(std::in_place,
                                       logs_after(world.reactor(), 1s, "", *std::make_unique<Log>()));
        const auto awaits = [](Task<void>& inner) -> Task<void> { co_await inner; };
        test::start(awaits(*task));
        task.reset();
      },
      "assertion failed");
}

}  // namespace
}  // namespace sluice::runtime
