#pragma once
// Connections with room for more mail, by the host they lead to, so that queues of different domains at one
// provider share them.

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/resolver/route_answer.h"
#include "policy/base/ip_address.h"
#include "policy/settings/domain_settings.h"

namespace sluice::delivery {

class Connection;

/// The established connections of one shard that could take more than their own queue has, by where they
/// lead. Thread:   one shard. Lifetime: a connection leaves before it ends, and gives its Seat back. Rule: a
/// connection serves another domain only of its virtual MTA and under the very same settings object: the same
///           blocks of one snapshot, so the same time-outs, limits and (later) TLS rules. What the receiver
///           sees is one client that sends it several messages, as RFC 5321 4.1.4 allows it.
/// Cost:     park and withdraw a few instructions, find O(1) for each address asked for.
class SpareConnections {
  struct Host {
    const config::DomainSettings* settings;
    config::VmtaId vmta;  // two without blocks of their own have the same settings object
    Endpoint to;
    friend bool operator==(const Host&, const Host&) = default;
  };
  struct Place {
    Host host;
    std::size_t seats = 0;
    std::vector<Connection*> spare;
  };

 public:
  /// A connection's right to be parked at its host; made once a connection, so that parking costs no lookup.
  class Seat {
   public:
    Seat() = default;
    explicit operator bool() const { return place_ != nullptr; }

   private:
    friend class SpareConnections;
    Place* place_ = nullptr;
    bool parked_ = false;
  };
  [[nodiscard]] Seat enter(const config::DomainSettings& settings, config::VmtaId vmta, const Endpoint& to);
  void leave(Seat& seat);
  void park(Seat& seat, Connection& connection);
  void withdraw(Seat& seat, Connection& connection);  ///< harmless for one that is not parked
  [[nodiscard]] bool empty() const { return parked_ == 0; }

  struct Found {
    Connection* connection = nullptr;  ///< null: none
    std::string_view host;             ///< its name in `route`
  };
  /// A connection to one of the hosts `route` prefers most, the one parked last. It stays parked.
  [[nodiscard]] Found find(const config::DomainSettings& settings, config::VmtaId vmta,
                           const resolver::RouteAnswer& route) const;

 private:
  struct HostHash {
    [[nodiscard]] std::size_t operator()(const Host& host) const noexcept {
      return std::hash<IpAddress>{}(host.to.address) * 31 + std::hash<const void*>{}(host.settings) +
             host.to.port + host.vmta.raw() * 0x9e3779b9u;
    }
  };
  std::unordered_map<Host, std::unique_ptr<Place>, HostHash> places_;  // each with at least one seat
  std::size_t parked_ = 0;
};

}  // namespace sluice::delivery
