#include "policy/config/proxies.h"

#include "policy/base/ascii.h"
#include "policy/config/host_names.h"
#include "policy/config/value.h"

namespace sluice::config {

std::expected<HostList, std::string> parse_proxy_server(std::string_view text) {
  auto hosts = routing::parse_host_list(trim(text));
  if (!hosts) return std::unexpected(hosts.error().message);
  const bool fits = hosts->hosts.size() == 1 && hosts->hosts[0].kind != routing::StaticHost::Kind::LookupMx &&
                    hosts->hosts[0].port.value_or(0) != 0;
  if (!fits) return std::unexpected("not a host with a port");
  return std::move(*hosts);
}

std::expected<HostList, std::string> server_of(const ProxySourceHost& line) {
  return parse_proxy_server(line.proxy + ':' + std::to_string(line.proxy_port));
}

std::expected<ProxyClient, std::string> parse_proxy_client(std::string_view text) {
  const std::vector<std::string_view> words = split_words(text);
  if (words.size() != 2) return std::unexpected("not an address with a host name");
  auto address = Endpoint::parse(words[0]);
  if (!address) {
    if (const auto ip = IpAddress::parse(words[0])) address = Endpoint{*ip, 0};
  }
  if (!address || address->address.is_any())
    return std::unexpected('"' + std::string(words[0]) + "\" is not an address to connect from");
  std::string ehlo = normalise_domain(words[1]);
  if (!is_ehlo_name(ehlo)) return std::unexpected('"' + std::string(words[1]) + "\" is not a host name");
  return ProxyClient{*address, std::move(ehlo)};
}

}  // namespace sluice::config
