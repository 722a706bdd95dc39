#pragma once
// Mail hosts of the simulated world that misbehave at random: the lying receiver of the SMTP tests over sockets, with
// a pace of its own.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/runtime/sim/world.h"
#include "engine/runtime/stream.h"
#include "tests/net/smtp/liar_peer.h"

namespace sluice::test {

/// How fast one connection is answered and read.
struct LiarPace {
  Duration answer_after{};  ///< at most, before each reply
  bool drips = false;       ///< replies come byte by byte
  Duration drip_gap{};
  bool rambles = false;  ///< begins replies of which the last line never comes
  std::size_t reads_most = 65536;
  Duration read_gap{};
  [[nodiscard]] static LiarPace draw(net::test::Random& chance);
};

/// What is known of one connection when all is over.
struct LiarVisit {
  bool unsure = false;     ///< its replies could be taken for each other, or an outcome was not told
  bool said_quit = false;  ///< the client ended it, having read every reply
  std::string transcript;  ///< who said what, and when
  Duration stuck_most{};   ///< the longest time in which no byte came and no reply was completed
};

/// Thread: the simulated one. Lifetime: stop() and a run of the world before destruction; the ledger outlives it.
class LiarHost {
 public:
  LiarHost(runtime::sim::World& world, runtime::Reactor& reactor, Endpoint at, net::test::LiarLedger& ledger,
           std::vector<LiarVisit>& visits, bool is_timed);
  LiarHost(const LiarHost&) = delete;
  LiarHost& operator=(const LiarHost&) = delete;
  void stop();
  [[nodiscard]] bool idle() const { return tasks_.running() == 0; }
  /// Connections from now on are answered as they should be.
  void reform() { reformed_ = true; }

 private:
  runtime::Task<void> accept_all();
  class Visit;
  runtime::Task<void> serve(runtime::Stream stream);

  runtime::sim::World& world_;
  runtime::Reactor& reactor_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  net::test::LiarLedger& ledger_;
  std::vector<LiarVisit>& visits_;
  bool is_timed_;  // it is never behind a silent network, so that it sees when clients go
  bool reformed_ = false;
  bool stopped_ = false;
};

}  // namespace sluice::test
