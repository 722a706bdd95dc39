// The injection machine: bytes in, bytes out, and the order of replies. Commands: server_commands.cc; message
// bytes: server_body.cc.

#include "net/smtp/server.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::net {
namespace {

constexpr std::size_t kReplyTextBytesMax = 500;  // RFC 5321 4.5.3.1.5: 512 with code, blank and CRLF

void append_reply(std::string& out, std::uint16_t code, std::string_view text) {
  char digits[5];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), code);
  SLUICE_ASSERT(error == std::errc() && end - digits == 3);
  out.append(digits, end);
  out += ' ';
  // The text may quote what a client sent: nothing in it may end the line.
  for (const char c : text.substr(0, kReplyTextBytesMax)) {
    out += static_cast<std::uint8_t>(c) < 32 || c == 127 ? '?' : c;
  }
  out += "\r\n";
}

}  // namespace

Server::Server(ServerSettings settings, ServerOwner& owner) : settings_(std::move(settings)), owner_(&owner) {
  SLUICE_ASSERT(settings_.unanswered_max < kUnansweredMax);
  SLUICE_ASSERT(!settings_.host.empty());
}

void Server::start() {
  SLUICE_ASSERT(!started_);
  if (ended_) return;
  started_ = true;
  if (!backlog_.empty() && settings_.refuse_unauthorised_pipelining) {
    return end_session(554, "5.5.0 " + settings_.host + " you talk before the greeting");
  }
  say(220, settings_.host + " (" + settings_.product + ") ESMTP service ready");
  work_backlog();
}

void Server::refuse_client() {
  refuse_client(Answer::hang_up(521, settings_.host + " does not accept mail from you"));
}

void Server::refuse_client(const Answer& answer) {
  SLUICE_ASSERT(!started_ && !answer.pending && answer.code != 0);
  started_ = true;
  end_session(answer.code, answer.text);
}

bool Server::can_work() const {
  if (!started_ || closing_ || state_ == State::Waiting || state_ == State::Tls) return false;
  if (unanswered_count_ > settings_.unanswered_max) return false;
  return reply_end().size() < kOutputBytesMax;
}

bool Server::wants_input() const { return !closing_ && (!started_ || can_work()) && backlog_.empty(); }

void Server::feed(std::span<const std::byte> input) {
  if (closing_) return;  // whatever still comes is not answered any more
  std::size_t used = 0;
  if (backlog_.empty()) used = work(input);
  // In plain behind STARTTLS: not ours to know (RFC 3207 4, command injection).
  if (state_ == State::Tls || closing_) return;
  if (used < input.size()) keep(input.subspan(used));
}

void Server::keep(std::span<const std::byte> rest) {
  if (backlog_.size() + rest.size() > kBacklogBytesMax) {
    return end_session(421, "4.3.2 " + settings_.host + " too much sent ahead, closing connection");
  }
  backlog_.append(reinterpret_cast<const char*>(rest.data()), rest.size());
}

void Server::work_backlog() {
  if (backlog_.empty() || !can_work()) return;
  // Out of the member for the time of the work: closing clears it.
  std::string bytes;
  bytes.swap(backlog_);
  const std::size_t used = work(std::as_bytes(std::span(bytes)));
  if (closing_ || state_ == State::Tls) return;
  SLUICE_ASSERT(backlog_.empty());
  bytes.erase(0, used);
  backlog_.swap(bytes);
}

std::size_t Server::work(std::span<const std::byte> input) {
  std::size_t used = 0;
  while (used < input.size() && can_work()) {
    const auto rest = input.subspan(used);
    const std::size_t before = used;
    const bool is_body = state_ == State::Data || state_ == State::Chunk;
    switch (state_) {
      case State::Command:
      case State::AuthLine:
      case State::SkipLine: used += work_commands(rest); break;
      case State::Data: used += work_data(rest); break;
      case State::Chunk: used += work_chunk(rest); break;
      case State::Waiting:
      case State::Tls: return used;
    }
    if (is_body) body_bytes_ += used - before;
  }
  return used;
}

/// One command line, or the beginning of one.
std::size_t Server::work_commands(std::span<const std::byte> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const std::size_t newline = text.find('\n');
  const bool whole = newline != std::string_view::npos;
  const std::size_t used = whole ? newline + 1 : text.size();
  if (state_ == State::SkipLine || line_.size() + used > settings_.command_line_bytes_max) {
    line_.clear();
    sasl_.reset();
    state_ = whole ? State::Command : State::SkipLine;
    if (whole) ++commands_;
    if (whole) bad_command(500, "5.5.2 line too long");
    return used;
  }
  std::string_view line = text.substr(0, used);
  if (!line_.empty() || !whole) {
    line_ += line;
    line = line_;
  }
  if (!whole) return used;
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  ++commands_;
  take_line(line, used < input.size());
  line_.clear();
  return used;
}

const std::string& Server::reply_end() const {
  if (unanswered_count_ == 0) return ready_;
  return unanswered_[(unanswered_first_ + unanswered_count_ - 1) % kUnansweredMax].behind;
}

std::string& Server::reply_end() { return const_cast<std::string&>(std::as_const(*this).reply_end()); }

void Server::say(std::uint16_t code, std::string_view text) { append_reply(reply_end(), code, text); }

void Server::say_lines(std::string_view lines) { reply_end() += lines; }

/// Appends the reply an answer stands for; true when the connection is to be closed after it.
bool Server::append_answer(std::string& out, const Answer& answer, std::uint16_t usual_code,
                           std::string_view usual_text) const {
  SLUICE_ASSERT(!answer.pending);
  const std::uint16_t code = answer.code == 0 ? usual_code : answer.code;
  SLUICE_ASSERT(code >= 200 && code <= 599);
  const bool transient = code >= 400 && code <= 499;
  if (transient && settings_.disconnect_on_transient_error && code != 421) return true;
  append_reply(out, code, answer.text.empty() ? usual_text : answer.text);
  return answer.close || code == 421;
}

void Server::say_answer(const Answer& answer, std::uint16_t usual_code, std::string_view usual_text) {
  if (append_answer(reply_end(), answer, usual_code, usual_text)) begin_closing();
}

void Server::end_session(std::uint16_t code, std::string_view text) {
  if (closing_) return;
  say(code, text);
  begin_closing();
}

void Server::begin_closing() {
  if (closing_) return;
  closing_ = true;
  abandon_transaction(Dropped::Closed);
  backlog_.clear();
}

void Server::release_replies() {
  while (unanswered_count_ > 0 && unanswered_[unanswered_first_].answered) {
    Unanswered& front = unanswered_[unanswered_first_];
    unanswered_first_ = (unanswered_first_ + 1) % kUnansweredMax;
    --unanswered_count_;
    ready_ += front.reply;
    if (front.close) {
      unanswered_count_ = 0;  // what comes behind is not said any more
      return begin_closing();
    }
    ready_ += front.behind;
  }
}

void Server::answer(const Answer& answer) {
  if (closing_) return;
  SLUICE_ASSERT(state_ == State::Waiting && !answer.pending);
  state_ = State::Command;
  switch (wait_) {
    case Wait::Hello: finish_hello(answer); break;
    case Wait::Mail: finish_mail(answer); break;
    case Wait::Rcpt: finish_rcpt(answer); break;
    case Wait::Data: finish_data(answer); break;
    case Wait::Auth: finish_auth(answer); break;
  }
  work_backlog();
}

void Server::answer_message(MessageSeq seq, const Answer& answer) {
  if (ended_) return;
  for (std::uint32_t i = 0; i < unanswered_count_; ++i) {
    Unanswered& entry = unanswered_[(unanswered_first_ + i) % kUnansweredMax];
    if (entry.seq != seq) continue;
    SLUICE_ASSERT(!entry.answered);
    entry.close = append_answer(entry.reply, answer, 250, "2.6.0 message received");
    entry.answered = true;
    release_replies();
    return work_backlog();
  }
  SLUICE_ASSERT(closing_);  // only a session that gave up its replies forgets a message
}

void Server::on_closed() {
  if (ended_) return;
  ended_ = true;
  begin_closing();
  unanswered_count_ = 0;
  ready_.clear();
}

void Server::on_timeout() { end_session(421, "4.4.2 " + settings_.host + " timeout, closing connection"); }

void Server::hang_up(const Answer& answer) {
  SLUICE_ASSERT(answer.code != 0);
  end_session(answer.code, answer.text);
}

std::span<const std::byte> Server::output() {
  if (ended_) return {};
  if (sent_ == sending_.size()) {
    sending_.clear();
    sent_ = 0;
    sending_.swap(ready_);
  }
  return std::as_bytes(std::span(sending_)).subspan(sent_);
}

void Server::consumed(std::size_t bytes) {
  SLUICE_ASSERT(bytes <= sending_.size() - sent_);
  sent_ += bytes;
  work_backlog();
}

bool Server::wants_close() const {
  if (ended_) return true;
  return closing_ && unanswered_count_ == 0 && ready_.empty() && sent_ == sending_.size();
}

Server::Phase Server::phase() const {
  if (closing_) return Phase::Closing;
  if (state_ == State::Data || state_ == State::Chunk) return Phase::Body;
  if (state_ == State::Waiting || unanswered_count_ > 0) return Phase::Answer;
  return Phase::Command;
}

}  // namespace sluice::net
