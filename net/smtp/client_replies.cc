// What each reply means for its transaction. What keeps a reply too many from being taken for the next command's
// stands in client.h, "In step".

#include <algorithm>
#include <tuple>

#include "net/smtp/client.h"
#include "net/smtp/reply_meaning.h"

namespace sluice::net {
namespace {

constexpr std::uint16_t kTaken = 250;         // what every server says of a message it has taken
constexpr std::uint16_t kAddressSubject = 1;  // RFC 3463: X.1.X speaks of an address
const SmtpReply kNoReply;

}  // namespace

/// True when the command the next reply answers was sent before that reply began to arrive.
bool Client::was_asked_for(const Slot& slot) const {
  switch (expectation(slot)) {
    case Expect::Reset: return reply_from_ >= slot.start;
    case Expect::Mail:
    case Expect::Rcpt:
    case Expect::Data:
      return slot.next_reply < slot.queued && reply_from_ >= slot.start + slot.ends[slot.next_reply];
    // A refusal may come while the body is still going out, see take_final(), but not before it began.
    case Expect::Final:
      if (slot.chunked) return reply_from_ >= slot.start + slot.ends.back();
      return reply_from_ > slot.body_start;
    case Expect::Proof: return reply_from_ >= slot.end;
    case Expect::Nothing: return false;
  }
  return false;
}

void Client::take_transaction_reply(const SmtpReply& reply) {
  // The server says good-bye unasked, and closes.
  if (reply.code == 221) return over(ClientFault::ConnectionLost, phase(), kNoReply, shown_bytes_);
  const std::uint32_t index = waiting_slot();
  if (index == slot_count_ || !slot(index).started || !was_asked_for(slot(index))) {
    if (reply.code != 421) {
      if (index < slot_count_) note_second_yes(slot(index), reply);
      return protocol_error("reply without a command");
    }
    return over(ClientFault::Refused, phase(), reply, shown_bytes_);
  }
  switch (expectation(slot(index))) {
    case Expect::Reset: return take_reset(index, reply);
    case Expect::Mail: return take_mail(index, reply);
    case Expect::Rcpt: return take_rcpt(index, reply);
    case Expect::Data: return take_data(index, reply);
    case Expect::Final: return take_final(index, reply);
    case Expect::Proof: return take_proof(index, reply);
    case Expect::Nothing: return;
  }
}

/// A 421 that ends the connection. True: it did.
bool Client::ends_with(const SmtpReply& reply, ClientPhase phase) {
  if (reply.code != 421 || !settings_.close_on_421) return false;
  over(ClientFault::Refused, phase, reply, shown_bytes_);
  return true;
}

bool Client::reads_like_reset(const SmtpReply& reply) const {
  return reply.code == reset_reply_.code && reply.text == reset_reply_.text;
}

void Client::take_reset(std::uint32_t index, const SmtpReply& reply) {
  if (reply.code == 421) return over(ClientFault::Refused, ClientPhase::Mail, reply, shown_bytes_);
  if (!is_success(reply)) return protocol_error("RSET refused: " + reply.full_text());
  slot(index).reset_heard = true;
  const bool is_alike = reads_like_reset(reply);
  const bool proves = index > 0 && !slot(index - 1).replies_done;
  if (!is_alike && (proves || !is_last_begun(index))) doubt_ = true;
  if (doubt_) return;
  if (proves) prove_upto(index - 1);
  resets_alike_ = is_alike ? resets_alike_ + 1 : 1;
  if (!is_alike) reset_reply_ = reply;
}

void Client::take_mail(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  if (is_intermediate(reply)) return protocol_error("unexpected code to MAIL");
  ++now.next_reply;
  now.codes_fit = reply.enhanced && reply.enhanced->subject == kAddressSubject;
  if (reply.enhanced) now.mail_code = *reply.enhanced;
  if (now.resets && is_success(reply) && !now.codes_fit) return protocol_error("code that does not fit MAIL");
  if (now.resets && reads_like_reset(reply)) reset_tells_ = false;
  if (is_success(reply)) return;
  // Every server knows MAIL: this answers the lines of a chunk that was read as commands, or something before them.
  if (now.chunked && (reply.code == 500 || reply.code == 502)) return protocol_error("MAIL refused as a command");
  clean_ = 0;
  now.mail_refused = true;
  decide(now, ClientPhase::Mail, reply);
  if (now.chunked) next_by_data_ = true;
  if (ends_with(reply, ClientPhase::Mail)) return;
  if (mode_ == Mode::Lockstep) ask_for_proof(index);
}

void Client::take_rcpt(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  if (is_intermediate(reply)) return protocol_error("unexpected code to RCPT");
  const std::uint32_t recipient = now.next_reply - 1;
  ++now.next_reply;
  if (now.mail_refused) {
    // DATA has its 354 to tell a lax server from one that is out of step.
    if (now.chunked && is_success(reply)) return protocol_error("recipient accepted behind a refused MAIL");
    return;
  }
  now.codes_fit = now.codes_fit && reply.enhanced && reply.enhanced->subject == kAddressSubject &&
                  *reply.enhanced != now.mail_code;
  if (now.resets && is_success(reply) && !now.codes_fit) return protocol_error("code that does not fit RCPT");
  if (now.resets && reads_like_reset(reply)) reset_tells_ = false;
  if (is_success(reply)) {
    ++now.accepted;
    events_->on_recipient(now.tag, recipient, reply);
    return;
  }
  now.refusals.push_back({recipient, reply});
  clean_ = 0;
  if (now.chunked) next_by_data_ = true;
  if (ends_with(reply, ClientPhase::Rcpt)) return;
  // Nobody to send to: DATA is not even asked for.
  if (mode_ == Mode::Lockstep && now.next_reply > now.recipients && now.accepted == 0) ask_for_proof(index);
}

void Client::take_data(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  if (is_success(reply)) return protocol_error("2xx reply to DATA");
  if (is_intermediate(reply)) now.in_step = true;
  // The server holds a transaction that is not ours. Even a lone dot would be a message for its recipients.
  if (now.in_step && now.mail_refused) return protocol_error("message asked for behind a refused MAIL");
  ++now.next_reply;
  if (now.in_step) {
    next_by_data_ = false;
    tell_refusals(now);
    // 354 though nobody was accepted: the server waits for a message, which is an empty one (RFC 2920 3.1).
    if (now.accepted > 0) queue_body(now);
    return queue_dot(now);
  }
  // Every server knows DATA: one that does not, behind a recipient it has taken, has lost step.
  if (now.accepted > 0 && is_unknown_command(reply)) return protocol_error("DATA refused as a command");
  if (now.accepted > 0) decide(now, ClientPhase::Data, reply);
  if (ends_with(reply, ClientPhase::Data)) return;
  ask_for_proof(index);
}

void Client::take_final(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  const bool all_sent = now.complete && reply_from_ >= now.message_end;
  const bool counts = now.accepted > 0 && !now.mail_refused;
  if (is_intermediate(reply) || names_another_command(reply)) {
    return protocol_error("unexpected code at the end of the message");
  }
  // DATA was answered by 354: this is no answer to a message but to something that was taken for a command.
  if (!now.chunked && is_unknown_command(reply)) return protocol_error("message refused as a command");
  if (is_success(reply) && !all_sent) return protocol_error("2xx reply before the end of the message");
  if (is_success(reply) && !counts && now.chunked) return protocol_error("2xx reply to a message for nobody");
  const ClientPhase where = all_sent ? ClientPhase::FinalReply : ClientPhase::BodyTransfer;
  if (counts) decide(now, where, reply);
  if (!all_sent && (!now.chunked || reply.code == 421)) {
    // Inside DATA there is no way to stop but to close (RFC 5321 4.5.4): the dot is not sent, so nothing was
    // delivered.
    return over(ClientFault::Refused, where, reply, shown_bytes_);
  }
  if (!now.chunked) {
    now.replies_done = is_success(reply);
    if (now.replies_done) return;
    next_by_data_ = true;  // a server that keeps the transaction open shows it before it gets another body
    if (ends_with(reply, where)) return;
    // 354 has shown that all was in step up to here. That nothing else came before this needs proof, where mail would
    // be given up for it.
    if (counts && reply.permanent()) return ask_for_proof(index);
    now.replies_done = true;
    return;
  }
  const bool of_address = reply.enhanced && reply.enhanced->subject == kAddressSubject;
  if (of_address && (doubt_ || (now.codes_fit && is_success(reply)))) {
    return protocol_error("reply to a recipient where the message's is due");
  }
  if (is_success(reply)) {
    chunking_works_ = true;
    if ((doubt_ || !is_last_begun(index)) && (reads_like_reset(reply) || reply.code != kTaken)) {
      return protocol_error("another reply where the message's is due");
    }
    if (now.resets && reads_like_reset(reply)) reset_tells_ = false;
    now.is_named = now.codes_fit && reply.enhanced && !doubt_;
    if (now.is_named) ++clean_;
    if (!now.codes_fit || !reply.enhanced) mode_ = Mode::Pipelining;  // the codes offered say nothing: 354 has to
    now.in_step = now.replies_done = now.is_named && is_last_begun(index);
  } else {
    clean_ = 0;
    next_by_data_ = true;
    // Whether BDAT or the message is meant, or neither: the RSET behind a 5xx cannot tell, a 354 can.
    const bool is_alone = is_last_begun(index) && !doubt_;
    if (counts && !is_alone && is_unknown_command(reply)) return protocol_error("BDAT refused as a command");
    if (counts && is_alone && (is_unknown_command(reply) || (reply.permanent() && !now.codes_fit))) {
      now.no_chunking = true;
      mode_ = Mode::Pipelining;
    }
    if (ends_with(reply, where)) return;
  }
  if (!now.replies_done) ask_for_proof(index);
}

void Client::prove_upto(std::uint32_t index) {
  for (std::uint32_t i = 0; i <= index; ++i) slot(i).in_step = slot(i).replies_done = true;
}

/// One "yes" too many in front of the message's, or behind it: either way the message was taken.
void Client::note_second_yes(Slot& slot, const SmtpReply& reply) const {
  if (!slot.awaits_proof || !slot.is_decided || !slot.codes_fit || doubt_) return;
  if (slot.decided.positive() && is_success(reply)) slot.in_step = true;
}

void Client::take_proof(std::uint32_t index, const SmtpReply& reply) {
  const Slot& now = slot(index);
  if (is_success(reply)) {
    if (now.proof_lists) {
      const Capabilities listed = Capabilities::parse(parser_.lines());
      parser_.keep_lines(false);
      if (now.chunked ? !listed.chunking : listed.listed.empty()) {
        note_second_yes(slot(index), reply);
        return protocol_error("another reply where that to EHLO is due");
      }
    }
    doubt_ = false;
    return prove_upto(index);
  }
  // A server that takes no second EHLO, or no RSET, is one of those that offer little.
  const bool knows_none = is_unknown_command(reply) && mode_ == Mode::Lockstep && now.recipients == 1;
  if (reply.code == 421 || knows_none) {
    return over(ClientFault::Refused, ClientPhase::Reset, reply, shown_bytes_);
  }
  chunk_was_read_ = now.chunked && is_unknown_command(reply);
  protocol_error((now.proof_lists ? "EHLO refused: " : "RSET refused: ") + reply.full_text());
}

/// Every reply to the transaction's commands is here, and no 354 among them.
void Client::ask_for_proof(std::uint32_t index) {
  Slot& now = slot(index);
  if (is_last_begun(index)) {
    now.awaits_proof = true;
    queue_proof(now);
  } else {
    now.is_held = true;
  }
}

void Client::decide(Slot& slot, ClientPhase phase, const SmtpReply& reply) {
  slot.decided = reply;
  slot.decided_phase = phase;
  slot.is_decided = true;
}

/// May what was heard so far count, though the connection ends before the proof?
bool Client::stands(const Slot& slot, ClientFault fault) const {
  const bool is_refuted = fault == ClientFault::ProtocolError && slot.awaits_proof && slot.decided.permanent();
  if (slot.in_step && !is_refuted) return true;
  // A code of an address behind MAIL's, where one address was named.
  const bool is_named = slot.recipients == 1 && slot.codes_fit && !slot.refusals.empty() && !doubt_;
  if (is_named && (fault != ClientFault::ProtocolError || chunk_was_read_)) return true;
  if (fault == ClientFault::ProtocolError) return false;
  if (mode_ == Mode::Lockstep) return true;
  const bool is_ahead = slot.is_held || doubt_;
  if (is_ahead && slot.is_decided && slot.decided_phase != ClientPhase::Mail) return slot.is_named && !doubt_;
  if (slot.recipients == 1 && !is_ahead) {
    // "Unknown command" where an address was offered answers something else.
    return (!slot.is_decided || slot.decided_phase != ClientPhase::Mail ||
            !is_unknown_command(slot.decided)) &&
           std::ranges::none_of(slot.refusals,
                                [](const Refusal& one) { return is_unknown_command(one.reply); });
  }
  return (!slot.is_decided || !slot.decided.permanent()) &&
         std::ranges::none_of(slot.refusals, [](const Refusal& one) { return one.reply.permanent(); });
}

bool Client::may_have_delivered(std::uint64_t arrived) const {
  for (std::uint32_t index = 0; index < slot_count_; ++index) {
    if (slot(index).complete && arrived >= slot(index).message_end) return true;
  }
  return false;
}

void Client::tell_lost(Slot& slot, ClientFault fault, const SmtpReply& reply, std::uint64_t sent_bytes) {
  if (slot.replies_done || slot.no_chunking) return tell_end(slot);
  if (!slot.started || sent_bytes <= slot.start) {
    return events_->on_finished(slot.tag, Ending::NeverStarted, ClientPhase::Mail, reply);
  }
  if (stands(slot, fault)) {
    if (slot.is_decided) return tell_end(slot);
    if (slot.next_reply > slot.recipients && slot.accepted == 0) return tell_end(slot);
    tell_refusals(slot);
  }
  const bool is_whole = slot.complete && sent_bytes >= slot.message_end;
  ClientPhase where = phase_of(slot);
  if (is_whole && where == ClientPhase::BodyTransfer) where = ClientPhase::FinalReply;
  events_->on_finished(slot.tag, is_whole ? Ending::Unknown : Ending::PartlySent, where, reply);
}

}  // namespace sluice::net
