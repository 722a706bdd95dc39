#include "policy/base/mail_address.h"

#include <array>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/ip_address.h"
#include "policy/base/utf8.h"

namespace sluice {
namespace {

constexpr std::size_t kLabelBytesMax = 63;

enum CharClass : std::uint8_t { kAtext = 1, kDomain = 2 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> out{};
  for (unsigned c = 0; c < 128; ++c) {
    const char ch = static_cast<char>(c);
    if (is_alpha(ch) || is_digit(ch)) out[c] = kAtext | kDomain;
  }
  for (const char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) out[static_cast<std::uint8_t>(c)] |= kAtext;
  for (const char c : std::string_view("-_")) out[static_cast<std::uint8_t>(c)] |= kDomain;
  return out;
}
constexpr auto kClasses = make_classes();

constexpr bool has_class(char c, CharClass wanted) {
  return (kClasses[static_cast<std::uint8_t>(c)] & wanted) != 0;
}
constexpr bool is_high(char c) { return static_cast<std::uint8_t>(c) > 127; }

bool has_high(std::string_view text) {
  for (const char c : text) {
    if (is_high(c)) return true;
  }
  return false;
}

/// atext with dots between, as an unquoted local part.
bool is_dot_atom(std::string_view text, bool loose_dots) {
  if (text.empty()) return false;
  bool after_dot = true;
  for (const char c : text) {
    if (c == '.') {
      if (after_dot && !loose_dots) return false;
      after_dot = true;
    } else if (has_class(c, kAtext) || is_high(c)) {
      after_dot = false;
    } else {
      return false;
    }
  }
  return !after_dot || loose_dots;
}

std::optional<AddressFault> check_high(std::string_view text, bool allow_utf8) {
  if (!has_high(text)) return std::nullopt;
  if (!allow_utf8 || !is_utf8(text)) return AddressFault::NotAscii;
  return std::nullopt;
}

bool is_literal_domain(std::string_view text) {
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  // IpAddress::parse ends at a NUL; here nothing may stand behind the address.
  if (text.find('\0') != std::string_view::npos) return false;
  if (istarts_with(text, "ipv6:")) {
    const auto address = IpAddress::parse(text.substr(5));
    // A mapped address comes back as IPv4, which is all right: the colon form was written.
    return address && text.find(':', 5) != std::string_view::npos;
  }
  const auto address = IpAddress::parse(text);
  return address && address->is_v4() && text.find(':') == std::string_view::npos;
}

/// A domain without the trailing dot.
std::optional<AddressFault> check_domain(std::string_view text, bool allow_utf8) {
  if (text.empty()) return AddressFault::Syntax;
  if (text.size() > MailAddress::kDomainBytesMax) return AddressFault::DomainTooLong;
  if (text.front() == '[') {
    return is_literal_domain(text) ? std::nullopt : std::optional(AddressFault::Syntax);
  }
  if (const auto fault = check_high(text, allow_utf8)) return fault;
  std::size_t label = 0;
  char last = '.';
  for (const char c : text) {
    if (c == '.') {
      if (label == 0 || last == '-') return AddressFault::Syntax;
      label = 0;
    } else {
      if (!has_class(c, kDomain) && !is_high(c)) return AddressFault::Syntax;
      if (c == '-' && label == 0) return AddressFault::Syntax;
      if (++label > kLabelBytesMax) return AddressFault::DomainTooLong;
    }
    last = c;
  }
  if (label == 0 || last == '-') return AddressFault::Syntax;
  return std::nullopt;
}

std::string_view without_final_dot(std::string_view domain) {
  if (domain.size() > 1 && domain.back() == '.') domain.remove_suffix(1);
  return domain;
}

/// Removes "@a,@b:" at the front of `text`; false when it begins with '@' but is no source route.
bool drop_source_route(std::string_view& text) {
  while (!text.empty() && text.front() == '@') {
    const std::size_t end = text.find_first_of(",:");
    if (end == std::string_view::npos || check_domain(text.substr(1, end - 1), false)) return false;
    const bool last = text[end] == ':';
    text.remove_prefix(end + 1);
    if (last) return true;
    if (text.empty() || text.front() != '@') return false;
  }
  return true;
}

struct Quoted {
  std::string content;   // without quotes and backslashes
  std::size_t size = 0;  // of the quoted string in the text, quotes included
};

/// The quoted string at the front of `text`.
std::optional<Quoted> take_quoted(std::string_view text) {
  Quoted out;
  for (std::size_t i = 1; i < text.size(); ++i) {
    char c = text[i];
    if (c == '"') {
      out.size = i + 1;
      return out;
    }
    if (c == '\\') {
      if (++i == text.size()) return std::nullopt;
      c = text[i];
    }
    if (static_cast<std::uint8_t>(c) < 32 || c == 127) return std::nullopt;
    out.content += c;
  }
  return std::nullopt;
}

void append_local(std::string& out, std::string_view content) {
  if (is_dot_atom(content, false)) {
    out += content;
    return;
  }
  out += '"';
  for (const char c : content) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

std::string_view name_of(AddressFault fault) {
  switch (fault) {
    case AddressFault::Syntax: return "syntax error in address";
    case AddressFault::LocalTooLong: return "local part too long";
    case AddressFault::DomainTooLong: return "domain too long";
    case AddressFault::PathTooLong: return "path too long";
    case AddressFault::NullPath: return "null path not allowed here";
    case AddressFault::NoDomain: return "domain missing";
    case AddressFault::NotAscii: return "address needs SMTPUTF8";
  }
  return "unknown";
}

bool is_mail_domain(std::string_view text, bool allow_utf8) {
  return !check_domain(without_final_dot(text), allow_utf8);
}

std::expected<MailAddress, AddressFault> MailAddress::parse(std::string_view text,
                                                            const AddressRules& rules) {
  MailAddress out;
  if (const auto fault = out.assign(text, rules)) return std::unexpected(*fault);
  return out;
}

std::optional<AddressFault> MailAddress::assign(std::string_view text, const AddressRules& rules) {
  text_.clear();
  local_size_ = 0;
  if (text.size() > kPathBytesMax) return AddressFault::PathTooLong;
  if (!rules.bare) {
    if (text.size() < 2 || text.front() != '<' || text.back() != '>') return AddressFault::Syntax;
    text = text.substr(1, text.size() - 2);
  }
  if (text.empty()) return rules.allow_null ? std::nullopt : std::optional(AddressFault::NullPath);
  if (text.front() == '@' && !drop_source_route(text)) return AddressFault::Syntax;
  if (text.empty()) return AddressFault::Syntax;

  std::size_t local_end = 0;
  std::optional<Quoted> quoted;
  if (text.front() == '"') {
    quoted = take_quoted(text);
    if (!quoted) return AddressFault::Syntax;
    local_end = quoted->size;
  } else {
    // A plain local part holds no '@', so the first one ends it.
    const std::size_t at = text.find('@');
    local_end = at == std::string_view::npos ? text.size() : at;
    if (!is_dot_atom(text.substr(0, local_end), rules.allow_loose_dots)) return AddressFault::Syntax;
  }
  const std::string_view local = text.substr(0, local_end);
  if (local.size() > kLocalBytesMax) return AddressFault::LocalTooLong;
  if (const auto fault = check_high(local, rules.allow_utf8)) return fault;

  std::string_view domain;
  if (local_end == text.size()) {
    if (!rules.allow_no_domain) return AddressFault::NoDomain;
  } else {
    if (text[local_end] != '@') return AddressFault::Syntax;
    domain = without_final_dot(text.substr(local_end + 1));
    if (const auto fault = check_domain(domain, rules.allow_utf8)) return fault;
  }

  if (quoted) {
    append_local(text_, quoted->content);
  } else {
    text_ += local;
  }
  local_size_ = static_cast<std::uint16_t>(text_.size());
  if (!domain.empty()) {
    text_ += '@';
    for (const char c : domain) text_ += to_lower(c);
  }
  return std::nullopt;
}

bool MailAddress::needs_utf8() const { return has_high(text_); }

void MailAddress::qualify(std::string_view domain) {
  SLUICE_ASSERT(!is_null() && !has_domain());
  SLUICE_ASSERT(is_mail_domain(domain, true));
  text_ += '@';
  for (const char c : without_final_dot(domain)) text_ += to_lower(c);
}

}  // namespace sluice
