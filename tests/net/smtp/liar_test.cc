// Goal: whatever a receiver does, the client never claims what is not true: "delivered" only when the receiver
// took the message for that recipient after its last byte and said so, "refused" only by a reply to that
// recipient or that message, "safe to retry" only when it was not taken, "unknown" only when all of it was sent;
// and every transaction ends exactly once.
// How: receivers that misbehave at random keep a ledger of what they meant and took; the client sends them
// messages over one connection after the other, bytes travel in random pieces, and every claim is held against
// the ledger. A failure prints its seed and the conversation. SLUICE_LIAR_FIRST and SLUICE_LIAR_TRANSACTIONS
// choose where to begin and how long to search.

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/net/smtp/liar_run.h"

namespace sluice::net::test {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Liar, ClaimsAreTrue) {
  const std::uint64_t first = from_environment("SLUICE_LIAR_FIRST", 1);
  const std::uint64_t transactions = from_environment("SLUICE_LIAR_TRANSACTIONS", 20'000);
  const std::uint64_t faults_max = from_environment("SLUICE_LIAR_FAULTS", 1);
  LiarCounts sum;
  std::map<std::string, std::uint64_t> lies;
  std::uint64_t faults = 0;
  std::uint64_t seed = first;
  for (; sum.transactions < transactions && faults < faults_max; ++seed) {
    LiarRun run(seed);
    run.run();
    sum.connections += run.counts().connections;
    sum.transactions += run.counts().transactions;
    sum.ahead += run.counts().ahead;
    sum.excused += run.counts().excused;
    for (const auto& [claim, count] : run.counts().claims) sum.claims[claim] += count;
    for (const auto& [lie, count] : run.ledger().lies) lies[lie] += count;
    if (run.faults().empty()) continue;
    ++faults;
    LiarRun again(seed, true);
    again.run();
    ADD_FAILURE() << run.faults().front() << '\n' << again.transcript();
  }
  std::cout << seed - first << " seeds, " << sum.connections << " connections, " << sum.transactions
            << " transactions, " << sum.ahead << " ahead, " << sum.excused << " excused\n";
  for (const auto& [claim, count] : sum.claims) std::cout << "  " << claim << ": " << count << '\n';
  for (const auto& [lie, count] : lies) {
    std::cout << "  lie: " << lie << ": " << count << '\n';
    if (transactions >= 10'000) EXPECT_GT(count, 0);
  }
  EXPECT_GT(sum.claims["replied yes"], sum.transactions / 10);
  if (transactions >= 10'000) EXPECT_GT(sum.ahead, transactions / 200);
}

}  // namespace
}  // namespace sluice::net::test
