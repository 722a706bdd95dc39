#pragma once
// Idle connections by the host they lead to, so that queues of different domains at one provider share them.

#include <cstddef>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/resolver/route_answer.h"
#include "policy/base/ip_address.h"
#include "policy/settings/domain_settings.h"

namespace sluice::delivery {

class Connection;

/// The established connections of one shard that have nothing to do, found by where they lead.
/// Thread:   one shard.
/// Lifetime: a connection is taken off before it ends.
/// Rule:     a connection serves another domain only under the very same settings object: the same blocks of
/// one
///           snapshot, so the same virtual MTA, time-outs, limits and (later) TLS rules. What the receiver
///           sees is one client that sends it several messages, as RFC 5321 4.1.4 allows it.
/// Cost:     O(1) for each address asked for.
class SpareConnections {
 public:
  void park(Connection& connection);
  void withdraw(Connection& connection);  ///< harmless for one that is not parked
  [[nodiscard]] bool empty() const { return by_host_.empty(); }

  struct Found {
    Connection* connection = nullptr;  ///< null: none
    std::string_view host;             ///< its name in `route`
  };
  /// A connection to one of the hosts `route` prefers most, the one that has rested least. It stays parked.
  [[nodiscard]] Found find(const config::DomainSettings& settings, const resolver::RouteAnswer& route) const;

 private:
  struct Host {
    const config::DomainSettings* settings;
    Endpoint to;
    friend bool operator==(const Host&, const Host&) = default;
  };
  struct HostHash {
    [[nodiscard]] std::size_t operator()(const Host& host) const noexcept {
      return std::hash<IpAddress>{}(host.to.address) * 31 + std::hash<const void*>{}(host.settings) +
             host.to.port;
    }
  };
  std::unordered_map<Host, std::vector<Connection*>, HostHash> by_host_;  // no empty lists
};

}  // namespace sluice::delivery
