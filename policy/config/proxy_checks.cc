// What is missing, wrong or odd about proxies.
#include <unordered_map>

#include "policy/config/loader.h"
#include "policy/config/proxies.h"

namespace sluice::config {

void Finisher::check_proxy_names(const std::vector<std::string>& names, Origin origin) {
  for (const std::string& name : names) {
    if (config_.find_proxy(name) != nullptr) continue;
    missing(origin, "proxy", name, [this] {
      std::vector<std::string_view> known;
      for (const Proxy& proxy : config_.proxies) known.push_back(proxy.name);
      return known;
    });
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
  std::unordered_map<std::uint32_t, const Pool*> first_pool;  // with proxies, by member
  for (const Pool& pool : config_.pools) {
    check_proxy_names(pool.settings.use_proxy, pool.origin);
    if (pool.settings.use_proxy.empty()) continue;
    for (const PoolMember& member : pool.settings.members) {
      const Pool* const earlier = first_pool.try_emplace(member.id.raw(), &pool).first->second;
      if (earlier->settings.use_proxy == pool.settings.use_proxy) continue;
      warn(pool.origin, "virtual MTA \"" + member.name + "\" is also in pool \"" + earlier->name +
                            "\" with another use-proxy, which counts");
    }
  }
}

}  // namespace sluice::config
