#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/config/value.h"

namespace sluice::config {

/// The name of a host as it stands in a configuration, normalised: labels of letters, digits, '-' and '_' (RFC 1123
/// 2.1; '_' is met in the field), IDNs as their A-labels. Fails the value on anything else: what we say in greetings,
/// EHLO and trace headers has to be one word without meaning of its own there.
[[nodiscard]] std::optional<std::string> parse_host_name(std::string_view token, Value& value);

/// The same for an EHLO name, which may be an address literal (RFC 5321 4.1.1.1): "[192.0.2.1]". `at`: the part of the
/// value's text to point at.
[[nodiscard]] std::optional<std::string> parse_ehlo_name(std::string_view token, Value& value,
                                                         std::string_view at);

/// Whether a text that is already normalised is an EHLO name.
[[nodiscard]] bool is_ehlo_name(std::string_view name);

}  // namespace sluice::config
