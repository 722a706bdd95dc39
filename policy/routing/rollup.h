#pragma once
// Which domains share a queue because the same hosts take their mail: `<mx-rollup-list>`, `mx-rollup` and
// `auto-mx-rollup`.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/routing/host_list.h"
#include "policy/settings/blocks.h"

namespace sluice::routing {

inline constexpr std::string_view kRollupSuffix = ".rollup";
[[nodiscard]] inline bool is_rollup_name(std::string_view queue_domain) {
  return queue_domain.ends_with(kRollupSuffix);
}

/// One MX record, most preferred first where several stand together. Name in lower case.
struct MxName {
  std::uint16_t preference = 0;
  std::string_view host;
};

/// The names of lowest preference: those that take part in a rollup.
[[nodiscard]] std::vector<std::string_view> best_names(std::span<const MxName> mx);

/// The `<mx-rollup-list>` of one configuration.
/// Thread: immutable once made. Cost of match(): targets x (their hosts + the domain's best hosts); once per
/// domain and MX answer, never per message.
class RollupTable {
 public:
  /// Lines with the same target belong together; targets are tried in the order of their first line.
  RollupTable() = default;
  explicit RollupTable(std::span<const config::MxRollup> lines);

  /// One `.rollup` queue.
  struct Target {
    std::string name;
    std::vector<std::string> hosts;               ///< explicit names: what the queue routes to
    std::vector<config::DomainPattern> patterns;  ///< wildcards
    bool by_ip = false;                           ///< some line says rollup-by-ip
  };
  /// The first target all of whose explicit names are among `best`, or one of whose wildcards matches one of
  /// them: wildcards are alternatives, since no domain has hosts under all the names a provider uses. A target
  /// by IP matches by names here; whether its addresses fit is the caller's question.
  [[nodiscard]] const Target* match(std::span<const std::string_view> best) const;
  [[nodiscard]] const Target* find(std::string_view name) const;
  [[nodiscard]] bool empty() const { return targets_.empty(); }
  [[nodiscard]] std::span<const Target> targets() const { return targets_; }

 private:
  std::vector<Target> targets_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

/// Where mail for a target goes whose queue has no `smtp-hosts`: its explicit names, all alike. Empty for
/// wildcards.
[[nodiscard]] HostList hosts_of(const RollupTable::Target& target);

/// A domain joins the queue of `provider_best`'s domain (`mx-rollup gmail.com`) when the provider's best
/// hosts are all among its own. Both must have MX records.
[[nodiscard]] bool served_by(std::span<const std::string_view> best,
                             std::span<const std::string_view> provider_best);

/// The queue that all domains with exactly these MX records share under `auto-mx-rollup`:
/// "ID.BEST-HOST.rollup", ID being a digest of all names and of the order of their preferences. So
/// `<domain [*.]google.com.rollup>` speaks of all domains hosted there. Nullopt where nothing would be
/// shared: no MX, or the best host lies within the domain itself.
[[nodiscard]] std::optional<std::string> site_name(std::string_view domain, std::span<const MxName> mx);

/// The hosts of such a site in the order of their preferences.
[[nodiscard]] HostList hosts_of(std::span<const MxName> mx);

}  // namespace sluice::routing
