#include "policy/spf/macro.h"

#include <algorithm>
#include <vector>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::spf {
namespace {

constexpr std::string_view kDelimiters = ".-+,/_=";

/// "%{d2r-}", taken apart.
struct Macro {
  char letter = 0;       // lower case
  bool escapes = false;  // the letter was a capital
  unsigned parts = 0;    // 0: all
  bool reverses = false;
  std::string_view delimiters;  // empty: '.'
  std::size_t size = 0;         // of the text
};

bool is_alphanum(char c) { return is_alpha(c) || is_digit(c); }

/// `text` begins with "%{".
std::optional<Macro> parse_macro(std::string_view text) {
  static constexpr unsigned kPartsMax = 1000;  // more than any text has
  const std::size_t end = text.find('}');
  if (end == text.npos || end < 3) return std::nullopt;
  Macro out{.letter = to_lower(text[2]),
            .escapes = text[2] >= 'A' && text[2] <= 'Z',
            .delimiters = {},
            .size = end + 1};
  if (std::string_view("slodiphcrtv").find(out.letter) == std::string_view::npos) return std::nullopt;
  std::size_t at = 3;
  if (is_digit(text[at])) {
    for (; is_digit(text[at]); ++at) {
      out.parts = std::min(kPartsMax, out.parts * 10 + static_cast<unsigned>(text[at] - '0'));
    }
    if (out.parts == 0) return std::nullopt;  // RFC 7208 7.3: nonzero
  }
  if (to_lower(text[at]) == 'r') {
    out.reverses = true;
    ++at;
  }
  out.delimiters = text.substr(at, end - at);
  if (out.delimiters.find_first_not_of(kDelimiters) != std::string_view::npos) return std::nullopt;
  return out;
}

std::string address_text(const IpAddress& address, char letter) {
  if (address.is_v4() || letter == 'c') return address.text();
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const unsigned octet : address.octets()) {
    if (!out.empty()) out += '.';
    out += {kHex[octet >> 4], '.', kHex[octet & 15]};
  }
  return out;
}

std::string value_of(char letter, const MacroValues& values) {
  switch (letter) {
    case 's': return std::string(values.local) + '@' + std::string(values.sender_domain);
    case 'l': return std::string(values.local);
    case 'o': return std::string(values.sender_domain);
    case 'd': return std::string(values.domain);
    case 'i':
    case 'c': return address_text(values.client, letter);
    case 'p': return std::string(values.client_name);
    case 'v': return values.client.is_v4() ? "in-addr" : "ip6";
    case 'h': return std::string(values.helo);
    case 'r': return std::string(values.receiver);
    case 't':
      return std::to_string(std::chrono::floor<std::chrono::seconds>(values.now).time_since_epoch().count());
    default: break;
  }
  SLUICE_ASSERT(false);
  return {};
}

void append_transformed(std::string& out, const Macro& macro, std::string_view value) {
  std::vector<std::string_view> parts;
  const std::string_view delimiters = macro.delimiters.empty() ? "." : macro.delimiters;
  for (std::size_t at = 0;;) {
    const std::size_t end = value.find_first_of(delimiters, at);
    parts.push_back(value.substr(at, end - at));
    if (end == value.npos) break;
    at = end + 1;
  }
  if (macro.reverses) std::ranges::reverse(parts);
  const std::size_t first = macro.parts == 0 || macro.parts >= parts.size() ? 0 : parts.size() - macro.parts;
  for (std::size_t i = first; i < parts.size(); ++i) {
    if (i != first) out += '.';
    for (const char c : parts[i]) {
      const bool stays =
          !macro.escapes || is_alphanum(c) || std::string_view("-._~").find(c) != std::string_view::npos;
      if (stays) {
        out += c;
        continue;
      }
      static constexpr std::string_view kHex = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
}

/// RFC 7208 12, toplabel: letters, digits and '-', not all digits, no '-' at either end.
bool is_top_label(std::string_view label) {
  if (label.empty() || label.front() == '-' || label.back() == '-') return false;
  return std::ranges::all_of(label, [](char c) { return is_alphanum(c) || c == '-'; }) &&
         !std::ranges::all_of(label, is_digit);
}

}  // namespace

std::optional<MacroFacts> scan_macros(std::string_view text, MacroPlace place) {
  MacroFacts facts;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c != '%') {
      const bool is_blank = c == ' ' && place == MacroPlace::Explanation;
      if (!is_blank && (c <= ' ' || c > '~')) return std::nullopt;
      ++at;
      facts.ends_with_macro = false;
      continue;
    }
    facts.ends_with_macro = true;
    if (at + 1 == text.size()) return std::nullopt;
    const char kind = text[at + 1];
    if (kind == '%' || kind == '_' || kind == '-') {
      at += 2;
      continue;
    }
    const auto macro = kind == '{' ? parse_macro(text.substr(at)) : std::nullopt;
    if (!macro) return std::nullopt;
    const bool only_explains = macro->letter == 'c' || macro->letter == 'r' || macro->letter == 't';
    if (only_explains && place == MacroPlace::Domain) return std::nullopt;
    if (macro->letter == 'p') facts.uses_client_name = true;
    if (macro->letter == 'l' || macro->letter == 's') facts.uses_local_part = true;
    at += macro->size;
  }
  return facts;
}

std::optional<MacroFacts> scan_domain_spec(std::string_view text) {
  const auto facts = scan_macros(text, MacroPlace::Domain);
  if (!facts || text.empty()) return std::nullopt;
  if (facts->ends_with_macro) return facts;
  if (text.back() == '.') text.remove_suffix(1);
  const std::size_t dot = text.rfind('.');
  // What is behind the last dot of a macro-string cannot begin inside a macro: '}' is no top label.
  if (dot == text.npos || !is_top_label(text.substr(dot + 1))) return std::nullopt;
  return facts;
}

std::optional<std::string> expand_macros(std::string_view text, const MacroValues& values) {
  std::string out;
  for (std::size_t at = 0; at < text.size() && out.size() <= kExpandedBytesMax;) {
    if (text[at] != '%') {
      out += text[at++];
      continue;
    }
    const char kind = text.substr(at + 1).empty() ? '\0' : text[at + 1];
    if (kind == '{') {
      const auto macro = parse_macro(text.substr(at));
      SLUICE_ASSERT(macro.has_value());
      append_transformed(out, *macro, value_of(macro->letter, values));
      at += macro->size;
      continue;
    }
    SLUICE_ASSERT(kind == '%' || kind == '_' || kind == '-');
    out += kind == '%' ? "%" : kind == '_' ? " " : "%20";
    at += 2;
  }
  if (out.size() > kExpandedBytesMax) return std::nullopt;
  return out;
}

}  // namespace sluice::spf
