#pragma once
// The limits of one queue as live objects: what the dispatcher asks before it opens a connection or hands out
// mail.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/queue/remembered.h"
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
  /// A bit for each shard that has queues waiting for volume under way here, and for each that has been told
  /// of a return and has not looked yet (delivery::Gatekeeper).
  std::atomic<std::uint64_t> waiting{0};
  std::atomic<std::uint64_t> told{0};
};
using VolumeGateRef = std::shared_ptr<VolumeGate>;

/// What a set of queues may do together.
struct GateSet {
  RateGate connects;
  RateGate messages;
  VolumeGateRef volume;
};

/// Connections and rates of one source address within a queue (`source-ip-max-*`). Thread: the queue's shard.
struct SourceGate {
  std::optional<IpAddress> address;  ///< empty: the system chooses
  std::uint32_t connections = 0;
  std::uint32_t ending = 0;  ///< of these, told to end because a reload has lowered the limit
  config::CountLimit max_connections;
  RateGate connects;
  RateGate messages;
  VolumeGateRef volume;
  GateSet kept;  ///< as Gates::kept
};

/// The limits of one queue in its present mode. Thread: the queue's shard.
struct Gates {
  config::CountLimit max_connections;
  GateSet own;  ///< those of `kept` that are in force
  /// `share-limits-over-vmtas`: what all queues of the domain may do together.
  std::shared_ptr<SharedBudget> shared_connections;
  GateSet shared;
  std::vector<std::shared_ptr<SourceGate>> sources;  ///< only those a source-ip-max-* speaks of
  /// Everything the queue has had: a limit that a reload takes away and the next one brings back, or that
  /// only one mode has, goes on from what it had counted.
  GateSet kept;
  std::vector<std::shared_ptr<SourceGate>> kept_sources;
  /// The configuration under which `shared` was asked for, and the one it was given under; 0: none. While
  /// they differ the queue waits for the shard that has the domain's book.
  std::uint64_t shared_asked = 0;
  std::uint64_t shared_given = 0;
  VolumeGateRef awaited;  ///< the queue stands in line there
  /// What `kept.volume` delivered before is counted by the shared volume already, or the other way round.
  MonoTime volume_told{MonoTime::min()};

  /// Null: no limit by source for this one.
  [[nodiscard]] std::shared_ptr<SourceGate> of_source(const std::optional<IpAddress>& address) const {
    for (const auto& one : sources) {
      if (one->address == address) return one;
    }
    return nullptr;
  }
};

/// Limits that the queues of a domain share over all virtual MTAs and shards: those of the domains that one
/// shard has the book of.
///
/// Whose number holds: the lowest that any queue of the newest configuration has asked for; a shard that does
/// not know that configuration yet uses what is there and changes nothing.
/// Thread:   one shard, the owner; what join() gives out is used on any, without a lock.
/// Lifetime: an entry stays while somebody uses it, and after that while it still limits something.
/// Limits:   besides those, kSpareMin or as many again are kept at most: mail for a million domains leaves
///           nothing behind.
class SharedGates {
 public:
  static constexpr std::size_t kSpareMin = 256;

  struct Joined {
    std::shared_ptr<SharedBudget> connections;
    GateSet gates;  ///< of what `limits` names
  };
  struct Request {
    ModeLimits limits;
    std::uint64_t configuration = 0;  ///< Snapshot::number
  };
  /// The gates of `domain`; new ones go on from what the last start left in `remembered`.
  [[nodiscard]] Joined join(std::string_view domain, const Request& request, MonoTime now, WallTime wall_now,
                            const Remembered& remembered);
  /// Forgets what nobody uses and what limits nothing any more.
  void drop_resting(MonoTime now);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t configuration = 0;
    ModeLimits limits;  // the lowest
    SharedBudget connections;
    std::unique_ptr<TokenBucket> connects;
    std::unique_ptr<TokenBucket> messages;
    std::unique_ptr<VolumeGate> volume;
    [[nodiscard]] bool at_rest(MonoTime now) const;
  };
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
  std::size_t look_at_ = kSpareMin;  // at this size somebody looks for entries to drop
};

}  // namespace sluice::queue
