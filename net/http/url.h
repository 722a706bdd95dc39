#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace sluice::net::http {

/// An absolute http or https address (RFC 3986, RFC 9110 4.2) as a configuration names it.
struct Url {
  bool tls = false;
  std::string host;         ///< lower case, without brackets; a name, an IPv4 or IPv6 address
  std::uint16_t port = 80;  ///< 443 with https
  std::string target;       ///< path and query, never empty: "/hook?x=1"
  /// What the Host field says: brackets around an IPv6 address, the port only when it is not the scheme's.
  [[nodiscard]] std::string authority() const;
  friend bool operator==(const Url&, const Url&) = default;
};

/// Errors: what is wrong with it, for the operator. User names in addresses are refused (credentials belong
/// into the extra headers, where no log shows them); a fragment is dropped, as a client has to.
[[nodiscard]] std::expected<Url, std::string> parse_url(std::string_view text);

}  // namespace sluice::net::http
