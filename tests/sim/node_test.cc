// Goal: the promises, for a whole node in a world that misbehaves: nothing accepted is lost, every recipient
//       ends in exactly one final record, what is delivered twice had a reason, bodies arrive as they were
//       sent.
// How:  two data shards and a control shard on one simulated machine, three providers with moods on another,
//       injectors that remember every 250. Each seed draws its own faults and crash times; a failure names
//       the seed, and the seed replays it. SLUICE_SIM_SEEDS and SLUICE_SIM_FIRST choose how many and from
//       where.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

using runtime::sim::Crash;

std::uint64_t environment(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

TEST(Node, DeliversEverythingInAKindWorld) {
  Scenario scenario(1);
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  Injected injected;
  const std::vector<Mail> mails = scenario.mails(200, "kind");
  ASSERT_TRUE(finish(scenario.world, inject(scenario.peers.reactor(0), Scenario::listener(), mails, injected),
                     10min));
  EXPECT_EQ(injected.accepted.size(), mails.size());
  EXPECT_TRUE(scenario.drain(1h));
  scenario.close();
  scenario.check_promises(injected, false);
}

TEST(Node, KeepsItsPromisesWithMoodyReceivers) {
  const std::uint64_t first = environment("SLUICE_SIM_FIRST", 100);
  const std::uint64_t count = environment("SLUICE_SIM_SEEDS", 5);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scenario scenario(seed);
    scenario.open_receivers({.defer_rcpt = 0.1,
                             .refuse_rcpt = 0.05,
                             .defer_data = 0.1,
                             .drop_after_dot = 0.05,
                             .drop_anywhere = 0.05});
    ASSERT_TRUE(scenario.boot());
    Injected injected;
    const std::vector<Mail> mails = scenario.mails(150, "moody");
    ASSERT_TRUE(finish(scenario.world,
                       inject(scenario.peers.reactor(0), Scenario::listener(), mails, injected), 10min));
    for (auto& receiver : scenario.receivers) receiver->set_mood({.refuse_rcpt = 0.05});
    EXPECT_TRUE(scenario.drain(6h));
    scenario.close();
    scenario.check_promises(injected, false);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Node, LosesNothingInCrashes) {
  const std::uint64_t first = environment("SLUICE_SIM_FIRST", 1000);
  const std::uint64_t count = environment("SLUICE_SIM_SEEDS", 10);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scenario scenario(seed);
    scenario.open_receivers({.defer_rcpt = 0.05, .drop_after_dot = 0.02});
    ASSERT_TRUE(scenario.boot());
    auto injected = std::make_unique<Injected>();
    bool injecting = false;
    start(inject(scenario.peers.reactor(0), Scenario::listener(), scenario.mails(150, "crash"), *injected),
          injecting);
    for (int round = 0; round < 4; ++round) {
      scenario.world.run_for(Duration(std::chrono::milliseconds(5 + scenario.world.random().below(400))));
      scenario.crash(scenario.world.random().chance(0.5) ? Crash::Kill : Crash::PowerCut);
      ASSERT_TRUE(scenario.boot());
    }
    ASSERT_EQ(scenario.world.run_until([&] { return injecting; }, 1h), runtime::sim::Ended::Reached);
    for (auto& receiver : scenario.receivers) receiver->set_mood({});
    EXPECT_TRUE(scenario.drain(6h));
    scenario.close();
    scenario.check_promises(*injected, true);
    if (::testing::Test::HasFailure()) return;
  }
}

// Connections with mail under way hold read buffers and want more of them; none may wait for another's.
TEST(Node, ReadsABacklogWithVeryFewBuffers) {
  Scenario scenario(3);
  ASSERT_TRUE(scenario.boot());
  Injected injected;
  const std::vector<Mail> mails = scenario.mails(300, "backlog");
  ASSERT_TRUE(finish(scenario.world, inject(scenario.peers.reactor(0), Scenario::listener(), mails, injected),
                     10min));
  scenario.crash(Crash::Kill);  // what is queued is on disk only
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  EXPECT_TRUE(scenario.drain(10min));
  scenario.close();
  scenario.check_promises(injected, true);
}

TEST(Node, SameSeedSameRun) {
  const auto run = [](std::uint64_t seed) {
    Scenario scenario(seed);
    scenario.open_receivers({.defer_rcpt = 0.1, .drop_after_dot = 0.05});
    EXPECT_TRUE(scenario.boot());
    Injected injected;
    finish(scenario.world,
           inject(scenario.peers.reactor(0), Scenario::listener(), scenario.mails(30, "same"), injected),
           10min);
    EXPECT_TRUE(scenario.drain(1h));
    scenario.close();
    return scenario.world.digest();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace sluice::test
