// Goal: a receiver that drips, stalls or reads slowly is given up within the two bounds of its time-out, and one
// that goes on is not.
// How: the clock is a number; waits are driven by hand, and at random.
#include "engine/delivery/patience.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice::delivery {
namespace {

constexpr MonoTime kStart{1000s};

config::DomainSettings settings() {
  config::DomainSettings out;
  out.smtp_greeting_timeout = 20s;
  out.smtp_data_termination_timeout = 60s;
  out.smtp_multiple_line_response_timeout = 30s;
  out.data_send_timeout = 40s;
  return out;
}

TEST(Patience, SilenceEndsAWait) {
  const auto set = settings();
  Patience one;
  EXPECT_EQ(one.reply_due(net::ClientPhase::Greeting, 0, set, kStart), kStart + 20s);
  // Being woken for other reasons changes nothing.
  EXPECT_EQ(one.reply_due(net::ClientPhase::Greeting, 0, set, kStart + 15s), kStart + 20s);
  one.hears(1, false, kStart + 18s);
  EXPECT_EQ(one.reply_due(net::ClientPhase::Ehlo, 1, set, kStart + 18s), kStart + 48s);
}

TEST(Patience, AReplyThatDripsHasAnEnd) {
  const auto set = settings();
  for (const net::ClientPhase phase :
       {net::ClientPhase::Greeting, net::ClientPhase::Mail, net::ClientPhase::FinalReply}) {
    Patience one;
    MonoTime now = kStart;
    MonoTime due = one.reply_due(phase, 0, set, now);
    while (now < due) {
      now += 1s;
      one.hears(0, true, now);
      due = one.reply_due(phase, 0, set, now);
      ASSERT_LT(now, kStart + 40s);
    }
    EXPECT_EQ(now, kStart + 31s) << "from the first byte on";
  }
  // Begun, and then nothing: silence, if that is sooner.
  Patience one;
  std::ignore = one.reply_due(net::ClientPhase::Greeting, 0, set, kStart);
  one.hears(0, true, kStart + 5s);
  EXPECT_EQ(one.reply_due(net::ClientPhase::Greeting, 0, set, kStart + 5s), kStart + 25s);
}

TEST(Patience, EachReplyHasItsOwnTime) {
  const auto set = settings();
  Patience one;
  MonoTime now = kStart;
  for (std::uint64_t replies = 0; replies < 20; ++replies) {
    ASSERT_GT(one.reply_due(net::ClientPhase::Rcpt, replies, set, now), now + 1s);
    now += 29s;
    one.hears(replies + 1, (replies & 1) != 0, now);
  }
}

TEST(Patience, AReaderIsGivenUpWhenItStopsOrCrawls) {
  std::mt19937_64 dice(5);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t bytes = 1 + dice() % (4 * kMiB);
    const std::uint64_t speed = dice() % 20'000;  // a second
    const std::uint64_t stops = dice() % 2 == 0 ? bytes + 1 : dice() % bytes;
    Patience one;
    MonoTime now = kStart;
    one.sends(bytes, 0, 40s, now);
    std::uint64_t taken = 0;
    MonoTime last = now;
    bool gave_up = false;
    while (taken < bytes && !gave_up) {
      const MonoTime next = one.next_look(now);
      const auto seconds = static_cast<std::uint64_t>((next - now) / 1s);
      now = next;
      const std::uint64_t most = std::min(bytes, stops);
      const std::uint64_t more = std::min(most - taken, speed * seconds);
      if (more > 0) last = now;
      taken += more;
      gave_up = !one.still_sends(taken, now);
    }
    const Duration whole = 40s * static_cast<std::int64_t>(1 + bytes / Patience::kPieceBytes);
    if (gave_up) {
      const bool silent = now - last >= 40s;
      EXPECT_TRUE(silent || now - kStart >= whole);
      EXPECT_LE(now - last, 46s);
      EXPECT_LE(now - kStart, whole + 6s);
      // One that stops too late for its silence to end first may have been fast.
      if (!silent && stops > bytes) EXPECT_LT(speed * 40, 2 * Patience::kPieceBytes);
    } else {
      EXPECT_LT(now - kStart, whole + 6s);
    }
  }
}

TEST(Patience, TheReplysTimeBeginsWhenTheMessageWasTaken) {
  const auto set = settings();
  Patience one;
  one.sends(300'000, 0, 40s, kStart);
  EXPECT_EQ(one.reply_due(net::ClientPhase::FinalReply, 3, set, kStart), kStart + 60s);
  EXPECT_TRUE(one.was_still_reading(100'000, kStart + 60s));
  EXPECT_EQ(one.reply_due(net::ClientPhase::FinalReply, 3, set, kStart + 60s), kStart + 120s);
  EXPECT_FALSE(one.was_still_reading(100'000, kStart + 120s));
  EXPECT_FALSE(one.was_still_reading(100'001, kStart + 40s * 5)) << "not for ever";
}

}  // namespace
}  // namespace sluice::delivery
