#include "engine/queue/sources.h"

#include <algorithm>

#include "policy/config/proxies.h"

namespace sluice::queue {
namespace {

const std::string& ehlo_of(const config::SourceHost& host, const config::IdentitySettings& vmta,
                           const config::GlobalSettings& global, const std::string& fallback) {
  if (!host.ehlo.empty()) return host.ehlo;
  if (!vmta.ehlo_hostname.empty()) return vmta.ehlo_hostname;
  if (!vmta.host_name.empty()) return vmta.host_name;
  if (!global.ehlo_hostname.empty()) return global.ehlo_hostname;
  return global.host_name.empty() ? fallback : global.host_name.front();
}

void append_local(std::vector<IpAddress>& out, const Cidr& block,
                  const std::vector<IpAddress>& local_addresses) {
  if (block.prefix_bits() == block.address().bit_count()) {
    out.push_back(block.address());
    return;
  }
  for (const IpAddress& local : local_addresses) {
    if (block.contains(local) && !local.is_loopback()) out.push_back(local);
  }
}

void add_proxied(Identity& out, const std::vector<config::ProxySourceHost>& lines, std::uint32_t version,
                 const std::vector<IpAddress>& local_addresses) {
  for (const config::ProxySourceHost& line : lines) {
    auto server = config::server_of(line);
    if (!server) continue;  // no such configuration is loaded
    ProxyRoute route{.name = server->text(), .server = *server, .version = version, .local = {}};
    if (!line.source.address().is_any()) append_local(route.local, line.source, local_addresses);
    out.sources.push_back({.address = line.client.address,
                           .ehlo = line.ehlo,
                           .proxy = std::make_shared<const ProxyRoute>(std::move(route)),
                           .port = line.client.port});
  }
}

void add_proxies(Identity& out, const config::Config& config, const std::vector<std::string>& names,
                 const std::vector<config::SourceHost>& local_hosts,
                 const std::vector<IpAddress>& local_addresses) {
  std::vector<IpAddress> local;
  for (const config::SourceHost& host : local_hosts) append_local(local, host.source, local_addresses);
  std::uint32_t rank = 0;
  for (const std::string& name : names) {
    const config::Proxy* proxy = config.find_proxy(name);
    if (proxy == nullptr) continue;
    auto server = config::parse_proxy_server(proxy->server);
    if (!server) continue;  // no such configuration is loaded
    const auto route = std::make_shared<const ProxyRoute>(ProxyRoute{
        .name = proxy->name, .server = *server, .version = proxy->protocol_version, .local = local});
    for (const std::string& text : proxy->client) {
      const auto client = config::parse_proxy_client(text);
      if (!client) continue;
      out.sources.push_back({.address = client->address.address,
                             .ehlo = client->ehlo,
                             .proxy = route,
                             .port = client->address.port,
                             .rank = rank});
    }
    ++rank;
  }
}

/// `use-proxy` of a virtual MTA: its own, else that of the first pool it is a member of that has one, else
/// the global one. Empty: none.
const std::vector<std::string>& proxies_of(const config::Config& config, const config::Vmta& vmta) {
  if (!vmta.settings.use_proxy.empty()) return vmta.settings.use_proxy;
  for (const config::Pool& pool : config.pools) {
    if (pool.settings.use_proxy.empty()) continue;
    for (const config::PoolMember& member : pool.settings.members) {
      if (member.id == vmta.id) return pool.settings.use_proxy;
    }
  }
  return config.globals.use_proxy;
}

}  // namespace

void add_sources(Identity& out, const config::Config& config, const config::Vmta& vmta,
                 const std::vector<IpAddress>& local_addresses) {
  static const std::string kNoName = "localhost";
  const config::GlobalSettings& global = config.globals;
  const config::IdentitySettings& own = vmta.settings;
  const std::vector<std::string>& proxies = proxies_of(config, vmta);
  const auto& hosts = own.smtp_source_host.empty() ? global.smtp_source_host : own.smtp_source_host;
  if (!own.smtp_proxy_source_host.empty()) {
    add_proxied(out, own.smtp_proxy_source_host, own.proxy_protocol, local_addresses);
  } else if (!proxies.empty() && (&proxies != &global.use_proxy || global.smtp_proxy_source_host.empty())) {
    add_proxies(out, config, proxies, hosts, local_addresses);
  } else if (own.smtp_source_host.empty() && !global.smtp_proxy_source_host.empty()) {
    add_proxied(out, global.smtp_proxy_source_host, own.proxy_protocol, local_addresses);
  } else {
    for (const config::SourceHost& host : hosts) {
      std::vector<IpAddress> addresses;
      append_local(addresses, host.source, local_addresses);
      for (const IpAddress& address : addresses)
        out.sources.push_back({.address = address, .ehlo = ehlo_of(host, own, global, kNoName)});
    }
  }
  if (out.sources.empty()) {
    out.sources.push_back({.address = std::nullopt, .ehlo = ehlo_of({}, own, global, kNoName)});
    out.has_v4 = out.has_v6 = true;
    return;
  }
  const auto is_v4 = [](const SourceAddress& source) { return source.address->is_v4(); };
  out.has_v4 = std::any_of(out.sources.begin(), out.sources.end(), is_v4);
  out.has_v6 = !std::all_of(out.sources.begin(), out.sources.end(), is_v4);
}

std::unordered_map<IpAddress, config::VmtaId> owners_of(const config::Config& config,
                                                        const std::vector<Identity>& identities) {
  std::unordered_map<IpAddress, config::VmtaId> out;
  for (const bool named : {true, false}) {
    for (std::size_t i = 0; i < identities.size(); ++i) {
      const config::VmtaId id{static_cast<std::uint32_t>(i)};
      const config::IdentitySettings& own = config.vmta(id).settings;
      if ((own.smtp_source_host.empty() && own.smtp_proxy_source_host.empty()) == named) continue;
      for (const SourceAddress& source : identities[i].sources) {
        if (source.proxy) {
          for (const IpAddress& local : source.proxy->local) out.try_emplace(local, id);
        } else if (source.address) {
          out.try_emplace(*source.address, id);
        }
      }
    }
  }
  return out;
}

}  // namespace sluice::queue
