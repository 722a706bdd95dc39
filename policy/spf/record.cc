#include "policy/spf/record.h"

#include <algorithm>
#include <optional>
#include <span>

#include "policy/base/ascii.h"
#include "policy/spf/macro.h"

namespace sluice::spf {
namespace {

constexpr std::string_view kVersion = "v=spf1";

/// "0" .. "128" without leading zeros.
std::optional<std::uint8_t> parse_bits(std::string_view text, unsigned most) {
  if (text.empty() || text.size() > 3 || !std::ranges::all_of(text, is_digit)) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  unsigned value = 0;
  for (const char c : text) value = value * 10 + static_cast<unsigned>(c - '0');
  if (value > most) return std::nullopt;
  return static_cast<std::uint8_t>(value);
}

/// Takes "/N", "//N" or "/N//N" off the end of `text`; what only looks like it stays and is no domain-spec.
void take_dual_prefix(std::string_view& text, Directive& out) {
  const auto take = [&text](std::string_view mark, unsigned most) -> std::optional<std::uint8_t> {
    const std::size_t slash = text.rfind('/');
    if (slash == text.npos || slash + 1 < mark.size()) return std::nullopt;
    const std::size_t begin = slash + 1 - mark.size();
    if (text.substr(begin, mark.size()) != mark) return std::nullopt;
    const auto bits = parse_bits(text.substr(slash + 1), most);
    if (bits) text = text.substr(0, begin);
    return bits;
  };
  if (const auto bits = take("//", 128)) out.v6_bits = *bits;
  if (const auto bits = take("/", 32)) out.v4_bits = *bits;
}

bool is_v4_text(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == text.npos;
}

bool set_network(std::string_view text, Directive& out) {
  const bool v4 = out.kind == Directive::Kind::Ip4;
  if (const std::size_t slash = text.find('/'); slash != text.npos) {
    const auto bits = parse_bits(text.substr(slash + 1), v4 ? 32 : 128);
    if (!bits) return false;
    (v4 ? out.v4_bits : out.v6_bits) = *bits;
    text = text.substr(0, slash);
  }
  const auto address = IpAddress::parse(text);
  if (!address || is_v4_text(text) != v4) return false;
  const auto& octets = address->octets();
  if (v4) {
    if (!address->is_v4()) return false;
    out.network = octets;
  } else if (address->is_v4()) {
    // A mapped address, which IpAddress takes for IPv4. As a network of IPv6 it stays what was written.
    out.network[10] = out.network[11] = 0xff;
    std::copy_n(octets.begin(), 4, out.network.begin() + 12);
  } else {
    out.network = octets;
  }
  return true;
}

bool same_prefix(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, unsigned bits) {
  for (std::size_t i = 0; bits > 0; ++i) {
    const unsigned here = std::min(bits, 8u);
    if (((a[i] ^ b[i]) >> (8 - here)) != 0) return false;
    bits -= here;
  }
  return true;
}

struct Term {
  std::string_view name;
  std::string_view rest;  // from the first byte behind the name on
};

/// A name as mechanisms and modifiers have it; empty: none.
Term split_name(std::string_view term) {
  std::size_t end = 0;
  while (end < term.size() && (is_alpha(term[end]) || (end > 0 && (is_digit(term[end]) || term[end] == '-' ||
                                                                   term[end] == '_' || term[end] == '.')))) {
    ++end;
  }
  return {term.substr(0, end), term.substr(end)};
}

using Kind = Directive::Kind;

std::optional<Kind> kind_of(std::string_view name) {
  static constexpr std::pair<std::string_view, Kind> kNames[] = {
      {"all", Kind::All}, {"include", Kind::Include}, {"a", Kind::A},     {"mx", Kind::Mx},
      {"ptr", Kind::Ptr}, {"ip4", Kind::Ip4},         {"ip6", Kind::Ip6}, {"exists", Kind::Exists}};
  for (const auto& [text, kind] : kNames) {
    if (iequals(name, text)) return kind;
  }
  return std::nullopt;
}

bool set_target(std::string_view text, Directive& out) {
  const auto facts = scan_domain_spec(text);
  if (!facts) return false;
  out.target = text;
  out.uses_client_name = facts->uses_client_name;
  return true;
}

std::optional<Result> qualifier_of(char c) {
  switch (c) {
    case '+': return Result::Pass;
    case '-': return Result::Fail;
    case '?': return Result::Neutral;
    case '~': return Result::SoftFail;
    default: return std::nullopt;
  }
}

std::optional<Directive> parse_directive(std::string_view term) {
  Directive out;
  out.text = term;
  if (const auto result = qualifier_of(term.front())) {
    out.result = *result;
    term.remove_prefix(1);
  }
  auto [name, rest] = split_name(term);
  const auto kind = kind_of(name);
  if (!kind) return std::nullopt;
  out.kind = *kind;
  const bool has_value = rest.starts_with(':');
  if (has_value) rest.remove_prefix(1);
  switch (*kind) {
    case Kind::All: return !has_value && rest.empty() ? std::optional(out) : std::nullopt;
    case Kind::Ip4:
    case Kind::Ip6: return has_value && set_network(rest, out) ? std::optional(out) : std::nullopt;
    case Kind::Include:
    case Kind::Exists: return has_value && set_target(rest, out) ? std::optional(out) : std::nullopt;
    case Kind::Ptr: break;
    case Kind::A:
    case Kind::Mx: take_dual_prefix(rest, out); break;
  }
  if (!has_value) return rest.empty() ? std::optional(out) : std::nullopt;
  return set_target(rest, out) ? std::optional(out) : std::nullopt;
}

/// False: a second one, or no domain-spec.
bool set_modifier(std::string_view value, std::string& target, bool& uses_client_name) {
  const auto facts = scan_domain_spec(value);
  if (!target.empty() || !facts) return false;
  target = value;
  uses_client_name = facts->uses_client_name;
  return true;
}

bool take_modifier(std::string_view name, std::string_view value, SpfRecord& out) {
  if (iequals(name, "redirect")) return set_modifier(value, out.redirect, out.redirect_uses_client_name);
  if (iequals(name, "exp")) return set_modifier(value, out.explanation, out.explanation_uses_client_name);
  return scan_macros(value, MacroPlace::Domain).has_value();  // unknown ones are ignored (RFC 7208 6)
}

}  // namespace

std::string_view name_of(Result result) {
  switch (result) {
    case Result::None: return "none";
    case Result::Neutral: return "neutral";
    case Result::Pass: return "pass";
    case Result::Fail: return "fail";
    case Result::SoftFail: return "softfail";
    case Result::TempError: return "temperror";
    case Result::PermError: return "permerror";
  }
  return "";
}

bool Directive::holds(const IpAddress& client) const {
  if (client.is_v4() != (kind == Kind::Ip4)) return false;
  return same_prefix(network, client.octets(), client.is_v4() ? v4_bits : v6_bits);
}

bool Directive::covers(const IpAddress& one, const IpAddress& client) const {
  if (one.is_v4() != client.is_v4()) return false;
  return same_prefix(one.octets(), client.octets(), client.is_v4() ? v4_bits : v6_bits);
}

bool is_spf_record(std::string_view text) {
  return istarts_with(text, kVersion) && (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

std::expected<SpfRecord, std::string> parse_spf_record(std::string_view text) {
  SpfRecord out;
  for (text.remove_prefix(kVersion.size()); !text.empty();) {
    if (text.front() == ' ') {
      text.remove_prefix(1);
      continue;
    }
    const std::string_view term = text.substr(0, text.find(' '));
    text.remove_prefix(term.size());
    const auto [name, rest] = split_name(term);
    if (!name.empty() && rest.starts_with('=')) {
      if (!take_modifier(name, rest.substr(1), out)) {
        return std::unexpected("syntax error in \"" + std::string(term) + '"');
      }
      continue;
    }
    auto directive = parse_directive(term);
    if (!directive) return std::unexpected("syntax error in \"" + std::string(term) + '"');
    out.directives.push_back(std::move(*directive));
  }
  return out;
}

}  // namespace sluice::spf
