#include "policy/retry/retry.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice {
namespace {

// Ages come from WallTime, which counts milliseconds.
constexpr Duration kAgeStep = 1ms;

}  // namespace

Duration queue_wait(const RetryRules& rules, const QueueFailure& failure) {
  if (failure.asked_by_rule) return *failure.asked_by_rule;
  switch (failure.kind) {
    case QueueFailureKind::Dns: return rules.retry_after_dns_error;
    case QueueFailureKind::Delivery: break;
  }
  SLUICE_ASSERT(!rules.retry_after.empty());
  return rules.retry_after[std::min<std::size_t>(failure.failures_before, rules.retry_after.size() - 1)];
}

RetryDecision decide_recipient_retry(const RetryRules& rules, const WaitingRecipient& recipient) {
  using Kind = RetryDecision::Kind;
  if (is_expired(rules, recipient.age)) return {Kind::Expire};
  if (rules.retries_after_shutoff && recipient.attempts_since_shutoff &&
      *recipient.attempts_since_shutoff >= *rules.retries_after_shutoff) {
    return {Kind::Expire};
  }
  const Duration asked = recipient.asked_by_rule.value_or(rules.retry_recipients_after);
  // A wait that ends beyond the age limit would only delay the report to the sender.
  return {Kind::Wait, std::min(asked, time_to_expiry(rules, recipient.age))};
}

bool is_expired(const RetryRules& rules, Duration age) { return age > rules.bounce_after; }

Duration time_to_expiry(const RetryRules& rules, Duration age) {
  if (is_expired(rules, age)) return Duration{0};
  return rules.bounce_after - age + kAgeStep;
}

bool bounces_without_mx(std::optional<Duration> limit, Duration age) {
  return limit && (*limit == Duration{0} || age > *limit);
}

}  // namespace sluice
