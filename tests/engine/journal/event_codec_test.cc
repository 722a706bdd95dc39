// Goal: events come back field by field, cost little, and no bytes make the decoder read outside them; what
// is live is the same whatever the order in which the logs are read. How: full and empty events there and
// back, every truncation, random changes; one history applied in many orders.
#include "engine/journal/event_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "engine/journal/live_set.h"
#include "engine/log/bytes.h"

namespace sluice::journal {
namespace {

WallTime at(std::int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

Event full() {
  Event event;
  event.kind = EventKind::Bounced;
  event.ending = Ending::Expired;
  event.time_logged = at(1'767'571'200'000);
  event.time_queued = at(1'767'571'100'000);
  event.received = at(1'567'571'100'000);
  event.time_first_attempt = at(1'767'571'150'000);
  event.message = MessageId(0xfedc'ba98'7654'3210);
  event.recipient = 70'000;
  event.attempts = 17;
  event.shut_attempts = 3;
  event.next_due = at(1'767'571'900'000);
  event.dlv_size_bytes = 1'234'567;
  event.priority = 99;
  event.place = {3, 12, 4160, 120, 9000};
  event.recipient_count = 70'001;
  event.flags.bits = 5;
  std::string_view* texts[] = {&event.orig,
                               &event.rcpt,
                               &event.orcpt,
                               &event.dsn_action,
                               &event.dsn_status,
                               &event.dsn_diag,
                               &event.dsn_mta,
                               &event.bounce_cat,
                               &event.src_type,
                               &event.src_mta,
                               &event.dlv_type,
                               &event.dlv_source_ip,
                               &event.dlv_destination_ip,
                               &event.dlv_esmtp_available,
                               &event.dlv_tls_protocol,
                               &event.dlv_tls_cipher,
                               &event.vmta,
                               &event.vmta_pool,
                               &event.job_id,
                               &event.env_id,
                               &event.queue,
                               &event.rcv_smtp_user,
                               &event.rcv_source_ip,
                               &event.rcv_destination_ip};
  static const std::vector<std::string> values = [] {
    std::vector<std::string> out;
    for (int i = 0; i < 24; ++i) out.push_back("text " + std::to_string(i));
    return out;
  }();
  for (std::size_t i = 0; i < 24; ++i) *texts[i] = values[i];
  event.headers = {{"Subject", "s"}, {"X", ""}};
  return event;
}

std::vector<std::byte> encoded(const Event& event) {
  std::vector<std::byte> out(encoded_bytes(event));
  encode(event, out);
  return out;
}

void expect_same(const Event& a, const Event& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.ending, b.ending);
  EXPECT_EQ(a.time_logged, b.time_logged);
  EXPECT_EQ(a.time_queued, b.time_queued);
  EXPECT_EQ(a.time_first_attempt, b.time_first_attempt);
  EXPECT_EQ(a.message, b.message);
  EXPECT_EQ(a.recipient, b.recipient);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.shut_attempts, b.shut_attempts);
  EXPECT_EQ(a.received, b.received);
  EXPECT_EQ(a.next_due, b.next_due);
  EXPECT_EQ(a.dlv_size_bytes, b.dlv_size_bytes);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.place, b.place);
  EXPECT_EQ(a.recipient_count, b.recipient_count);
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.orig, b.orig);
  EXPECT_EQ(a.rcpt, b.rcpt);
  EXPECT_EQ(a.dsn_diag, b.dsn_diag);
  EXPECT_EQ(a.dlv_tls_cipher, b.dlv_tls_cipher);
  EXPECT_EQ(a.queue, b.queue);
  EXPECT_EQ(a.rcv_destination_ip, b.rcv_destination_ip);
  EXPECT_EQ(a.headers, b.headers);
}

TEST(EventCodec, ThereAndBack) {
  const Event event = full();
  const auto bytes = encoded(event);
  const auto back = decode_event(bytes);
  ASSERT_TRUE(back.has_value());
  expect_same(*back, event);
  Event empty;
  empty.time_logged = at(0);
  const auto few = encoded(empty);
  EXPECT_LE(few.size(), 16u);
  const auto empty_back = decode_event(few);
  ASSERT_TRUE(empty_back.has_value());
  expect_same(*empty_back, empty);
}

TEST(EventCodec, EveryTruncationIsRefusedAndChangesAreHarmless) {
  const auto bytes = encoded(full());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(
        decode_event(std::vector<std::byte>(bytes.begin(), bytes.begin() + static_cast<long>(size))));
  }
  std::mt19937_64 random(3);
  for (std::size_t i = 0; i < bytes.size() * 16; ++i) {
    auto changed = bytes;
    changed[i % bytes.size()] = static_cast<std::byte>(random());
    (void)decode_event(changed);
  }
}

TEST(EventCodec, OverlongTextsAreCut) {
  Event event;
  const std::string text(100'000, 'd');
  event.dsn_diag = text;
  const auto bytes = encoded(event);
  const auto back = decode_event(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->dsn_diag.size(), kEventTextBytesMax);
}

TEST(LiveSet, TheOrderOfReadingDoesNotMatter) {
  std::vector<Event> history;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    const std::uint32_t count =
        id == 6 ? 40 : static_cast<std::uint32_t>(id);  // one beyond LiveSet::kWalkMax
    for (std::uint32_t i = 0; i < count; ++i) {
      Event event;
      event.kind = EventKind::Received;
      event.message = MessageId(id);
      event.recipient = i;
      event.recipient_count = count;
      event.rcpt = "u@X.example";
      event.place = {0, 1, static_cast<std::uint32_t>(id * 8), 10, 10};
      history.push_back(event);
      if (i % 2 == 0) {
        event.kind = EventKind::Transient;
        for (event.attempts = 1; event.attempts <= 3; ++event.attempts) {
          event.next_due = at(event.attempts * 1000);
          event.shut_attempts = static_cast<std::uint8_t>(event.attempts - 1);
          history.push_back(event);
        }
      }
      if (i % 3 == 1) {
        event.kind = EventKind::Delivered;
        history.push_back(event);
      }
    }
  }
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    LiveSet set;
    std::vector<Event> order = history;
    std::ranges::shuffle(order, random);
    // A part of them twice, as when a checkpoint and a journal overlap.
    for (int n = 0; n < 20; ++n) {
      const Event& again = order[random() % order.size()];
      if (again.kind == EventKind::Transient) order.push_back(again);
    }
    for (const Event& event : order) set.apply(event);
    // Through a checkpoint in between.
    LiveSet back;
    for (const LiveSet::Message& message : set.messages()) {
      if (!message.used) continue;
      std::vector<std::byte> bytes(LiveSet::encoded_bytes(set, message));
      LiveSet::encode(set, message, bytes);
      ASSERT_TRUE(back.apply_checkpointed(bytes).has_value());
    }
    back.drop_early_endings();
    EXPECT_EQ(back.live_messages(), 6u);
    EXPECT_EQ(back.live_recipients(), 15u + 40u - 18u);
    for (std::uint32_t i = 0; i < 40; ++i) {
      const LiveSet::Recipient* one = back.find(MessageId(6), i);
      ASSERT_EQ(one == nullptr, i % 3 == 1) << i;
      if (one == nullptr) continue;
      EXPECT_EQ(one->attempts, i % 2 == 0 ? 3u : 0u);
      EXPECT_EQ(one->shut_attempts, i % 2 == 0 ? 2u : 0u);
      EXPECT_EQ(back.names().text(one->domain), "x.example");
    }
  }
}

// Arithmetic in nanoseconds must not overflow later, whatever lies on the disk.
TEST(EventCodec, ATimeThatCannotBeBecomesTheNearestThatCan) {
  struct Row {
    std::int64_t stored;
    std::int64_t read;
  };
  constexpr std::int64_t kMax = std::int64_t{1} << 43;
  for (const Row& row : {Row{0, 0}, Row{1'767'571'200'000, 1'767'571'200'000}, Row{-1, 0},
                         Row{std::numeric_limits<std::int64_t>::min(), 0}, Row{kMax, kMax},
                         Row{kMax + 1, kMax}, Row{std::numeric_limits<std::int64_t>::max(), kMax}}) {
    EXPECT_EQ(log::stored_time(row.stored), WallTime(std::chrono::milliseconds(row.read))) << row.stored;
  }
  StateRecord state;
  state.time = WallTime(std::chrono::milliseconds(std::int64_t{1} << 46));
  state.key = "k";
  std::vector<std::byte> bytes(encoded_bytes(state));
  encode(state, bytes);
  const auto read = decode_state(bytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->time, WallTime(std::chrono::milliseconds(kMax)));
}

}  // namespace
}  // namespace sluice::journal
