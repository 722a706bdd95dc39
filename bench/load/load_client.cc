#include "bench/load/load_client.h"

#include <fmt/format.h>

#include "policy/base/assert.h"

namespace sluice::bench {

void LoadClient::say(std::string_view text) {
  if (parts_.empty() || parts_.back().external != nullptr) parts_.push_back({nullptr, text_.size(), 0});
  text_ += text;
  parts_.back().size += text.size();
}

void LoadClient::add_part(std::string_view external) {
  if (!external.empty()) parts_.push_back({external.data(), 0, external.size()});
}

std::span<iovec> LoadClient::output() {
  vectors_.clear();
  for (const Part& part : parts_) {
    const char* from = part.external != nullptr ? part.external : text_.data() + part.at;
    vectors_.push_back({const_cast<char*>(from), part.size});  // sending only reads
  }
  sending_ = !vectors_.empty();
  return vectors_;
}

void LoadClient::on_sent() {
  sending_ = false;
  text_.clear();
  parts_.clear();
}

void LoadClient::on_bytes(std::string_view bytes, MonoTime now) {
  const bool understood =
      reader_.feed(bytes, [&](unsigned code, std::string_view text) { on_reply(code, text, now); });
  if (!understood) on_lost(now);
}

void LoadClient::on_reply(unsigned code, std::string_view text, MonoTime now) {
  switch (state_) {
    case State::Greeting:
      if (code != 220) return on_lost(now);
      say(fmt::format("EHLO {}\r\n", plan_.host));
      state_ = State::Hello;
      return;
    case State::Hello:
      if (code != 250 && !helo_ && plan_.mode == InjectMode::Lockstep) {
        helo_ = true;
        return say(fmt::format("HELO {}\r\n", plan_.host));
      }
      if (code != 250) return on_lost(now);
      greeted_ = true;
      state_ = State::Ready;
      return;
    case State::Ready:
      if (attempts_.empty() && !reset_asked_) return on_lost(now);  // 421 out of the blue
      return on_message_reply(code, text, now);
    case State::Quitting:
    case State::Over: state_ = State::Over; return;
  }
}

// Replies come in the order of the commands: MAIL, each RCPT, DATA (or not), the message itself.
void LoadClient::on_message_reply(unsigned code, std::string_view text, MonoTime now) {
  if (std::exchange(reset_asked_, false)) return;
  Attempt& attempt = attempts_.front();
  const bool good = code >= 200 && code < 300;
  if (!good && code != 354 && attempt.refusal.empty()) attempt.refusal = text;
  if (code == 421) {
    // The server is about to close: it has refused this one, the rest is lost with the connection.
    finish_front(Injection::Refused, text, now);
    return on_lost(now);
  }
  if (!attempt.mail_answered) {
    attempt.mail_answered = true;
    if (!good && plan_.mode == InjectMode::Lockstep) return finish_front(Injection::Refused, text, now);
    return next_command(attempt);
  }
  if (attempt.recipients_answered < attempt.message.recipients.size()) {
    attempt.accepted[attempt.recipients_answered++] = good;
    return next_command(attempt);
  }
  if (plan_.mode != InjectMode::Chunked && !attempt.body_started) return on_data_reply(code, now);
  const std::string refusal = std::exchange(attempt.refusal, {});
  finish_front(good ? Injection::Accepted : Injection::Refused, good ? text : std::string_view(refusal), now);
}

void LoadClient::on_data_reply(unsigned code, MonoTime now) {
  Attempt& attempt = attempts_.front();
  if (code != 354) {
    const std::string refusal = std::exchange(attempt.refusal, {});
    finish_front(Injection::Refused, refusal, now);
    // Servers differ on whether a refused DATA ends the transaction; RSET ends it everywhere.
    say("RSET\r\n");
    reset_asked_ = true;
    return;
  }
  attempt.body_started = true;
  say_body(attempt);
  say(".\r\n");
  // Body, dot and the next envelope leave in one write.
  if (plan_.mode == InjectMode::Pipelined) std::ignore = start_next(now);
}

void LoadClient::finish_front(Injection how, std::string_view reply, MonoTime now) {
  Attempt attempt = std::move(attempts_.front());
  attempts_.pop_front();
  desk_.finished(std::move(attempt), how, reply, now);
}

// Lockstep only: what follows the reply that just came.
void LoadClient::next_command(const Attempt& attempt) {
  if (plan_.mode != InjectMode::Lockstep) return;
  const auto& recipients = attempt.message.recipients;
  if (attempt.recipients_answered < recipients.size()) {
    return say(fmt::format("RCPT TO:<{}>\r\n", recipients[attempt.recipients_answered]));
  }
  say("DATA\r\n");
}

void LoadClient::say_envelope(const Attempt& attempt) {
  say("MAIL FROM:<");
  say(plan_.sender);
  say(">\r\n");
  for (const std::string& recipient : attempt.message.recipients) {
    say("RCPT TO:<");
    say(recipient);
    say(">\r\n");
  }
}

void LoadClient::say_body(Attempt& attempt) {
  // The head is copied (some hundred bytes), as its attempt may be finished and gone while the rest is being sent.
  say(attempt.message.head);
  add_part(attempt.message.middle);
  add_part(attempt.message.tail);
}

bool LoadClient::start_next(MonoTime now) {
  next_time_.reset();
  if (state_ != State::Ready || done_) return false;
  const auto most = plan_.messages_per_connection_max();
  if (most && started_ >= *most) return false;
  const Ticket ticket = desk_.next_ticket(now);
  if (ticket.kind == Ticket::Kind::Done) {
    done_ = true;
    return false;
  }
  if (ticket.kind == Ticket::Kind::Later) {
    next_time_ = ticket.time;
    return false;
  }
  ++started_;
  attempts_.push_back({.message = desk_.make_message(ticket.number),
                       .intended = ticket.time,
                       .accepted = {},
                       .recipients_answered = 0,
                       .mail_answered = false,
                       .body_started = false,
                       .refusal = {}});
  Attempt& attempt = attempts_.back();
  attempt.accepted.resize(attempt.message.recipients.size());
  switch (plan_.mode) {
    case InjectMode::Lockstep: say(fmt::format("MAIL FROM:<{}>\r\n", plan_.sender)); break;
    case InjectMode::Pipelined:
      say_envelope(attempt);
      say("DATA\r\n");
      break;
    case InjectMode::Chunked:
      say_envelope(attempt);
      say(fmt::format("BDAT {} LAST\r\n", attempt.message.bytes()));
      say_body(attempt);
      attempt.body_started = true;
      break;
  }
  return true;
}

void LoadClient::fill(MonoTime now) {
  if (state_ != State::Ready || sending_ || reset_asked_) return;
  const std::size_t window = plan_.mode == InjectMode::Chunked ? static_cast<std::size_t>(plan_.window) : 1;
  while (attempts_.size() < window && start_next(now)) {
  }
  const auto most = plan_.messages_per_connection_max();
  if (attempts_.empty() && (done_ || (most && started_ >= *most))) quit();
}

void LoadClient::quit() {
  say("QUIT\r\n");
  state_ = State::Quitting;
}

void LoadClient::on_lost(MonoTime now) {
  while (!attempts_.empty()) {
    finish_front(attempts_.front().body_started ? Injection::Unknown : Injection::Unsent, "", now);
  }
  state_ = State::Over;
}

}  // namespace sluice::bench
