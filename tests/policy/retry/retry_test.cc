// Goal: the waits of queues and recipients, and both sides of every age boundary.
// How: the decisions are pure, so each row is one complete case; no clock, no queue.
#include "policy/retry/retry.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr Duration kIntervals[] = {10min, 30min, 2h};

RetryRules rules() {
  RetryRules out;
  out.retry_after = kIntervals;
  out.retry_after_dns_error = 1min;
  out.retry_recipients_after = 15min;
  out.bounce_after = 24h;
  return out;
}

TEST(Retry, QueueWaitTable) {
  struct Row {
    const char* name;
    QueueFailure failure;
    Duration want;
  };
  using enum QueueFailureKind;
  const Row rows[] = {
      {"first failure", {Delivery, 0, {}}, 10min},
      {"second", {Delivery, 1, {}}, 30min},
      {"third", {Delivery, 2, {}}, 2h},
      {"the last entry repeats", {Delivery, 3, {}}, 2h},
      {"for ever", {Delivery, 4'000'000'000u, {}}, 2h},
      {"dns has its own wait", {Dns, 0, {}}, 1min},
      {"also later", {Dns, 9, {}}, 1min},
      {"a rule's wait wins", {Delivery, 2, 5min}, 5min},
      {"also for dns", {Dns, 2, 5min}, 5min},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(queue_wait(rules(), row.failure), row.want);
  }
}

TEST(Retry, RecipientTable) {
  struct Row {
    const char* name;
    WaitingRecipient in;
    std::optional<std::uint32_t> retries_after_shutoff;
    RetryDecision want;
  };
  using enum RetryDecision::Kind;
  const Row rows[] = {
      {"fresh", {0s, {}, {}}, {}, {Wait, 15min}},
      {"clock set back", {-3h, {}, {}}, {}, {Wait, 15min}},
      {"old enough for a full wait", {24h - 15min, {}, {}}, {}, {Wait, 15min}},
      {"wait cut at the age limit", {24h - 5min, {}, {}}, {}, {Wait, 5min + 1ms}},
      {"exactly at the limit", {24h, {}, {}}, {}, {Wait, 1ms}},
      {"1 ms beyond", {24h + 1ms, {}, {}}, {}, {Expire, 0s}},
      {"1 ns beyond", {24h + 1ns, {}, {}}, {}, {Expire, 0s}},
      {"a rule asks for more", {0s, {}, 4h}, {}, {Wait, 4h}},
      {"a rule asks for less", {0s, {}, 1min}, {}, {Wait, 1min}},
      {"a rule's wait is cut as well", {23h, {}, 4h}, {}, {Wait, 1h + 1ms}},
      {"shut off, no such limit", {1h, 100, {}}, {}, {Wait, 15min}},
      {"shut off, attempts left", {1h, 2, {}}, 3, {Wait, 15min}},
      {"shut off, none left", {1h, 3, {}}, 3, {Expire, 0s}},
      {"shut off, limit 0", {0s, 0, {}}, 0, {Expire, 0s}},
      {"not shut off, limit 0", {0s, {}, {}}, 0, {Wait, 15min}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    RetryRules with = rules();
    with.retries_after_shutoff = row.retries_after_shutoff;
    const RetryDecision got = decide_recipient_retry(with, row.in);
    EXPECT_EQ(got.kind, row.want.kind);
    EXPECT_EQ(got.wait, row.want.wait);
  }
}

TEST(Retry, ExpiryIsStrictlyBeyondTheLimit) {
  EXPECT_FALSE(is_expired(rules(), 24h));
  EXPECT_TRUE(is_expired(rules(), 24h + 1ns));
  for (const Duration age : {Duration{0s}, Duration{5h}, Duration{24h - 1ms}, Duration{24h}}) {
    const Duration left = time_to_expiry(rules(), age);
    EXPECT_FALSE(is_expired(rules(), age + left - 1ms));
    EXPECT_TRUE(is_expired(rules(), age + left));
  }
  EXPECT_EQ(time_to_expiry(rules(), 25h), Duration{0});
}

TEST(Retry, WithoutMx) {
  EXPECT_FALSE(bounces_without_mx({}, 1000h));
  EXPECT_TRUE(bounces_without_mx(Duration{0}, 0s));
  EXPECT_FALSE(bounces_without_mx(Duration{1h}, 1h));
  EXPECT_TRUE(bounces_without_mx(Duration{1h}, 1h + 1ms));
}

}  // namespace
}  // namespace sluice
