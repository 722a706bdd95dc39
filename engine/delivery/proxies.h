#pragma once
// The way out of this host: straight to the target, or through a proxy that is told where to go.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/identity.h"
#include "engine/resolver/resolver.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"
#include "engine/wire/wire.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::delivery {

class Dispatcher;

/// Which proxies could not be reached of late. Strict order (`use-proxy`) would otherwise have every
/// connection wait for a dead one first. Thread: one shard; each finds out for itself. Limits: one entry for
/// each proxy of the configurations of the last kLostFor.
class Proxies {
 public:
  /// So long others come first; then one connection tries again.
  static constexpr Duration kLostFor = 30s;
  [[nodiscard]] bool is_lost(const queue::ProxyRoute& proxy, MonoTime now) const;
  /// True: it was not known to be lost.
  bool lost(const queue::ProxyRoute& proxy, MonoTime now);
  /// True: it was known to be lost.
  bool reached(const queue::ProxyRoute& proxy);

 private:
  struct Lost {
    routing::HostList server;
    MonoTime until;
  };
  std::vector<Lost> lost_;
};

/// What one run of a connection has found out about proxies.
class ProxyTries {
 public:
  /// Could not be reached: left out for the rest of the run.
  void lost(std::shared_ptr<const queue::ProxyRoute> proxy) { lost_.push_back(std::move(proxy)); }
  /// The connection through it ended before the host said anything: left out for this host.
  void silent(std::shared_ptr<const queue::ProxyRoute> proxy) { silent_.push_back(std::move(proxy)); }
  void next_host() { silent_.clear(); }
  [[nodiscard]] bool host_was_tried() const { return !silent_.empty(); }
  [[nodiscard]] bool lost_some() const { return !lost_.empty(); }
  [[nodiscard]] bool excludes(const std::shared_ptr<const queue::ProxyRoute>& proxy) const;

 private:
  std::vector<std::shared_ptr<const queue::ProxyRoute>> lost_;
  std::vector<std::shared_ptr<const queue::ProxyRoute>> silent_;
};

/// A connection, or why there is none.
struct WayOut {
  wire::Wire wire;
  std::string trouble;          ///< for the queue's last error; empty with a wire
  bool source_is_gone = false;  ///< the source is not an address of this host
  /// There was no descriptor, or no local port for these two addresses: that says nothing about the host.
  bool no_room = false;
};

/// Ends what a connection waits for before it speaks to anybody: DNS, the connect, a proxy. Thread: one shard.
/// Lifetime: outlives the tasks it is given to, one at a time.
class WayStop {
 public:
  /// What is under way ends soon, whatever comes later at once.
  void stop() {
    lookup.stop();
    connect.stop();
    if (sending != nullptr) sending->abort();
  }
  [[nodiscard]] bool stopped() const { return lookup.stopped(); }
  resolver::LookupStop lookup;
  runtime::ConnectStop connect;
  wire::Wire* sending = nullptr;  ///< the header for a proxy is being sent on it
};

/// Connects to `to`, which messages call `host`, from `source`. Through a proxy: connects to that and sends
/// it the header of the PROXY protocol, which is none of the conversation's bytes; whether it gets any further shows in
/// what comes back. Failures of a proxy are remembered in Dispatcher::proxies() and told to the log. `source` and
/// `dispatcher` outlive the task. Limits: `timeout` for each address of a proxy, of which kProxyAddressesMax are tried.
inline constexpr std::size_t kProxyAddressesMax = 4;
[[nodiscard]] runtime::Task<WayOut> open_way_out(Dispatcher& dispatcher, const queue::SourceAddress& source,
                                                 Endpoint to, std::string host, Duration timeout,
                                                 WayStop& stop);

}  // namespace sluice::delivery
