// The receiving half of the client: what each reply means for the session and its transactions.
//
// Losing step: RFC 3030 does not say clearly whether a refused BDAT LAST ends the transaction at the server.
// When transactions were already under way behind a failed one, a server that thinks "no" answers 503 to
// their MAIL. Nothing of them was accepted then: they end as PartlySent (safe to retry), and from there on
// this connection sends one transaction at a time with RSET behind each failure.

#include "net/smtp/client.h"

#include "policy/base/assert.h"

namespace sluice::net {
namespace {

constexpr std::size_t kPixStars = 10;
constexpr std::size_t kResetBytes = 6;
const SmtpReply kNoReply;

bool looks_like_pix(std::string_view greeting) {
  std::size_t stars = 0;
  for (const char c : greeting) stars += c == '*' ? 1 : 0;
  return stars >= kPixStars;
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
  SLUICE_ASSERT(settings_.chunking_window >= 1 && settings_.chunking_window <= kWindowMax);
  SLUICE_ASSERT(!settings_.helo_name.empty());
}

void Client::on_bytes(Bytes input) {
  while (!input.empty() && stage_ != Stage::Over) {
    if (stage_ == Stage::TlsHandshake) {
      over(ClientFault::TlsInjection, ClientPhase::StartTls, kNoReply, shown_bytes_);
      return;
    }
    const ReplyParser::Step step = parser_.feed(input);
    input = input.subspan(step.consumed);
    if (step.state == ReplyParser::State::NeedMore) break;
    if (step.state == ReplyParser::State::Faulty) {
      protocol_error(name_of(parser_.fault()));
      return;
    }
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
  if (control && shown_bytes_ < control_end_) return protocol_error("reply before the command");
  switch (stage_) {
    case Stage::Greeting: return take_greeting(reply);
    case Stage::Ehlo: return take_ehlo(reply);
    case Stage::Helo:
      if (!is_success(reply)) return over(ClientFault::Refused, ClientPhase::Ehlo, reply, shown_bytes_);
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
  if (!is_success(reply)) return over(ClientFault::Refused, ClientPhase::Greeting, reply, shown_bytes_);
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
  if (!is_success(reply)) return over(ClientFault::Refused, ClientPhase::Ehlo, reply, shown_bytes_);
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
    return over(ClientFault::Refused, ClientPhase::StartTls, reply, shown_bytes_);
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
  if (!is_success(reply)) return over(ClientFault::Refused, ClientPhase::Auth, reply, shown_bytes_);
  become_ready();
}

void Client::become_ready() {
  stage_ = Stage::Ready;
  capabilities_.ignore(settings_.ignore);
  if (capabilities_.pipelining && !is_pix_) {
    mode_ = capabilities_.chunking ? Mode::Chunking : Mode::Pipelining;
  }
  events_->on_ready(capabilities_);
}

std::uint32_t Client::waiting_slot() const {
  std::uint32_t index = 0;
  while (index < slot_count_ && slot(index).replies_done) ++index;
  return index;
}

Client::Expect Client::expectation(const Slot& slot) const {
  if (slot.replies_done) return Expect::Nothing;
  if (slot.awaits_reset) return Expect::Reset;
  if (slot.next_reply == 0) return Expect::Mail;
  if (slot.next_reply <= slot.recipients) return Expect::Rcpt;
  if (mode_ != Mode::Chunking && slot.next_reply == slot.recipients + 1) return Expect::Data;
  return Expect::Final;
}

/// True when the command the next reply answers was shown to the owner, so may have reached the server.
bool Client::was_asked_for(const Slot& slot) const {
  switch (expectation(slot)) {
    case Expect::Reset: return shown_bytes_ >= slot.start + kResetBytes;
    case Expect::Mail:
    case Expect::Rcpt:
    case Expect::Data: return shown_bytes_ >= slot.base + slot.ends[slot.next_reply];
    // A refusal may come while the body is still going out; see take_final().
    case Expect::Final: return shown_bytes_ >= slot.base + slot.ends.back();
    case Expect::Nothing: return false;
  }
  return false;
}

void Client::take_transaction_reply(const SmtpReply& reply) {
  const std::uint32_t index = waiting_slot();
  if (index == slot_count_ || !slot(index).started || !was_asked_for(slot(index))) {
    if (reply.code != 421) return protocol_error("reply without a command");
    return over(ClientFault::Refused, phase(), reply, shown_bytes_);
  }
  Slot& now = slot(index);
  switch (expectation(now)) {
    case Expect::Reset:
      if (!is_success(reply)) return over(ClientFault::Refused, ClientPhase::Reset, reply, shown_bytes_);
      now.awaits_reset = false;
      return;
    case Expect::Mail: return take_mail(index, reply);
    case Expect::Rcpt: return take_rcpt(now, reply);
    case Expect::Data: return take_data(index, reply);
    case Expect::Final: return take_final(index, reply);
    case Expect::Nothing: return;
  }
}

void Client::take_mail(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  if (is_intermediate(reply)) return protocol_error("unexpected code to MAIL");
  ++now.next_reply;
  if (is_success(reply)) return;
  now.mail_refused = true;
  decide(now, ClientPhase::Mail, reply);
  if (now.suspect && reply.code == 503) {
    now.lost_step = true;
    window_is_one_ = true;
    leave_transaction_open(index);
  }
  if (mode_ == Mode::Lockstep) now.replies_done = true;
  if (reply.code == 421) {
    needs_reset_ = true;
    if (settings_.close_on_421) over(ClientFault::Refused, ClientPhase::Mail, reply, shown_bytes_);
  }
}

void Client::take_rcpt(Slot& now, const SmtpReply& reply) {
  if (!now.mail_refused) {
    if (is_intermediate(reply)) return protocol_error("unexpected code to RCPT");
    if (is_success(reply)) ++now.accepted;
    events_->on_recipient(now.tag, now.next_reply - 1, reply);
  }
  ++now.next_reply;
  if (reply.code == 421 && settings_.close_on_421) {
    return over(ClientFault::Refused, ClientPhase::Rcpt, reply, shown_bytes_);
  }
  if (mode_ == Mode::Lockstep && now.next_reply > now.recipients && now.accepted == 0) {
    now.replies_done = true;  // nobody to send to: DATA is not even asked for
    needs_reset_ = true;
  }
}

void Client::take_data(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  if (is_success(reply)) return protocol_error("2xx reply to DATA");
  ++now.next_reply;
  if (is_intermediate(reply)) {
    // 354 though nobody was accepted: the server waits for a message, which is an empty one (RFC 2920 3.1).
    if (now.accepted > 0 && !now.mail_refused) queue_body(now);
    return queue_dot(now);
  }
  now.replies_done = true;
  if (!now.mail_refused) needs_reset_ = true;
  if (now.accepted > 0) decide(now, ClientPhase::Data, reply);
  if (reply.code == 421) {
    needs_reset_ = true;
    if (settings_.close_on_421) over(ClientFault::Refused, ClientPhase::Data, reply, shown_bytes_);
  }
}

void Client::take_final(std::uint32_t index, const SmtpReply& reply) {
  Slot& now = slot(index);
  const bool all_shown = now.complete && shown_bytes_ >= now.end;
  if (is_intermediate(reply)) return protocol_error("unexpected code at the end of the message");
  if (is_success(reply) && !all_shown) return protocol_error("2xx reply before the end of the message");
  const bool counts = now.accepted > 0 && !now.mail_refused;
  const ClientPhase where = all_shown ? ClientPhase::FinalReply : ClientPhase::BodyTransfer;
  if (counts) decide(now, where, reply);
  now.replies_done = true;
  if (!all_shown && (mode_ != Mode::Chunking || reply.code == 421)) {
    // Inside DATA there is no way to stop but to close (RFC 5321 4.5.4): the dot is not sent, so nothing was
    // delivered.
    return over(ClientFault::Refused, where, reply, shown_bytes_);
  }
  if (is_success(reply)) return;
  if (mode_ == Mode::Chunking) leave_transaction_open(index);
  if (reply.code == 421) {
    needs_reset_ = true;
    if (settings_.close_on_421) over(ClientFault::Refused, where, reply, shown_bytes_);
  }
}

/// The server may still hold the transaction of slot `index` open: what is under way behind it may be refused
/// for that alone, what begins later begins with RSET.
void Client::leave_transaction_open(std::uint32_t index) {
  needs_reset_ = true;
  if (index + 1 < slot_count_ && slot(index + 1).started) slot(index + 1).suspect = true;
}

void Client::decide(Slot& slot, ClientPhase phase, const SmtpReply& reply) {
  slot.decided = reply;
  slot.decided_phase = phase;
  slot.is_decided = true;
}

void Client::tell_end(const Slot& slot) {
  if (slot.lost_step) {
    events_->on_finished(slot.tag, Ending::PartlySent, slot.decided_phase, slot.decided);
  } else if (slot.is_decided) {
    events_->on_finished(slot.tag, Ending::Replied, slot.decided_phase, slot.decided);
  } else {
    events_->on_finished(slot.tag, Ending::AllRefused, ClientPhase::Rcpt, kNoReply);
  }
}

void Client::tell_lost(const Slot& slot, const SmtpReply& reply, std::uint64_t sent_bytes) {
  if (slot.replies_done || slot.is_decided) return tell_end(slot);
  if (!slot.started || sent_bytes <= slot.start) {
    return events_->on_finished(slot.tag, Ending::NeverStarted, ClientPhase::Mail, reply);
  }
  if (slot.next_reply > slot.recipients && slot.accepted == 0) return tell_end(slot);
  if (slot.complete && sent_bytes >= slot.end) {
    return events_->on_finished(slot.tag, Ending::Unknown, ClientPhase::FinalReply, reply);
  }
  events_->on_finished(slot.tag, Ending::PartlySent, phase_of(slot), reply);
}

void Client::over(ClientFault fault, ClientPhase phase, const SmtpReply& reply, std::uint64_t sent_bytes) {
  stage_ = Stage::Over;
  const std::uint32_t waiting = waiting_slot();
  const bool is_error = fault == ClientFault::ProtocolError;
  for (std::uint32_t index = 0; index < slot_count_; ++index) {
    tell_lost(slot(index), is_error || index == waiting ? reply : kNoReply, sent_bytes);
  }
  slot_count_ = 0;
  queue_.clear();
  head_ = 0;
  events_->on_over(fault, phase, reply);
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
    case Expect::Reset: return ClientPhase::Reset;
    case Expect::Mail: return ClientPhase::Mail;
    case Expect::Rcpt: return ClientPhase::Rcpt;
    case Expect::Data: return ClientPhase::Data;
    case Expect::Final:
    case Expect::Nothing: break;
  }
  return slot.complete && consumed_bytes_ >= slot.end ? ClientPhase::FinalReply : ClientPhase::BodyTransfer;
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
