#pragma once

#include <atomic>
#include <cstddef>
#include <string>

#include "policy/base/units.h"

namespace sluice::queue {

/// Whether the process is short of descriptors, for all its shards: what then waits, and who says so. Thread:
/// any.
class DescriptorWatch {
 public:
  /// After a connection found none, the next is tried this much later.
  static constexpr Duration kConnectAgain = 1s;

  /// So many are `left`, of which `reserve` are not for connections. Answers a line for the log when that
  /// changes anything; of all the shards that notice, one gets it.
  [[nodiscard]] std::string look(std::size_t left, std::size_t reserve) {
    if (left < reserve) {
      if (short_.exchange(true)) return {};
      return "Descriptors are used up but for a reserve of " + std::to_string(reserve) +
             ": new clients are told 421, new connections to receivers wait. Raise LimitNOFILE (ulimit -n), "
             "or "
             "lower total-max-smtp-in and total-max-smtp-out";
    }
    if (left < 2 * reserve || !short_.load(std::memory_order_relaxed) || !short_.exchange(false)) return {};
    return "Descriptors are free again";
  }
  [[nodiscard]] bool is_short() const { return short_.load(std::memory_order_relaxed); }
  /// A connection to a receiver found none.
  void hold_connects(MonoTime now) { connect_at_.store(now + kConnectAgain, std::memory_order_relaxed); }
  /// No connection is begun before.
  [[nodiscard]] MonoTime connect_at() const { return connect_at_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> short_{false};
  std::atomic<MonoTime> connect_at_{MonoTime{}};
};

}  // namespace sluice::queue
