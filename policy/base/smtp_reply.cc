#include "policy/base/smtp_reply.h"

#include "policy/base/ascii.h"

namespace sluice {
namespace {

/// Up to three digits at the front of `text`; removes them.
std::optional<std::uint16_t> take_number(std::string_view& text) {
  std::uint16_t value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && digits < 3 && is_digit(text[digits])) {
    value = static_cast<std::uint16_t>(value * 10 + (text[digits] - '0'));
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

}  // namespace

std::optional<EnhancedStatus> EnhancedStatus::parse_front(std::string_view text) {
  if (text.size() < 5 || (text[0] != '2' && text[0] != '4' && text[0] != '5') || text[1] != '.')
    return std::nullopt;
  EnhancedStatus out;
  out.klass = static_cast<std::uint8_t>(text[0] - '0');
  text.remove_prefix(2);
  const auto subject = take_number(text);
  if (!subject || text.empty() || text.front() != '.') return std::nullopt;
  text.remove_prefix(1);
  const auto detail = take_number(text);
  if (!detail || (!text.empty() && !is_blank(text.front()))) return std::nullopt;
  out.subject = *subject;
  out.detail = *detail;
  return out;
}

std::string EnhancedStatus::text() const {
  return std::to_string(klass) + '.' + std::to_string(subject) + '.' + std::to_string(detail);
}

std::string SmtpReply::full_text() const {
  if (code == 0) return text;
  std::string out = std::to_string(code);
  if (!text.empty()) {
    out += ' ';
    out += text;
  }
  return out;
}

}  // namespace sluice
