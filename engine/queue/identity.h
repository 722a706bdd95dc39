#pragma once
// Virtual MTAs at run time: what all shards share about a sending identity.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/gates.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/limits/token_bucket.h"
#include "policy/routing/host_list.h"

namespace sluice::queue {

/// A proxy that connections go through (`<proxy>`, `smtp-proxy-source-host`). Immutable.
struct ProxyRoute {
  std::string name;              ///< as the operator knows it
  routing::HostList server;      ///< one host with its port
  std::uint32_t version = 1;     ///< of the PROXY protocol
  std::vector<IpAddress> local;  ///< what to reach it from, in rotation; empty: the system chooses
  friend bool operator==(const ProxyRoute&, const ProxyRoute&) = default;
};

/// Where a connection goes out from. No address: the system chooses.
struct SourceAddress {
  std::optional<IpAddress> address;  ///< behind a proxy: what mail hosts see, not an address of this host
  std::string ehlo;
  std::shared_ptr<const ProxyRoute> proxy = {};  ///< null: directly
  std::uint16_t port = 0;                        ///< behind a proxy: the port asked of it; 0: any
  std::uint32_t rank = 0;  ///< a higher one counts only where those below cannot be used

  [[nodiscard]] bool same_way(const std::shared_ptr<const ProxyRoute>& other) const {
    return proxy == other || (proxy && other && *proxy == *other);
  }
};

/// Queue domains for which a virtual MTA has no usable source at the moment: pools pass it over for mail to
/// them. Thread: any. Limits: kDomainsMax at once; what does not fit goes to the VMTA as usual and waits in
/// its queue.
class BlockedDomains {
 public:
  static constexpr std::size_t kDomainsMax = 64;
  /// To be called when a queue loses its last source, and when it has one again.
  void set(std::string_view domain, bool blocked);
  /// `joined`: a mark of JoinedDomains, 0 for none.
  [[nodiscard]] bool holds(std::string_view domain, std::uint32_t joined) const {
    return barred_.load(std::memory_order_relaxed) != 0 ||
           (count_.load(std::memory_order_relaxed) != 0 && find(domain, joined));
  }
  [[nodiscard]] bool empty() const {
    return count_.load(std::memory_order_relaxed) == 0 && barred_.load(std::memory_order_relaxed) == 0;
  }
  /// None of its addresses is one of this host: it counts as blocked for every domain until as many unbar().
  void bar() { barred_.fetch_add(1, std::memory_order_relaxed); }
  void unbar() { barred_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  [[nodiscard]] bool find(std::string_view domain, std::uint32_t joined) const;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> barred_{0};
  std::array<std::atomic<std::uint64_t>, kDomainsMax> hashes_{};  // 0: free
};

/// Into which queue domain the mail of a domain went last (`queue-to`, MX rollup), so that a pool knows which
/// of its members could send it now. A hint: the newest entry of a place wins, a lost one comes back with the
/// next mail. Thread: any.
class JoinedDomains {
 public:
  static constexpr std::size_t kPlaces = 16384;
  /// `whose` stands for the virtual MTA. Empty `joins`: none any more.
  void set(const void* whose, std::string_view domain, std::string_view joins);
  /// A mark of the queue domain, for BlockedDomains; 0: its own.
  [[nodiscard]] std::uint32_t find(const void* whose, std::string_view domain) const;

 private:
  std::array<std::atomic<std::uint64_t>, kPlaces>
      places_{};  // upper half: whose domain; lower half: the mark
};

/// Totals that status shows; every shard adds to them.
struct Traffic {
  std::atomic<std::uint64_t> accepted{0};  ///< recipients
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> bounced{0};
  std::atomic<std::uint64_t> deferred{0};  ///< transient failures, each attempt
  std::atomic<std::uint64_t> delivered_bytes{0};
};

/// What outlives a reload about one virtual MTA or pool, found again by its name: counts under way and rate
/// state.
struct IdentityState {
  SharedBudget connections;               ///< `max-smtp-out`, over all its queues
  std::shared_ptr<TokenBucket> messages;  ///< rate state of `max-smtp-msg-rate`; control shard only
  VolumeGateRef volume;                   ///< of `max-smtp-data-volume-rate`; control shard only
  std::atomic<std::uint32_t> rotation{0};
  std::atomic<std::uint64_t> cold_turn{0};  ///< whose turn it is of its cold virtual MTAs, over all domains
  /// While a reload moves it: shards that have not heard of it yet, and queues that are not where they
  /// belong. Nothing of this virtual MTA begins before it is zero (engine/delivery/reload.cc).
  std::atomic<std::uint32_t> leaving{0};
  BlockedDomains blocked;
  Traffic traffic;
};

/// What outlives a reload about one pool, found again by its name.
struct PoolState {
  std::atomic<std::uint64_t> turn{0};  ///< counted over all shards: see identity::PoolTurns
};

/// What one virtual MTA or pool may do at most, over all its queues on all shards.
struct Totals {
  std::shared_ptr<IdentityState> state;  ///< its connections
  RateGate messages;
  VolumeGateRef volume;
};

/// One virtual MTA of one configuration snapshot. Immutable but for `state`.
struct Identity {
  std::string name;
  std::vector<SourceAddress> sources;  ///< never empty; those of one rank together, the lowest first
  bool has_v4 = true;                  ///< a source for IPv4 targets exists
  bool has_v6 = false;
  /// The shard that owns the source addresses, and with them all queues of this VMTA. Absent: no address is
  /// bound, so queues are spread by domain.
  std::optional<ShardId> home;
  std::shared_ptr<IdentityState> state;
  std::vector<Totals> totals;  ///< its own, then those of every pool it is a member of

  /// The sources of one rank; `at` of `sources` is the first of them.
  [[nodiscard]] std::span<const SourceAddress> rank_at(std::size_t at) const {
    std::size_t end = at + 1;
    while (end < sources.size() && sources[end].rank == sources[at].rank) ++end;
    return std::span(sources).subspan(at, end - at);
  }

  /// The next of `among` for a target of that family, in rotation; null when there is none that
  /// `usable(source)`.
  template <class Usable>
  [[nodiscard]] const SourceAddress* next_source(std::span<const SourceAddress> among, bool is_v4,
                                                 Usable&& usable) const {
    const std::uint32_t start = state->rotation.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < among.size(); ++i) {
      const SourceAddress& source = among[(start + i) % among.size()];
      if ((!source.address || source.address->is_v4() == is_v4) && usable(source)) return &source;
    }
    return nullptr;
  }
};

}  // namespace sluice::queue
