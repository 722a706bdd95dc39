// What a connection sends: takes recipients from its queue, reads their message, pays for them and offers the
// transaction to the SMTP machine.
#include <algorithm>
#include <array>

#include "engine/delivery/connection.h"
#include "policy/backoff/retry_rules.h"
#include "policy/base/assert.h"
#include "policy/retry/retry.h"

namespace sluice::delivery {
namespace {

net::DsnReturn to_net(spool::DsnReturn ret) {
  switch (ret) {
    case spool::DsnReturn::Unset: return net::DsnReturn::Unset;
    case spool::DsnReturn::Full: return net::DsnReturn::Full;
    case spool::DsnReturn::Headers: return net::DsnReturn::Headers;
  }
  return net::DsnReturn::Unset;
}

}  // namespace

std::size_t Connection::recipients_at_most() const {
  std::size_t most = errors_left();
  if (client_->capabilities().rcpt_max) most = std::min<std::size_t>(most, *client_->capabilities().rcpt_max);
  return most;
}

bool Connection::may_take_more() const {
  if (finishing_ || skip_host_ || used_up_ || quit_said_ || client_->used_up()) return false;
  if (settings_->max_msg_per_connection && messages_ >= *settings_->max_msg_per_connection) return false;
  return errors_left() > 0;
}

/// `max-errors-per-connection` holds for what is under way too: every recipient of it may be refused.
std::size_t Connection::errors_left() const {
  if (!settings_->max_errors_per_connection) return net::Client::kRecipientsMax;
  std::size_t used = errors_;
  for (const Active& slot : active_) {
    if (slot.state != Active::State::Free)
      used += static_cast<std::size_t>(
          std::ranges::count_if(slot.items, [](const queue::Item* one) { return one != nullptr; }));
  }
  const std::size_t most = *settings_->max_errors_per_connection;
  return used >= most ? 0 : std::min<std::size_t>(most - used, net::Client::kRecipientsMax);
}

void Connection::add_transactions() {
  rate_wait_ = {};
  pay_at_ = {};
  reactor_.disarm(pay_timer_);
  for (Active& slot : active_) {
    if (slot.state != Active::State::Read) continue;
    if (client_->free_slots() == 0 || finishing_ || used_up_ || !slot.queue->withheld.empty() ||
        QueueModes::is_shut(*slot.queue, source_)) {
      give_up(slot);
    } else if (!offer_paid(slot)) {
      if (rate_wait_ - reactor_.now() > kReadWaitMax) {
        give_up(slot);  // others may need its buffer
      } else if (pay_at_ == MonoTime{} || rate_wait_ < pay_at_) {
        pay_at_ = rate_wait_;
      }
    }
  }
  if (pay_at_ != MonoTime{}) {
    reactor_.arm(pay_timer_, pay_at_);
    return;
  }
  while (may_take_more() && client_->free_slots() > reads_pending_) {
    if (dispatcher_.must_hand_on(slots_, *queue_, messages_, ready_at_)) return finish();
    // Reading ahead while other mail is under way is worth it only as long as nobody lacks a buffer for his
    // first.
    if (client_->in_flight() + reads_pending_ > 0 && !dispatcher_.reader().has_plenty()) return;
    const auto slot = std::find_if(active_.begin(), active_.end(),
                                   [](const Active& one) { return one.state == Active::State::Free; });
    SLUICE_ASSERT(slot != active_.end());
    const bool took = take_one(*slot);
    if (!guests_.empty()) {
      next_guest(took);
    } else if (!took) {
      return;
    }
  }
}

bool Connection::take_one(Active& slot) {
  // A guest whose command has disabled this source address leaves.
  if (QueueModes::is_shut(*queue_, source_)) return false;
  slot.items.clear();
  const Dispatcher::Taken taken =
      dispatcher_.take(*queue_, passage_.gate.get(), slot.items, recipients_at_most(), slot.volumes);
  if (const auto* wait = std::get_if<Dispatcher::WaitUntil>(&taken)) {
    rate_wait_ = wait->time;
    return false;
  }
  if (std::holds_alternative<Dispatcher::NothingToDo>(taken)) return false;
  const spool::StoredMessage& message = *slot.items.front()->message;
  slot.queue = queue_;
  slot.hop = hop_;
  ++messages_;
  if (auto lease = dispatcher_.reader().try_open(message)) {
    slot.lease = std::move(*lease);
    if (!settings_->check_spf_outbound || is_cleared(slot)) {
      slot.state = Active::State::Read;
      if (offer_paid(slot)) return true;
      give_up(slot);
      return false;
    }
    slot.lease.reset();
  }
  slot.stop.renew();
  slot.state = Active::State::Reading;
  ++reads_pending_;
  reads_.spawn(read(slot));
  return true;
}

/// False: a rate was used up meanwhile, until rate_wait_; the slot keeps what was read.
bool Connection::offer_paid(Active& slot) {
  if (const auto wait = dispatcher_.pay(*slot.queue, passage_.gate.get(), slot.items)) {
    rate_wait_ = *wait;
    return false;
  }
  slot.state = Active::State::Offered;
  if (!offer(slot)) --messages_;
  return true;
}

// Beside the conversation, not in it: what is under way has to end while this waits for a buffer, because it
// may be what holds the buffers.
runtime::Task<void> Connection::read(Active& slot) {
  const auto broke = co_await runtime::contained(read_message(slot));
  --reads_pending_;
  if (broke) {
    note_exception(*broke);
    if (slot.state != Active::State::Free) give_up(slot);
  }
  wakeup_.set();
}

runtime::Task<void> Connection::read_message(Active& slot) {
  Result<spool::MessageLease> lease = co_await dispatcher_.reader().open(*slot.items.front()->message);
  SpfGate::Verdict verdict;
  if (lease && settings_->check_spf_outbound) verdict = co_await clear_sender(slot, lease);
  if (lease) {
    slot.lease = std::move(*lease);
    slot.state = Active::State::Read;
    if (client_->is_over() || broken_ || verdict.stopped) {
      give_up(slot);
    } else if (verdict.result != spf::Result::Pass) {
      refuse_sender(slot, verdict);
    }
  } else {
    for (queue::Item* item : slot.items) dispatcher_.settler().lost(*slot.queue, *item, lease.error());
    release(slot);
    --messages_;
  }
}

void Connection::give_up(Active& slot) {
  put_back(slot);
  release(slot);
  --messages_;
}

/// When bounce-after ends the mail of `slot`. What goes out beyond that time has a delivery window, which counts
/// instead.
MonoTime Connection::expiry_of(const Active& slot) const {
  const Duration age = reactor_.lasting_now() - slot.items.front()->message->received();
  const RetryRules rules = retry_rules_of(*slot.queue->settings, slot.queue->mode.mode());
  const Duration left = time_to_expiry(rules, age);
  return left == Duration{0} ? MonoTime::max() : reactor_.now() + left;
}

bool Connection::offer(Active& slot) {
  const spool::MessageView& message = slot.lease.view();
  // Whatever began in normal mode began before any backoff.
  slot.began = slot.queue->mode.in_backoff() ? reactor_.wall_now() : WallTime{};
  slot.accepted = 0;
  slot.expires = expiry_of(slot);
  recipients_.clear();
  for (const queue::Item* item : slot.items) {
    const spool::Recipient one = message.recipient(item->recipient);
    recipients_.push_back(
        {.address = one.address, .notify = net::DsnNotify{one.notify.bits}, .orcpt = one.orcpt});
  }
  make_outgoing(slot.text, message.body, message.flags, slot.queue->vmta_name(), reactor_.wall_now(),
                settings_->remove_header);
  const std::array<net::Bytes, 2> parts{std::as_bytes(std::span(slot.text.front)), slot.text.rest};
  net::Transaction transaction{
      .tag = net::TransactionTag{static_cast<std::uint64_t>(&slot - active_.data())},
      .sender = sender_of(slot, message, slot.sender),
      .ret = to_net(message.ret),
      .envid = message.env_id.size() <= net::kEnvidBytesMax ? message.env_id : std::string_view(),
      .recipients = recipients_,
      .body = slot.text.front.empty() ? std::span(parts).last(1) : std::span(parts),
      .eight_bit = message.flags.has(spool::MessageFlags::kEightBit),
      .smtp_utf8 = message.flags.has(spool::MessageFlags::kSmtpUtf8),
      .has_dot_lines = message.flags.has(spool::MessageFlags::kDotLines)};
  net::Client::Add added = client_->add(transaction);
  if (added == net::Client::Add::Needs8BitMime) {
    // Every server of today passes eight bits on; re-encoding would break DKIM signatures, refusing would
    // lose mail.
    transaction.eight_bit = false;
    added = client_->add(transaction);
  }
  switch (added) {
    case net::Client::Add::Accepted: return true;
    case net::Client::Add::MessageTooBig:
      end_all_items(slot, {{5, 3, 4}, "smtp;message exceeds the size the remote host announced"}, true);
      return false;
    case net::Client::Add::NeedsSmtpUtf8:
      end_all_items(slot, {{5, 6, 7}, "smtp;remote host does not offer SMTPUTF8"}, true);
      return false;
    case net::Client::Add::BadInput:
      end_all_items(slot, {{5, 1, 3}, "smtp;address cannot be sent"}, true);
      return false;
    case net::Client::Add::NoSlot:
    case net::Client::Add::TooManyRecipients:
    case net::Client::Add::Needs8BitMime: break;
  }
  SLUICE_ASSERT(false);  // free_slots() and recipients_at_most() were obeyed
  return false;
}

}  // namespace sluice::delivery
