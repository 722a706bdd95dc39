#include "net/smtp/capabilities.h"

#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::net {
namespace {

/// The next word of `text`, which loses it and the blanks before it; empty at the end.
std::string_view take_word(std::string_view& text) {
  text = trim(text);
  std::size_t end = 0;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void take_size(Capabilities& out, std::string_view rest) {
  out.size = true;
  const auto bytes = parse_number<std::uint64_t>(take_word(rest));
  if (bytes && *bytes > 0) out.size_max_bytes = bytes;
}

void take_auth(Capabilities& out, std::string_view rest) {
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    if (iequals(word, "PLAIN")) out.auth.bits |= AuthMechanisms::kPlain;
    if (iequals(word, "LOGIN")) out.auth.bits |= AuthMechanisms::kLogin;
    if (iequals(word, "CRAM-MD5")) out.auth.bits |= AuthMechanisms::kCramMd5;
  }
}

void take_limits(Capabilities& out, std::string_view rest) {
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const auto value = parse_number<std::uint32_t>(word.substr(equals + 1));
    if (!value || *value == 0) continue;
    if (iequals(word.substr(0, equals), "RCPTMAX")) out.rcpt_max = value;
    if (iequals(word.substr(0, equals), "MAILMAX")) out.mail_max = value;
  }
}

/// Takes one line; the canonical keyword when it is known.
std::string_view take_line(Capabilities& out, std::string_view line) {
  // "AUTH=LOGIN" is an old spelling that some servers add for old clients.
  if (istarts_with(line, "AUTH=")) {
    take_auth(out, line.substr(5));
    return {};
  }
  std::string_view rest = line;
  const std::string_view word = take_word(rest);
  const auto flag = [&](std::string_view name, bool Capabilities::* member) {
    if (!iequals(word, name)) return false;
    out.*member = true;
    return true;
  };
  struct Flag {
    std::string_view name;
    bool Capabilities::* member;
  };
  static constexpr Flag kFlags[] = {{"PIPELINING", &Capabilities::pipelining},
                                    {"CHUNKING", &Capabilities::chunking},
                                    {"8BITMIME", &Capabilities::eight_bit_mime},
                                    {"SMTPUTF8", &Capabilities::smtp_utf8},
                                    {"ENHANCEDSTATUSCODES", &Capabilities::enhanced_status_codes},
                                    {"STARTTLS", &Capabilities::starttls},
                                    {"DSN", &Capabilities::dsn}};
  for (const Flag& entry : kFlags) {
    if (flag(entry.name, entry.member)) return entry.name;
  }
  if (iequals(word, "SIZE")) {
    take_size(out, rest);
    return "SIZE";
  }
  if (iequals(word, "AUTH")) {
    take_auth(out, rest);
    return "AUTH";
  }
  if (iequals(word, "LIMITS")) {
    take_limits(out, rest);
    return "LIMITS";
  }
  return {};
}

}  // namespace

Capabilities Capabilities::parse(std::string_view lines) {
  Capabilities out;
  out.esmtp = true;
  std::size_t end = lines.find('\n');
  while (end != std::string_view::npos) {
    lines.remove_prefix(end + 1);
    end = lines.find('\n');
    const std::string_view keyword = take_line(out, lines.substr(0, end));
    if (keyword.empty() || out.listed.size() + keyword.size() + 1 > kListedBytesMax) continue;
    if (!out.listed.empty()) out.listed += ',';
    out.listed += keyword;
  }
  return out;
}

void Capabilities::ignore(const Ignore& what) {
  if (what.pipelining) pipelining = false;
  if (what.chunking) chunking = false;
  if (what.eight_bit_mime) eight_bit_mime = false;
  if (what.dsn) dsn = false;
}

}  // namespace sluice::net
