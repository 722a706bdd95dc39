// Goal: every way into backoff and out of it, at both sides of every moment, and over a restart.
// How:  the machine is a value; each test is a short story with times.
#include <gtest/gtest.h>

#include "policy/backoff/queue_mode.h"
#include "policy/backoff/retry_rules.h"
#include "policy/backoff/status_texts.h"

namespace sluice {
namespace {

using config::QueueMode;
constexpr MonoTime kStart{1000h};
constexpr WallTime kWall{std::chrono::milliseconds(1'700'000'000'000)};

ModeState::Entry entry(std::optional<Duration> time = {}, ModeCause cause = ModeCause::Reply) {
  return {.cause = cause, .reason = "421 4.7.0 slow down", .to_normal_after = time};
}

TEST(QueueMode, WaysIntoBackoff) {
  for (const ModeCause cause : {ModeCause::Reply, ModeCause::Command, ModeCause::AllSourcesDisabled}) {
    ModeState state;
    EXPECT_FALSE(state.in_backoff());
    EXPECT_TRUE(state.enter_backoff(entry({}, cause), {}, kStart));
    EXPECT_TRUE(state.in_backoff());
    EXPECT_EQ(state.cause(), cause);
    EXPECT_EQ(state.reason(), "421 4.7.0 slow down");
    EXPECT_FALSE(state.ends_at()) << "backoff-to-normal-after never";
    EXPECT_FALSE(state.enter_backoff(entry(), {}, kStart + 1s)) << "no change";
  }
}

TEST(QueueMode, WaysOutOfBackoff) {
  const ModeRules rules{.to_normal_after = 2h, .to_normal_after_delivery = true};
  struct Row {
    const char* name;
    bool (*act)(ModeState&, const ModeRules&);
    bool leaves;
  };
  const Row rows[] = {
      {"a moment before its time",
       [](ModeState& s, const ModeRules&) { return s.on_time(kStart + 2h - 1ns); }, false},
      {"its time", [](ModeState& s, const ModeRules&) { return s.on_time(kStart + 2h); }, true},
      {"delivery", [](ModeState& s, const ModeRules& r) { return s.on_delivery(r); }, true},
      {"delivery means nothing", [](ModeState& s, const ModeRules&) { return s.on_delivery({}); }, false},
      {"rule", [](ModeState& s, const ModeRules&) { return s.leave_backoff(ModeCause::Reply, "250"); }, true},
      {"command", [](ModeState& s, const ModeRules&) { return s.leave_backoff(ModeCause::Command, ""); },
       true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ModeState state;
    ASSERT_TRUE(state.enter_backoff(entry(), rules, kStart));
    EXPECT_EQ(row.act(state, rules), row.leaves);
    EXPECT_EQ(state.in_backoff(), !row.leaves);
    EXPECT_EQ(state.ends_at().has_value(), !row.leaves);
    if (row.leaves) EXPECT_FALSE(row.act(state, rules)) << "only once";
  }
}

TEST(QueueMode, TheRulesOwnTimeWins) {
  ModeState shorter;
  shorter.enter_backoff(entry(5min), {.to_normal_after = 2h}, kStart);
  EXPECT_EQ(shorter.ends_at(), kStart + 5min);
  ModeState longer;
  longer.enter_backoff(entry(3h), {.to_normal_after = 2h}, kStart);
  EXPECT_EQ(longer.ends_at(), kStart + 3h);
  ModeState alone;
  alone.enter_backoff(entry(3h), {}, kStart);
  EXPECT_EQ(alone.ends_at(), kStart + 3h);
}

TEST(QueueMode, MoreRepliesDoNotBeginTheTimeAnewButARulesTimePutsItOff) {
  ModeState state;
  state.enter_backoff(entry(), {.to_normal_after = 2h}, kStart);
  state.enter_backoff(entry(), {.to_normal_after = 2h}, kStart + 1h);
  EXPECT_EQ(state.ends_at(), kStart + 2h);
  state.enter_backoff(entry(30min), {.to_normal_after = 2h}, kStart + 1h);
  EXPECT_EQ(state.ends_at(), kStart + 2h) << "never sooner";
  state.enter_backoff(entry(90min), {.to_normal_after = 2h}, kStart + 1h);
  EXPECT_EQ(state.ends_at(), kStart + 2h + 30min);
}

TEST(QueueMode, ForEverStaysForEver) {
  ModeState state;
  state.enter_backoff(entry(), {}, kStart);
  state.enter_backoff(entry(30min), {}, kStart);
  EXPECT_FALSE(state.ends_at());
  EXPECT_FALSE(state.on_time(kStart + 10'000h));
}

TEST(QueueMode, OverARestart) {
  ModeState state;
  EXPECT_EQ(state.encode(kStart, kWall), "");
  state.enter_backoff(entry(), {.to_normal_after = 2h}, kStart);
  const std::string text = state.encode(kStart + 30min, kWall + 30min);
  // The next process has another monotonic clock; 15 minutes have passed on the wall.
  const MonoTime now{5s};
  ModeState again = ModeState::decode(text, now, kWall + 45min);
  EXPECT_TRUE(again.in_backoff());
  EXPECT_EQ(again.cause(), ModeCause::Reply);
  EXPECT_EQ(again.reason(), state.reason());
  EXPECT_EQ(again.ends_at(), now + 75min);
  ModeState late = ModeState::decode(text, now, kWall + 5h);
  EXPECT_TRUE(late.in_backoff());
  EXPECT_TRUE(late.on_time(now));
  for (const char* damaged :
       {"", " ", "reply", "reply x", "reply 99999999999999999999 y", "mood - x", "reply -"}) {
    const ModeState out = ModeState::decode(damaged, now, kWall);
    EXPECT_EQ(out.in_backoff(), std::string_view(damaged) == "reply -") << '"' << damaged << '"';
  }
  const ModeState far = ModeState::decode("reply 9223372036854775807 x", now, kWall);
  EXPECT_TRUE(far.ends_at() > now);
}

TEST(RetryRules, BackoffHasItsOwnIntervals) {
  config::DomainSettings settings;
  settings.backoff_retry_after = {1h, 3h};
  settings.smtp_retries_after_shutoff = 3;
  const RetryRules normal = retry_rules_of(settings, QueueMode::Normal);
  const RetryRules backoff = retry_rules_of(settings, QueueMode::Backoff);
  EXPECT_EQ(queue_wait(normal, {}), 10min);
  EXPECT_EQ(queue_wait(backoff, {}), 1h);
  EXPECT_EQ(queue_wait(backoff, {.failures_before = 4}), 3h);
  EXPECT_EQ(queue_wait(backoff, {.kind = QueueFailureKind::Dns}), 1min) << "also in backoff";
  EXPECT_EQ(backoff.retries_after_shutoff, 3u);
}

TEST(StatusTexts, ToTheLetter) {
  EXPECT_EQ(kConnectRateReached, "connect rate limit reached");
  EXPECT_EQ(message_rate_reached(QueueMode::Normal),
            "message rate limit reached (based on queue's max-msg-rate in configuration)");
  EXPECT_EQ(message_rate_reached(QueueMode::Backoff),
            "message rate limit reached (based on queue's backoff-max-msg-rate in configuration)");
  EXPECT_EQ(vmta_message_rate_reached(),
            "message rate limit reached (based on max-smtp-msg-rate in configuration)");
  EXPECT_EQ(volume_rate_reached(QueueMode::Normal),
            "message rate limit reached (based on max-data-volume-rate in configuration)");
  const ConnectionEnds ends{"mail1.example.com", "192.0.2.1", "mx1.example.net (198.51.100.7)"};
  EXPECT_EQ(refused_while_connected("421 4.7.0 slow", ends),
            "Error: \"421 4.7.0 slow\" while connected from mail1.example.com (192.0.2.1) to mx1.example.net "
            "(198.51.100.7)");
  EXPECT_EQ(
      mx_skipped("554 no", ends),
      "skip of MX requested: \"554 no\" received from mx1.example.net (198.51.100.7) while connected from "
      "mail1.example.com (192.0.2.1) to mx1.example.net (198.51.100.7)");
  EXPECT_EQ(all_sources_disabled("example.net/v1"),
            "All SMTP sources for queue example.net/v1 are now disabled.");
}

}  // namespace
}  // namespace sluice
