// Goal: whatever mail hosts do, accounting tells the truth: "delivered" only of what a host took, "bounced" only by
// a reply to that recipient or message, nothing twice that was answered; every time-out has its end, every
// recipient ends within `bounce-after` and a bound, a good host beside the liars is served at once, the node stops
// in its time at any moment, and all slots and connections come back.
// How: one seed is one world: five hosts that misbehave at random, a network with bad moments, a good host, some
// hundred messages over several queues and virtual MTAs, and a restart in the middle. What the hosts wrote down is
// held against the accounting files. SLUICE_LIAR_FIRST and SLUICE_LIAR_TRANSACTIONS choose where to begin and how
// long to search.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/sim/liar_world.h"

namespace sluice::test {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(LiarSim, AccountingTellsTheTruth) {
  const std::uint64_t first = from_environment("SLUICE_LIAR_FIRST", 1);
  const std::uint64_t transactions = from_environment("SLUICE_LIAR_TRANSACTIONS", 1000);
  std::uint64_t tried = 0;
  std::uint64_t seed = first;
  for (; tried < transactions && !HasFailure(); ++seed) {
    LiarWorld world(seed, true);
    ASSERT_TRUE(world.boot());
    world.play();
    if (HasFatalFailure()) return;
    world.restart();
    if (HasFatalFailure()) return;
    world.drain();
    if (HasFatalFailure()) return;
    world.prove_that_all_is_free();
    check_liar_world(world);
    world.close();
    tried += world.truth().tries.size();
  }
  std::cout << seed - first << " seeds, " << tried << " transactions\n";
}

}  // namespace
}  // namespace sluice::test
