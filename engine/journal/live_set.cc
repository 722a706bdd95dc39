#include "engine/journal/live_set.h"

#include <algorithm>

#include "engine/journal/place_codec.h"
#include "engine/log/bytes.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

constexpr std::size_t kNameBlockBytes = 64 * kKiB;

std::int64_t ms(WallTime time) { return time.time_since_epoch().count(); }
using log::stored_time;

}  // namespace

std::string domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string() : to_lower(address.substr(at + 1));
}

Names::Names() { (void)intern(""); }

std::uint32_t Names::intern(std::string_view text) {
  if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
  if (text.size() > block_left_) {
    block_left_ = std::max(kNameBlockBytes, text.size());
    blocks_.push_back(std::make_unique<char[]>(block_left_));
    block_at_ = blocks_.back().get();
  }
  std::ranges::copy(text, block_at_);
  const std::string_view kept(block_at_, text.size());
  block_at_ += text.size();
  block_left_ -= text.size();
  texts_.push_back(kept);
  const auto id = static_cast<std::uint32_t>(texts_.size() - 1);
  ids_.emplace(kept, id);
  return id;
}

void LiveSet::apply(const Event& event) {
  if (event.kind == EventKind::QueueTransient) return;
  if (event.kind == EventKind::Received) {
    if (remember_received_) received_.insert(fingerprint(event.message, event.recipient));
    raise_mark(event.place.directory_shard, {event.place.segment, event.place.offset, event.recipient});
  }
  Message& message = message_for(event.message);
  if (event.kind == EventKind::Received) {
    learn(message, event.time_queued, event.place, event.flags.bits, event.recipient_count);
    if (message.job == 0 && !event.job_id.empty()) message.job = names_.intern(event.job_id);
  }
  const std::uint32_t at = recipient_for(message, event.recipient);
  Recipient& recipient = recipients_[at];
  switch (event.kind) {
    case EventKind::Received:
      if (!recipient.received) {
        recipient.received = true;
        recipient.priority = event.priority;
        recipient.domain = names_.intern(domain_of(event.rcpt));
        if (recipient.vmta == 0) recipient.vmta = names_.intern(event.vmta);
        if (recipient.queue == 0) recipient.queue = names_.intern(event.queue);
        if (!recipient.ended && message.live++ == 0) ++live_messages_;
        if (!recipient.ended) ++live_recipients_;
      }
      break;
    case EventKind::Transient:
      if (event.attempts >= recipient.attempts) {
        // It may have been sent on to another queue since.
        if (!event.vmta.empty()) recipient.vmta = names_.intern(event.vmta);
        if (!event.queue.empty()) recipient.queue = names_.intern(event.queue);
      }
      merge_attempts(recipient, event.attempts, event.shut_attempts, event.next_due,
                     event.time_first_attempt);
      break;
    case EventKind::Delivered:
    case EventKind::Bounced:
      if (recipient.received && !recipient.ended) {
        --live_recipients_;
        if (--message.live == 0) --live_messages_;
      }
      recipient.ended = true;
      break;
    case EventKind::QueueTransient: break;
  }
  settle(message, at);
}

void LiveSet::learn(Message& message, WallTime received, const spool::MessagePlace& place,
                    std::uint32_t flags, std::uint32_t recipient_count) {
  if (message.known) return;
  message.known = true;
  message.received = received;
  message.place = place;
  message.flags = flags;
  message.recipient_count = recipient_count;
  if (recipient_count <= kWalkMax) return;
  for (std::uint32_t at = message.first; at != kNone; at = recipients_[at].next) {
    tables_.emplace(table_key(message, recipients_[at].index), at);
  }
}

void LiveSet::merge_attempts(Recipient& into, std::uint32_t attempts, std::uint8_t shut_attempts,
                             WallTime next_due, WallTime first_attempt) {
  if (attempts >= into.attempts) {
    into.attempts = attempts;
    into.shut_attempts = shut_attempts;
    into.next_due = next_due;
  }
  if (into.first_attempt == WallTime{}) into.first_attempt = first_attempt;
}

void LiveSet::apply(const MovedRecord& moved) {
  const auto found = by_id_.find(moved.message.raw());
  if (found == by_id_.end()) return;
  Message& message = messages_[found->second];
  // A later place of the same directory only: an old record read again changes nothing.
  const auto place = std::pair(moved.to.segment, moved.to.offset);
  const bool other_directory = moved.to.directory_shard != message.place.directory_shard;
  if (message.known && !other_directory && place < std::pair(message.place.segment, message.place.offset))
    return;
  message.place = moved.to;
}

void LiveSet::apply(const StateRecord& state) {
  State& kept = states_[std::string(state.key)];
  if (state.time < kept.time) return;
  kept.time = state.time;
  kept.value = state.value;
}

void LiveSet::raise_mark(std::uint32_t directory_shard, ReceivedMark mark) {
  ReceivedMark& kept = marks_[directory_shard];
  kept = std::max(kept, mark);
}

ReceivedMark LiveSet::mark(std::uint32_t directory_shard) const {
  const auto found = marks_.find(directory_shard);
  return found == marks_.end() ? ReceivedMark{} : found->second;
}

const LiveSet::Message* LiveSet::find(MessageId id) const {
  const auto found = by_id_.find(id.raw());
  return found == by_id_.end() ? nullptr : &messages_[found->second];
}

const LiveSet::Recipient* LiveSet::find(MessageId id, std::uint32_t index) const {
  const Message* message = find(id);
  if (message == nullptr) return nullptr;
  const std::uint32_t at = position_of(*message, index);
  return at == kNone ? nullptr : &recipients_[at];
}

std::uint64_t LiveSet::table_key(const Message& message, std::uint32_t index) const {
  return static_cast<std::uint64_t>(&message - messages_.data()) << 32 | index;
}

std::uint32_t LiveSet::position_of(const Message& message, std::uint32_t index) const {
  if (message.known && message.recipient_count > kWalkMax) {
    const auto found = tables_.find(table_key(message, index));
    return found == tables_.end() ? kNone : found->second;
  }
  std::uint32_t at = message.first;
  while (at != kNone && recipients_[at].index != index) at = recipients_[at].next;
  return at;
}

LiveSet::Message& LiveSet::message_for(MessageId id) {
  const auto [found, is_new] = by_id_.try_emplace(id.raw(), 0);
  if (!is_new) return messages_[found->second];
  std::uint32_t at = free_messages_;
  if (at != kNone) {
    free_messages_ = messages_[at].first;
    messages_[at] = Message{};
  } else {
    at = static_cast<std::uint32_t>(messages_.size());
    messages_.emplace_back();
  }
  found->second = at;
  messages_[at].id = id;
  messages_[at].used = true;
  return messages_[at];
}

std::uint32_t LiveSet::recipient_for(Message& message, std::uint32_t index) {
  std::uint32_t at = position_of(message, index);
  if (at != kNone) return at;
  at = free_recipients_;
  if (at != kNone) {
    free_recipients_ = recipients_[at].next;
    recipients_[at] = Recipient{};
  } else {
    at = static_cast<std::uint32_t>(recipients_.size());
    recipients_.emplace_back();
  }
  recipients_[at].index = index;
  recipients_[at].next = message.first;
  if (message.first != kNone) recipients_[message.first].prev = at;
  message.first = at;
  if (message.known && message.recipient_count > kWalkMax) tables_.emplace(table_key(message, index), at);
  return at;
}

// Received and ended: nothing more to remember.
void LiveSet::settle(Message& message, std::uint32_t at) {
  if (recipients_[at].received && recipients_[at].ended) {
    // Its received event may stand in the checkpoint alone.
    if (remember_received_) received_.insert(fingerprint(message.id, recipients_[at].index));
    unlink(message, at);
  }
  if (message.first == kNone) free_message(message);
}

void LiveSet::unlink(Message& message, std::uint32_t at) {
  Recipient& recipient = recipients_[at];
  if (message.known && message.recipient_count > kWalkMax) tables_.erase(table_key(message, recipient.index));
  (recipient.prev == kNone ? message.first : recipients_[recipient.prev].next) = recipient.next;
  if (recipient.next != kNone) recipients_[recipient.next].prev = recipient.prev;
  recipient.next = free_recipients_;
  free_recipients_ = at;
}

void LiveSet::free_message(Message& message) {
  const auto at = static_cast<std::uint32_t>(&message - messages_.data());
  by_id_.erase(message.id.raw());
  message = Message{};
  message.first = free_messages_;
  free_messages_ = at;
}

void LiveSet::drop_early_endings() {
  for (Message& message : messages_) {
    if (!message.used) continue;
    for (std::uint32_t at = message.first; at != kNone;) {
      const std::uint32_t next = recipients_[at].next;
      if (!recipients_[at].received || recipients_[at].ended) unlink(message, at);
      at = next;
    }
    if (message.first == kNone) free_message(message);
  }
}

void LiveSet::drop(MessageId id) {
  const auto found = by_id_.find(id.raw());
  if (found == by_id_.end()) return;
  Message& message = messages_[found->second];
  live_recipients_ -= message.live;
  if (message.live != 0) --live_messages_;
  while (message.first != kNone) unlink(message, message.first);
  free_message(message);
}

// --- Checkpoints.

namespace {
constexpr std::uint8_t kReceivedBit = 1;
constexpr std::uint8_t kEndedBit = 2;
constexpr std::uint8_t kShutBit = 4;  ///< shut_attempts follow the names
constexpr std::uint8_t kKnownBit = 1;
constexpr std::uint8_t kJobBit = 2;  ///< the job's name follows

void walk(const LiveSet& set, const LiveSet::Message& message, auto&& number, auto&& text, auto&& place) {
  std::uint32_t count = 0;
  for (std::uint32_t at = message.first; at != LiveSet::kNone; at = set.recipient(at).next) ++count;
  number(message.id.raw());
  number(ms(message.received));
  place(message.place);
  number(message.flags);
  number(message.recipient_count);
  number(static_cast<std::uint8_t>((message.known ? kKnownBit : 0) | (message.job != 0 ? kJobBit : 0)));
  number(count);
  if (message.job != 0) text(set.names().text(message.job));
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
  constexpr std::size_t kRecipientBytesMin = 29;
  if (!in.ok() || count == 0 || count > in.left() / kRecipientBytesMin) {
    return fail(Errc::Corrupt, "checkpoint: live message");
  }
  Message& message = message_for(id);
  if (known) learn(message, received, place, flags, recipient_count);
  if (!job.empty()) message.job = names_.intern(job);
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
    if (!in.ok()) break;
    Recipient& recipient = recipients_[recipient_for(message, index)];
    const bool was_live = recipient.received && !recipient.ended;
    recipient.received = recipient.received || (bits & kReceivedBit) != 0;
    recipient.ended = recipient.ended || (bits & kEndedBit) != 0;
    recipient.priority = priority;
    recipient.domain = names_.intern(domain);
    recipient.vmta = names_.intern(vmta);
    recipient.queue = names_.intern(queue);
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
