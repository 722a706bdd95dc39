#include "net/smtp/sasl.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/base64.h"

namespace sluice::net {
namespace {

constexpr std::size_t kMd5HexBytes = 32;

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string_view name_of(SaslMechanism mechanism) {
  switch (mechanism) {
    case SaslMechanism::Plain: return "PLAIN";
    case SaslMechanism::Login: return "LOGIN";
    case SaslMechanism::CramMd5: return "CRAM-MD5";
  }
  return "unknown";
}

std::optional<SaslMechanism> parse_sasl_mechanism(std::string_view name) {
  for (const auto mechanism : {SaslMechanism::Plain, SaslMechanism::Login, SaslMechanism::CramMd5}) {
    if (iequals(name, name_of(mechanism))) return mechanism;
  }
  return std::nullopt;
}

bool SaslMechanisms::has(SaslMechanism mechanism) const {
  switch (mechanism) {
    case SaslMechanism::Plain: return plain;
    case SaslMechanism::Login: return login;
    case SaslMechanism::CramMd5: return cram_md5;
  }
  return false;
}

SaslServer::SaslServer(SaslMechanism mechanism, std::string cram_challenge)
    : cram_challenge_(std::move(cram_challenge)) {
  claim_.mechanism = mechanism;
}

SaslServer::Outcome SaslServer::ask(std::string_view text) {
  challenge_ = encode_base64(text);
  return Outcome::Challenge;
}

SaslServer::Outcome SaslServer::begin(std::optional<std::string_view> initial) {
  if (claim_.mechanism == SaslMechanism::CramMd5) {
    // The server speaks first here (RFC 4954 4).
    return initial ? Outcome::Malformed : ask(cram_challenge_);
  }
  if (initial) return *initial == "=" ? take({}) : step(*initial);
  return ask(claim_.mechanism == SaslMechanism::Login ? "Username:" : "");
}

SaslServer::Outcome SaslServer::step(std::string_view line) {
  if (line == "*") return Outcome::Cancelled;
  if (line.size() > kLineBytesMax) return Outcome::Malformed;
  const auto bytes = decode_base64(line);
  return bytes ? take(*bytes) : Outcome::Malformed;
}

SaslServer::Outcome SaslServer::take(std::string_view bytes) {
  switch (claim_.mechanism) {
    case SaslMechanism::Plain: return take_plain(bytes);
    case SaslMechanism::Login: return take_login(bytes);
    case SaslMechanism::CramMd5: return take_cram(bytes);
  }
  return Outcome::Malformed;
}

/// authorization NUL user NUL password (RFC 4616 2).
SaslServer::Outcome SaslServer::take_plain(std::string_view bytes) {
  const std::size_t first = bytes.find('\0');
  if (first == std::string_view::npos) return Outcome::Malformed;
  const std::size_t second = bytes.find('\0', first + 1);
  if (second == std::string_view::npos || bytes.find('\0', second + 1) != std::string_view::npos) {
    return Outcome::Malformed;
  }
  claim_.authorization = bytes.substr(0, first);
  claim_.user = bytes.substr(first + 1, second - first - 1);
  claim_.password = bytes.substr(second + 1);
  return claim_.user.empty() ? Outcome::Malformed : Outcome::Claimed;
}

SaslServer::Outcome SaslServer::take_login(std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) return Outcome::Malformed;
  if (has_user_) {
    claim_.password = bytes;
    return Outcome::Claimed;
  }
  if (bytes.empty()) return Outcome::Malformed;
  claim_.user = bytes;
  has_user_ = true;
  return ask("Password:");
}

/// "user digest" (RFC 2195 2); the user may hold blanks.
SaslServer::Outcome SaslServer::take_cram(std::string_view bytes) {
  const std::size_t blank = bytes.rfind(' ');
  if (blank == std::string_view::npos || blank == 0) return Outcome::Malformed;
  claim_.user = bytes.substr(0, blank);
  claim_.digest_hex = to_lower(bytes.substr(blank + 1));
  const bool valid = claim_.digest_hex.size() == kMd5HexBytes && is_lower_hex(claim_.digest_hex);
  return valid && claim_.user.find('\0') == std::string::npos ? Outcome::Claimed : Outcome::Malformed;
}

}  // namespace sluice::net
