// What a provider says when no rule says otherwise, and what follows from a reply.
#include <fmt/format.h>

#include "bench/lib/hash.h"
#include "bench/sink/sink_session.h"
#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

// "550 5.1.1 text" without the enhanced code, for a provider that does not announce them.
std::string without_enhanced(std::string_view reply) {
  std::size_t at = 4;
  unsigned dots = 0;
  while (at < reply.size() && (is_digit(reply[at]) || reply[at] == '.')) dots += reply[at++] == '.' ? 1 : 0;
  if (dots != 2 || at >= reply.size() || reply[at] != ' ') return std::string(reply);
  return std::string(reply.substr(0, 4)) + std::string(reply.substr(at + 1));
}

}  // namespace

void SinkSession::usual(Phase phase, Moment now) {
  switch (phase) {
    case Phase::Connect: return event(Phase::Greeting, "", now);
    case Phase::Greeting: return greet(now);
    case Phase::Ehlo: return say_ehlo();
    case Phase::Mail: return check_mail(now);
    case Phase::Rcpt: return check_recipient(now);
    case Phase::Data: return effect(phase, "354 Go ahead", now);
    case Phase::Body: return;
    case Phase::Dot: {
      const auto max = provider().size_bytes_max;
      if (max && intake_.bytes() > *max) {
        world_.counters.oversized.add();
        return effect(phase, "552 5.3.4 Message too large", now);
      }
      char text[64];
      const auto end =
          fmt::format_to_n(text, sizeof text, "250 2.0.0 Ok: taken as {}-{}", number_, transactions_);
      return effect(phase, std::string_view(text, end.size), now);
    }
    case Phase::Rset: return effect(phase, "250 2.0.0 Ok", now);
    case Phase::Quit: return effect(phase, "221 2.0.0 Bye", now);
  }
}

// `reply` is given in `phase`, and what it says happens.
void SinkSession::effect(Phase phase, std::string_view reply, Moment now) {
  const bool good = reply.starts_with('2') || reply.starts_with('3');
  const bool in_chunk = phase == Phase::Data && in_chunks_;
  if (!good) refuse(phase, reply, now);
  switch (phase) {
    case Phase::Connect:
    case Phase::Greeting:
      if (good) {
        greeted_ = true;
        world_.counters.connections.add();
      } else {
        close();
      }
      break;
    case Phase::Mail: has_sender_ = good; break;
    case Phase::Rcpt:
      if (!good) break;
      recipients_ += asked_recipient_;
      recipient_ends_.push_back(static_cast<std::uint32_t>(recipients_.size()));
      break;
    case Phase::Data:
      if (in_chunk) {
        // The usual 354 is not said for BDAT.
        chunk_is_void_ = chunks_failed_ = !good;
        if (!good) chunk_refusal_ = reply;
      } else if (reply.starts_with("354")) {
        intake_.begin(MessageIntake::Framing::Dot);
        state_ = State::Body;
      } else {
        reset_transaction();
      }
      break;
    case Phase::Dot:
      if (good) return take_over(reply, Certainty::Answered, now);
      reset_transaction();
      break;
    case Phase::Rset: reset_transaction(); break;
    case Phase::Quit: close(); break;
    case Phase::Ehlo:
    case Phase::Body: break;
  }
  if (!in_chunk) say(reply);
  if (reply.starts_with("421")) close();
  if (phase == Phase::Data && good && (in_chunk || state_ == State::Body)) start_body_rules(now);
}

void SinkSession::refuse(Phase phase, std::string_view reply, Moment now) {
  if (!world_.record_refusals) return;
  if (phase == Phase::Rcpt) {
    record(LedgerKind::Refused, asked_recipient_, Certainty::Answered, reply, now);
    return;
  }
  if (phase != Phase::Data && phase != Phase::Dot) return;
  for (std::size_t i = 0; i < recipient_ends_.size(); ++i) {
    record(LedgerKind::Refused, recipient_at(i), Certainty::Answered, reply, now);
  }
}

void SinkSession::greet(Moment now) {
  const std::string& banner = provider().banner;
  if (!banner.empty()) return effect(Phase::Greeting, "220 " + banner, now);
  effect(Phase::Greeting, fmt::format("220 {} ESMTP", host_), now);
}

void SinkSession::say_ehlo() {
  if (!is_esmtp_) return say(fmt::format("250 {}", host_));
  const Extensions& offered = provider().extensions;
  std::vector<std::string> lines{std::string(host_)};
  if (offered.pipelining) lines.emplace_back("PIPELINING");
  if (offered.size) {
    const auto max = provider().size_bytes_max;
    lines.push_back(max ? fmt::format("SIZE {}", *max) : "SIZE");
  }
  if (offered.eight_bit_mime) lines.emplace_back("8BITMIME");
  if (offered.enhanced_status_codes) lines.emplace_back("ENHANCEDSTATUSCODES");
  if (offered.chunking) lines.emplace_back("CHUNKING");
  if (offered.dsn) lines.emplace_back("DSN");
  if (offered.smtputf8) lines.emplace_back("SMTPUTF8");
  lines.insert(lines.end(), offered.others.begin(), offered.others.end());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    output_ += i + 1 < lines.size() ? "250-" : "250 ";
    output_ += lines[i];
    output_ += "\r\n";
  }
}

void SinkSession::check_mail(Moment now) {
  ProviderState& state = world_.state;
  const auto limited = [&](const auto& limit) {
    world_.counters.rate_limited.add();
    effect(Phase::Mail, limit->reply, now);
  };
  if (provider().messages_per_connection && transactions_ >= provider().messages_per_connection->value) {
    return limited(provider().messages_per_connection);
  }
  if (provider().message_rate && !state.message_rate.take(provider().message_rate->value, now.mono)) {
    return limited(provider().message_rate);
  }
  if (provider().message_rate_per_source && source_state_ != nullptr &&
      !source_state_->message_rate.take(provider().message_rate_per_source->value, now.mono)) {
    return limited(provider().message_rate_per_source);
  }
  ++transactions_;
  effect(Phase::Mail, "250 2.1.0 Ok", now);
}

// nullptr: the recipient is welcome.
const char* SinkSession::recipient_refusal(Moment now) {
  const std::size_t at = asked_recipient_.rfind('@');
  const std::string lower = to_lower(asked_recipient_);
  const std::string_view domain =
      at == std::string::npos ? std::string_view() : std::string_view(lower).substr(at + 1);
  if (!provider().any_domain && world_.directory.provider_of(domain) != world_.provider) {
    world_.counters.misrouted.add();
    return "550 5.7.1 Relaying denied";
  }
  if (recipient_ends_.size() >= provider().recipients_max) return "452 4.5.3 Too many recipients";
  const std::uint64_t seed = world_.directory.internet().seed;
  if (provider().unknown_users && falls_into(hash_of(lower, seed), provider().unknown_users->value)) {
    world_.counters.unknown_users.add();
    return provider().unknown_users->reply.c_str();
  }
  if (provider().greylist) {
    const std::uint64_t triple =
        mix(hash_of(lower, seed), mix(hash_of(sender_, seed), std::hash<IpAddress>{}(source_)));
    if (!world_.state.greylist_passes(triple, provider().greylist->value, now.mono, world_.start)) {
      world_.counters.greylisted.add();
      return provider().greylist->reply.c_str();
    }
  }
  return nullptr;
}

void SinkSession::check_recipient(Moment now) {
  const char* refusal = recipient_refusal(now);
  effect(Phase::Rcpt, refusal != nullptr ? refusal : "250 2.1.5 Ok", now);
}

void SinkSession::take_over(std::string_view reply, Certainty certainty, Moment now) {
  SinkCounters& counters = world_.counters;
  counters.messages.add();
  counters.recipients.add(recipient_ends_.size());
  counters.body_bytes.add(intake_.bytes());
  if (intake_.id().empty()) counters.unidentified.add();
  if (intake_.bare_line_end()) counters.bare_line_ends.add();
  // The ledger first: a reply whose message is not on record must never leave.
  for (std::size_t i = 0; i < recipient_ends_.size(); ++i) {
    record(LedgerKind::Received, recipient_at(i), certainty, reply, now);
  }
  ++messages_;
  commit_wanted_ = true;
  reset_transaction();
  if (certainty == Certainty::Answered) say(reply);
}

// ---------------------------------------------------------------------------------------------------- small parts

std::string_view SinkSession::recipient_at(std::size_t index) const {
  const std::size_t start = index == 0 ? 0 : recipient_ends_[index - 1];
  return std::string_view(recipients_).substr(start, recipient_ends_[index] - start);
}

void SinkSession::reset_transaction() {
  has_sender_ = false;
  in_chunks_ = false;
  chunks_failed_ = false;
  recipients_.clear();
  recipient_ends_.clear();
  triggers_.clear();
  read_speed_.reset();
  intake_.forget();
}

void SinkSession::say(std::string_view reply) {
  if (reply.starts_with('4')) world_.counters.replies_4xx.add();
  if (reply.starts_with('5')) world_.counters.replies_5xx.add();
  if (provider().extensions.enhanced_status_codes) {
    output_ += reply;
  } else {
    output_ += without_enhanced(reply);
  }
  output_ += "\r\n";
}

void SinkSession::record(LedgerKind kind, std::string_view recipient, Certainty certainty,
                         std::string_view reply, Moment now) {
  const bool message = kind == LedgerKind::Received;
  // Refused before its bytes came, a message has no id yet.
  const bool identified = message || (kind == LedgerKind::Refused && intake_.bytes() > 0);
  ledger_text_.clear();
  append_ledger_line({.kind = kind,
                      .time_us = now.wall_us,
                      .session = number_,
                      .provider = provider().name,
                      .source = source_text_,
                      .message = identified ? intake_.id() : std::string_view(),
                      .recipients = recipient,
                      .certainty = certainty,
                      .body_bytes = message ? intake_.body_bytes() : 0,
                      .body_hash = message ? intake_.body_hash() : 0,
                      .reply = reply},
                     ledger_text_);
  world_.ledger.append(ledger_text_);
}

}  // namespace sluice::bench
