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

runtime::Task<resolver::RouteAnswer> Connection::find_route() {
  resolver::RouteOptions options = route_options(*snapshot_, *queue_, *settings_);
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

/// `bounce-upon-no-mx`: true when nobody is left who may go to the domain's own addresses.
runtime::Task<bool> Connection::bounce_without_mx(const resolver::RouteAnswer& route) {
  if (!route.no_mx || !settings_->bounce_upon_no_mx.age) co_return false;
  const Duration age = *settings_->bounce_upon_no_mx.age;
  Failure failure{{5, 4, 4}, "smtp;unable to route: no MX record for domain"};
  co_await dispatcher_.bounce_ready(*queue_, std::move(failure), journal::Ending::Bounced, age);
  co_return age == Duration{0} || queue_->ready() == 0;
}

runtime::Task<void> Connection::fail_route(const resolver::RouteAnswer& route) {
  Failure failure{route.status(), "smtp;" + route.error_text()};
  if (routing::is_permanent(route.outcome)) {
    if (dispatcher_.route_lost(*queue_)) co_return;
    co_await dispatcher_.bounce_ready(*queue_, std::move(failure), journal::Ending::Bounced);
    co_return;
  }
  failure.diag = route.error_text();
  dispatcher_.failed(*queue_, QueueFailureKind::Dns, nullptr, failure);
}

}  // namespace sluice::delivery
