#pragma once
// A node between mail hosts that misbehave at random and one that does not.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/liar_host.h"
#include "tests/sim/scenario.h"

namespace sluice::test {

/// How long things may take; what the configuration below says, and some air.
inline constexpr Duration kStuckMost = 20s;     ///< no time-out of it is longer than 6 s
inline constexpr Duration kBounceAfter = 2min;  ///< bounce-after
inline constexpr Duration kEndMost = kBounceAfter + 2min;
inline constexpr Duration kShutdownMost = 12s;
inline constexpr Duration kGoodMost = 2s;

class LiarWorld {
 public:
  LiarWorld(std::uint64_t seed, bool with_liars);
  ~LiarWorld();

  bool boot();
  /// Mail for liars in bursts and for the good receiver at a steady pace, while the network has bad moments.
  void play();
  /// Stops the node at a random moment, within its time, and starts it again.
  void restart();
  /// Until every recipient has ended.
  void drain();
  /// Liars tell the truth from now on: mail for each of them is delivered at once.
  void prove_that_all_is_free();
  void close();

  [[nodiscard]] Scenario& scenario() { return scenario_; }
  [[nodiscard]] const net::test::LiarLedger& truth() const { return truth_; }
  [[nodiscard]] const std::vector<LiarVisit>& visits() const { return visits_; }
  [[nodiscard]] const Injected& liars_mail() const { return injected_; }
  [[nodiscard]] const std::map<std::string, MonoTime>& good_sent() const { return good_sent_; }
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

 private:
  std::vector<Mail> make_mails(std::size_t count);
  Mail make_mail();
  runtime::Task<void> send_good(std::size_t count);
  void disturb();

  bool with_liars_;
  Scenario scenario_;
  net::test::Random chance_;
  net::test::LiarLedger truth_;
  std::vector<LiarVisit> visits_;
  std::vector<std::unique_ptr<LiarHost>> hosts_;
  Injected injected_;
  Injected good_;
  std::map<std::string, MonoTime> good_sent_;
  std::uint32_t messages_ = 0;
};

/// Holds accounting and times against the truth; what is wrong is a test failure.
void check_liar_world(LiarWorld& world);

}  // namespace sluice::test
