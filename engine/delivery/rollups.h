#pragma once
// Into which queue a domain's mail goes, by its MX records as DNS has them now.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/snapshot.h"
#include "engine/resolver/resolver.h"
#include "engine/runtime/task.h"
#include "policy/routing/rollup.h"

namespace sluice::delivery {

/// MX rollup of one shard: `<mx-rollup-list>`, then `mx-rollup`, then `auto-mx-rollup`; the first that fits
/// counts. Asked when mail enters a queue whose answer is not known or has run out, never per message.
/// Thread:   one shard. Lifetime: the resolver outlives it, and so do they the tasks it gave out.
/// Errors:   none: what DNS does not say is `known == false`, and the caller waits.
class Rollups {
 public:
  explicit Rollups(resolver::Resolver& resolver) : resolver_(resolver) {}

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  /// Does the configuration ask for any rollup? If not, no domain needs a question.
  [[nodiscard]] bool active() const { return active_; }

  struct Answer {
    bool known = false;      ///< false: DNS failed; nothing is said
    std::string joins;       ///< domain of the queue; empty: its own
    MonoTime valid_until{};  ///< when the MX records behind it run out
    /// Hosts of an automatic site; null: the joined queue's name or the configuration says where mail goes.
    std::shared_ptr<const routing::HostList> route;
    bool new_anchor = false;  ///< a rollup by IP has found its first domain: to be remembered
  };
  /// What a domain's own settings say about rollup.
  struct Wishes {
    std::vector<std::string> providers;  ///< `mx-rollup`
    bool automatic = false;              ///< auto-mx-rollup, and no settings of its own to lose
  };
  /// Suspends only when DNS has to be asked.
  [[nodiscard]] runtime::Task<Answer> decide(std::string domain, Wishes wishes);
  /// Whoever is being decided about gets no answer (`known == false`), now and later.
  void stop() { stop_.stop(); }

  /// Where mail of the queue `rollup` goes when it has no smtp-hosts: the listed names, or those of the
  /// domain a rollup by IP is anchored at. Null: nothing is known (an automatic site, a list that has
  /// changed): its mail has to find its way by its own domains again.
  [[nodiscard]] std::shared_ptr<const routing::HostList> hosts_of(std::string_view rollup) const;
  /// The domain a rollup by IP is anchored at takes no mail any more. True when `rollup` was one.
  bool drop_anchor(std::string_view rollup);

 private:
  struct Mx {
    resolver::RrsetRef set;  // holds what `names` views
    std::vector<routing::MxName> names;
    std::vector<std::string_view> best;
  };
  [[nodiscard]] runtime::Task<Mx> mx_of(std::string domain);
  [[nodiscard]] runtime::Task<std::optional<std::vector<IpAddress>>> best_addresses(std::string domain);
  [[nodiscard]] runtime::Task<Answer> join_by_ip(std::string domain,
                                                 std::shared_ptr<const queue::Snapshot> snapshot,
                                                 const routing::RollupTable::Target* target,
                                                 MonoTime valid_until);

  resolver::Resolver& resolver_;
  resolver::LookupStop stop_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  bool active_ = false;
};

}  // namespace sluice::delivery
