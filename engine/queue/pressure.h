#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace sluice::queue {

/// Why new mail has to wait outside, found out by the control shard once a second and read by every shard at
/// MAIL. Thread: any.
struct Pressure {
  std::atomic<bool> memory_short{false};  ///< over `max-memory-usage-percent`
  /// `spool-max-recipients`: queued recipients of all shards at which mail is refused.
  std::atomic<std::uint64_t> recipients_max{std::numeric_limits<std::uint64_t>::max()};
};

}  // namespace sluice::queue
