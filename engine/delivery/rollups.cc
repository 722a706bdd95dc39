#include "engine/delivery/rollups.h"

#include <algorithm>

#include "policy/base/dns_name.h"

namespace sluice::delivery {

namespace {

queue::RollupAnchor& anchor_of(const queue::Snapshot& snapshot, const routing::RollupTable::Target& target) {
  const auto number = static_cast<std::size_t>(&target - snapshot.rollups.targets().data());
  return *snapshot.rollup_anchors[number];
}

}  // namespace

using resolver::Rrset;
using routing::RollupTable;
using runtime::Task;

void Rollups::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  active_ = !snapshot_->rollups.empty() || !snapshot_->rollup_providers.empty() ||
            snapshot_->config->globals.auto_mx_rollup;
}

Task<Rollups::Mx> Rollups::mx_of(std::string domain) {
  Mx out;
  out.set = co_await resolver_.lookup(std::move(domain), net::dns::Type::Mx, Duration::max(), &stop_);
  if (out.set->kind() != Rrset::Kind::Records) co_return out;
  std::size_t cursor = 0;
  Rrset::Mx one;
  while (out.names.size() < resolver::Resolver::kMailHostsMax && out.set->next_mx(cursor, one)) {
    if (is_host_name(one.host)) out.names.push_back({one.preference, one.host});
  }
  out.best = routing::best_names(out.names);
  co_return out;
}

Task<Rollups::Answer> Rollups::decide(std::string domain, Wishes wishes) {
  const std::shared_ptr<const queue::Snapshot> snapshot = snapshot_;  // a reload may come while DNS is asked
  const Mx mx = co_await mx_of(domain);
  Answer answer;
  if (mx.set->kind() == Rrset::Kind::Failure) co_return answer;
  answer.known = true;
  answer.valid_until = mx.set->expires();
  if (mx.best.empty()) co_return answer;
  if (const RollupTable::Target* target = snapshot->rollups.match(mx.best)) {
    if (!target->by_ip) {
      answer.joins = target->name;
      co_return answer;
    }
    answer = co_await join_by_ip(domain, snapshot, target, answer.valid_until);
    if (!answer.known || !answer.joins.empty()) co_return answer;
  }
  for (const std::string& provider : wishes.providers) {
    // The provider's own domain stays where it is, and no later one takes it in: so no two join each other.
    if (provider == domain) co_return answer;
    const Mx theirs = co_await mx_of(provider);
    if (theirs.set->kind() == Rrset::Kind::Failure) co_return Answer{};
    if (!routing::served_by(mx.best, theirs.best)) continue;
    answer.joins = provider;
    answer.valid_until = std::min(answer.valid_until, theirs.set->expires());
    co_return answer;
  }
  if (!wishes.automatic) co_return answer;
  if (auto site = routing::site_name(domain, mx.names)) {
    answer.joins = std::move(*site);
    answer.route = std::make_shared<const routing::HostList>(routing::hosts_of(mx.names));
  }
  co_return answer;
}

/// Addresses of the most preferred hosts; nullopt: DNS failed. Empty: the domain takes no mail.
Task<std::optional<std::vector<IpAddress>>> Rollups::best_addresses(std::string domain) {
  resolver::RouteOptions options;
  options.families = snapshot_->families;
  options.stop = &stop_;
  const resolver::RouteAnswer route = co_await resolver_.resolve_mail_hosts(std::move(domain), options);
  std::optional<std::vector<IpAddress>> out;
  if (route.outcome == routing::RouteOutcome::TempFail) co_return out;
  out.emplace();
  for (const resolver::RouteHop& hop : route.hops) {
    if (hop.preference == route.hops.front().preference) out->push_back(hop.endpoint.address);
  }
  co_return out;
}

Task<Rollups::Answer> Rollups::join_by_ip(std::string domain, std::shared_ptr<const queue::Snapshot> snapshot,
                                          const RollupTable::Target* target, MonoTime valid_until) {
  queue::RollupAnchor& anchor = anchor_of(*snapshot, *target);
  Answer answer;
  const auto own = co_await best_addresses(domain);
  if (!own) co_return answer;
  answer.known = true;
  answer.valid_until = valid_until;
  if (own->empty()) co_return answer;
  const std::string first(anchor.domain());
  if (first == domain) {
    answer.joins = target->name;
    co_return answer;
  }
  bool stands = !first.empty();
  if (stands) {
    const auto theirs = co_await best_addresses(first);
    if (!theirs) co_return Answer{};
    const Mx mx = co_await mx_of(first);
    const RollupTable::Target* still = mx.best.empty() ? nullptr : snapshot->rollups.match(mx.best);
    stands = still == target && !theirs->empty();
    const auto shared = [&theirs](const IpAddress& address) {
      return std::find(theirs->begin(), theirs->end(), address) != theirs->end();
    };
    // Hosts of other addresses may be another part of the provider, which does not know this domain.
    if (stands && std::any_of(own->begin(), own->end(), shared)) answer.joins = target->name;
  }
  if (!stands && anchor.replace(first, domain)) {
    answer.joins = target->name;
    answer.new_anchor = true;
  }
  co_return answer;
}

std::shared_ptr<const routing::HostList> Rollups::hosts_of(std::string_view rollup) const {
  const RollupTable::Target* target = snapshot_->rollups.find(rollup);
  if (target == nullptr) return nullptr;
  routing::HostList hosts = routing::hosts_of(*target);
  if (hosts.hosts.empty() && target->by_ip) {
    const std::string_view first = anchor_of(*snapshot_, *target).domain();
    if (first.empty()) return nullptr;
    routing::StaticHost one;
    one.kind = routing::StaticHost::Kind::LookupMx;
    one.name = first;
    hosts.hosts.push_back(std::move(one));
  }
  if (hosts.hosts.empty()) return nullptr;
  return std::make_shared<const routing::HostList>(std::move(hosts));
}

bool Rollups::drop_anchor(std::string_view rollup) {
  const RollupTable::Target* target = snapshot_->rollups.find(rollup);
  if (target == nullptr || !target->by_ip) return false;
  queue::RollupAnchor& anchor = anchor_of(*snapshot_, *target);
  return anchor.replace(std::string(anchor.domain()), "");
}

}  // namespace sluice::delivery
