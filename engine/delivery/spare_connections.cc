#include "engine/delivery/spare_connections.h"

#include "engine/delivery/connection.h"

namespace sluice::delivery {

void SpareConnections::park(Connection& connection) {
  by_host_[{&connection.settings(), connection.endpoint()}].push_back(&connection);
}

void SpareConnections::withdraw(Connection& connection) {
  const auto found = by_host_.find({&connection.settings(), connection.endpoint()});
  if (found == by_host_.end()) return;
  std::erase(found->second, &connection);
  if (found->second.empty()) by_host_.erase(found);
}

SpareConnections::Found SpareConnections::find(const config::DomainSettings& settings,
                                               const resolver::RouteAnswer& route) const {
  for (const resolver::RouteHop& hop : route.hops) {
    const resolver::RouteHop& best = route.hops.front();
    if (hop.group != best.group || hop.preference != best.preference) break;
    const auto found = by_host_.find({&settings, hop.endpoint});
    if (found != by_host_.end()) return {found->second.back(), route.host_of(hop)};
  }
  return {};
}

}  // namespace sluice::delivery
