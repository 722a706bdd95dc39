#pragma once
// The limits of one queue as live objects: what the dispatcher asks before it opens a connection or hands out
// mail.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/shared_budget.h"
#include "policy/base/ip_address.h"
#include "policy/limits/mode_limits.h"
#include "policy/limits/token_bucket.h"
#include "policy/limits/volume_budget.h"
#include "policy/settings/values.h"

namespace sluice::queue {

/// A rate and the name under which the journal keeps what it owes. Empty: unlimited.
struct RateGate {
  std::shared_ptr<TokenBucket> bucket;
  std::string key;
  [[nodiscard]] explicit operator bool() const { return bucket != nullptr; }
};

/// The same for a volume.
struct VolumeGate {
  VolumeGate(const config::VolumeRate& rate, std::string the_key)
      : budget(rate.bytes.raw(), rate.per), key(std::move(the_key)) {}
  VolumeBudget budget;
  const std::string key;
  std::atomic<std::int64_t> noted{INT64_MIN};  ///< the stretch of time it was stored in last
};
using VolumeGateRef = std::shared_ptr<VolumeGate>;

/// Connections and rates of one source address within a queue (`source-ip-max-*`). Thread: the queue's shard.
struct SourceGate {
  std::optional<IpAddress> address;  ///< empty: the system chooses
  std::uint32_t connections = 0;
  std::uint32_t ending = 0;  ///< of these, told to end because a reload has lowered the limit
  config::CountLimit max_connections;
  RateGate connects;
  RateGate messages;
  VolumeGateRef volume;
};

/// What a set of queues may do together.
struct GateSet {
  RateGate connects;
  RateGate messages;
  VolumeGateRef volume;
};

/// The limits of one queue in its present mode. Thread: the queue's shard.
struct Gates {
  config::CountLimit max_connections;
  GateSet own;
  /// `share-limits-over-vmtas`: what all queues of the domain may do together.
  std::shared_ptr<SharedBudget> shared_connections;
  GateSet shared;
  std::vector<std::shared_ptr<SourceGate>> sources;  ///< only those a source-ip-max-* speaks of

  /// Null: no limit by source for this one.
  [[nodiscard]] std::shared_ptr<SourceGate> of_source(const std::optional<IpAddress>& address) const {
    for (const auto& one : sources) {
      if (one->address == address) return one;
    }
    return nullptr;
  }
};

/// Limits that several queues share by a name: those of a domain over all virtual MTAs.
/// Thread:   any, without a lock. Lifetime: entries stay until the end; there is one for each domain that a
///           block with `share-limits-over-vmtas` covers and that has had mail.
class SharedGates {
 public:
  struct Entry {
    std::string name;
    SharedBudget connections;
    std::atomic<TokenBucket*> connects{nullptr};
    std::atomic<TokenBucket*> messages{nullptr};
    std::atomic<VolumeGate*> volume{nullptr};
    Entry* next = nullptr;
    ~Entry();
  };
  SharedGates() = default;
  SharedGates(const SharedGates&) = delete;
  SharedGates& operator=(const SharedGates&) = delete;
  ~SharedGates();

  /// The entry of that name, made when it is new.
  [[nodiscard]] Entry& entry(std::string_view name);

 private:
  static constexpr std::size_t kListsMax = 1024;
  std::array<std::atomic<Entry*>, kListsMax> lists_{};
};

}  // namespace sluice::queue
