#pragma once

#include <cstdint>
#include <optional>

#include "engine/queue/keyed_budget.h"

namespace sluice::queue {

/// Connections by mail host and source address (`mx-connection-limit`) and by destination address
/// (`ip-connection-limit`), over all shards. Thread: any.
struct HostCounts {
  KeyedBudget open;
  KeyedBudget ending;  ///< of these, told to end because a reload has lowered the limit
};

/// What one connection holds of such a count, or nothing.
/// Thread:   one shard. Lifetime: ends before its counts.
class HostUnit {
 public:
  HostUnit() = default;
  HostUnit(const HostUnit&) = delete;
  HostUnit& operator=(const HostUnit&) = delete;
  ~HostUnit() { release(); }

  /// Holds nothing before. False: `limit` connections are open.
  [[nodiscard]] bool try_take(HostCounts& counts, std::uint64_t key, std::uint32_t limit) {
    open_ = counts.open.try_take(key, limit);
    if (!open_) return false;
    counts_ = &counts;
    key_ = key;
    return true;
  }
  /// A connection that is there already, after a reload: it counts from now on where it did not, and not any
  /// more where there is no limit. True: it is one too many, and nobody else was told so in its place.
  [[nodiscard]] bool renew(HostCounts& counts, std::uint64_t key, std::optional<std::uint32_t> limit) {
    if (!limit) {
      release();
      return false;
    }
    if (!open_ && !try_take(counts, key, KeyedBudget::kCountMax)) return false;  // a full line, see there
    const std::uint32_t open = counts.open.used(key_);
    if (!ending_ && open > *limit) ending_ = counts.ending.try_take(key_, open - *limit);
    return ending_.has_value();
  }
  /// Answers the key of a unit that it held.
  std::optional<std::uint64_t> release() {
    const bool held = open_.has_value();
    // In this order: who asks in between is one of fewer, and rather stays than ends in vain.
    if (open_) counts_->open.give_back(*open_);
    if (ending_) counts_->ending.give_back(*ending_);
    open_.reset();
    ending_.reset();
    return held ? std::optional(key_) : std::nullopt;
  }

 private:
  HostCounts* counts_ = nullptr;
  std::uint64_t key_ = 0;
  std::optional<KeyedBudget::Unit> open_;
  std::optional<KeyedBudget::Unit> ending_;
};

}  // namespace sluice::queue
