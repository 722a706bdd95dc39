#include "bench/sink/sink_session.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::bench {
namespace {

// "FROM:<a@b> SIZE=1" behind its keyword: the path without brackets, and the parameters.
struct Path {
  std::string_view address;
  std::string_view parameters;
};
std::optional<Path> parse_path(std::string_view text, std::string_view keyword) {
  if (!istarts_with(text, keyword)) return std::nullopt;
  text = trim(text.substr(keyword.size()));
  if (!text.starts_with('<')) return std::nullopt;
  const std::size_t close = text.find('>');
  if (close == std::string_view::npos) return std::nullopt;
  return Path{text.substr(1, close - 1), trim(text.substr(close + 1))};
}

// The value of "SIZE=123" among parameters; nullopt: not there.
std::optional<std::string_view> parameter(std::string_view parameters, std::string_view name) {
  for (const std::string_view one : split(parameters, ' ')) {
    if (istarts_with(one, name) && one.size() > name.size() && one[name.size()] == '=') {
      return one.substr(name.size() + 1);
    }
    if (iequals(one, name)) return std::string_view();
  }
  return std::nullopt;
}

}  // namespace

SinkSession::SinkSession(const SessionWorld& world, std::uint64_t number, const IpAddress& source,
                         std::string_view source_text, std::string_view host)
    : world_(world), number_(number), source_(source), source_text_(source_text), host_(host) {}

SinkSession::~SinkSession() { SLUICE_ASSERT(ended_); }

void SinkSession::begin(Moment now) {
  if (world_.record_connections) record(LedgerKind::Connected, "", Certainty::Answered, "", now);
  ProviderState& state = world_.state;
  SourceState& source = state.source(source_);
  const auto max_of = [](const auto& limit) {
    return limit ? std::optional<std::uint64_t>(limit->value) : std::nullopt;
  };
  const auto turn_away = [&](const std::string& reply) {
    world_.counters.connections_refused.add();
    say(reply);
    close();
  };
  if (!state.connections.enter(max_of(provider().connections)))
    return turn_away(provider().connections->reply);
  if (!source.connections.enter(max_of(provider().connections_per_source))) {
    state.connections.leave();
    return turn_away(provider().connections_per_source->reply);
  }
  source_state_ = &source;
  const auto over = [&](const std::optional<Limit<Rate>>& limit, RateGate& gate) {
    return limit && !gate.take(limit->value, now.mono);
  };
  if (over(provider().connection_rate, state.connection_rate))
    return turn_away(provider().connection_rate->reply);
  if (over(provider().connection_rate_per_source, source.connection_rate)) {
    return turn_away(provider().connection_rate_per_source->reply);
  }
  event(Phase::Connect, "", now);
}

void SinkSession::end(Farewell farewell, Moment now) {
  SLUICE_ASSERT(!ended_);
  ended_ = true;
  if (source_state_ != nullptr) {
    source_state_->connections.leave();
    world_.state.connections.leave();
  }
  if (state_ != State::Command) world_.counters.lost_in_body.add();
  world_.state.messages_peak.raise(messages_);
  if (!world_.record_connections) return;
  ledger_text_.clear();
  append_ledger_line({.kind = LedgerKind::Ended,
                      .time_us = now.wall_us,
                      .session = number_,
                      .provider = provider().name,
                      .source = source_text_,
                      .message = {},
                      .recipients = {},
                      .farewell = farewell,
                      .body_bytes = messages_,
                      .reply = {}},
                     ledger_text_);
  world_.ledger.append(ledger_text_);
}

void SinkSession::resume(Moment now) {
  SLUICE_ASSERT(want_ == Want::Wait && pending_);
  want_ = Want::Input;
  const Event decided = *std::exchange(pending_, std::nullopt);
  conclude(decided, now);
  if (decided.phase == Phase::Body) pull_body_triggers(now);
  // The wait may have come at the very end of a chunk, behind which the client sends nothing before our reply.
  if (state_ == State::Chunk && chunk_left_ == 0 && want_ == Want::Input) chunk_done(now);
}

void SinkSession::on_idle(Moment) {
  if (provider().idle && !provider().idle->reply.empty()) say(provider().idle->reply);
  close();
}

// ------------------------------------------------------------------------------------------------------- input

std::size_t SinkSession::consume(std::string_view bytes, Moment now) {
  std::size_t taken = 0;
  while (taken < bytes.size() && want_ == Want::Input && output_.size() < kOutputMax) {
    const std::string_view rest = bytes.substr(taken);
    switch (state_) {
      case State::Command: taken += take_command(rest, now); break;
      case State::Body: taken += take_body(rest, now); break;
      case State::Chunk: taken += take_chunk(rest, now); break;
    }
  }
  return taken;
}

std::size_t SinkSession::take_command(std::string_view bytes, Moment now) {
  const std::size_t lf = bytes.find('\n');
  const std::string_view piece = bytes.substr(0, lf == std::string_view::npos ? bytes.size() : lf + 1);
  if (lf != std::string_view::npos && line_.empty() && piece.size() <= kLineMax) {
    // The usual case: the whole line is here.
    std::string_view line = piece.substr(0, lf);
    if (line.ends_with('\r')) line.remove_suffix(1);
    command(line, now);
  } else {
    if (line_.size() + piece.size() > kLineMax) line_too_long_ = true;
    line_ += piece.substr(0, kLineMax - std::min(kLineMax, line_.size()));
    if (lf == std::string_view::npos) return piece.size();
    std::string line = std::exchange(line_, {});
    if (line.ends_with('\n')) line.pop_back();
    if (line.ends_with('\r')) line.pop_back();
    if (std::exchange(line_too_long_, false)) {
      world_.counters.syntax_errors.add();
      say("500 5.5.2 Line too long");
    } else {
      command(line, now);
    }
  }
  const bool more_follows = bytes.size() > piece.size();
  if (more_follows && state_ == State::Command && !provider().extensions.pipelining)
    world_.counters.unannounced.add();
  return piece.size();
}

std::size_t SinkSession::take_body(std::string_view bytes, Moment now) {
  const std::size_t taken = intake_.take(bytes.substr(0, bytes_to_next_trigger()));
  body_taken_ += taken;
  if (intake_.ended()) {
    state_ = State::Command;
    read_speed_.reset();
    triggers_.clear();
    event(Phase::Dot, last_recipient(), now);
  } else {
    pull_body_triggers(now);
  }
  return taken;
}

std::size_t SinkSession::take_chunk(std::string_view bytes, Moment now) {
  std::size_t part = std::min<std::size_t>(bytes.size(), chunk_left_);
  if (!chunk_is_void_) part = intake_.take(bytes.substr(0, std::min(part, bytes_to_next_trigger())));
  body_taken_ += part;
  chunk_left_ -= part;
  if (!chunk_is_void_) pull_body_triggers(now);
  // A rule may have just stopped the reading; the chunk's end is then met by the next call.
  if (chunk_left_ == 0 && want_ == Want::Input) chunk_done(now);
  return part;
}

void SinkSession::command(std::string_view line, Moment now) {
  const std::size_t blank = line.find(' ');
  const std::string_view verb = line.substr(0, blank);
  const std::string_view argument =
      blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
  if (iequals(verb, "MAIL")) return mail(argument, now);
  if (iequals(verb, "RCPT")) return recipient(argument, now);
  if (iequals(verb, "DATA")) return data(now);
  if (iequals(verb, "BDAT")) return chunk_command(argument, now);
  if (iequals(verb, "EHLO") || iequals(verb, "HELO")) {
    is_esmtp_ = to_lower(verb.front()) == 'e';
    reset_transaction();
    if (is_esmtp_ && !provider().extensions.ehlo) return say("502 5.5.1 Command not implemented");
    return event(Phase::Ehlo, "", now);
  }
  if (iequals(verb, "RSET")) return event(Phase::Rset, "", now);
  if (iequals(verb, "NOOP")) return say("250 2.0.0 Ok");
  if (iequals(verb, "VRFY")) return say("252 2.0.0 Send some mail and see");
  if (iequals(verb, "QUIT")) {
    said_quit_ = true;
    return event(Phase::Quit, "", now);
  }
  world_.counters.syntax_errors.add();
  say("502 5.5.2 Command not recognized");
}

void SinkSession::mail(std::string_view argument, Moment now) {
  const auto path = parse_path(argument, "FROM:");
  if (!path) {
    world_.counters.syntax_errors.add();
    return say("501 5.5.4 Syntax: MAIL FROM:<address>");
  }
  if (has_sender_) return say("503 5.5.1 Sender already given");
  const Extensions& offered = provider().extensions;
  const auto size = parameter(path->parameters, "SIZE");
  const auto body = parameter(path->parameters, "BODY");
  const bool unannounced = (size && !offered.size) || (body && !offered.eight_bit_mime) ||
                           (parameter(path->parameters, "SMTPUTF8") && !offered.smtputf8);
  if (unannounced) {
    world_.counters.unannounced.add();
    return say("555 5.5.4 Parameter not offered");
  }
  if (size && provider().size_bytes_max) {
    const auto bytes = parse_number(*size);
    if (!bytes || *bytes > *provider().size_bytes_max) {
      world_.counters.oversized.add();
      return say("552 5.3.4 Message too large");
    }
  }
  sender_ = path->address;
  event(Phase::Mail, sender_, now);
}

void SinkSession::recipient(std::string_view argument, Moment now) {
  const auto path = parse_path(argument, "TO:");
  if (!path || path->address.empty()) {
    world_.counters.syntax_errors.add();
    return say("501 5.5.4 Syntax: RCPT TO:<address>");
  }
  if (!has_sender_ || in_chunks_) return say("503 5.5.1 Need MAIL before RCPT");
  asked_recipient_ = path->address;
  event(Phase::Rcpt, asked_recipient_, now);
}

void SinkSession::data(Moment now) {
  if (in_chunks_) return say("503 5.5.1 DATA cannot follow BDAT");
  if (!has_sender_) return say("503 5.5.1 Need MAIL before DATA");
  if (recipient_ends_.empty()) return say("554 5.5.1 No valid recipients");
  event(Phase::Data, last_recipient(), now);
}

// RFC 3030: the bytes follow the command at once, whatever we think of it, and the reply comes after them.
void SinkSession::chunk_command(std::string_view argument, Moment now) {
  const auto words = split(trim(argument), ' ');
  const auto size = words.empty() ? complain("") : parse_number(words[0]);
  const bool last = words.size() == 2 && iequals(words[1], "LAST");
  if (!size || words.size() > 2 || (words.size() == 2 && !last)) {
    world_.counters.syntax_errors.add();
    say("501 5.5.4 Syntax: BDAT size [LAST]");
    return close();  // nobody knows how many bytes to skip
  }
  if (!provider().extensions.chunking) world_.counters.unannounced.add();
  chunk_left_ = *size;
  chunk_is_last_ = last;
  chunk_refusal_.clear();
  state_ = State::Chunk;
  chunk_is_void_ = true;
  if (!has_sender_) {
    chunk_refusal_ = "503 5.5.1 Need MAIL before BDAT";
  } else if (recipient_ends_.empty()) {
    chunk_refusal_ = "554 5.5.1 No valid recipients";
  } else if (chunks_failed_) {
    chunk_refusal_ = "503 5.5.1 This transaction has failed";
  } else {
    chunk_is_void_ = false;
    if (!in_chunks_) {
      in_chunks_ = true;
      intake_.begin(MessageIntake::Framing::Counted);
      event(Phase::Data, last_recipient(), now);
    }
  }
  if (chunk_left_ == 0 && want_ == Want::Input) chunk_done(now);
}

void SinkSession::chunk_done(Moment now) {
  state_ = State::Command;
  if (chunk_is_void_) {
    say(chunk_refusal_);
    if (chunk_is_last_ || !has_sender_) reset_transaction();
    return;
  }
  if (!chunk_is_last_) return say("250 2.0.0 Chunk received");
  read_speed_.reset();
  triggers_.clear();
  event(Phase::Dot, last_recipient(), now);
}

}  // namespace sluice::bench
