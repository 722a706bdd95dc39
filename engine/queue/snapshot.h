#pragma once
// One loaded configuration with what the engine derives from it. Replaced as a whole by a reload.

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/queue/descriptor_watch.h"
#include "engine/queue/host_counts.h"
#include "engine/queue/identity.h"
#include "engine/queue/inbound_slots.h"
#include "engine/queue/pause_rules.h"
#include "engine/queue/pressure.h"
#include "engine/queue/remembered.h"
#include "engine/queue/report_budget.h"
#include "engine/queue/rollup_anchor.h"
#include "engine/runtime/reactor.h"
#include "policy/accounting/time_zone.h"
#include "policy/base/result.h"
#include "policy/classify/bounce_actions.h"
#include "policy/classify/bounce_category.h"
#include "policy/classify/reply_rules.h"
#include "policy/config/config.h"
#include "policy/identity/rules.h"
#include "policy/routing/mx.h"
#include "policy/routing/rollup.h"

namespace sluice::queue {

/// Immutable. Thread: any; shards hold it by shared_ptr and swap it at a reload.
struct Snapshot {
  std::shared_ptr<const config::Config> config;
  std::vector<Identity> identities;               ///< by config::VmtaId
  std::vector<std::shared_ptr<PoolState>> pools;  ///< by config::PoolId
  std::shared_ptr<const identity::Rules> rules;   ///< lists and names that decide at reception
  /// The VMTA that owns an address of this host: one that names it before the global list, then file order.
  std::unordered_map<IpAddress, config::VmtaId> owners;
  std::uint32_t shards = 1;                    ///< data shards
  std::string domain_suffix;                   ///< for addresses without a domain; never empty
  std::vector<std::string> accounted_headers;  ///< names of message headers that some accounting file shows
  std::shared_ptr<const BounceClassifier> bounce_categories;
  std::vector<ReplyRules> reply_rules;        ///< compiled, beside Config::reply_lists
  std::vector<BounceActions> bounce_actions;  ///< compiled, beside Config::bounce_actions
  routing::Families families;                 ///< those for which any virtual MTA has a source
  /// Addresses this server takes mail at, by port: a mail host there means that mail loops.
  struct OwnHosts {
    std::uint16_t port = 25;
    std::vector<IpAddress> addresses;
  };
  std::vector<OwnHosts> own_hosts;
  routing::RollupTable rollups;
  std::vector<std::shared_ptr<RollupAnchor>> rollup_anchors;  ///< [i] is the i-th target's
  std::vector<std::string> rollup_providers;                  ///< domains some `mx-rollup` names
  InboundSlots::Groups source_groups;
  std::shared_ptr<JoinedDomains> joined;  ///< never null; the same for all snapshots
  std::uint64_t number = 1;               ///< counts reloads
  std::vector<config::VmtaId> moved;  ///< those with another home than in the snapshot before, or new in this

  [[nodiscard]] const Identity& identity(config::VmtaId id) const { return identities[id.raw()]; }
  /// The compiled `<smtp-pattern-list NAME>`; null when there is none of that name, or the name is empty.
  [[nodiscard]] const ReplyRules* find_reply_rules(std::string_view name) const;
  /// The compiled `<bounce-actions>` a queue names, else the global one; null when there is none.
  [[nodiscard]] const BounceActions* find_bounce_actions(const config::DomainSettings& settings) const;
  /// This server's own addresses for mail that goes to `port`; empty when it does not listen there.
  [[nodiscard]] std::span<const IpAddress> own_addresses(std::uint16_t port) const;
  /// `mx-connection-limit` of a mail host, `ip-connection-limit` of an address; nullopt: none.
  [[nodiscard]] std::optional<std::uint32_t> mx_limit(std::string_view host) const;
  [[nodiscard]] std::optional<std::uint32_t> ip_limit(const IpAddress& destination) const;
  /// The shard that has the queue `domain/vmta`.
  [[nodiscard]] ShardId home_of(config::VmtaId vmta, std::string_view domain) const;
};

/// "Error in line 12 of FILE: why"; only `why` for what no line says.
[[nodiscard]] std::string error_at(const config::Config& config, const config::Origin& at,
                                   const std::string& why);

/// The two clocks at one moment.
struct Clocks {
  MonoTime now;
  WallTime wall_now;
};

/// What survives from snapshot to snapshot.
struct SharedState {
  SharedBudget outbound;    ///< total-max-smtp-out
  InboundSlots inbound;     ///< total-max-smtp-in, source groups
  SharedBudget files;       ///< total-max-file
  SharedBudget connecting;  ///< half of `outbound`: connections that nobody has greeted yet
  SharedBudget strangers;   ///< three eighths: those of queues nobody has answered yet
  SharedBudget penalty;     ///< a quarter: those of queues that fail
  DescriptorWatch descriptors;
  HostCounts hosts;  ///< mx-connection-limit, ip-connection-limit
  std::shared_ptr<JoinedDomains> joined = std::make_shared<JoinedDomains>();
  std::map<std::string, std::shared_ptr<IdentityState>, std::less<>> identities;     ///< control shard only
  std::map<std::string, std::shared_ptr<IdentityState>, std::less<>> pool_totals;    ///< control shard only
  std::map<std::string, std::shared_ptr<RollupAnchor>, std::less<>> rollup_anchors;  ///< control shard only
  std::map<std::string, std::shared_ptr<PoolState>, std::less<>> pools;              ///< control shard only
  accounting::TimeZone zone;  ///< of the calendar; written before the shards run, then only read
  /// At the start; never null when the shards run. Later ones: delivery::Dispatcher::set_pauses().
  std::shared_ptr<const PauseRules> pauses = std::make_shared<PauseRules>();
  runtime::LastingClock clock;  ///< of this process; as `remembered`
  Pressure pressure;            ///< of memory and of the queue on those who hand mail in
  ReportBudget reports;         ///< to senders, queued
  Remembered remembered;        ///< written before the shards run, then only read
  ShardId control;              ///< the control shard; as `remembered`
};

/// Whether make_snapshot() takes this configuration, as far as its text decides: every pattern compiles, lists do not
/// call each other in a circle, columns exist. Costs what they cost. Thread: any. Errors: in words for the operator.
[[nodiscard]] std::expected<void, std::string> check_compiles(std::shared_ptr<const config::Config> config);

/// Builds the snapshot of `config`. Nothing that runs changes by it: `shared` merely gets entries for names
/// it did not know. Source addresses that two VMTAs share put both on one shard: an address's connections
/// live on one core. VMTAs stay on the shard they have in `before` (null: the first configuration), unless
/// they are joined with others; new ones go where the fewest are. `local_addresses`: this host's, for source
/// blocks such as 192.0.2.0/24. A block that holds no local address leaves the VMTA without source (reported
/// by `sluice check`). Thread: control shard. Errors: in words for the operator (a bounce pattern that does
/// not compile).
[[nodiscard]] std::expected<std::shared_ptr<const Snapshot>, std::string> make_snapshot(
    std::shared_ptr<const config::Config> config, std::uint32_t shards,
    const std::vector<IpAddress>& local_addresses, const Clocks& clocks, SharedState& shared,
    const Snapshot* before);

/// Puts the limits of `snapshot` in force that all shards share, with everything they have counted so far,
/// and forgets names nobody knows any more. The snapshot goes to every shard next. Thread: control shard.
void apply_limits(const Snapshot& snapshot, SharedState& shared, MonoTime now);

}  // namespace sluice::queue
