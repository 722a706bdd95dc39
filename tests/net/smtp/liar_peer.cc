#include "tests/net/smtp/liar_peer.h"

#include <array>
#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::net::test {
namespace {

bool is_success(std::uint16_t code) { return code >= 200 && code < 300 && code != 221; }

std::uint64_t number_at(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// "..<m12.3@x>" or "..<r12.3.0@y>", or without a try "..<m12@x>" or "..<r12-0@y>": nothing when it is
/// somebody else's address.
struct Address {
  TryId id;
  std::uint32_t recipient = 0;
};
std::optional<Address> address_in(std::string_view line, char first, std::uint32_t otherwise) {
  const std::size_t at = line.find(std::string("<") + first);
  if (at == std::string_view::npos || at + 2 >= line.size() || !is_digit(line[at + 2])) return std::nullopt;
  line.remove_prefix(at + 2);
  const auto next = [&line](std::string_view separators) {
    if (line.empty() || !separators.contains(line.front())) return false;
    line.remove_prefix(1);
    return true;
  };
  Address out;
  out.id.message = static_cast<std::uint32_t>(number_at(line));
  out.id.number = otherwise;
  if (next(".")) out.id.number = static_cast<std::uint32_t>(number_at(line));
  if (next(".-")) out.recipient = static_cast<std::uint32_t>(number_at(line));
  return out;
}

std::string_view without_last_line_end(std::string_view text) {
  if (text.ends_with("\r\n")) text.remove_suffix(2);
  return text;
}

}  // namespace

LiarPeer::LiarPeer(Random chance, const LiarCharacter& character, LiarLedger& ledger, std::uint32_t number)
    : chance_(chance),
      nature_(character),
      character_(nature_.calm_for > 0 ? nature_.calm() : nature_),
      ledger_(ledger),
      number_(number) {
  const bool refused = chance_.chance(character_.refuse_greeting);
  const std::uint16_t code = say(Kind::Greeting, {}, refused ? (chance_.chance(0.5) ? 554 : 421) : 220);
  if (!is_success(code) && chance_.chance(0.5)) leave();
}

void LiarPeer::feed(std::string_view bytes) {
  if (gone_ || silent_) return;
  between_bytes();
  input_ += bytes;
  while (!gone_ && !silent_) {
    if (state_ == Input::Chunk || state_ == Input::DiscardedChunk) {
      const std::size_t size = std::min<std::uint64_t>(chunk_left_, input_.size());
      if (state_ == Input::Chunk) body_.append(input_, 0, size);
      input_.erase(0, size);
      chunk_left_ -= size;
      if (chunk_left_ > 0) {
        if (state_ == Input::Chunk) maybe_promise_early();
        return;
      }
      const bool keeps = state_ == Input::Chunk;
      state_ = Input::Commands;
      if (keeps) {
        end_of_message();
      } else if (chunk_code_ != 0) {
        say(Kind::RefusedChunk, {last_mail_}, chunk_code_);
        chunk_code_ = 0;
      }
      continue;
    }
    const std::size_t end = input_.find('\n');
    if (end == std::string::npos) return;
    const std::string line = input_.substr(0, end + 1);
    input_.erase(0, end + 1);
    if (state_ == Input::Body) {
      take_body_line(line);
    } else {
      take_line(line);
    }
  }
}

void LiarPeer::take_line(std::string_view line) {
  const auto is = [line](std::string_view verb) { return istarts_with(line, verb); };
  if (is("EHLO")) {
    if (!character_.esmtp || chance_.chance(character_.refuse_ehlo)) {
      say(Kind::Other, {}, chance_.chance(0.5) ? 502 : refusal());
    } else {
      end_transaction(false);
      say(Kind::Ehlo, {}, 250);
    }
  } else if (is("MAIL")) {
    on_mail(line);
  } else if (is("RCPT")) {
    on_rcpt(line);
  } else if (is("DATA")) {
    on_data();
  } else if (is("BDAT") && character_.chunking) {
    on_bdat(line.substr(4));
  } else if (is("RSET")) {
    const bool refuses =
        !is_success(say(Kind::Other, {}, chance_.chance(character_.refuse_mail * 0.2) ? 451 : 250));
    // Who keeps a transaction over RSET mixes it with what went ahead; nobody could notice in time.
    if (!refuses || nature_.calm_for > 0) end_transaction(false);
  } else if (is("HELO") || is("NOOP")) {
    say(Kind::Other, {}, 250);
  } else if (is("QUIT")) {
    heard_quit_ = true;
    say(Kind::Quit, {}, 221);
    leave();
  } else {
    say(Kind::Other, {}, 500);
  }
}

void LiarPeer::on_mail(std::string_view line) {
  const auto address = address_in(line, 'm', number_);
  const Subject about{address ? std::optional(address->id) : std::nullopt};
  if (address) {
    ledger_.tries[address->id].mail_came = true;
    last_mail_ = address->id;
  }
  if (mails_ >= nature_.calm_for) character_ = nature_;
  const bool nested = mail_.has_value();
  if (!nested && character_.mail_max && mails_ >= *character_.mail_max) {
    say(Kind::Mail, about, 421);
    return leave();
  }
  ++mails_;
  const std::uint16_t code = nested ? 503 : chance_.chance(character_.refuse_mail) ? refusal() : 250;
  if (!is_success(say(Kind::Mail, about, code)) || !address) return;
  accepted_.clear();
  mail_ = address->id;
}

void LiarPeer::on_rcpt(std::string_view line) {
  const auto address = address_in(line, 'r', number_);
  Subject about;
  if (address) about = {address->id, address->recipient};
  std::uint16_t code = 250;
  if (!mail_) {
    code = 503;
  } else if (character_.rcpt_max && accepted_.size() >= *character_.rcpt_max) {
    code = 452;
  } else if (chance_.chance(character_.refuse_rcpt)) {
    code = refusal();
  }
  if (is_success(say(Kind::Rcpt, about, code)) && address && mail_) {
    accepted_.insert({address->id, address->recipient});
  }
}

void LiarPeer::on_data() {
  std::uint16_t code = 354;
  if (accepted_.empty() && !character_.sloppy_data) {
    code = chance_.chance(0.5) ? 503 : 554;
  } else if (chance_.chance(character_.refuse_data)) {
    code = refusal();
  }
  const std::uint16_t said = say(Kind::Data, {last_mail_}, code);
  if (said >= 300 && said < 400) {
    begin_body(Input::Body);
  } else {
    end_transaction(!accepted_.empty());
  }
}

void LiarPeer::on_bdat(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  const std::uint64_t bytes = number_at(line);
  switch (character_.bdat) {
    case LiarCharacter::Bdat::Ignores: {
      ++ledger_.lies["BDAT ignored"];
      ignored_ = true;
      if (!character_.discards_chunks) return;
      state_ = Input::DiscardedChunk;
      chunk_left_ = bytes;
      return;
    }
    case LiarCharacter::Bdat::Refuses: {
      ++ledger_.lies["BDAT refused"];
      constexpr std::array<std::uint16_t, 6> kCodes = {500, 502, 503, 504, 554, 451};
      return refuse_chunk(bytes, kCodes[chance_.below(kCodes.size())]);
    }
    case LiarCharacter::Bdat::Takes: break;
  }
  if (accepted_.empty()) return refuse_chunk(bytes, chance_.chance(0.5) ? 503 : 554);
  begin_body(Input::Chunk);
  chunk_left_ = bytes;
}

/// Before or behind the chunk; what is not discarded will be read as commands.
void LiarPeer::refuse_chunk(std::uint64_t bytes, std::uint16_t code) {
  const bool later = character_.discards_chunks && chance_.chance(0.5);
  if (later) {
    chunk_code_ = code;
  } else {
    say(Kind::RefusedChunk, {last_mail_}, code);
  }
  end_transaction(true);
  if (!character_.discards_chunks) {
    ++ledger_.lies["chunk read as commands"];
    return;
  }
  state_ = Input::DiscardedChunk;
  chunk_left_ = bytes;
}

void LiarPeer::begin_body(Input input) {
  state_ = input;
  body_.clear();
  early_code_.reset();
  early_at_.reset();
  if (lies(character_.early, "final reply before the last byte")) {
    early_at_ = chance_.below(64);
    early_takes_ = chance_.chance(character_.early_takes);
  }
}

void LiarPeer::take_body_line(std::string_view line) {
  if (line == ".\r\n") {
    state_ = Input::Commands;
    return end_of_message();
  }
  if (line.starts_with('.')) line.remove_prefix(1);
  body_ += line;
  maybe_promise_early();
}

void LiarPeer::maybe_promise_early() {
  if (!early_at_ || early_code_ || body_.size() < *early_at_) return;
  const std::uint16_t code = chance_.chance(0.3) ? refusal() : 250;
  early_code_ = code;
  if (is_success(code) && !early_takes_) {
    unsure_ = true;
  }
  const std::size_t before = packets_.size();
  early_code_ = say(Kind::Final, {mail_}, code);
  if (is_success(*early_code_) && packets_.size() > before) packets_[before].early = mail_;
}

void LiarPeer::end_of_message() {
  std::uint16_t code = 250;
  if (early_code_) {
    code = *early_code_;
    if (is_success(code) && !early_takes_) return end_transaction(false);
  } else {
    if (accepted_.empty()) {
      code = 554;
    } else if (chance_.chance(character_.refuse_final)) {
      code = refusal();
    }
    code = say(Kind::Final, {mail_}, code);
  }
  if (is_success(code)) keep_message();
  end_transaction(!is_success(code));
}

void LiarPeer::keep_message() {
  for (const auto& [id, recipient] : accepted_) {
    Truth& truth = ledger_.tries[id];
    truth.taken_for.insert(recipient);
    const std::string_view text = without_last_line_end(body_);
    const auto ending = ledger_.endings.find(id.message);
    truth.spoiled |= ending == ledger_.endings.end() ? text != without_last_line_end(truth.body)
                                                     : !text.ends_with(ending->second);
  }
}

void LiarPeer::end_transaction(bool refused) {
  if (refused && character_.keeps_transaction) return;
  mail_.reset();
  accepted_.clear();
}

}  // namespace sluice::net::test
