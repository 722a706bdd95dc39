#include "net/smtp/dsn.h"

#include <array>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::net {
namespace {

struct NotifyName {
  std::string_view name;
  std::uint8_t bit;
};
constexpr std::array<NotifyName, 4> kNotifyNames{{{"NEVER", DsnNotify::kNever},
                                                  {"SUCCESS", DsnNotify::kSuccess},
                                                  {"FAILURE", DsnNotify::kFailure},
                                                  {"DELAY", DsnNotify::kDelay}}};

constexpr bool is_xchar(char c) { return c > 32 && c < 127 && c != '+' && c != '='; }

/// Upper-case hexadecimal digit (RFC 3461 4); -1 is kept inside this file.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_hex_pair(std::string_view text, std::size_t at) {
  return at + 1 < text.size() && hex_value(text[at]) >= 0 && hex_value(text[at + 1]) >= 0;
}

}  // namespace

std::optional<DsnNotify> DsnNotify::parse(std::string_view text) {
  DsnNotify out;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    bool known = false;
    for (const NotifyName& entry : kNotifyNames) {
      if (!iequals(word, entry.name)) continue;
      out.bits = static_cast<std::uint8_t>(out.bits | entry.bit);
      known = true;
    }
    if (!known) return std::nullopt;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (out.has(kNever) && out.bits != kNever) return std::nullopt;
  return out;
}

void DsnNotify::append_to(std::string& out) const {
  SLUICE_ASSERT(!empty());
  bool first = true;
  for (const NotifyName& entry : kNotifyNames) {
    if (!has(entry.bit)) continue;
    if (!first) out += ',';
    out += entry.name;
    first = false;
  }
}

bool is_xtext(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      if (!is_hex_pair(text, i + 1)) return false;
      i += 2;
    } else if (!is_xchar(text[i])) {
      return false;
    }
  }
  return true;
}

std::optional<std::string> decode_xtext(std::string_view text) {
  if (!is_xtext(text)) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string encode_xtext(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : bytes) {
    if (is_xchar(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    out += '+';
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

bool is_orcpt(std::string_view text) {
  if (text.size() > kOrcptBytesMax) return false;
  const std::size_t semicolon = text.find(';');
  if (semicolon == 0 || semicolon == std::string_view::npos || semicolon + 1 == text.size()) return false;
  for (const char c : text.substr(0, semicolon)) {
    if (!is_alpha(c) && !is_digit(c) && c != '-') return false;
  }
  return is_xtext(text.substr(semicolon + 1));
}

}  // namespace sluice::net
