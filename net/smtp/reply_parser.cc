#include "net/smtp/reply_parser.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "policy/base/ascii.h"
#include "policy/base/utf8.h"

namespace sluice::net {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Three digits 200 .. 599.
std::optional<std::uint16_t> parse_code(std::string_view line) {
  if (line.size() < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2])) return std::nullopt;
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (code < 200 || code > 599) return std::nullopt;
  return static_cast<std::uint16_t>(code);
}

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 32 && c < 127; });
}

/// Appends `text` with everything replaced that is neither printable nor UTF-8, up to `size_max` bytes in
/// `out`.
void append_clean(std::string& out, std::string_view text, std::size_t size_max) {
  if (out.size() + text.size() <= size_max && is_printable_ascii(text)) {
    out += text;
    return;
  }
  while (!text.empty() && out.size() < size_max) {
    const char c = text.front();
    const std::size_t size = utf8_front(text);
    if (size > 1) {
      if (out.size() + size > size_max) return;
      out += text.substr(0, size);
      text.remove_prefix(size);
      continue;
    }
    if (c == '\t') {
      out += ' ';
    } else {
      out += size == 1 && c >= 32 && c != 127 ? c : '?';
    }
    text.remove_prefix(1);
  }
}

}  // namespace

std::string_view name_of(ReplyFault fault) {
  switch (fault) {
    case ReplyFault::BadCode: return "reply without a valid code";
    case ReplyFault::BadSeparator: return "reply code not followed by a blank or hyphen";
    case ReplyFault::CodeChanged: return "code changed inside a multi-line reply";
    case ReplyFault::LineTooLong: return "reply line too long";
    case ReplyFault::ReplyTooLong: return "reply too long";
  }
  return "unknown";
}

ReplyParser::Step ReplyParser::feed(std::span<const std::byte> input) {
  std::string_view rest = as_text(input);
  const auto used = [&] { return input.size() - rest.size(); };
  while (!rest.empty()) {
    const auto* newline = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
    const std::size_t size =
        newline == nullptr ? rest.size() : static_cast<std::size_t>(newline - rest.data()) + 1;
    reply_bytes_ += size;
    const bool line_too_long = partial_.size() + size > kLineBytesMax;
    if (line_too_long || reply_bytes_ > kReplyBytesMax) {
      fault_ = line_too_long ? ReplyFault::LineTooLong : ReplyFault::ReplyTooLong;
      rest.remove_prefix(size);
      return {State::Faulty, used()};
    }
    std::string_view line = rest.substr(0, size);
    rest.remove_prefix(size);
    if (newline == nullptr) {
      partial_ += line;
      break;
    }
    if (!partial_.empty()) {
      partial_ += line;
      line = partial_;
    }
    line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const Line taken = take_line(line);
    partial_.clear();
    if (taken == Line::Bad) return {State::Faulty, used()};
    if (taken == Line::Last) {
      fresh_ = true;
      reply_bytes_ = 0;
      return {State::Complete, used()};
    }
  }
  return {State::NeedMore, used()};
}

ReplyParser::Line ReplyParser::take_line(std::string_view line) {
  const auto bad = [this](ReplyFault fault) {
    fault_ = fault;
    return Line::Bad;
  };
  const auto code = parse_code(line);
  if (!code) return bad(ReplyFault::BadCode);
  const bool more = line.size() > 3 && line[3] == '-';
  if (line.size() > 3 && !more && !is_blank(line[3])) return bad(ReplyFault::BadSeparator);
  std::string_view text = line.substr(std::min<std::size_t>(line.size(), 4));

  const bool first = fresh_;
  if (first) {
    fresh_ = false;
    reply_.code = *code;
    reply_.enhanced = EnhancedStatus::parse_front(text);
    reply_.text.clear();
    lines_.clear();
    append_clean(reply_.text, text, SmtpReply::kTextBytesMax);
  } else {
    if (*code != reply_.code) return bad(ReplyFault::CodeChanged);
    append_text(text);
  }
  if (keep_lines_ && lines_.size() + text.size() + 1 <= kLinesBytesMax) {
    if (!first) lines_ += '\n';
    append_clean(lines_, text, kLinesBytesMax);
  }
  return more ? Line::More : Line::Last;
}

void ReplyParser::append_text(std::string_view text) {
  // Servers repeat the enhanced code on every line; one is enough for people and patterns.
  if (reply_.enhanced && EnhancedStatus::parse_front(text) == reply_.enhanced) {
    text.remove_prefix(std::min(text.find_first_of(" \t"), text.size()));
  }
  text = trim(text);
  if (text.empty()) return;
  if (!reply_.text.empty() && reply_.text.size() < SmtpReply::kTextBytesMax) reply_.text += ' ';
  append_clean(reply_.text, text, SmtpReply::kTextBytesMax);
}

void ReplyParser::reset() {
  partial_.clear();
  lines_.clear();
  reply_bytes_ = 0;
  fresh_ = true;
}

}  // namespace sluice::net
