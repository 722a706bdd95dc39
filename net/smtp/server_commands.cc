// What the server does with command lines. Texts follow PowerMTA where its texts are known.

#include <algorithm>

#include "net/smtp/server.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/utf8.h"

namespace sluice::net {
namespace {

constexpr std::size_t kHelloBytesMax = 255;

bool has_control_byte(std::string_view line) {
  return std::ranges::any_of(
      line, [](char c) { return (static_cast<std::uint8_t>(c) < 32 && c != '\t') || c == 127; });
}

}  // namespace

void Server::take_line(std::string_view line, bool more_follows) {
  if (state_ == State::AuthLine) return take_auth_outcome(sasl_->step(line));
  if (has_control_byte(line)) return bad_command(500, "5.5.2 control character in command");
  const CommandLine command = parse_command(line);
  // EHLO, HELO and DATA end a group of pipelined commands (RFC 2920 3.1).
  const bool ends_group =
      command.verb == Verb::Ehlo || command.verb == Verb::Helo || command.verb == Verb::Data;
  if (ends_group && more_follows && settings_.refuse_unauthorised_pipelining) {
    return end_session(554, "5.5.0 " + settings_.host + " improper pipelining, closing connection");
  }
  switch (command.verb) {
    case Verb::Ehlo: return take_hello(command.argument, true);
    case Verb::Helo: return take_hello(command.argument, false);
    case Verb::Mail: return take_mail(command.argument);
    case Verb::Rcpt: return take_rcpt(command.argument);
    case Verb::Data: return take_data(command.argument);
    case Verb::Bdat: return take_bdat(command.argument);
    case Verb::Rset:
    case Verb::Noop:
    case Verb::Vrfy:
    case Verb::Expn:
    case Verb::Help:
    case Verb::Quit:
    case Verb::Auth:
    case Verb::StartTls:
    case Verb::WebRequest:
    case Verb::Unknown: return take_other(command);
  }
}

void Server::take_other(const CommandLine& command) {
  switch (command.verb) {
    case Verb::Rset:
      if (is_flood()) return;
      abandon_transaction(Dropped::Refused);
      return say_lines("250 2.0.0 ok\r\n");
    case Verb::Noop:
      if (is_flood()) return;
      return say_lines("250 2.0.0 ok\r\n");
    case Verb::Vrfy:
      if (is_flood()) return;
      if (command.argument.empty()) return bad_command(501, "5.5.4 VRFY needs an argument");
      return say_lines("252 2.5.2 cannot verify the user, but will try to deliver\r\n");
    case Verb::Help:
      if (is_flood()) return;
      return say_lines("214 2.0.0 see RFC 5321\r\n");
    case Verb::Quit: return end_session(221, "2.0.0 " + settings_.host + " says goodbye");
    case Verb::Expn: return bad_command(502, "5.5.1 EXPN not available");
    case Verb::Auth: return take_auth(command.argument);
    case Verb::StartTls: return take_starttls(command.argument);
    case Verb::WebRequest: return end_session(421, "4.7.0 " + settings_.host + " this is no web server");
    case Verb::Unknown: return bad_command(500, "5.5.2 command not recognized");
    case Verb::Helo:
    case Verb::Ehlo:
    case Verb::Mail:
    case Verb::Rcpt:
    case Verb::Data:
    case Verb::Bdat: break;
  }
  SLUICE_ASSERT(false);
}

/// Says what was wrong, and ends the session when too much was.
void Server::bad_command(std::uint16_t code, std::string_view text) {
  if (++bad_commands_ > settings_.bad_commands_max) {
    return end_session(421, "4.7.0 " + settings_.host + " too many errors, closing connection");
  }
  say(code, text);
}

/// Counts a command that brings no message nearer; true when the session was ended for it.
bool Server::is_flood() {
  if (++idle_commands_ <= settings_.idle_commands_max) return false;
  end_session(421, "4.7.0 " + settings_.host + " too many commands without a message, closing connection");
  return true;
}

AddressRules Server::address_rules(bool bare) const {
  return {.allow_no_domain = settings_.accept_no_domain,
          .allow_utf8 = utf8_,
          .bare = bare,
          .allow_loose_dots = settings_.accept_loose_dots};
}

void Server::take_hello(std::string_view argument, bool esmtp) {
  if (argument.empty() || argument.size() > kHelloBytesMax || !is_utf8(argument)) {
    return bad_command(501, "5.5.4 host name required");
  }
  if (greeted_ && is_flood()) return;
  abandon_transaction(Dropped::Refused);
  pending_name_ = argument;
  pending_esmtp_ = esmtp;
  const Answer answer = owner_->on_hello(argument, esmtp);
  if (!answer.pending) return finish_hello(answer);
  state_ = State::Waiting;
  wait_ = Wait::Hello;
}

void Server::finish_hello(const Answer& answer) {
  if (answer.code >= 400) return say_answer(answer, 550, "5.7.1 refused");
  greeted_ = true;
  esmtp_ = pending_esmtp_;
  hello_name_.swap(pending_name_);
  if (!esmtp_) return say(250, settings_.host + " says hello");
  std::string lines = "250-" + settings_.host + " says hello\r\n";
  const auto add = [&](std::string_view keyword) {
    lines += "250-";
    lines += keyword;
    lines += "\r\n";
  };
  add("ENHANCEDSTATUSCODES");
  if (settings_.offer_pipelining) add("PIPELINING");
  if (settings_.offer_chunking) add("CHUNKING");
  add("8BITMIME");
  add(settings_.message_bytes_max ? "SIZE " + std::to_string(*settings_.message_bytes_max) : "SIZE");
  if (settings_.offer_verp) add("VERP");
  if (settings_.offer_smtp_utf8) add("SMTPUTF8");
  if (const SaslMechanisms& auth = offered_auth(); auth.any()) {
    std::string words = "AUTH";
    if (auth.cram_md5) words += " CRAM-MD5";
    if (auth.login) words += " LOGIN";
    if (auth.plain) words += " PLAIN";
    add(words);
  }
  if (settings_.offer_starttls && !tls_active_) add("STARTTLS");
  lines += "250 DSN\r\n";
  say_lines(lines);
}

void Server::take_mail(std::string_view argument) {
  if (!greeted_) return bad_command(503, "5.5.1 EHLO or HELO first");
  if (in_mail_) return bad_command(503, "5.5.1 nested MAIL command");
  if (settings_.transactions_max && messages_ >= *settings_.transactions_max) {
    return end_session(421, "4.7.0 " + settings_.host + " too many messages in this session");
  }
  const auto parsed = parse_mail(argument);
  if (!parsed) return bad_command(parsed.error().code, parsed.error().text);
  if (parsed->smtp_utf8 && !settings_.offer_smtp_utf8) {
    return bad_command(555, "5.5.4 SMTPUTF8 is not offered");
  }
  if (parsed->verp && !settings_.offer_verp) return bad_command(555, "5.5.4 VERP is not offered");
  if (parsed->size_bytes && settings_.message_bytes_max &&
      *parsed->size_bytes > *settings_.message_bytes_max) {
    return say(552, "5.3.4 message size exceeds fixed maximum");
  }
  utf8_ = parsed->smtp_utf8;
  AddressRules rules = address_rules(parsed->bare);
  rules.allow_null = true;
  if (const auto fault = sender_.assign(parsed->path, rules)) {
    return bad_command(501, "5.1.7 " + std::string(name_of(*fault)));
  }
  const Answer answer = owner_->on_mail({.sender = sender_,
                                         .size_bytes = parsed->size_bytes,
                                         .body = parsed->body,
                                         .ret = parsed->ret,
                                         .envid = parsed->envid,
                                         .smtp_utf8 = parsed->smtp_utf8,
                                         .verp = parsed->verp});
  if (!answer.pending) return finish_mail(answer);
  state_ = State::Waiting;
  wait_ = Wait::Mail;
}

void Server::finish_mail(const Answer& answer) {
  if (answer.code >= 400) return say_answer(answer, 550, "5.7.1 sender refused");
  in_mail_ = true;
  if (answer.code == 0) return say_lines("250 2.1.0 MAIL ok\r\n");
  say_answer(answer, 250, "2.1.0 MAIL ok");
}

void Server::take_rcpt(std::string_view argument) {
  if (!in_mail_) return bad_command(503, "5.5.1 MAIL first");
  if (by_chunks_) return bad_command(503, "5.5.1 BDAT has begun");
  const auto parsed = parse_rcpt(argument);
  if (!parsed) return bad_command(parsed.error().code, parsed.error().text);
  const auto fault = recipient_.assign(parsed->path, address_rules(parsed->bare));
  if (fault && !settings_.accept_invalid_recipients) {
    return bad_command(501, "5.1.3 " + std::string(name_of(*fault)));
  }
  const std::uint32_t most = std::min(settings_.recipients_max.value_or(kRecipientsMax), kRecipientsMax);
  if (accepted_ >= most) {
    if (!settings_.too_many_rcpts_fails_message)
      return say_answer(Answer::reply(452, "4.5.3 too many recipients"), 452, {});
    too_many_ = true;  // said at DATA
    return finish_rcpt(Answer::reply(250, "2.1.5 recipient ok"));
  }
  const Answer answer = owner_->on_rcpt({.recipient = recipient_,
                                         .raw = parsed->path,
                                         .fault = fault,
                                         .notify = parsed->notify,
                                         .orcpt = parsed->orcpt});
  if (!answer.pending) return finish_rcpt(answer);
  state_ = State::Waiting;
  wait_ = Wait::Rcpt;
}

void Server::finish_rcpt(const Answer& answer) {
  if (answer.code >= 400) return say_answer(answer, 550, "5.7.1 recipient refused");
  if (!too_many_) ++accepted_;
  if (answer.code != 0) return say_answer(answer, 250, "2.1.5 ok");
  std::string& out = reply_end();
  out += "250 2.1.5 <";
  out += recipient_.text();
  out += "> ok\r\n";
}

void Server::take_data(std::string_view argument) {
  if (!argument.empty()) return bad_command(501, "5.5.4 DATA takes no argument");
  if (!in_mail_) return bad_command(503, "5.5.1 MAIL first");
  if (by_chunks_) return bad_command(503, "5.5.1 BDAT has begun");
  if (accepted_ == 0) return say(554, "5.5.1 no valid recipients");
  if (too_many_) return say(554, "5.5.3 too many recipients");
  const Answer answer = owner_->on_data(accepted_);
  if (!answer.pending) return finish_data(answer);
  state_ = State::Waiting;
  wait_ = Wait::Data;
}

void Server::take_bdat(std::string_view argument) {
  const auto parsed = settings_.offer_chunking ? parse_bdat(argument) : std::nullopt;
  if (!parsed) {
    // Without a size nobody knows where the next command begins: what follows could be a message made of
    // commands.
    return end_session(501, "5.5.4 BDAT not understood, closing connection");
  }
  chunk_ = *parsed;
  if (!in_mail_) return refuse_chunk(Answer::reply(503, "5.5.1 MAIL first"));
  if (accepted_ == 0) return refuse_chunk(Answer::reply(554, "5.5.1 no valid recipients"));
  if (too_many_) return refuse_chunk(Answer::reply(554, "5.5.3 too many recipients"));
  if (by_chunks_) return begin_chunk();
  by_chunks_ = true;
  const Answer answer = owner_->on_data(accepted_);
  if (!answer.pending) return finish_data(answer);
  state_ = State::Waiting;
  wait_ = Wait::Data;
}

void Server::finish_data(const Answer& answer) {
  if (answer.code >= 400) {
    if (by_chunks_) return refuse_chunk(answer);
    return say_answer(answer, 451, "4.3.0 not now");
  }
  begin_message();
  if (by_chunks_) return begin_chunk();
  say_lines("354 send message\r\n");
  state_ = State::Data;
}

/// Ends a transaction that will not become a message, and tells the owner.
void Server::abandon_transaction(Dropped why) {
  if (in_message_) {
    owner_->on_message_dropped(why);
  } else if (in_mail_) {
    owner_->on_reset();
  }
  forget_transaction();
}

void Server::forget_transaction() {
  in_mail_ = in_message_ = by_chunks_ = too_many_ = utf8_ = false;
  accepted_ = 0;
}

}  // namespace sluice::net
