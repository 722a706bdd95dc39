#pragma once
// Mail that asks for protection Sluice cannot give yet must not leave without it.

#include <string_view>

#include "policy/settings/domain_settings.h"

namespace sluice::config {

/// Why mail of a queue with these settings stays queued: it wants encryption (`require-starttls yes`) or a login
/// at the receiver (`auth-username`), and Sluice cannot do either yet. Empty: the mail may leave. Only SMTP goes
/// over a network that this protects. Lives for ever.
[[nodiscard]] std::string_view withheld_reason(const DomainSettings& settings);

}  // namespace sluice::config
