#include "engine/journal/event_codec.h"

#include <algorithm>

#include "engine/journal/place_codec.h"
#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

constexpr std::uint8_t kVersion = 1;

// Bits of the mask of fields that follow, in this order. Stored: never renumber.
enum Bit : unsigned {
  kTimeQueued = 0,
  kFirstAttempt = 1,
  kMessage = 2,
  kRecipient = 3,
  kAttempts = 4,
  kNextDue = 5,
  kDlvSize = 6,
  kPlace = 7,
  kRecipientCount = 8,
  kFlags = 9,
  kFirstText = 10,
  kHeaders = 40,
  kShutAttempts = 41,
  kReceived = 42,
};

using Text = std::string_view Event::*;
// Order is the format: append only, at most kHeaders - kFirstText.
constexpr Text kTexts[] = {
    &Event::orig,
    &Event::rcpt,
    &Event::orcpt,
    &Event::dsn_action,
    &Event::dsn_status,
    &Event::dsn_diag,
    &Event::dsn_mta,
    &Event::bounce_cat,
    &Event::src_type,
    &Event::src_mta,
    &Event::dlv_type,
    &Event::dlv_source_ip,
    &Event::dlv_destination_ip,
    &Event::dlv_esmtp_available,
    &Event::dlv_tls_protocol,
    &Event::dlv_tls_cipher,
    &Event::vmta,
    &Event::vmta_pool,
    &Event::job_id,
    &Event::env_id,
    &Event::queue,
    &Event::rcv_smtp_user,
    &Event::rcv_source_ip,
    &Event::rcv_destination_ip,
};
static_assert(std::size(kTexts) <= kHeaders - kFirstText);

std::string_view cut(std::string_view text) { return text.substr(0, kEventTextBytesMax); }
std::int64_t ms(WallTime time) { return time.time_since_epoch().count(); }
using log::stored_time;
std::int64_t wrapping_minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t wrapping_plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

// One walk over the fields serves measuring and writing, so that the two cannot disagree.
struct Measure {
  std::size_t bytes = 0;
  void varint(std::uint64_t value) { bytes += log::varint_size(value); }
  void signed_varint(std::int64_t value) {
    const auto raw = static_cast<std::uint64_t>(value);
    varint((raw << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
  }
  void text(std::string_view value) {
    varint(value.size());
    bytes += value.size();
  }
  template <class T>
  void number(T) {
    bytes += sizeof(T);
  }
  void place(const spool::MessagePlace&) { bytes += kPlaceBytes; }
};
struct Write : log::Encoder {
  using Encoder::Encoder;
  void place(const spool::MessagePlace& value) { encode_place(*this, value); }
};

template <class Out>
void walk(const Event& event, Out& out) {
  std::uint64_t mask = 0;
  const auto given = [&mask](unsigned bit, bool is) { mask |= is ? std::uint64_t{1} << bit : 0; };
  given(kTimeQueued, event.time_queued != WallTime{});
  given(kFirstAttempt, event.time_first_attempt != WallTime{});
  given(kMessage, event.message != MessageId{});
  given(kRecipient, event.recipient != 0);
  given(kAttempts, event.attempts != 0);
  given(kNextDue, event.next_due != WallTime{});
  given(kDlvSize, event.dlv_size_bytes != 0);
  given(kPlace, event.place != spool::MessagePlace{});
  given(kRecipientCount, event.recipient_count != 0);
  given(kFlags, event.flags.bits != 0);
  for (std::size_t i = 0; i < std::size(kTexts); ++i) {
    given(kFirstText + static_cast<unsigned>(i), !(event.*kTexts[i]).empty());
  }
  given(kHeaders, !event.headers.empty());
  given(kShutAttempts, event.shut_attempts != 0);
  given(kReceived, event.received != WallTime{});

  const auto is = [&mask](unsigned bit) { return (mask >> bit & 1) != 0; };
  const std::int64_t logged = ms(event.time_logged);
  out.number(kVersion);
  out.number(static_cast<std::uint8_t>(event.kind));
  out.number(static_cast<std::uint8_t>(event.ending));
  out.number(event.priority);
  out.number(logged);
  out.varint(mask);
  if (is(kTimeQueued)) out.signed_varint(wrapping_minus(ms(event.time_queued), logged));
  if (is(kFirstAttempt)) out.signed_varint(wrapping_minus(ms(event.time_first_attempt), logged));
  if (is(kMessage)) out.number(event.message.raw());
  if (is(kRecipient)) out.varint(event.recipient);
  if (is(kAttempts)) out.varint(event.attempts);
  if (is(kNextDue)) out.signed_varint(wrapping_minus(ms(event.next_due), logged));
  if (is(kDlvSize)) out.varint(event.dlv_size_bytes);
  if (is(kPlace)) out.place(event.place);
  if (is(kRecipientCount)) out.varint(event.recipient_count);
  if (is(kFlags)) out.varint(event.flags.bits);
  for (std::size_t i = 0; i < std::size(kTexts); ++i) {
    if (is(kFirstText + static_cast<unsigned>(i))) out.text(cut(event.*kTexts[i]));
  }
  if (is(kHeaders)) {
    const std::size_t count = std::min(event.headers.size(), kEventHeadersMax);
    out.varint(count);
    for (std::size_t i = 0; i < count; ++i) {
      out.text(cut(event.headers[i].first));
      out.text(cut(event.headers[i].second));
    }
  }
  if (is(kShutAttempts)) out.number(event.shut_attempts);
  if (is(kReceived)) out.signed_varint(wrapping_minus(ms(event.received), logged));
}

std::uint32_t narrow(log::Decoder& in) {
  const std::uint64_t value = in.varint();
  if (value > 0xffff'ffff) in.fail();
  return static_cast<std::uint32_t>(value);
}

}  // namespace

std::size_t encoded_bytes(const Event& event) {
  Measure out;
  walk(event, out);
  return out.bytes;
}

void encode(const Event& event, std::span<std::byte> to) {
  Write out(to.data());
  walk(event, out);
  SLUICE_ASSERT(out.at() == to.data() + to.size());
}

Result<Event> decode_event(std::span<const std::byte> bytes) {
  log::Decoder in(bytes);
  Event event;
  if (in.number<std::uint8_t>() != kVersion) return fail(Errc::Unsupported, "event: version");
  const auto kind = in.number<std::uint8_t>();
  const auto ending = in.number<std::uint8_t>();
  if (kind < 1 || kind > 5 || ending > 6) return fail(Errc::Corrupt, "event: kind");
  event.kind = static_cast<EventKind>(kind);
  event.ending = static_cast<Ending>(ending);
  event.priority = in.number<std::uint8_t>();
  const auto logged = in.number<std::int64_t>();
  event.time_logged = stored_time(logged);
  const std::uint64_t mask = in.varint();
  if (mask >> (kReceived + 1) != 0) return fail(Errc::Corrupt, "event: unknown field");
  const auto is = [mask](unsigned bit) { return (mask >> bit & 1) != 0; };
  if (is(kTimeQueued)) event.time_queued = stored_time(wrapping_plus(logged, in.signed_varint()));
  if (is(kFirstAttempt)) event.time_first_attempt = stored_time(wrapping_plus(logged, in.signed_varint()));
  if (is(kMessage)) event.message = MessageId(in.number<std::uint64_t>());
  if (is(kRecipient)) event.recipient = narrow(in);
  if (is(kAttempts)) event.attempts = narrow(in);
  if (is(kNextDue)) event.next_due = stored_time(wrapping_plus(logged, in.signed_varint()));
  if (is(kDlvSize)) event.dlv_size_bytes = in.varint();
  if (is(kPlace)) event.place = decode_place(in);
  if (is(kRecipientCount)) event.recipient_count = narrow(in);
  if (is(kFlags)) event.flags.bits = narrow(in);
  for (std::size_t i = 0; i < std::size(kTexts); ++i) {
    if (is(kFirstText + static_cast<unsigned>(i))) event.*kTexts[i] = in.text();
  }
  for (unsigned bit = kFirstText + std::size(kTexts); bit < kHeaders; ++bit) {
    if (is(bit)) return fail(Errc::Corrupt, "event: unknown field");
  }
  if (is(kHeaders)) {
    const std::uint64_t count = in.varint();
    if (count > kEventHeadersMax) in.fail();
    for (std::uint64_t i = 0; in.ok() && i < count; ++i) {
      const std::string_view name = in.text();
      const std::string_view value = in.text();
      event.headers.emplace_back(name, value);
    }
  }
  if (is(kShutAttempts)) event.shut_attempts = in.number<std::uint8_t>();
  if (is(kReceived)) event.received = stored_time(wrapping_plus(logged, in.signed_varint()));
  if (!in.ok() || in.left() != 0) return fail(Errc::Corrupt, "event: length");
  return event;
}

void encode(const MovedRecord& moved, std::span<std::byte> to) {
  SLUICE_ASSERT(to.size() == MovedRecord::kBytes);
  log::Encoder out(to.data());
  out.number(moved.message.raw());
  encode_place(out, moved.from);
  encode_place(out, moved.to);
}

Result<MovedRecord> decode_moved(std::span<const std::byte> bytes) {
  log::Decoder in(bytes);
  MovedRecord moved;
  moved.message = MessageId(in.number<std::uint64_t>());
  moved.from = decode_place(in);
  moved.to = decode_place(in);
  if (!in.ok() || in.left() != 0) return fail(Errc::Corrupt, "moved record");
  return moved;
}

std::size_t encoded_bytes(const StateRecord& state) {
  return 8 + log::varint_size(state.key.size()) + state.key.size() + log::varint_size(state.value.size()) +
         state.value.size();
}

void encode(const StateRecord& state, std::span<std::byte> to) {
  log::Encoder out(to.data());
  out.number(ms(state.time));
  out.text(state.key);
  out.text(state.value);
  SLUICE_ASSERT(out.at() == to.data() + to.size());
}

Result<StateRecord> decode_state(std::span<const std::byte> bytes) {
  log::Decoder in(bytes);
  StateRecord state;
  state.time = stored_time(in.number<std::int64_t>());
  state.key = in.text();
  state.value = in.text();
  if (!in.ok() || in.left() != 0) return fail(Errc::Corrupt, "state record");
  return state;
}

}  // namespace sluice::journal
