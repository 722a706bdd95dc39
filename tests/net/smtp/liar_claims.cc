// What the client claims, held against the truth.

#include "policy/base/assert.h"
#include "tests/net/smtp/liar_connection.h"

namespace sluice::net::test {

void LiarConnection::on_ready(const Capabilities& capabilities) {
  is_ready_ = true;
  log("!", "ready " + capabilities.listed);
}

void LiarConnection::on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) {
  Transfer& transfer = *transfers_.at(tag.raw());
  const std::uint32_t recipient = transfer.recipients.at(index);
  log("!", transfer.id.text() + '.' + std::to_string(recipient) + ' ' + std::to_string(reply.code));
  if (transfer.ended) return blame(transfer, "a recipient's reply after the end");
  if (reply.positive()) return;
  if (!transfer.refused.emplace(recipient, reply.code).second)
    return blame(transfer, "a recipient told twice");
  check_refused(transfer, recipient, reply.code);
}

void LiarConnection::on_finished(TransactionTag tag, Ending ending, ClientPhase phase,
                                 const SmtpReply& reply) {
  Transfer& transfer = *transfers_.at(tag.raw());
  log("!", transfer.id.text() + ' ' + std::string(name_of(ending)) + " at " + std::string(name_of(phase)) +
               ' ' + std::to_string(reply.code));
  if (std::exchange(transfer.ended, true)) return blame(transfer, "ended twice");
  const bool delivered = ending == Ending::Replied && reply.positive() && phase == ClientPhase::FinalReply;
  ++run_.counts_.claims[std::string(name_of(ending)) + (delivered ? " yes" : "")];
  if (ending == Ending::Replied && reply.positive() && !delivered) blame(transfer, "a yes before the end");
  if (ending == Ending::NeverStarted && run_.ledger_.tries[transfer.id].mail_came) {
    blame(transfer, "said to be never started, but its MAIL came");
  }
  if (ending == Ending::NeverStarted || ending == Ending::PartlySent) check_not_taken(transfer, ending);
  if (ending == Ending::Unknown && !all_within(transfer, stream_.size())) {
    blame(transfer, "said to be unknown, but was never sent whole");
  }
  if (ending == Ending::AllRefused && transfer.refused.size() != transfer.recipients.size()) {
    blame(transfer, "said to be refused for all, but was not");
  }
  LiarMail left = transfer.mail;
  for (const std::uint32_t recipient : transfer.recipients) {
    std::uint16_t code = ending == Ending::Replied ? reply.code : 0;
    if (const auto own = transfer.refused.find(recipient); own != transfer.refused.end()) {
      code = own->second;
    } else if (delivered) {
      check_delivered(transfer, recipient);
    } else if (ending == Ending::Replied) {
      check_refused(transfer, recipient, reply.code);
    }
    if ((code >= 200 && code < 400) || code >= 500) left.open.erase(recipient);
  }
  if (!left.open.empty() && left.tries < LiarRun::kTriesMax) run_.waiting_.push_back(std::move(left));
}

void LiarConnection::on_over(ClientFault fault, ClientPhase phase, const SmtpReply& reply) {
  log("!", "over: " + std::string(name_of(fault)) + " at " + std::string(name_of(phase)) + ' ' +
               std::to_string(reply.code) + ' ' + reply.text.substr(0, 60));
  if (std::exchange(over_, true)) run_.fault("over twice");
  for (const auto& [tag, transfer] : transfers_) {
    if (!transfer->ended) blame(*transfer, "over before its end");
  }
}

/// One reply too many and one too few: nothing shows it any more.
bool LiarConnection::is_miscounted() const { return miscounted_ || (stray_heard_ && peer_.is_short_of_one()); }

void LiarConnection::check_delivered(const Transfer& transfer, std::uint32_t recipient) {
  const Truth& truth = run_.ledger_.tries[transfer.id];
  if (truth.taken_for.contains(recipient)) return;
  const bool early_by_chance = transfer.early_excused && all_within(transfer, consumed_);
  if (early_by_chance || is_miscounted()) {
    ++run_.counts_.excused;
    return;
  }
  blame(transfer, "delivered to " + std::to_string(recipient) + ", but the receiver did not take it");
}

void LiarConnection::check_body(const Transfer& transfer) {
  if (!run_.ledger_.tries[transfer.id].spoiled || miscounted_) return;
  blame(transfer, "arrived with the body of another");
}

void LiarConnection::check_refused(const Transfer& transfer, std::uint32_t recipient, std::uint16_t code) {
  const Truth& truth = run_.ledger_.tries[transfer.id];
  const std::string whom = std::to_string(recipient) + " with " + std::to_string(code);
  const bool taken = truth.taken_for.contains(recipient);
  const bool permanent = code >= 500;
  if (!taken && (!permanent || truth.refused_by(recipient, code))) return;
  if (is_miscounted()) {
    ++run_.counts_.excused;
    return;
  }
  if (taken) return blame(transfer, "refused for " + whom + ", but taken");
  blame(transfer, "bounced for " + whom + ", which nobody said of it");
}

void LiarConnection::check_not_taken(const Transfer& transfer, Ending ending) {
  const Truth& truth = run_.ledger_.tries[transfer.id];
  for (const std::uint32_t recipient : truth.taken_for) {
    if (transfer.refused.contains(recipient)) continue;
    if (miscounted_) {
      ++run_.counts_.excused;
      continue;
    }
    blame(transfer, "said to be " + std::string(name_of(ending)) + ", but the receiver took it");
  }
}

void LiarConnection::blame(const Transfer& transfer, const std::string& what) {
  run_.fault("message " + transfer.id.text() + ' ' + what);
}

}  // namespace sluice::net::test
