#pragma once
// What a configuration says about proxies: `<proxy>`, `use-proxy`, `smtp-proxy-source-host`.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"

namespace sluice::config {

/// `client IP[:PORT] HOST`: what a proxy connects from, and who we say we are there.
struct ProxyClient {
  Endpoint address;  ///< port 0: the proxy's choice
  std::string ehlo;
};

/// One name or address with its port. Errors: in words for the operator, as of the others here.
[[nodiscard]] std::expected<HostList, std::string> parse_proxy_server(std::string_view text);
[[nodiscard]] std::expected<HostList, std::string> server_of(const ProxySourceHost& line);
[[nodiscard]] std::expected<ProxyClient, std::string> parse_proxy_client(std::string_view text);

}  // namespace sluice::config
