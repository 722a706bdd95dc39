#pragma once
// Fixture for tests that run in a simulated world.

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/runtime/sim/world.h"
#include "tests/support/tasks.h"

namespace sluice::test {

/// Runs `task` to its end in `world`; fails the test (naming the seed) when it cannot end.
/// The task's references must live as long as the world when it fails.
template <class T>
std::optional<T> finish(runtime::sim::World& world, runtime::Task<T> task, Duration at_most = 24h) {
  // On the heap and given up when the task hangs: it may still be written to.
  auto answer = std::make_unique<std::optional<T>>();
  start(std::move(task), *answer);
  const runtime::sim::Ended ended = world.run_until([&] { return answer->has_value(); }, at_most);
  EXPECT_EQ(ended, runtime::sim::Ended::Reached) << "world " << name_of(ended) << ", seed " << world.seed();
  if (answer->has_value()) return std::move(*answer);
  world.machine().bury(std::move(answer));
  return std::nullopt;
}
inline bool finish(runtime::sim::World& world, runtime::Task<void> task, Duration at_most = 24h) {
  auto done = std::make_unique<bool>(false);
  start(std::move(task), *done);
  const runtime::sim::Ended ended = world.run_until([&] { return *done; }, at_most);
  EXPECT_EQ(ended, runtime::sim::Ended::Reached) << "world " << name_of(ended) << ", seed " << world.seed();
  const bool reached = *done;
  if (!reached) world.machine().bury(std::move(done));
  return reached;
}

/// One world for each test, by default with seed 1 and a second machine for peers.
///   TEST_F(SimTest, ...) { finish(world, my_coroutine(world.reactor(), ...)); }
class SimTest : public ::testing::Test {
 protected:
  explicit SimTest(std::uint64_t seed = 1, runtime::sim::WorldOptions options = {})
      : world(seed, std::move(options)), peers(world.add_machine(peer_options())) {}
  ~SimTest() override {
    if (HasFailure()) RecordProperty("seed", std::to_string(world.seed()));
  }
  [[nodiscard]] runtime::sim::SimReactor& here(std::size_t shard = 0) { return world.reactor(shard); }
  [[nodiscard]] runtime::sim::SimReactor& there() { return peers.reactor(); }
  static runtime::sim::MachineOptions peer_options() {
    runtime::sim::MachineOptions options;
    options.address_v4 = IpAddress::from_v4({10, 255, 0, 2});
    return options;
  }

  runtime::sim::World world;
  runtime::sim::Machine& peers;
};

}  // namespace sluice::test
