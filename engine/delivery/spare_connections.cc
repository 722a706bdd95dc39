#include "engine/delivery/spare_connections.h"

#include <algorithm>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::delivery {

SpareConnections::Seat SpareConnections::enter(const config::DomainSettings& settings, config::VmtaId vmta,
                                               const Endpoint& to) {
  std::unique_ptr<Place>& place = places_[{&settings, vmta, to}];
  if (!place) place = std::make_unique<Place>(Place{.host = {&settings, vmta, to}, .seats = 0, .spare = {}});
  ++place->seats;
  Seat seat;
  seat.place_ = place.get();
  return seat;
}

void SpareConnections::leave(Seat& seat) {
  SLUICE_ASSERT(!seat.parked_);
  if (seat.place_ != nullptr && --seat.place_->seats == 0) places_.erase(Host(seat.place_->host));
  seat.place_ = nullptr;
}

void SpareConnections::park(Seat& seat, Connection& connection) {
  if (seat.parked_) return;
  seat.parked_ = true;
  seat.place_->spare.push_back(&connection);
  ++parked_;
}

void SpareConnections::withdraw(Seat& seat, Connection& connection) {
  if (!std::exchange(seat.parked_, false)) return;
  std::vector<Connection*>& spare = seat.place_->spare;
  // The one parked last is taken first, so the search is short.
  const auto found = std::find(spare.rbegin(), spare.rend(), &connection);
  SLUICE_ASSERT(found != spare.rend());
  spare.erase(std::next(found).base());
  --parked_;
}

SpareConnections::Found SpareConnections::find(const config::DomainSettings& settings, config::VmtaId vmta,
                                               const resolver::RouteAnswer& route) const {
  for (const resolver::RouteHop& hop : route.hops) {
    const resolver::RouteHop& best = route.hops.front();
    if (hop.group != best.group || hop.preference != best.preference) break;
    const auto found = places_.find({&settings, vmta, hop.endpoint});
    if (found != places_.end() && !found->second->spare.empty()) {
      return {found->second->spare.back(), route.host_of(hop)};
    }
  }
  return {};
}

}  // namespace sluice::delivery
