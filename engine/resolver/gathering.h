#pragma once
// The facts for one route, collected from the cache or from flights, and their composition into a
// RouteAnswer. Inner part of the resolver.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/resolver/rrset.h"

namespace sluice::resolver {

/// A question whose answer is kept in `set`; empty until known.
struct Fact {
  std::string_view name;
  net::dns::Type type = net::dns::Type::A;
  RrsetRef set;
};

/// One mail host to be, with the facts about it.
struct Target {
  std::uint16_t group = 0;
  std::uint16_t preference = 0;
  std::uint16_t port = 25;
  std::string_view name;             ///< in a StaticHost or in an MX answer that the Gathering holds
  std::optional<IpAddress> address;  ///< of a literal: nothing to look up
  Fact v4;
  Fact v6;
};

/// Thread:   one shard.
/// Lifetime: `elements` and what `options` views outlive it.
/// Order:    mx_facts() until all are filled, plan_targets(), the targets' facts until filled or no longer
///           worth waiting for, compose().
class Gathering {
 public:
  /// `is_domain`: `elements` is one LookupMx for a recipient's domain, with the meaning of RFC 5321 5.1;
  /// otherwise a static list, of which hosts that do not exist are left out.
  Gathering(std::span<const routing::StaticHost> elements, bool is_domain, const RouteOptions& options);

  /// What has to be known first: the MX sets, in the order of the elements.
  [[nodiscard]] std::span<Fact> mx_facts() { return mx_; }
  /// The first of them still empty; null when there is none.
  [[nodiscard]] const Fact* unknown_mx() const;
  /// Makes the targets out of the MX sets. At most kMailHostsMax for each MX set.
  void plan_targets();
  [[nodiscard]] std::span<Target> targets() { return targets_; }
  /// True when `fact` has to be asked for: its family is wanted and the target is no literal.
  [[nodiscard]] bool is_needed(const Target& target, const Fact& fact) const;
  /// True when nothing better than what is known can still come: every target up to the first with an address
  /// has answered. Then waiting for the others is a courtesy.
  [[nodiscard]] bool best_is_known() const;
  /// The answer; facts still empty make it incomplete.
  [[nodiscard]] RouteAnswer compose(std::uint64_t random) const;

 private:
  void add_host(std::string_view name, std::uint16_t group, std::uint16_t preference, std::uint16_t port);
  void add_mx_hosts(const routing::StaticHost& element, const RrsetRef& set);
  [[nodiscard]] std::optional<routing::RouteOutcome> verdict_of_facts() const;
  [[nodiscard]] bool failed(std::string_view& name) const;
  void note_expiry(RouteAnswer& answer) const;

  std::span<const routing::StaticHost> elements_;
  bool is_domain_;
  const RouteOptions& options_;
  bool no_mx_ = false;
  bool null_mx_ = false;
  std::vector<Fact> mx_;
  std::vector<Target> targets_;
};

}  // namespace sluice::resolver
