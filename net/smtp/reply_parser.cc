#include "net/smtp/reply_parser.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "policy/base/ascii.h"
#include "policy/base/utf8.h"

namespace sluice::net {
namespace {

constexpr std::size_t kCodeBytes = 3;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Three digits 200 .. 599.
std::optional<std::uint16_t> parse_code(std::string_view line) {
  if (line.size() < kCodeBytes || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]))
    return std::nullopt;
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
    std::string_view line = rest.substr(0, size);
    rest.remove_prefix(size);
    reply_bytes_ += size;
    if (reply_bytes_ > kReplyBytesMax) {
      fault_ = ReplyFault::ReplyTooLong;
      return {State::Faulty, used()};
    }
    if (newline == nullptr || !partial_.empty()) {
      // What is over the limit is forgotten, but for the end of the line.
      if (newline != nullptr) line.remove_suffix(1);
      partial_ += line.substr(0, kLineBytesMax - std::min(kLineBytesMax, partial_.size()));
      // A stranger that sends no line ends is not read to the limit.
      if (partial_.size() > kCodeBytes && partial_[kCodeBytes] != '\r' && !begins_well(partial_)) {
        return {State::Faulty, used()};
      }
      if (newline == nullptr) break;
      line = partial_;
    } else {
      line.remove_suffix(1);
      line = line.substr(0, kLineBytesMax);
    }
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

/// Sets fault_ when it does not.
bool ReplyParser::begins_well(std::string_view line) {
  fault_ = ReplyFault::BadCode;
  if (!parse_code(line)) return false;
  fault_ = ReplyFault::BadSeparator;
  return line.size() == kCodeBytes || line[kCodeBytes] == '-' || is_blank(line[kCodeBytes]);
}

ReplyParser::Line ReplyParser::take_line(std::string_view line) {
  if (!begins_well(line)) return Line::Bad;
  const std::uint16_t code = *parse_code(line);
  const bool more = line.size() > kCodeBytes && line[kCodeBytes] == '-';
  std::string_view text = line.substr(std::min(line.size(), kCodeBytes + 1));

  const bool first = std::exchange(fresh_, false);
  if (first) {
    reply_.code = code;
    reply_.enhanced = EnhancedStatus::parse_front(text);
    reply_.text.clear();
    lines_.clear();
    append_clean(reply_.text, text, SmtpReply::kTextBytesMax);
  } else {
    append_text(text);
    if (code != reply_.code) {
      reply_.code = code;
      reply_.enhanced = EnhancedStatus::parse_front(text);
    }
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
