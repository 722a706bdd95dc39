#include "engine/journal/live_set.h"

#include <algorithm>

#include "engine/log/bytes.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

constexpr std::size_t kNameBlockBytes = 64 * kKiB;

}  // namespace

std::string domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string() : to_lower(address.substr(at + 1));
}

Names::Names() { (void)intern(""); }

std::string_view Names::keep(std::string_view text) {
  if (text.size() > block_left_) {
    block_left_ = std::max(kNameBlockBytes, text.size());
    blocks_.push_back(std::make_unique<char[]>(block_left_));
    block_at_ = blocks_.back().get();
  }
  std::ranges::copy(text, block_at_);
  const std::string_view kept(block_at_, text.size());
  block_at_ += text.size();
  block_left_ -= text.size();
  return kept;
}

std::uint32_t Names::intern(std::string_view text) {
  if (const auto found = ids_.find(text); found != ids_.end()) return found->second;
  const std::string_view kept = keep(text);
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
    const WallTime received = event.received != WallTime{} ? event.received : event.time_queued;
    learn(message, received, event.place, event.flags.bits, event.recipient_count);
    if (message.job == 0 && !event.job_id.empty()) message.job = names_.intern(event.job_id);
    if (message.source == 0) learn_names(message, event);
  }
  const std::uint32_t at = recipient_for(message, event.recipient);
  Recipient& recipient = recipients_[at];
  switch (event.kind) {
    case EventKind::Received:
      if (!recipient.received) {
        recipient.received = true;
        recipient.priority = event.priority;
        recipient.domain = names_.intern(domain_of(event.rcpt));
        if (!recipient.ended) recipient.rcpt = names_.keep(event.rcpt);
        if (!recipient.ended && !event.orcpt.empty()) recipient.orcpt = names_.intern(event.orcpt);
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

// What messages have in common is stored once, packed; the sender and the envelope's id hardly ever are.
void LiveSet::learn_names(Message& message, const Event& event) {
  std::string packed;
  for (const std::string_view one : {event.vmta_pool, event.src_type, event.src_mta, event.rcv_smtp_user,
                                     event.rcv_source_ip, event.rcv_destination_ip}) {
    const auto size = static_cast<std::uint16_t>(std::min<std::size_t>(one.size(), UINT16_MAX));
    packed.append(reinterpret_cast<const char*>(&size), sizeof size);
    packed.append(one.substr(0, size));
  }
  message.source = names_.intern(packed);
  message.orig = names_.keep(event.orig);
  message.env_id = names_.keep(event.env_id);
}

bool LiveSet::name(Event& event) const {
  const Message* message = find(event.message);
  const Recipient* recipient = find(event.message, event.recipient);
  if (message == nullptr || recipient == nullptr || recipient->rcpt.empty()) return false;
  event.rcpt = recipient->rcpt;
  event.orcpt = names_.text(recipient->orcpt);
  event.orig = message->orig;
  event.env_id = message->env_id;
  event.job_id = names_.text(message->job);
  const std::string_view packed = names_.text(message->source);
  log::Decoder in(std::as_bytes(std::span(packed)));
  for (std::string_view* one : {&event.vmta_pool, &event.src_type, &event.src_mta, &event.rcv_smtp_user,
                                &event.rcv_source_ip, &event.rcv_destination_ip}) {
    *one = in.text16();
  }
  return true;
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

}  // namespace sluice::journal
