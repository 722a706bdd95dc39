#include "engine/resolver/gathering.h"

#include <algorithm>

#include "policy/base/assert.h"
#include "policy/base/dns_name.h"

namespace sluice::resolver {

using net::dns::Type;
using routing::RouteOutcome;
using routing::StaticHost;

namespace {

constexpr std::uint16_t kPreferenceOfHost = 0;
constexpr std::size_t kAddressesPerHostMax = 64;

/// Only these are asked for; a static list may hold anything the configuration took for a name.
bool has_usable_name(const StaticHost& element) { return routing::is_domain_name(element.name); }
bool has_records(const RrsetRef& set) { return set && set->kind() == Rrset::Kind::Records; }
bool is_failure(const RrsetRef& set) { return set && set->kind() == Rrset::Kind::Failure; }
/// Some host of an MX set can be a host. A set of nonsense alone says as little as none.
bool has_mail_host(const Rrset& set) {
  std::size_t cursor = 0;
  for (Rrset::Mx mx; set.next_mx(cursor, mx);) {
    if (mx.host.empty() || is_host_name(mx.host)) return true;
  }
  return false;
}
bool is_nxdomain(const RrsetRef& set) { return set && set->kind() == Rrset::Kind::NxDomain; }

}  // namespace

Gathering::Gathering(std::span<const StaticHost> elements, bool is_domain, const RouteOptions& options)
    : elements_(elements), is_domain_(is_domain), options_(options) {
  for (const StaticHost& element : elements_) {
    if (element.kind == StaticHost::Kind::LookupMx && has_usable_name(element))
      mx_.push_back({element.name, Type::Mx, {}});
  }
}

void Gathering::add_host(std::string_view name, std::uint16_t group, std::uint16_t preference,
                         std::uint16_t port) {
  Target target{group, preference, port, name, std::nullopt, {name, Type::A, {}}, {name, Type::Aaaa, {}}};
  targets_.push_back(std::move(target));
}

void Gathering::add_mx_hosts(const StaticHost& element, const RrsetRef& set) {
  const std::uint16_t port = element.port.value_or(options_.port);
  if (set->kind() == Rrset::Kind::NoData || (has_records(set) && !has_mail_host(*set))) {
    // RFC 5321 5.1: without MX the domain itself is its mail host.
    if (is_domain_) no_mx_ = true;
    add_host(element.name, element.group, kPreferenceOfHost, port);
    return;
  }
  if (set->kind() != Rrset::Kind::Records) return;
  std::size_t cursor = 0;
  std::size_t hosts = 0;
  Rrset::Mx mx;
  while (hosts < Resolver::kMailHostsMax && set->next_mx(cursor, mx)) {
    if (mx.host.empty()) {
      // RFC 7505 3: a null MX stands alone; among others "." is only a host that cannot exist.
      if (is_domain_ && set->count() == 1) null_mx_ = true;
      continue;
    }
    if (!routing::is_domain_name(mx.host)) continue;  // an IP address where a name belongs (RFC 5321 5.1)
    add_host(mx.host, element.group, mx.preference, port);
    ++hosts;
  }
}

const Fact* Gathering::unknown_mx() const {
  const auto found = std::find_if(mx_.begin(), mx_.end(), [](const Fact& fact) { return !fact.set; });
  return found == mx_.end() ? nullptr : &*found;
}

void Gathering::plan_targets() {
  std::size_t next_mx = 0;
  for (const StaticHost& element : elements_) {
    if (element.kind != StaticHost::Kind::Address && !has_usable_name(element)) continue;
    switch (element.kind) {
      case StaticHost::Kind::LookupMx: {
        const RrsetRef& set = mx_[next_mx++].set;
        SLUICE_ASSERT(set);
        add_mx_hosts(element, set);
        break;
      }
      case StaticHost::Kind::Host:
        add_host(element.name, element.group, kPreferenceOfHost, element.port.value_or(options_.port));
        break;
      case StaticHost::Kind::Address: {
        Target target;
        target.group = element.group;
        target.port = element.port.value_or(options_.port);
        target.address = element.address;
        targets_.push_back(std::move(target));
        break;
      }
    }
  }
  std::sort(targets_.begin(), targets_.end(), [](const Target& a, const Target& b) {
    if (a.group != b.group) return a.group < b.group;
    return a.preference != b.preference ? a.preference < b.preference : a.name < b.name;
  });
}

bool Gathering::is_needed(const Target& target, const Fact& fact) const {
  if (target.address) return false;
  return fact.type == Type::A ? options_.families.v4 : options_.families.v6;
}

bool Gathering::best_is_known() const {
  for (std::size_t begin = 0; begin < targets_.size();) {
    std::size_t end = begin;
    bool found = false;
    for (; end < targets_.size(); ++end) {
      const Target& target = targets_[end];
      if (target.group != targets_[begin].group || target.preference != targets_[begin].preference) break;
      if ((is_needed(target, target.v4) && !target.v4.set) ||
          (is_needed(target, target.v6) && !target.v6.set))
        return false;
      found |= target.address.has_value() || has_records(target.v4.set) || has_records(target.v6.set);
    }
    if (found) return true;
    begin = end;
  }
  return true;
}

bool Gathering::failed(std::string_view& name) const {
  for (const Fact& fact : mx_) {
    if (is_failure(fact.set)) {
      name = fact.name;
      return true;
    }
  }
  for (const Target& target : targets_) {
    for (const Fact* fact : {&target.v4, &target.v6}) {
      if (is_needed(target, *fact) && (!fact->set || is_failure(fact->set))) {
        name = fact->name;
        return true;
      }
    }
  }
  return false;
}

std::optional<RouteOutcome> Gathering::verdict_of_facts() const {
  if (null_mx_) return RouteOutcome::NullMx;
  if (!is_domain_) return std::nullopt;
  if (is_nxdomain(mx_[0].set)) return RouteOutcome::NoSuchDomain;
  if (no_mx_ && !targets_.empty()) {
    const Target& self = targets_[0];
    const bool gone4 = is_nxdomain(self.v4.set) || !is_needed(self, self.v4);
    const bool gone6 = is_nxdomain(self.v6.set) || !is_needed(self, self.v6);
    if (gone4 && gone6 && (self.v4.set || self.v6.set)) return RouteOutcome::NoSuchDomain;
  }
  return std::nullopt;
}

void Gathering::note_expiry(RouteAnswer& answer) const {
  answer.valid_until = MonoTime::max();
  const auto note = [&](const Fact& fact) {
    if (fact.set) answer.valid_until = std::min(answer.valid_until, fact.set->expires());
  };
  for (const Fact& fact : mx_) note(fact);
  for (const Target& target : targets_) {
    note(target.v4);
    note(target.v6);
  }
}

RouteAnswer Gathering::compose(std::uint64_t random) const {
  RouteAnswer answer;
  answer.no_mx = no_mx_;
  note_expiry(answer);
  if (const auto verdict = verdict_of_facts()) {
    answer.outcome = *verdict;
    return answer;
  }

  // All addresses in one array, so that the hosts can be spans of it.
  std::vector<IpAddress> addresses;
  std::size_t total = 0;
  const auto count_of = [](const Fact& fact) {
    return has_records(fact.set) ? std::min(fact.set->count(), kAddressesPerHostMax) : 0;
  };
  for (const Target& target : targets_)
    total += target.address ? 1 : count_of(target.v4) + count_of(target.v6);
  addresses.reserve(total);
  std::vector<routing::MailHost> hosts;
  hosts.reserve(targets_.size());
  for (const Target& target : targets_) {
    const std::size_t begin = addresses.size();
    if (target.address) {
      addresses.push_back(*target.address);
    } else {
      for (const Fact* fact : {&target.v4, &target.v6}) {
        for (std::size_t i = 0; i < count_of(*fact); ++i) addresses.push_back(fact->set->address(i));
      }
    }
    hosts.push_back(
        {target.group, target.preference, target.name, target.port, std::span(addresses).subspan(begin)});
  }

  routing::MxRules rules;
  rules.families = options_.families;
  rules.guard = options_.guard;
  if (is_domain_) {
    rules.own_addresses = options_.own_addresses;
    rules.own_names = options_.own_names;
  }
  routing::MxDecision decision = routing::order_mail_hosts(hosts, rules, random);
  std::string_view failed_name;
  const bool failure = failed(failed_name);
  answer.incomplete = failure;
  answer.outcome = decision.outcome;
  if (decision.outcome != RouteOutcome::Ok) {
    // What could not be looked up may be the host that takes the mail: nothing is known for sure.
    if (failure) {
      answer.outcome = RouteOutcome::TempFail;
      answer.failed_name = failed_name;
    }
    return answer;
  }
  std::vector<std::uint32_t> name_at(hosts.size());
  std::vector<std::uint8_t> name_bytes(hosts.size());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::size_t begin = answer.names.size();
    if (targets_[i].address) {
      const bool v4 = targets_[i].address->is_v4();
      answer.names += (v4 ? "[" : "[IPv6:") + targets_[i].address->text() + ']';
    } else {
      answer.names += targets_[i].name;
    }
    name_at[i] = static_cast<std::uint32_t>(begin);
    name_bytes[i] = static_cast<std::uint8_t>(answer.names.size() - begin);
  }
  answer.hops.reserve(decision.hops.size());
  for (const routing::HopChoice& hop : decision.hops) {
    const routing::MailHost& host = hosts[hop.host];
    answer.hops.push_back({{host.addresses[hop.address], host.port},
                           host.group,
                           host.preference,
                           hop.host,
                           name_at[hop.host],
                           name_bytes[hop.host]});
  }
  return answer;
}

}  // namespace sluice::resolver
