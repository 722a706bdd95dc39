#pragma once
// Virtual MTAs at run time: what all shards share about a sending identity.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/limits/token_bucket.h"

namespace sluice::queue {

/// A count with a limit that several shards draw from: connections of a VMTA, connections of the daemon.
/// Thread: any. Exact: never above the limit at the moment of try_take(). Lowering the limit ends nothing by
/// itself.
class SharedBudget {
 public:
  [[nodiscard]] bool try_take() {
    std::uint32_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used >= limit_.load(std::memory_order_relaxed)) return false;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed));
    std::uint32_t top = top_.load(std::memory_order_relaxed);
    while (used + 1 > top && !top_.compare_exchange_weak(top, used + 1, std::memory_order_relaxed)) {
    }
    return true;
  }
  void give_back() { used_.fetch_sub(1, std::memory_order_relaxed); }
  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  void clear_limit() { set_limit(~std::uint32_t{0}); }
  [[nodiscard]] std::uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t top() const { return top_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> used_{0};
  std::atomic<std::uint32_t> top_{0};
  std::atomic<std::uint32_t> limit_{~std::uint32_t{0}};
};

/// Where a connection goes out from. No address: the system chooses.
struct SourceAddress {
  std::optional<IpAddress> address;
  std::string ehlo;
  friend bool operator==(const SourceAddress&, const SourceAddress&) = default;
};

/// Queue domains for which a virtual MTA has no usable source at the moment: pools pass it over for mail to
/// them. Thread: any. Limits: kDomainsMax at once; what does not fit goes to the VMTA as usual and waits in
/// its queue.
class BlockedDomains {
 public:
  static constexpr std::size_t kDomainsMax = 64;
  /// To be called when a queue loses its last source, and when it has one again.
  void set(std::string_view domain, bool blocked);
  [[nodiscard]] bool holds(std::string_view domain) const {
    return count_.load(std::memory_order_relaxed) != 0 && find(domain);
  }

 private:
  [[nodiscard]] bool find(std::string_view domain) const;
  std::atomic<std::uint32_t> count_{0};
  std::array<std::atomic<std::uint64_t>, kDomainsMax> hashes_{};  // 0: free
};

/// Totals that status shows; every shard adds to them.
struct Traffic {
  std::atomic<std::uint64_t> accepted{0};  ///< recipients
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> bounced{0};
  std::atomic<std::uint64_t> deferred{0};  ///< transient failures, each attempt
  std::atomic<std::uint64_t> delivered_bytes{0};
};

/// What outlives a reload about one virtual MTA, found again by its name: counts under way and rate state.
struct IdentityState {
  SharedBudget connections;               ///< `max-smtp-out` of the VMTA, over all its queues
  std::shared_ptr<TokenBucket> messages;  ///< rate state of `max-smtp-msg-rate`; control shard only
  std::atomic<std::uint32_t> rotation{0};
  BlockedDomains blocked;
  Traffic traffic;
};

/// What outlives a reload about one pool, found again by its name.
struct PoolState {
  std::atomic<std::uint64_t> turn{0};  ///< counted over all shards: see identity::PoolTurns
};

/// One virtual MTA of one configuration snapshot. Immutable but for `state`.
struct Identity {
  std::string name;
  std::vector<SourceAddress> sources;  ///< never empty
  bool has_v4 = true;                  ///< a source for IPv4 targets exists
  bool has_v6 = false;
  /// The shard that owns the source addresses, and with them all queues of this VMTA. Absent: no address is
  /// bound, so queues are spread by domain.
  std::optional<ShardId> home;
  std::shared_ptr<IdentityState> state;
  std::shared_ptr<TokenBucket> messages;  ///< `max-smtp-msg-rate` over all queues; null: unlimited

  /// The next source for a target of that family, in rotation; null when there is none that `usable(source)`.
  template <class Usable>
  [[nodiscard]] const SourceAddress* next_source(bool is_v4, Usable&& usable) const {
    const std::uint32_t start = state->rotation.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const SourceAddress& source = sources[(start + i) % sources.size()];
      if ((!source.address || source.address->is_v4() == is_v4) && usable(source)) return &source;
    }
    return nullptr;
  }
};

}  // namespace sluice::queue
