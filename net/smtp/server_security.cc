// STARTTLS (RFC 3207) and AUTH (RFC 4954) on the server's side.

#include "net/smtp/server.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::net {

Answer ServerOwner::on_auth(const SaslClaim&, std::string_view) {
  return Answer::reply(535, "5.7.8 authentication credentials invalid");
}

const SaslMechanisms& Server::offered_auth() const {
  return tls_active_ ? settings_.auth_with_tls : settings_.auth;
}

void Server::take_starttls(std::string_view argument) {
  if (!settings_.offer_starttls) return bad_command(502, "5.5.1 command not offered");
  if (tls_active_) return bad_command(503, "5.5.1 TLS is active already");
  if (!argument.empty()) return bad_command(501, "5.5.4 STARTTLS takes no argument");
  abandon_transaction(Dropped::Refused);
  say(220, "2.0.0 ready to start TLS");
  state_ = State::Tls;
}

bool Server::wants_tls() const {
  return state_ == State::Tls && !closing_ && unanswered_count_ == 0 && ready_.empty() &&
         sent_ == sending_.size();
}

void Server::on_tls_ready() {
  if (closing_) return;
  SLUICE_ASSERT(!started_ || wants_tls());
  tls_active_ = true;
  // What was learnt in plain is forgotten (RFC 3207 4.2).
  state_ = State::Command;
  greeted_ = esmtp_ = authenticated_ = false;
  hello_name_.clear();
  line_.clear();
  backlog_.clear();
}

void Server::change_settings(ServerSettings settings) {
  SLUICE_ASSERT(settings.unanswered_max < kUnansweredMax);
  settings.host = std::move(settings_.host);
  settings.product = std::move(settings_.product);
  settings_ = std::move(settings);
}

void Server::take_auth(std::string_view argument) {
  const SaslMechanisms& offered = offered_auth();
  if (!offered.any() && !settings_.auth_with_tls.any()) return bad_command(502, "5.5.1 command not offered");
  if (!esmtp_) return bad_command(503, "5.5.1 EHLO first");
  if (authenticated_) return bad_command(503, "5.5.1 already authenticated");
  if (in_mail_) return bad_command(503, "5.5.1 AUTH not allowed in a mail transaction");
  const std::size_t blank = argument.find_first_of(" \t");
  const auto mechanism = parse_sasl_mechanism(argument.substr(0, blank));
  if (!mechanism || !offered.has(*mechanism)) {
    if (mechanism && !tls_active_ && settings_.auth_with_tls.has(*mechanism)) {
      return bad_command(538, "5.7.11 encryption required for this mechanism");
    }
    return bad_command(504, "5.5.4 authentication mechanism not offered");
  }
  std::optional<std::string_view> initial;
  if (blank != std::string_view::npos) initial = trim(argument.substr(blank));
  // A challenge is never repeated, also not for a second try on one connection.
  sasl_.emplace(*mechanism, '<' + std::to_string(++auth_attempts_) + '.' + settings_.cram_nonce + '@' +
                                settings_.host + '>');
  take_auth_outcome(sasl_->begin(initial));
}

void Server::take_auth_outcome(SaslServer::Outcome outcome) {
  state_ = State::Command;
  switch (outcome) {
    case SaslServer::Outcome::Challenge:
      say(334, sasl_->challenge());
      state_ = State::AuthLine;
      return;
    case SaslServer::Outcome::Malformed:
      sasl_.reset();
      return bad_command(501, "5.5.2 cannot decode the response");
    case SaslServer::Outcome::Cancelled:
      sasl_.reset();
      return bad_command(501, "5.7.0 authentication cancelled");
    case SaslServer::Outcome::Claimed: break;
  }
  const Answer answer = owner_->on_auth(sasl_->claim(), sasl_->cram_challenge());
  if (!answer.pending) return finish_auth(answer);
  state_ = State::Waiting;
  wait_ = Wait::Auth;
}

void Server::finish_auth(const Answer& answer) {
  sasl_.reset();  // it holds a password
  if (answer.code >= 400) {
    if (answer.close) return say_answer(answer, 535, "5.7.8 authentication credentials invalid");
    return bad_command(answer.code,
                       answer.text.empty() ? "5.7.8 authentication credentials invalid" : answer.text);
  }
  authenticated_ = true;
  say_answer(answer, 235, "2.7.0 authentication successful");
}

}  // namespace sluice::net
