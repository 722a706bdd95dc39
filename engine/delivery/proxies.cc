#include "engine/delivery/proxies.h"

#include <algorithm>
#include <cerrno>

#include "engine/delivery/dispatcher.h"
#include "engine/delivery/failure_text.h"
#include "net/proxy/header.h"

namespace sluice::delivery {
namespace {

/// The next of a proxy's local addresses of that family; null: the system chooses.
const IpAddress* next_local(const queue::ProxyRoute& proxy, bool is_v4, std::uint64_t turn) {
  for (std::size_t i = 0; i < proxy.local.size(); ++i) {
    const IpAddress& one = proxy.local[(turn + i) % proxy.local.size()];
    if (one.is_v4() == is_v4) return &one;
  }
  return nullptr;
}

bool has_no_room(Dispatcher& dispatcher, const Error& error, bool has_source) {
  if (error.sys_errno == EMFILE || error.sys_errno == ENFILE) {
    dispatcher.note_no_descriptor();
    return true;
  }
  // Of bind() it says that the address is not this host's, without a source that there is none of the family.
  return has_source && error.sys_errno == EADDRNOTAVAIL && std::string_view(error.where) == "connect";
}

runtime::Task<WayOut> connect_to_proxy(Dispatcher& dispatcher, std::shared_ptr<const queue::ProxyRoute> proxy,
                                       Duration timeout, WayStop& stop) {
  const std::string name = "proxy " + proxy->name;
  resolver::RouteOptions options;
  const auto has = [&proxy](bool is_v4) {
    return proxy->local.empty() || next_local(*proxy, is_v4, 0) != nullptr;
  };
  options.families = {.v4 = has(true), .v6 = has(false)};
  options.stop = &stop.lookup;
  const resolver::RouteAnswer where =
      co_await dispatcher.resolver().resolve_static_hosts(proxy->server, options);
  WayOut out;
  if (!where.ok()) {
    out.trouble = where.error_text() + ", " + name;
    co_return out;
  }
  const std::size_t most = std::min(where.hops.size(), kProxyAddressesMax);
  for (std::size_t i = 0; i < most && !dispatcher.stopping() && !stop.stopped(); ++i) {
    const Endpoint& at = where.hops[i].endpoint;
    const IpAddress* local = next_local(*proxy, at.address.is_v4(), dispatcher.next_connection_number());
    Result<runtime::Stream> connected =
        co_await runtime::Stream::connect(dispatcher.reactor(), at, local, timeout, &stop.connect);
    if (connected) {
      out.wire = wire::Wire(dispatcher.reactor(), std::move(*connected));
      out.trouble.clear();
      co_return out;
    }
    out.trouble = connect_failure_text(connected.error(), name, at);
    out.no_room = has_no_room(dispatcher, connected.error(), local != nullptr);
    if (out.no_room) co_return out;
  }
  if (out.trouble.empty()) out.trouble = "server shutdown";
  co_return out;
}

}  // namespace

bool Proxies::is_lost(const queue::ProxyRoute& proxy, MonoTime now) const {
  return std::any_of(lost_.begin(), lost_.end(),
                     [&](const Lost& one) { return one.until > now && one.server == proxy.server; });
}

bool Proxies::lost(const queue::ProxyRoute& proxy, MonoTime now) {
  std::erase_if(lost_, [now](const Lost& one) { return one.until + kLostFor < now; });
  for (Lost& one : lost_) {
    if (one.server != proxy.server) continue;
    one.until = now + kLostFor;
    return false;
  }
  lost_.push_back({proxy.server, now + kLostFor});
  return true;
}

bool Proxies::reached(const queue::ProxyRoute& proxy) {
  return std::erase_if(lost_, [&proxy](const Lost& one) { return one.server == proxy.server; }) > 0;
}

bool ProxyTries::excludes(const std::shared_ptr<const queue::ProxyRoute>& proxy) const {
  const auto is_this = [&proxy](const auto& one) { return one == proxy; };
  return proxy && (std::any_of(lost_.begin(), lost_.end(), is_this) ||
                   std::any_of(silent_.begin(), silent_.end(), is_this));
}

runtime::Task<WayOut> open_way_out(Dispatcher& dispatcher, const queue::SourceAddress& source, Endpoint to,
                                   std::string host, Duration timeout, WayStop& stop) {
  WayOut out;
  if (!source.proxy) {
    const IpAddress* from = source.address ? &*source.address : nullptr;
    Result<runtime::Stream> connected =
        co_await runtime::Stream::connect(dispatcher.reactor(), to, from, timeout, &stop.connect);
    if (connected) {
      out.wire = wire::Wire(dispatcher.reactor(), std::move(*connected));
    } else {
      out.trouble = connect_failure_text(connected.error(), host, to);
      out.no_room = has_no_room(dispatcher, connected.error(), from != nullptr);
      // From connect() it means that no port is left.
      const Error& error = connected.error();
      out.source_is_gone = error.sys_errno == EADDRNOTAVAIL && std::string_view(error.where) != "connect";
    }
    co_return out;
  }
  const std::shared_ptr<const queue::ProxyRoute> proxy = source.proxy;
  const std::string header =
      net::proxy_header(static_cast<net::ProxyVersion>(proxy->version), {*source.address, source.port}, to);
  out = co_await connect_to_proxy(dispatcher, proxy, timeout, stop);
  if (out.wire) {
    out.wire.set_deadline(dispatcher.reactor().now() + timeout);
    stop.sending = &out.wire;
    const Status sent = co_await out.wire.send(header);
    stop.sending = nullptr;
    if (sent) {
      out.wire.begin_here();
      if (dispatcher.proxies().reached(*proxy))
        dispatcher.modes().log("proxy " + proxy->name + " answers again");
      co_return out;
    }
    out.wire.close();
    out.trouble = sent.error().text() + " sending to proxy " + proxy->name;
  }
  if (out.no_room) co_return out;
  if (!dispatcher.stopping() && !stop.stopped() &&
      dispatcher.proxies().lost(*proxy, dispatcher.reactor().now()))
    dispatcher.modes().log("proxy " + proxy->name + " cannot be used, others come first: " + out.trouble);
  out.trouble += ", on the way to " + host + " (" + to.address.text() + ')';
  co_return out;
}

}  // namespace sluice::delivery
