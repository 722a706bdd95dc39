#include "policy/backoff/retry_rules.h"

namespace sluice {

RetryRules retry_rules_of(const config::DomainSettings& settings, config::QueueMode mode) {
  const bool backoff = mode == config::QueueMode::Backoff;
  return {.retry_after = backoff ? settings.backoff_retry_after : settings.retry_after,
          .retry_after_dns_error = settings.retry_after_dns_error,
          .retry_recipients_after = settings.retry_recipients_after,
          .bounce_after = settings.bounce_after,
          .retries_after_shutoff = settings.smtp_retries_after_shutoff};
}

}  // namespace sluice
