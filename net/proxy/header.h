#pragma once
// The PROXY protocol, sender's side (HAProxy, proxy-protocol.txt: 2.1 text, 2.2 binary).

#include <cstddef>
#include <cstdint>
#include <string>

#include "policy/base/ip_address.h"

namespace sluice::net {

/// `protocol-version`, `proxy-protocol`.
enum class ProxyVersion : std::uint8_t { Text = 1, Binary = 2 };

/// The longest header there is: version 1, two IPv6 addresses and ports of five digits.
inline constexpr std::size_t kProxyHeaderBytesMax = 107;

/// What goes first on a connection to a proxy, in one piece: "a stream from `client` to `destination`". Both
/// are of one address family (asserted): the header has one field for the family. Port 0 of the client leaves
/// the choice to the proxy. Thread: any. Limits: kProxyHeaderBytesMax; of version 2 28 bytes or 52.
[[nodiscard]] std::string proxy_header(ProxyVersion version, const Endpoint& client,
                                       const Endpoint& destination);

}  // namespace sluice::net
