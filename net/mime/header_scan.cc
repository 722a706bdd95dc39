#include "net/mime/header_scan.h"

#include <cstring>
#include <utility>

#include "policy/base/ascii.h"

namespace sluice::net {
namespace {

/// The position behind the line that begins at `at`; text.size() when it has no end.
std::size_t line_end(std::string_view text, std::size_t at) {
  const void* newline = std::memchr(text.data() + at, '\n', text.size() - at);
  if (newline == nullptr) return text.size();
  return static_cast<std::size_t>(static_cast<const char*>(newline) - text.data()) + 1;
}

bool is_empty_line(std::string_view line) { return line == "\n" || line == "\r\n" || line == "\r"; }

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

struct Name {
  std::string_view text;  // empty: the line is no field
  std::size_t colon = 0;  // where it stands
};

/// The name at the front of a field's first line (RFC 5322 2.2: printable, no blank, no colon); blanks between
/// it and the colon are tolerated (4.5.8).
Name field_name(std::string_view line) {
  std::size_t from = 0;
  while (line.substr(from).starts_with(kByteOrderMark)) from += kByteOrderMark.size();
  std::size_t end = from;
  while (end < line.size() && line[end] > 32 && line[end] < 127 && line[end] != ':') ++end;
  std::size_t colon = end;
  while (colon < line.size() && is_blank(line[colon])) ++colon;
  if (end == from || colon == line.size() || line[colon] != ':') return {};
  return {line.substr(from, end - from), colon};
}

/// The line that begins at `at`, with its end.
std::string_view line_at(std::string_view text, std::size_t at) {
  return text.substr(at, line_end(text, at) - at);
}

/// A line that mailbox files put in front of a message.
bool is_mailbox_line(std::string_view line) {
  while (line.starts_with('>')) line.remove_prefix(1);
  return line.starts_with("From ") && field_name(line).text.empty();
}

/// Without blanks and line ends at both ends.
std::string_view trim_folding(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

HeaderScan::HeaderScan(std::string_view message) : text_(message) {
  for (;;) {
    const std::string_view rest = text_.substr(front_);
    if (rest.starts_with(kByteOrderMark)) {
      front_ += kByteOrderMark.size();
      if (const std::string_view line = line_at(text_, front_); is_empty_line(line)) front_ += line.size();
    } else if (front_ < kHeaderBytesMax && is_mailbox_line(rest)) {
      front_ = line_end(text_, front_);
    } else {
      break;
    }
  }
  at_ = front_;
  if (at_ == text_.size()) return;
  const std::string_view first = line_at(text_, at_);
  if (is_empty_line(first) || !field_name(first).text.empty()) return;
  first_line_ = FirstLine::BadField;
  if (first.find(':') == std::string_view::npos) first_line_ = FirstLine::Text;
  if (is_blank(first.front())) first_line_ = FirstLine::Folded;
}

bool HeaderScan::next(HeaderField& field) {
  const auto end_here = [this](Ended why, std::size_t body) {
    ended_ = why;
    body_ = body;
    return false;
  };
  for (;;) {
    if (at_ >= text_.size()) return end_here(Ended::EndOfText, text_.size());
    const std::string_view first = line_at(text_, at_);
    if (is_empty_line(first)) return end_here(Ended::EmptyLine, at_ + first.size());
    const Name name = field_name(first);
    if (name.text.empty()) has_stray_ = true;
    const Ended too_large = has_stray_ ? Ended::Text : Ended::TooLarge;
    if (++lines_ > kFieldsMax) return end_here(too_large, at_);
    std::size_t end = at_ + first.size();
    while (end < text_.size() && end <= kHeaderBytesMax && is_blank(text_[end])) end = line_end(text_, end);
    if (end > kHeaderBytesMax) return end_here(too_large, at_);
    const std::size_t begin = std::exchange(at_, end);
    if (name.text.empty()) continue;
    field.whole = text_.substr(begin, end - begin);
    field.name = name.text;
    field.value = trim_folding(field.whole.substr(name.colon + 1));
    field.offset = begin;
    return true;
  }
}

void append_unfolded(std::string& out, std::string_view value) {
  const std::size_t start = out.size();
  std::size_t at = 0;
  while (at < value.size()) {
    const std::size_t run = value.find_first_of("\r\n", at);
    std::string_view piece = value.substr(at, run == std::string_view::npos ? run : run - at);
    if (at != 0 || run != std::string_view::npos) piece = trim(piece);
    if (!piece.empty()) {
      if (out.size() > start) out += ' ';
      out += piece;
    }
    if (run == std::string_view::npos) return;
    at = value.find_first_not_of("\r\n", run);
    if (at == std::string_view::npos) return;
  }
}

}  // namespace sluice::net
