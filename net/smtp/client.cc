// The receiving half of the client: what each reply means for the session and its transactions. What keeps a
// reply too many from being taken for the next command's stands in client.h, "In step".

#include "net/smtp/client.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::net {
namespace {

constexpr std::size_t kPixStars = 10;
constexpr std::uint16_t kTaken = 250;         // what every server says of a message it has taken
constexpr std::uint16_t kAddressSubject = 1;  // RFC 3463: X.1.X speaks of an address
const SmtpReply kNoReply;

bool looks_like_pix(std::string_view greeting) {
  std::size_t stars = 0;
  for (const char c : greeting) stars += c == '*' ? 1 : 0;
  return stars >= kPixStars;
}

/// The server does not know the command, or not here (RFC 5321 4.2.2), as opposed to: not this message.
bool is_unknown_command(const SmtpReply& reply) { return reply.code >= 500 && reply.code <= 504; }
/// 211 and 214 answer HELP, 220 opens a session, 235 ends AUTH, 252 answers VRFY (RFC 5321 4.2.3, 4954 6).
bool names_another_command(const SmtpReply& reply) {
  return reply.code == 211 || reply.code == 214 || reply.code == 220 || reply.code == 235 ||
         reply.code == 252;
}
bool is_success(const SmtpReply& reply) { return reply.code >= 200 && reply.code < 300; }
bool is_intermediate(const SmtpReply& reply) { return reply.code >= 300 && reply.code < 400; }

}  // namespace

std::string_view name_of(ClientPhase phase) {
  switch (phase) {
    case ClientPhase::Greeting: return "greeting";
    case ClientPhase::Ehlo: return "EHLO";
    case ClientPhase::StartTls: return "STARTTLS";
    case ClientPhase::Auth: return "AUTH";
    case ClientPhase::Idle: return "idle";
    case ClientPhase::Reset: return "RSET";
    case ClientPhase::Mail: return "MAIL";
    case ClientPhase::Rcpt: return "RCPT";
    case ClientPhase::Data: return "DATA";
    case ClientPhase::BodyTransfer: return "body transfer";
    case ClientPhase::FinalReply: return "end of message";
    case ClientPhase::Quit: return "QUIT";
    case ClientPhase::Closed: return "closed";
  }
  return "unknown";
}

std::string_view name_of(Ending ending) {
  switch (ending) {
    case Ending::Replied: return "replied";
    case Ending::AllRefused: return "all recipients refused";
    case Ending::NoChunking: return "no chunking";
    case Ending::NeverStarted: return "never started";
    case Ending::PartlySent: return "partly sent";
    case Ending::Unknown: return "outcome unknown";
  }
  return "unknown";
}

std::string_view name_of(ClientFault fault) {
  switch (fault) {
    case ClientFault::None: return "none";
    case ClientFault::Refused: return "refused";
    case ClientFault::ConnectionLost: return "connection lost";
    case ClientFault::ProtocolError: return "protocol error";
    case ClientFault::TlsNotOffered: return "TLS not offered";
    case ClientFault::TlsInjection: return "plain text behind STARTTLS";
  }
  return "unknown";
}

Client::Client(ClientSettings settings, ClientEvents& events, ClientAuth* auth)
    : settings_(std::move(settings)), events_(&events), auth_(auth) {
  SLUICE_ASSERT(!settings_.helo_name.empty());
}

bool Client::asks_what_arrived() const {
  for (std::uint32_t index = 0; index < slot_count_; ++index) {
    if (slot(index).body_queued && slot(index).body_bytes > kArrivesAtOnce) return true;
  }
  return false;
}

void Client::on_bytes(Bytes input, std::uint64_t on_the_way) {
  while (!input.empty() && stage_ != Stage::Over) {
    if (stage_ == Stage::TlsHandshake) {
      over(ClientFault::TlsInjection, ClientPhase::StartTls, kNoReply, shown_bytes_);
      return;
    }
    if (!parser_.in_reply()) reply_from_ = consumed_bytes_ - std::min(on_the_way, consumed_bytes_);
    const ReplyParser::Step step = parser_.feed(input);
    input = input.subspan(step.consumed);
    if (step.state == ReplyParser::State::NeedMore) break;
    if (step.state == ReplyParser::State::Faulty) {
      protocol_error(name_of(parser_.fault()));
      return;
    }
    ++replies_;
    take_reply(parser_.reply());
    if (stage_ == Stage::Ready) retire();  // so that events keep the order of replies
    if (stage_ == Stage::TlsHandshake && input.empty()) events_->on_tls_wanted();
  }
  advance();
}

void Client::take_reply(const SmtpReply& reply) {
  // Lines that answer a command we have not sent yet: the server is out of step, or somebody else is talking.
  const bool control = stage_ == Stage::Ehlo || stage_ == Stage::Helo || stage_ == Stage::StartTls ||
                       stage_ == Stage::Auth || stage_ == Stage::Quit;
  if (control && reply_from_ < control_end_) return protocol_error("reply before the command");
  switch (stage_) {
    case Stage::Greeting: return take_greeting(reply);
    case Stage::Ehlo: return take_ehlo(reply);
    case Stage::Helo:
      if (!is_success(reply)) return refuse(ClientPhase::Ehlo, reply);
      // EHLO's answer, behind one that was not: HELO's is still to come.
      if (!Capabilities::parse(parser_.lines()).listed.empty())
        return protocol_error("extensions offered to HELO");
      capabilities_ = {};
      return after_ehlo();
    case Stage::StartTls: return take_starttls(reply);
    case Stage::Auth: return take_auth(reply);
    case Stage::Ready: return take_transaction_reply(reply);
    case Stage::Quit: return over(ClientFault::None, ClientPhase::Quit, reply, shown_bytes_);
    case Stage::TlsHandshake:
    case Stage::Over: return;
  }
}

void Client::take_greeting(const SmtpReply& reply) {
  if (is_intermediate(reply)) return protocol_error("unexpected code in the greeting");
  if (!is_success(reply)) return refuse(ClientPhase::Greeting, reply);
  is_pix_ = settings_.pix_workaround && looks_like_pix(reply.text);
  stage_ = Stage::Ehlo;
  parser_.keep_lines(true);
  queue_control("EHLO " + settings_.helo_name);
}

void Client::take_ehlo(const SmtpReply& reply) {
  if (is_intermediate(reply)) return protocol_error("unexpected code to EHLO");
  if (reply.permanent()) {
    stage_ = Stage::Helo;
    return queue_control("HELO " + settings_.helo_name);
  }
  if (!is_success(reply)) return refuse(ClientPhase::Ehlo, reply);
  capabilities_ = Capabilities::parse(parser_.lines());
  after_ehlo();
}

void Client::after_ehlo() {
  parser_.keep_lines(false);
  if (settings_.tls != ClientSettings::Tls::Never && !tls_active_ && !tls_tried_) {
    if (capabilities_.starttls) {
      tls_tried_ = true;
      stage_ = Stage::StartTls;
      return queue_control("STARTTLS");
    }
    if (settings_.tls == ClientSettings::Tls::Required) {
      return over(ClientFault::TlsNotOffered, ClientPhase::StartTls, kNoReply, shown_bytes_);
    }
  }
  if (auth_ != nullptr) {
    const std::string_view line = auth_->begin(capabilities_);
    if (!line.empty()) {
      stage_ = Stage::Auth;
      return queue_control(line);
    }
  }
  become_ready();
}

void Client::take_starttls(const SmtpReply& reply) {
  if (is_intermediate(reply)) return protocol_error("unexpected code to STARTTLS");
  if (is_success(reply)) {
    stage_ = Stage::TlsHandshake;
    return;
  }
  tls_refusal_ = reply;
  if (settings_.tls == ClientSettings::Tls::Required || reply.code == 421) {
    return refuse(ClientPhase::StartTls, reply);
  }
  after_ehlo();
}

void Client::on_tls_ready() {
  if (stage_ == Stage::Over) return;
  SLUICE_ASSERT(stage_ == Stage::TlsHandshake);
  tls_active_ = true;
  parser_.reset();  // what was said in plain counts no more (RFC 3207 4.2)
  parser_.keep_lines(true);
  capabilities_ = {};
  stage_ = Stage::Ehlo;
  queue_control("EHLO " + settings_.helo_name);
}

void Client::take_auth(const SmtpReply& reply) {
  if (reply.code == 334) {
    if (++auth_rounds_ > kAuthRoundsMax) return protocol_error("AUTH does not end");
    return queue_control(auth_->answer(reply.text));
  }
  if (is_intermediate(reply)) return protocol_error("unexpected code to AUTH");
  if (!is_success(reply)) return refuse(ClientPhase::Auth, reply);
  become_ready();
}

void Client::become_ready() {
  stage_ = Stage::Ready;
  capabilities_.ignore(settings_.ignore);
  if (capabilities_.pipelining && !is_pix_) {
    // By its enhanced codes a server says of each reply what it answers; without them 354 has to.
    mode_ = capabilities_.chunking && capabilities_.enhanced_status_codes ? Mode::Chunking : Mode::Pipelining;
  }
  events_->on_ready(capabilities_);
}

std::uint32_t Client::waiting_slot() const {
  std::uint32_t index = 0;
  while (index < slot_count_ && (slot(index).replies_done || slot(index).is_held)) ++index;
  return index;
}

bool Client::is_last_begun(std::uint32_t index) const {
  return index + 1 >= slot_count_ || !slot(index + 1).started;
}

Client::Expect Client::expectation(const Slot& slot) const {
  if (slot.replies_done) return Expect::Nothing;
  if (slot.awaits_proof) return Expect::Proof;
  if (slot.resets && !slot.reset_heard) return Expect::Reset;
  if (slot.next_reply == 0) return Expect::Mail;
  if (slot.next_reply <= slot.recipients) return Expect::Rcpt;
  if (!slot.chunked && slot.next_reply == slot.recipients + 1) return Expect::Data;
  return Expect::Final;
}

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
    now.replies_done = true;
    if (is_success(reply)) return;
    next_by_data_ = true;  // a server that keeps the transaction open shows it before it gets another body
    std::ignore = ends_with(reply, where);
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
  if (!slot.awaits_proof || !slot.codes_fit || doubt_) return;
  if (slot.decided.positive() && is_success(reply)) slot.in_step = true;
}

void Client::take_proof(std::uint32_t index, const SmtpReply& reply) {
  const Slot& now = slot(index);
  if (is_success(reply)) {
    if (now.proof_lists) {
      const Capabilities listed = Capabilities::parse(parser_.lines());
      parser_.keep_lines(false);
      if (!listed.chunking) {
        note_second_yes(slot(index), reply);
        return protocol_error("another reply where that to EHLO is due");
      }
    }
    doubt_ = false;
    return prove_upto(index);
  }
  if (reply.code == 421 || (mode_ == Mode::Lockstep && now.recipients == 1)) {
    return over(ClientFault::Refused, ClientPhase::Reset, reply, shown_bytes_);
  }
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
  if (slot.in_step) return true;
  // A code of an address behind MAIL's, where one address was named: whatever comes later means something else.
  if (slot.recipients == 1 && slot.codes_fit && !slot.refusals.empty() && !doubt_) return true;
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

void Client::over(ClientFault fault, ClientPhase phase, const SmtpReply& reply, std::uint64_t sent_bytes) {
  stage_ = Stage::Over;
  const std::uint32_t waiting = waiting_slot();
  const bool is_error = fault == ClientFault::ProtocolError;
  for (std::uint32_t index = 0; index < slot_count_; ++index) {
    tell_lost(slot(index), fault, is_error || index == waiting ? reply : kNoReply, sent_bytes);
  }
  slot_count_ = 0;
  doubt_ = false;
  queue_.clear();
  head_ = 0;
  if (!std::exchange(told_over_, true)) events_->on_over(fault, phase, reply);
}

/// The server will not serve us: says so, then QUIT (RFC 5321 4.1.1.10), unless the server closes by itself.
void Client::refuse(ClientPhase phase, const SmtpReply& reply) {
  if (reply.code == 421) return over(ClientFault::Refused, phase, reply, shown_bytes_);
  stage_ = Stage::Quit;
  queue_control("QUIT");
  told_over_ = true;
  events_->on_over(ClientFault::Refused, phase, reply);
}

void Client::protocol_error(std::string_view what) {
  SmtpReply reply;
  reply.text = "protocol error: ";
  reply.text += what;
  over(ClientFault::ProtocolError, phase(), reply, shown_bytes_);
}

void Client::on_closed(Unconsumed unconsumed) {
  if (stage_ == Stage::Over) return;
  // After QUIT the server may just hang up; nothing is lost by that.
  const ClientFault fault = stage_ == Stage::Quit ? ClientFault::None : ClientFault::ConnectionLost;
  over(fault, phase(), kNoReply, unconsumed == Unconsumed::MayBeSent ? shown_bytes_ : consumed_bytes_);
}

void Client::quit() {
  quit_asked_ = true;
  advance();
}

ClientPhase Client::phase_of(const Slot& slot) const {
  switch (expectation(slot)) {
    case Expect::Reset:
    case Expect::Mail: return ClientPhase::Mail;
    case Expect::Rcpt: return ClientPhase::Rcpt;
    case Expect::Data: return ClientPhase::Data;
    case Expect::Proof: return ClientPhase::Reset;
    case Expect::Final:
    case Expect::Nothing: break;
  }
  return slot.complete && consumed_bytes_ >= slot.message_end ? ClientPhase::FinalReply
                                                              : ClientPhase::BodyTransfer;
}

ClientPhase Client::phase() const {
  switch (stage_) {
    case Stage::Greeting: return ClientPhase::Greeting;
    case Stage::Ehlo:
    case Stage::Helo: return ClientPhase::Ehlo;
    case Stage::StartTls:
    case Stage::TlsHandshake: return ClientPhase::StartTls;
    case Stage::Auth: return ClientPhase::Auth;
    case Stage::Ready: break;
    case Stage::Quit: return ClientPhase::Quit;
    case Stage::Over: return ClientPhase::Closed;
  }
  if (slot_count_ == 0) return ClientPhase::Idle;
  const std::uint32_t index = waiting_slot();
  return index == slot_count_ ? ClientPhase::BodyTransfer : phase_of(slot(index));
}

std::optional<TransactionTag> Client::current() const {
  const std::uint32_t index = waiting_slot();
  if (index == slot_count_) return std::nullopt;
  return slot(index).tag;
}

}  // namespace sluice::net
