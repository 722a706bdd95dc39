// What is missing, wrong or odd about proxies.
#include <algorithm>

#include "policy/config/loader.h"
#include "policy/config/proxies.h"

namespace sluice::config {

void Finisher::check_proxy_names(const std::vector<std::string>& names, Origin origin) {
  for (const std::string& name : names) {
    if (find_proxy(config_, name) != nullptr) continue;
    std::vector<std::string_view> known;
    for (const Proxy& proxy : config_.proxies) known.push_back(proxy.name);
    missing(origin, "proxy", name, std::move(known));
  }
}

void Finisher::check_proxied_sources(const std::vector<ProxySourceHost>& lines, bool has_proxies,
                                     bool has_sources, Origin origin) {
  for (const ProxySourceHost& line : lines) {
    if (const auto server = server_of(line); !server)
      error(origin, "smtp-proxy-source-host: " + line.proxy + ": " + server.error(), "PROXY:PORT");
    if (line.client.address.is_any()) {
      error(origin,
            "smtp-proxy-source-host: " + line.client.address.text() + " is not an address to connect from",
            "CLIENT-IP[:PORT]");
    }
  }
  if (!lines.empty() && has_proxies) {
    warn(origin, "use-proxy beside smtp-proxy-source-host is not used", "leave one of the two out");
  }
  if (!lines.empty() && has_sources) {
    warn(origin, "smtp-source-host beside smtp-proxy-source-host is not used",
         "leave one of the two out: the first argument of smtp-proxy-source-host is the local address");
  }
}

void Finisher::check_proxies() {
  for (const Proxy& proxy : config_.proxies) {
    const std::string tag = "<proxy " + proxy.name + ">: ";
    if (const auto server = parse_proxy_server(proxy.server); proxy.server.empty()) {
      error(proxy.origin, tag + "server is missing", "server HOST:PORT");
    } else if (!server) {
      error(proxy.origin, tag + "server " + proxy.server + ": " + server.error(), "server HOST:PORT");
    }
    if (proxy.client.empty()) error(proxy.origin, tag + "client is missing", "client IP[:PORT] HOST");
    for (const std::string& text : proxy.client) {
      if (const auto client = parse_proxy_client(text); !client)
        error(proxy.origin, tag + "client " + text + ": " + client.error(), "client IP[:PORT] HOST");
    }
  }
  const GlobalSettings& globals = config_.globals;
  check_proxy_names(globals.use_proxy, {});
  check_proxied_sources(globals.smtp_proxy_source_host, !globals.use_proxy.empty(),
                        !globals.smtp_source_host.empty(), {});
  for (const Vmta& vmta : config_.vmtas) {
    const IdentitySettings& own = vmta.settings;
    check_proxy_names(own.use_proxy, vmta.origin);
    check_proxied_sources(own.smtp_proxy_source_host, !own.use_proxy.empty(), !own.smtp_source_host.empty(),
                          vmta.origin);
  }
  for (std::size_t i = 0; i < config_.pools.size(); ++i) {
    const Pool& pool = config_.pools[i];
    check_proxy_names(pool.settings.use_proxy, pool.origin);
    if (pool.settings.use_proxy.empty()) continue;
    for (std::size_t before = 0; before < i; ++before) {
      const IdentitySettings& earlier = config_.pools[before].settings;
      if (earlier.use_proxy.empty() || earlier.use_proxy == pool.settings.use_proxy) continue;
      for (const PoolMember& member : pool.settings.members) {
        const auto same = [&member](const PoolMember& one) { return one.id == member.id; };
        if (std::none_of(earlier.members.begin(), earlier.members.end(), same)) continue;
        warn(pool.origin, "virtual MTA \"" + member.name + "\" is also in pool \"" +
                              config_.pools[before].name + "\" with another use-proxy, which counts");
      }
    }
  }
}

}  // namespace sluice::config
