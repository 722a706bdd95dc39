#pragma once

#include <string_view>

#include "policy/config/facts.h"

namespace sluice::tools {

/// What kind of private key a PEM text holds: PKCS #1 (RFC 8017 A.1.2) and PKCS #8 (RFC 5958). Reads lengths
/// only; no number of the key is looked at or kept.
[[nodiscard]] config::KeyFact inspect_private_key(std::string_view pem);

}  // namespace sluice::tools
