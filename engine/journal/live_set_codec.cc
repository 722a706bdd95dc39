// A live message as a checkpoint's record; FORMAT.md, "Checkpoint".
#include "engine/journal/live_set.h"
#include "engine/journal/place_codec.h"
#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::journal {

namespace {

std::int64_t ms(WallTime time) { return time.time_since_epoch().count(); }
using log::stored_time;

constexpr std::uint8_t kReceivedBit = 1;
constexpr std::uint8_t kEndedBit = 2;
constexpr std::uint8_t kShutBit = 4;  ///< shut_attempts follow the names
constexpr std::uint8_t kKnownBit = 1;
constexpr std::uint8_t kJobBit = 2;  ///< the job's name follows
constexpr std::uint8_t kNamesBit =
    4;  ///< sender, envelope id and source follow, and every recipient's address

void walk(const LiveSet& set, const LiveSet::Message& message, auto&& number, auto&& text, auto&& place) {
  std::uint32_t count = 0;
  for (std::uint32_t at = message.first; at != LiveSet::kNone; at = set.recipient(at).next) ++count;
  number(message.id.raw());
  number(ms(message.received));
  place(message.place);
  number(message.flags);
  number(message.recipient_count);
  number(static_cast<std::uint8_t>((message.known ? kKnownBit : 0) | (message.job != 0 ? kJobBit : 0) |
                                   (message.source != 0 ? kNamesBit : 0)));
  number(count);
  if (message.job != 0) text(set.names().text(message.job));
  if (message.source != 0) {
    text(message.orig);
    text(message.env_id);
    text(set.names().text(message.source));
  }
  for (std::uint32_t at = message.first; at != LiveSet::kNone; at = set.recipient(at).next) {
    const LiveSet::Recipient& one = set.recipient(at);
    number(one.index);
    number(one.attempts);
    number(ms(one.next_due));
    number(ms(one.first_attempt));
    number(one.priority);
    number(static_cast<std::uint8_t>((one.received ? kReceivedBit : 0) | (one.ended ? kEndedBit : 0) |
                                     (one.shut_attempts != 0 ? kShutBit : 0)));
    text(set.names().text(one.domain));
    text(set.names().text(one.vmta));
    text(set.names().text(one.queue));
    if (one.shut_attempts != 0) number(one.shut_attempts);
    if (message.source != 0) {
      text(one.rcpt);
      text(set.names().text(one.orcpt));
    }
  }
}
}  // namespace

std::size_t LiveSet::encoded_bytes(const LiveSet& set, const Message& message) {
  std::size_t bytes = 0;
  walk(
      set, message, [&](auto value) { bytes += sizeof value; },
      [&](std::string_view value) { bytes += log::varint_size(value.size()) + value.size(); },
      [&](const spool::MessagePlace&) { bytes += kPlaceBytes; });
  return bytes;
}

void LiveSet::encode(const LiveSet& set, const Message& message, std::span<std::byte> to) {
  log::Encoder out(to.data());
  walk(
      set, message, [&](auto value) { out.number(value); }, [&](std::string_view value) { out.text(value); },
      [&](const spool::MessagePlace& value) { encode_place(out, value); });
  SLUICE_ASSERT(out.at() == to.data() + to.size());
}

Status LiveSet::apply_checkpointed(std::span<const std::byte> payload) {
  log::Decoder in(payload);
  const MessageId id(in.number<std::uint64_t>());
  const WallTime received = stored_time(in.number<std::int64_t>());
  const spool::MessagePlace place = decode_place(in);
  const auto flags = in.number<std::uint32_t>();
  const auto recipient_count = in.number<std::uint32_t>();
  const auto message_bits = in.number<std::uint8_t>();
  const bool known = (message_bits & kKnownBit) != 0;
  const auto count = in.number<std::uint32_t>();
  const std::string_view job = (message_bits & kJobBit) != 0 ? in.text() : std::string_view();
  const bool named = (message_bits & kNamesBit) != 0;
  const std::string_view orig = named ? in.text() : std::string_view();
  const std::string_view env_id = named ? in.text() : std::string_view();
  const std::string_view source = named ? in.text() : std::string_view();
  constexpr std::size_t kRecipientBytesMin = 29;
  if (!in.ok() || count == 0 || count > in.left() / kRecipientBytesMin) {
    return fail(Errc::Corrupt, "checkpoint: live message");
  }
  Message& message = message_for(id);
  if (known) learn(message, received, place, flags, recipient_count);
  if (!job.empty()) message.job = names_.intern(job);
  if (named && message.source == 0) {
    message.source = names_.intern(source);
    message.orig = names_.keep(orig);
    message.env_id = names_.keep(env_id);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto index = in.number<std::uint32_t>();
    const auto attempts = in.number<std::uint32_t>();
    const WallTime next_due = stored_time(in.number<std::int64_t>());
    const WallTime first_attempt = stored_time(in.number<std::int64_t>());
    const auto priority = in.number<std::uint8_t>();
    const auto bits = in.number<std::uint8_t>();
    const std::string_view domain = in.text();
    const std::string_view vmta = in.text();
    const std::string_view queue = in.text();
    const auto shut_attempts = (bits & kShutBit) != 0 ? in.number<std::uint8_t>() : std::uint8_t{0};
    const std::string_view rcpt = named ? in.text() : std::string_view();
    const std::string_view orcpt = named ? in.text() : std::string_view();
    if (!in.ok()) break;
    Recipient& recipient = recipients_[recipient_for(message, index)];
    const bool was_live = recipient.received && !recipient.ended;
    recipient.received = recipient.received || (bits & kReceivedBit) != 0;
    recipient.ended = recipient.ended || (bits & kEndedBit) != 0;
    recipient.priority = priority;
    recipient.domain = names_.intern(domain);
    recipient.vmta = names_.intern(vmta);
    recipient.queue = names_.intern(queue);
    if (recipient.rcpt.empty() && !rcpt.empty()) recipient.rcpt = names_.keep(rcpt);
    if (!orcpt.empty()) recipient.orcpt = names_.intern(orcpt);
    merge_attempts(recipient, attempts, shut_attempts, next_due, first_attempt);
    const bool is_live = recipient.received && !recipient.ended;
    if (is_live && !was_live) {
      ++live_recipients_;
      if (message.live++ == 0) ++live_messages_;
    }
  }
  if (message.first == kNone) free_message(message);
  if (!in.ok() || in.left() != 0) return fail(Errc::Corrupt, "checkpoint: live message");
  return {};
}

}  // namespace sluice::journal
