// What a connection makes of the receiver's answers: every recipient's outcome.
#include <algorithm>

#include "engine/delivery/connection.h"
#include "policy/backoff/status_texts.h"
#include "policy/backoff/too_many_recipients.h"
#include "policy/classify/status_text.h"

namespace sluice::delivery {
namespace {

RefusalPhase refusal_phase(net::ClientPhase phase) {
  switch (phase) {
    case net::ClientPhase::Greeting: return RefusalPhase::Greeting;
    case net::ClientPhase::Mail: return RefusalPhase::Mail;
    case net::ClientPhase::Rcpt: return RefusalPhase::Rcpt;
    case net::ClientPhase::Data: return RefusalPhase::Data;
    case net::ClientPhase::BodyTransfer:
    case net::ClientPhase::FinalReply: return RefusalPhase::Final;
    case net::ClientPhase::Ehlo:
    case net::ClientPhase::StartTls:
    case net::ClientPhase::Auth:
    case net::ClientPhase::Idle:
    case net::ClientPhase::Reset:
    case net::ClientPhase::Quit:
    case net::ClientPhase::Closed: break;
  }
  return RefusalPhase::Session;
}

}  // namespace

void Connection::put_back(Active& slot) {
  dispatcher_.end_volumes(slot.volumes, false);
  for (auto item = slot.items.rbegin(); item != slot.items.rend(); ++item) {
    if (*item != nullptr) slot.queue->put_back(**item);
  }
}

void Connection::release(Active& slot) {
  if (slot.state == Active::State::Free) return;
  dispatcher_.end_volumes(slot.volumes, false);  // nothing to do where they were counted as delivered
  slot.text.rest = {};
  if (slot.text.front.capacity() > kFrontKeptMax) slot.text.front = {};
  slot.lease.reset();
  slot.items.clear();
  slot.hop.reset();
  slot.state = Active::State::Free;
  // Its own queue hears of it when it takes again; nobody else would tell the others.
  if (slot.queue != queue_) {
    if (slot.queue->size() == 0) slot.queue->emptied_at = reactor_.now();
    dispatcher_.consider(*slot.queue);
  }
}

ReplyVerdict Connection::hear(queue::Queue& queue, const HopFacts& hop, RefusalPhase phase,
                              const SmtpReply& reply) {
  was_shut_off_ = QueueModes::is_shut_off(queue);
  const ReplyVerdict verdict = dispatcher_.modes().on_refusal(
      queue, {.phase = phase, .reply = reply, .hop = hop, .source_host = source_host_, .source = source_});
  const std::string text = reply.full_text();
  const ConnectionEnds ends{source_host_, hop.source_ip, hop.mta};
  failure_ = {status_of_reply(reply, ReplyPhase::Other, {}),
              verdict.recipients == ReplyVerdict::Recipients::NextHost ? mx_skipped(text, ends)
                                                                       : refused_while_connected(text, ends),
              true};
  if (verdict.queue_wait) {
    queue_wait_ = verdict.queue_wait;
    queue_wait_of_ = &queue;  // a guest's reply says nothing about the queue this connection was opened for
  }
  switch (verdict.connection) {
    case ReplyVerdict::Connection::GoOn: break;
    case ReplyVerdict::Connection::NextHost: skip_host_ = phase != RefusalPhase::Greeting; break;
    case ReplyVerdict::Connection::Stop: finish(); break;
  }
  // Nobody borrows what is about to end.
  if (skip_host_ || finishing_) dispatcher_.withdraw(*this);
  return verdict;
}

void Connection::settle(Active& slot, std::size_t index, const SmtpReply& reply, RefusalPhase phase,
                        const ReplyVerdict& verdict) {
  queue::Item*& item = slot.items[index];
  Failure failure{
      status_of_reply(reply, phase == RefusalPhase::Rcpt ? ReplyPhase::Rcpt : ReplyPhase::Other,
                      {.smtp_553_means_invalid_mailbox = settings_->smtp_553_means_invalid_mailbox}),
      "smtp;" + reply.full_text(), true};
  if (phase == RefusalPhase::Rcpt && reply.permanent() &&
      means_too_many_recipients(reply, slot.accepted > 0)) {
    failure.status = {4, 5, 3};  // RFC 821 had no other word for it
  }
  switch (verdict.recipients) {
    case ReplyVerdict::Recipients::Bounce:
      dispatcher_.settler().bounced(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure);
      break;
    case ReplyVerdict::Recipients::NextHost:
      if (!lent_) {
        carried_.push_back(item);
        carried_of_ = slot.queue;
        break;
      }
      // The next host of its own domain is found by a connection of its own queue.
      [[fallthrough]];
    case ReplyVerdict::Recipients::Wait:
      dispatcher_.settler().deferred(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure,
                                     {.wait = verdict.recipient_wait, .was_shut_off = was_shut_off_});
      break;
  }
  item = nullptr;
  ++errors_;
}

void Connection::settle_all(Active& slot, const SmtpReply& reply, RefusalPhase phase) {
  if (std::all_of(slot.items.begin(), slot.items.end(),
                  [](const queue::Item* item) { return item == nullptr; })) {
    return;  // each had a refusal of its own
  }
  const ReplyVerdict verdict = hear(*slot.queue, *slot.hop, phase, reply);
  for (std::size_t i = 0; i < slot.items.size(); ++i) {
    if (slot.items[i] != nullptr) settle(slot, i, reply, phase, verdict);
  }
}

void Connection::offer_carried_again() {
  for (auto item = carried_.rbegin(); item != carried_.rend(); ++item) carried_of_->put_back(**item);
  carried_.clear();
}

runtime::Task<void> Connection::give_up_carried() {
  if (dispatcher_.stopping()) {
    offer_carried_again();
    co_return;
  }
  for (queue::Item* item : std::exchange(carried_, {})) {
    Result<spool::MessageLease> lease = co_await dispatcher_.reader().open(*item->message);
    if (lease) {
      dispatcher_.settler().deferred(*carried_of_, *item, lease->view(), hop_.get(), failure_,
                                     {.wait = wait_asked_of(*carried_of_), .was_shut_off = was_shut_off_});
    } else {
      dispatcher_.settler().lost(*carried_of_, *item, lease.error());
    }
  }
  if (carried_of_ != queue_) dispatcher_.consider(*carried_of_);
}

void Connection::on_recipient(net::TransactionTag tag, std::uint32_t index, const SmtpReply& reply) {
  Active& slot = active_[tag.raw()];
  if (reply.positive()) {
    ++slot.accepted;
    return;
  }
  const bool too_many = means_too_many_recipients(reply, slot.accepted > 0);
  if (too_many && slot.accepted > 0) {
    // Not an attempt: the next transaction takes it, and each takes at least one more.
    slot.queue->put_back(*std::exchange(slot.items[index], nullptr));
    return;
  }
  ReplyVerdict verdict = hear(*slot.queue, *slot.hop, RefusalPhase::Rcpt, reply);
  if (too_many && reply.permanent() && verdict.recipients == ReplyVerdict::Recipients::Bounce) {
    verdict.recipients = ReplyVerdict::Recipients::Wait;
  }
  settle(slot, index, reply, RefusalPhase::Rcpt, verdict);
}

void Connection::on_finished(net::TransactionTag tag, net::Ending ending, net::ClientPhase phase,
                             const SmtpReply& reply) {
  Active& slot = active_[tag.raw()];
  // Code 0: no reply; the text is the machine's reason for giving up, or empty when the connection was lost.
  const bool broke_rules = reply.code == 0 && !reply.text.empty();
  const std::string& why = broke_rules ? reply.text : lost_why_;
  const std::string_view category = broke_rules ? kProtocolErrors : std::string_view();
  if (was_not_attempted(ending, phase, reply)) {
    used_up_ = true;
    put_back(slot);
    release(slot);
    return;
  }
  switch (ending) {
    case net::Ending::Replied:
      host_answered();
      dispatcher_.end_volumes(slot.volumes, reply.positive() && phase == net::ClientPhase::FinalReply);
      if (!reply.positive() || phase != net::ClientPhase::FinalReply) {
        settle_all(slot, reply, refusal_phase(phase));
        break;
      }
      dispatcher_.settler().count_message();
      for (queue::Item*& item : slot.items) {
        if (item == nullptr) continue;
        dispatcher_.settler().delivered(*slot.queue, *std::exchange(item, nullptr), slot.lease.view(),
                                        slot.hop.get(), reply);
      }
      // What was under way when the receiver pushed back says nothing about how it feels now.
      if (!slot.queue->mode.in_backoff() || slot.queue->mode_events().empty() ||
          slot.queue->mode_events().front().time <= slot.began) {
        dispatcher_.succeeded(*slot.queue, reply);
      }
      break;
    case net::Ending::AllRefused: host_answered(); break;
    case net::Ending::NeverStarted: put_back(slot); break;
    case net::Ending::NoChunking:
      habits_.note(endpoint_, {.no_chunking = true}, reactor_.now());
      goes_otherwise_ = true;
      put_back(slot);
      break;
    case net::Ending::PartlySent:
      log_broken_transfer(slot, phase, why);
      if (reply.code == 421) {
        settle_all(slot, reply, refusal_phase(phase));
        heard_421_ = true;
        break;
      }
      // The message may be what breaks the connection: it waits, and does not stop the ones behind it.
      end_all_items(slot, {{4, 4, 2}, why + " during the transaction", false, category},
                    bounces_broken_transfer(phase));
      break;
    case net::Ending::Unknown:
      log_broken_transfer(slot, phase, why);
      // BDAT has no answer here, and DATA may have one.
      if (client_->capabilities().chunking && !client_->chunking_works()) {
        habits_.note(endpoint_, {.no_chunking = true}, reactor_.now());
      }
      dispatcher_.end_volumes(slot.volumes, true);  // it was sent as a whole: it counts
      if (settings_->assume_delivery_upon_data_termination_timeout) {
        for (queue::Item* item : slot.items) {
          if (item == nullptr) continue;
          dispatcher_.settler().delivered(*slot.queue, *item, slot.lease.view(), slot.hop.get(),
                                          {.code = 0, .enhanced = {}, .text = "no reply to the final dot"});
        }
      } else {
        end_all_items(slot, {{4, 4, 2}, why + " after the final dot, delivery unknown", false, category},
                      false);
      }
      break;
  }
  release(slot);
}

void Connection::end_all_items(Active& slot, const Failure& failure, bool permanent) {
  dispatcher_.end_volumes(slot.volumes, false);
  for (queue::Item*& item : slot.items) {
    if (item == nullptr) continue;
    if (permanent) {
      dispatcher_.settler().bounced(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure);
    } else {
      dispatcher_.settler().deferred(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure);
    }
    item = nullptr;
  }
  release(slot);
}

/// A host that ends a connection which has served before MAIL is answered (an idle time, a number of messages, a
/// restart) says nothing about the next message: a new connection takes it at once. On a new connection the
/// message may be the reason, and waits.
bool Connection::was_not_attempted(net::Ending ending, net::ClientPhase phase, const SmtpReply& reply) const {
  if (phase != net::ClientPhase::Mail || finished_ == 0 || (reply.code != 421 && reply.code != 0))
    return false;
  // A host that is out of step may have taken what was sent whole.
  const bool is_out_of_step = reply.code == 0 && !reply.text.empty();
  return ending != net::Ending::Unknown || !is_out_of_step;
}

/// A 421 that comes when no command of a transaction is refused by it ends the connection, nothing more.
bool Connection::leaves_in_peace(net::ClientPhase phase) const {
  switch (phase) {
    case net::ClientPhase::Idle: return finished_ > 0 || queue_->ready() == 0;
    case net::ClientPhase::Mail:
    case net::ClientPhase::Reset: return finished_ > 0;
    default: return false;
  }
}

bool Connection::bounces_broken_transfer(net::ClientPhase phase) const {
  if (phase != net::ClientPhase::BodyTransfer && phase != net::ClientPhase::FinalReply) return false;
  return settings_->bounce_upon_transfer_failure ||
         (settings_->bounce_upon_pix_transfer_failure && client_->is_pix());
}

void Connection::on_over(net::ClientFault fault, net::ClientPhase phase, const SmtpReply& reply) {
  fault_ = fault;
  fault_reply_ = reply;
  if (reply.code == 421 && leaves_in_peace(phase)) {
    used_up_ = true;
    return;
  }
  // A 421 that ended transactions has been heard for them already.
  if (fault == net::ClientFault::Refused && reply.code != 0 && phase != net::ClientPhase::Quit &&
      !std::exchange(heard_421_, false)) {
    hear(*queue_, *hop_, refusal_phase(phase), reply);
  }
  if (fault == net::ClientFault::ProtocolError) {
    lost_why_ = "protocol error (" + reply.text + ')';
    fault_reply_.code = 0;
    // From now on one command at a time: then each reply has one place.
    if (ready_) {
      habits_.note(endpoint_, {.no_chunking = true, .no_pipelining = true}, reactor_.now());
    }
  }
}

}  // namespace sluice::delivery
