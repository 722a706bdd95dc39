#pragma once
// Static routes: the values of PowerMTA's `smtp-hosts` (HOST-LIST) and its older `route`, and address
// literals of RFC 5321 4.1.3.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"

namespace sluice::routing {

/// One element of a host list.
struct StaticHost {
  enum class Kind : std::uint8_t {
    Host,      ///< `name`: its addresses are looked up
    Address,   ///< `address`
    LookupMx,  ///< `name`: where mail for that domain goes
  };
  Kind kind = Kind::Host;
  std::string name;  ///< lower case; "" for Address
  IpAddress address;
  std::optional<std::uint16_t> port;  ///< absent: default-smtp-port
  std::uint16_t group = 0;            ///< 0, 1, ...: semicolons separate groups, commas do not
  friend bool operator==(const StaticHost&, const StaticHost&) = default;
};

struct HostList {
  static constexpr std::size_t kHostsMax = 64;
  std::vector<StaticHost> hosts;  ///< in the operator's order; never empty after a successful parse
  [[nodiscard]] bool empty() const { return hosts.empty(); }
  [[nodiscard]] std::string text() const;  ///< canonical form, which parses to the same list
  friend bool operator==(const HostList&, const HostList&) = default;
};

struct HostListError {
  std::size_t column = 0;  ///< 0-based byte in the text
  std::string message;     ///< "port 70000 is not in 1..65535"
};

/// `h1, h2; [10.0.0.1]:2525; lookup-mx:dom; [IPv6:2001::1]`. Names and lookup-mx take a `:port` too; IPv4
/// addresses are accepted without brackets, IPv6 only with.
[[nodiscard]] std::expected<HostList, HostListError> parse_host_list(std::string_view text);

/// `route`: `host:port`, `[ip]`, `[ip]:port`, or a domain. A name without a port is a domain: its MX hosts
/// are used, and without MX its own addresses, so a plain host works as well.
[[nodiscard]] std::expected<HostList, HostListError> parse_route(std::string_view text);

/// The address of a domain literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]"; nullopt for everything else.
[[nodiscard]] std::optional<IpAddress> parse_address_literal(std::string_view domain);

/// A name that DNS may be asked for: letters, digits, '-', '_' in labels of 1 to 63 bytes, at most 253 in
/// all, not all digits in the last label (that would be a mistyped IP address).
[[nodiscard]] bool is_domain_name(std::string_view name);

}  // namespace sluice::routing
