// What a connection makes of the receiver's answers: every recipient's outcome.
#include "engine/delivery/connection.h"
#include "policy/classify/status_text.h"

namespace sluice::delivery {

void Connection::put_back(Active& slot) {
  for (auto item = slot.items.rbegin(); item != slot.items.rend(); ++item) {
    if (*item != nullptr) slot.queue->put_back(**item);
  }
}

void Connection::release(Active& slot) {
  if (slot.state == Active::State::Free) return;
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

void Connection::judge(Active& slot, std::size_t index, const SmtpReply& reply, bool at_rcpt) {
  queue::Item*& item = slot.items[index];
  const Failure failure{
      status_of_reply(reply, at_rcpt ? ReplyPhase::Rcpt : ReplyPhase::Other,
                      {.smtp_553_means_invalid_mailbox = settings_->smtp_553_means_invalid_mailbox}),
      "smtp;" + reply.full_text()};
  if (reply.permanent()) {
    dispatcher_.settler().bounced(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure);
  } else {
    dispatcher_.settler().deferred(*slot.queue, *item, slot.lease.view(), slot.hop.get(), failure);
  }
  item = nullptr;
  ++errors_;
}

void Connection::on_recipient(net::TransactionTag tag, std::uint32_t index, const SmtpReply& reply) {
  if (!reply.positive()) judge(active_[tag.raw()], index, reply, true);
}

void Connection::on_finished(net::TransactionTag tag, net::Ending ending, net::ClientPhase phase,
                             const SmtpReply& reply) {
  Active& slot = active_[tag.raw()];
  // Code 0: no reply; the text is the machine's reason for giving up, or empty when the connection was lost.
  const std::string& why = reply.code == 0 && !reply.text.empty() ? reply.text : lost_why_;
  switch (ending) {
    case net::Ending::Replied:
      ++finished_;
      if (reply.positive() && phase == net::ClientPhase::FinalReply) dispatcher_.settler().count_message();
      for (std::size_t i = 0; i < slot.items.size(); ++i) {
        if (slot.items[i] == nullptr) continue;
        if (reply.positive() && phase == net::ClientPhase::FinalReply) {
          dispatcher_.settler().delivered(*slot.queue, *std::exchange(slot.items[i], nullptr),
                                          slot.lease.view(), slot.hop.get(), reply);
          dispatcher_.succeeded(*slot.queue);
        } else {
          judge(slot, i, reply, false);
        }
      }
      break;
    case net::Ending::AllRefused: ++finished_; break;
    case net::Ending::NeverStarted: put_back(slot); break;
    case net::Ending::PartlySent:
      if (reply.code == 421) {
        end_all_items(slot, {status_of_reply(reply, ReplyPhase::Other, {}), "smtp;" + reply.full_text()},
                      false);
        break;
      }
      if (reply.code != 0) {
        // The server lost step with our pipelining (a 503 behind a failed BDAT): nobody's fault, again on
        // this connection.
        put_back(slot);
        break;
      }
      // The message may be what breaks the connection: it waits, and does not stop the ones behind it.
      end_all_items(slot, {{4, 4, 2}, why + " during the transaction"},
                    settings_->bounce_upon_transfer_failure);
      break;
    case net::Ending::Unknown:
      if (settings_->assume_delivery_upon_data_termination_timeout) {
        for (queue::Item* item : slot.items) {
          if (item == nullptr) continue;
          dispatcher_.settler().delivered(*slot.queue, *item, slot.lease.view(), slot.hop.get(),
                                          {.code = 0, .enhanced = {}, .text = "no reply to the final dot"});
        }
      } else {
        end_all_items(slot, {{4, 4, 2}, why + " after the final dot, delivery unknown"}, false);
      }
      break;
  }
  release(slot);
}

void Connection::end_all_items(Active& slot, const Failure& failure, bool permanent) {
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

void Connection::on_over(net::ClientFault fault, net::ClientPhase phase, const SmtpReply& reply) {
  fault_ = fault;
  fault_phase_ = phase;
  fault_reply_ = reply;
  if (fault == net::ClientFault::ProtocolError) {
    lost_why_ = "protocol error (" + reply.text + ')';
    fault_reply_.code = 0;
  }
}

}  // namespace sluice::delivery
