#pragma once

#include "policy/retry/retry.h"
#include "policy/settings/domain_settings.h"

namespace sluice {

/// The retry rules of a queue in one mode: in backoff `backoff-retry-after` replaces `retry-after`, and nothing else.
/// Lifetime: points into the settings.
[[nodiscard]] RetryRules retry_rules_of(const config::DomainSettings& settings, config::QueueMode mode);

}  // namespace sluice
