// Where a connection goes, and what happens to the queue when there is no way.
#include "engine/delivery/connection.h"
#include "engine/delivery/static_route.h"

namespace sluice::delivery {

resolver::RouteOptions route_options(const queue::Snapshot& snapshot, const queue::Queue& queue,
                                     const config::DomainSettings& settings) {
  const queue::Identity& identity = snapshot.identity(queue.vmta);
  return {.families = {.v4 = identity.has_v4, .v6 = identity.has_v6}, .port = settings.default_smtp_port};
}

runtime::Task<resolver::RouteAnswer> Connection::find_route() {
  const resolver::RouteOptions options = route_options(*snapshot_, *queue_, *settings_);
  if (!settings_->smtp_hosts.empty()) {
    const routing::HostList hosts = to_routing(settings_->smtp_hosts);
    co_return co_await dispatcher_.resolver().resolve_static_hosts(hosts, options);
  }
  if (auto cached = dispatcher_.resolver().find_mail_hosts(queue_->domain(), options))
    co_return std::move(*cached);
  co_return co_await dispatcher_.resolver().resolve_mail_hosts(std::string(queue_->domain()), options);
}

runtime::Task<void> Connection::fail_route(const resolver::RouteAnswer& route) {
  Failure failure{route.status(), "smtp;" + route.error_text()};
  if (routing::is_permanent(route.outcome)) {
    co_await dispatcher_.bounce_ready(*queue_, std::move(failure), journal::Ending::Bounced);
    co_return;
  }
  failure.diag = route.error_text();
  dispatcher_.failed(*queue_, Dispatcher::Cause::Dns, nullptr, failure);
}

}  // namespace sluice::delivery
