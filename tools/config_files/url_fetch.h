#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "policy/base/units.h"

namespace sluice::tools {

/// Largest text a URL may answer with.
inline constexpr std::size_t kFetchedBytesMax = 16u << 20;

/// GET of an absolute http or https address (RFC 9110), for `include URL`. With https the server has to show
/// a certificate for its name that the authorities in /etc/ssl/certs/ca-certificates.crt, or in the file the
/// environment variable SSL_CERT_FILE names, stand for. Redirects are not followed. Thread: any one. Blocks
/// for at most `timeout`, names included. Limits: kFetchedBytesMax. Errors: in words for the operator,
/// anything but a complete answer 200 among them.
[[nodiscard]] std::expected<std::string, std::string> fetch_url(std::string_view url, Duration timeout);

}  // namespace sluice::tools
