#pragma once
// Retry and expiry. PowerMTA's two waits are kept apart: a failure of the queue (no connection, DNS, greeting or EHLO
// refused, every MX tried) stops the whole queue for an interval of `retry-after`; a 4xx to one recipient stops that
// recipient alone for `retry-recipients-after` while the connection goes on.

#include <cstdint>
#include <optional>
#include <span>

#include "policy/base/units.h"

namespace sluice {

/// The settings of one queue that matter here, in the mode it is in: the caller passes the `backoff-` list in backoff.
/// Lifetime: `retry_after` points into the snapshot the caller holds.
struct RetryRules {
  std::span<const Duration>
      retry_after;  ///< `retry-after` / `backoff-retry-after`; at least one entry, each > 0
  Duration retry_after_dns_error = 1min;
  Duration retry_recipients_after = 10min;
  Duration bounce_after = 108h;
  /// Extension `smtp-retries-after-shutoff`: attempts a recipient still gets once the queue's sources are shut off.
  std::optional<std::uint32_t> retries_after_shutoff;
};

enum class QueueFailureKind : std::uint8_t {
  Delivery,  ///< connect, greeting, EHLO, MAIL refused for the connection, all MX tried, `defer-queue`
  Dns,       ///< the destination's name could not be resolved for now
};

struct QueueFailure {
  QueueFailureKind kind = QueueFailureKind::Delivery;
  /// Queue failures in a row before this one, of either kind; a delivery and a restart set it back to 0.
  std::uint32_t failures_before = 0;
  /// `retry-after` of the reply rule that matched (extension); wins over the lists.
  std::optional<Duration> asked_by_rule;
};

/// How long the queue rests. The list's last entry repeats.
[[nodiscard]] Duration queue_wait(const RetryRules& rules, const QueueFailure& failure);

/// A recipient after a temporary failure, its own or its queue's.
struct WaitingRecipient {
  Duration age{0};  ///< since it was accepted; a clock set back gives a negative age, which is young
  /// Attempts made since the queue's sources were shut off; empty while they are not.
  std::optional<std::uint32_t> attempts_since_shutoff;
  /// Wait asked for by a reply rule or a bounce action (extensions); wins over `retry-recipients-after`.
  std::optional<Duration> asked_by_rule;
};

struct RetryDecision {
  enum class Kind : std::uint8_t { Wait, Expire };
  Kind kind = Kind::Wait;
  Duration wait{0};  ///< Wait: until it may be tried again, or, if that is sooner, until it is to be expired
  friend constexpr bool operator==(const RetryDecision&, const RetryDecision&) = default;
};

/// After a 4xx to this recipient.
[[nodiscard]] RetryDecision decide_recipient_retry(const RetryRules& rules,
                                                   const WaitingRecipient& recipient);

/// True once `age` is beyond `bounce-after`: exactly that old is still young enough. Asked before every attempt, and
/// for recipients of a queue that rests.
[[nodiscard]] bool is_expired(const RetryRules& rules, Duration age);
/// Time from now to the first millisecond at which is_expired() holds; 0 when it does. For timers.
[[nodiscard]] Duration time_to_expiry(const RetryRules& rules, Duration age);

/// `bounce-upon-no-mx`. `limit` empty (never): go on with A and AAAA. 0: bounce at once. Else: once older than it.
[[nodiscard]] bool bounces_without_mx(std::optional<Duration> limit, Duration age);

}  // namespace sluice
