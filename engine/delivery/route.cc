// Where a connection goes, and what happens to the queue when there is no way.
#include "engine/delivery/connection.h"

namespace sluice::delivery {

resolver::RouteOptions route_options(const queue::Snapshot& snapshot, const queue::Queue& queue,
                                     const config::DomainSettings& settings) {
  const queue::Identity& identity = snapshot.identity(queue.vmta);
  resolver::RouteOptions options;
  options.families = {.v4 = identity.has_v4, .v6 = identity.has_v6};
  options.port = settings.default_smtp_port;
  switch (snapshot.config->globals.refuse_mx_addresses) {
    case config::MxAddressGuard::None: options.guard = routing::TargetGuard::Off; break;
    case config::MxAddressGuard::Special: options.guard = routing::TargetGuard::Special; break;
    case config::MxAddressGuard::Private: options.guard = routing::TargetGuard::Private; break;
  }
  // Mail that leaves for a port nobody listens at here cannot come back.
  options.own_addresses = snapshot.own_addresses(settings.default_smtp_port);
  if (!options.own_addresses.empty()) options.own_names = snapshot.config->globals.host_name;
  return options;
}

runtime::Task<resolver::RouteAnswer> Connection::find_route(std::optional<routing::Families> families) {
  resolver::RouteOptions options = route_options(*snapshot_, *queue_, *settings_);
  if (families) options.families = *families;
  options.stop = &way_.lookup;
  if (!settings_->smtp_hosts.empty()) {
    // A copy: a reload may take the settings away while the look-up is under way.
    const routing::HostList hosts = settings_->smtp_hosts;
    co_return co_await dispatcher_.resolver().resolve_static_hosts(hosts, options);
  }
  if (const std::shared_ptr<const routing::HostList> route = queue_->route)
    co_return co_await dispatcher_.resolver().resolve_static_hosts(*route, options);
  if (auto cached = dispatcher_.resolver().find_mail_hosts(queue_->domain(), options))
    co_return std::move(*cached);
  co_return co_await dispatcher_.resolver().resolve_mail_hosts(std::string(queue_->domain()), options);
}

/// Where a queue's mail would have left from, for an attempt that found no host.
HopFacts Connection::way_not_taken() const {
  HopFacts out{.mta = {}, .source_ip = "0.0.0.0", .destination_ip = {}, .esmtp = {}};
  for (const queue::SourceAddress& source : snapshot_->identity(queue_->vmta).sources) {
    if (!source.address) continue;
    out.source_ip = source.address->text();
    break;
  }
  return out;
}

/// `bounce-upon-no-mx`: true when nobody is left who may go to the domain's own addresses.
runtime::Task<bool> Connection::bounce_without_mx(const resolver::RouteAnswer& route) {
  static constexpr std::string_view kWhy = "unable to route: no MX record for domain";
  if (!route.no_mx || !settings_->bounce_upon_no_mx.age) co_return false;
  const Duration age = *settings_->bounce_upon_no_mx.age;
  Failure failure{{5, 4, 4}, "smtp;" + std::string(kWhy)};
  failure.words = kWhy;
  const HopFacts from = way_not_taken();
  co_await dispatcher_.bounce_ready(*queue_, std::move(failure), journal::Ending::Bounced, &from, age);
  co_return age == Duration{0} || queue_->ready() == 0;
}

/// The hosts of `route` were looked for in the families there are source addresses for. That of the other family, when
/// there are hosts in it; else empty.
runtime::Task<std::string> Connection::family_without_source(const resolver::RouteAnswer& route) {
  const queue::Identity& identity = snapshot_->identity(queue_->vmta);
  const bool wants_v6 = !identity.has_v6;
  if (identity.has_v4 && identity.has_v6) co_return std::string();
  if (route.outcome == routing::RouteOutcome::NoAddress) {
    const resolver::RouteAnswer there = co_await find_route(routing::Families{.v4 = true, .v6 = true});
    if (!there.ok()) co_return std::string();
  } else if (route.outcome != routing::RouteOutcome::NoUsableAddress) {
    co_return std::string();
  }
  co_return wants_v6 ? "IPv6" : "IPv4";
}

runtime::Task<void> Connection::fail_route(const resolver::RouteAnswer& route) {
  Failure failure{route.status(), "smtp;" + route.error_text()};
  const HopFacts from = way_not_taken();
  if (!routing::is_permanent(route.outcome)) {
    failure.diag = route.error_text();
    dispatcher_.failed(*queue_, QueueFailureKind::Dns, &from, failure);
    co_return;
  }
  if (const std::string family = co_await family_without_source(route); !family.empty()) {
    failure.words = "unable to route: mail hosts have " + family + " addresses only, virtual MTA " +
                    std::string(queue_->vmta_name()) + " has no " + family + " source";
    failure.diag = "smtp;" + failure.words;
  } else if (route.outcome == routing::RouteOutcome::NoSuchDomain ||
             route.outcome == routing::RouteOutcome::NoAddress) {
    failure.words = route.error_text();
  }
  if (finishing_ || dispatcher_.route_lost(*queue_)) co_return;
  co_await dispatcher_.bounce_ready(*queue_, std::move(failure), journal::Ending::Bounced, &from);
}

}  // namespace sluice::delivery
