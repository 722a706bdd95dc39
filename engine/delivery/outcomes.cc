// What a connection makes of the receiver's answers: every recipient's outcome.
#include "engine/delivery/connection.h"
#include "policy/classify/status_text.h"

namespace sluice::delivery {

void Connection::put_back(Active& slot) {
  for (auto item = slot.items.rbegin(); item != slot.items.rend(); ++item) {
    if (*item != nullptr) queue_->put_back(**item);
  }
}

void Connection::judge(Active& slot, std::size_t index, const SmtpReply& reply, bool at_rcpt) {
  queue::Item*& item = slot.items[index];
  const Failure failure{
      status_of_reply(reply, at_rcpt ? ReplyPhase::Rcpt : ReplyPhase::Other,
                      {.smtp_553_means_invalid_mailbox = settings_->smtp_553_means_invalid_mailbox}),
      "smtp;" + reply.full_text()};
  if (reply.permanent()) {
    dispatcher_.settler().bounced(*queue_, *item, slot.lease.view(), &hop_, failure);
  } else {
    dispatcher_.settler().deferred(*queue_, *item, slot.lease.view(), &hop_, failure);
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
          dispatcher_.settler().delivered(*queue_, *std::exchange(slot.items[i], nullptr), slot.lease.view(),
                                          &hop_, reply);
          dispatcher_.succeeded(*queue_);
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
          dispatcher_.settler().delivered(*queue_, *item, slot.lease.view(), &hop_,
                                          {.code = 0, .enhanced = {}, .text = "no reply to the final dot"});
        }
      } else {
        end_all_items(slot, {{4, 4, 2}, why + " after the final dot, delivery unknown"}, false);
      }
      break;
  }
  slot.lease.reset();
  slot.items.clear();
  slot.used = false;
}

void Connection::end_all_items(Active& slot, const Failure& failure, bool permanent) {
  for (queue::Item*& item : slot.items) {
    if (item == nullptr) continue;
    if (permanent) {
      dispatcher_.settler().bounced(*queue_, *item, slot.lease.view(), &hop_, failure);
    } else {
      dispatcher_.settler().deferred(*queue_, *item, slot.lease.view(), &hop_, failure);
    }
    item = nullptr;
  }
  slot.lease.reset();
  slot.items.clear();
  slot.used = false;
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
