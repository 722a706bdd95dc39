// The session: greeting, EHLO, STARTTLS, AUTH, its phases and its end.

#include "net/smtp/client.h"

#include <algorithm>
#include <utility>

#include "net/smtp/reply_meaning.h"
#include "policy/base/assert.h"

namespace sluice::net {
namespace {

constexpr std::size_t kPixStars = 10;
const SmtpReply kNoReply;

bool looks_like_pix(std::string_view greeting) {
  std::size_t stars = 0;
  for (const char c : greeting) stars += c == '*' ? 1 : 0;
  return stars >= kPixStars;
}

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
