#include "net/mime/header_scan.h"

#include <cstring>

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

/// Length of the name at the front of a field's first line (RFC 5322 2.2: printable, no blank, no colon),
/// blanks between it and the colon tolerated (4.5.8); 0 when the line is no field. `colon` is where the colon
/// stands.
std::size_t name_size(std::string_view line, std::size_t& colon) {
  std::size_t size = 0;
  while (size < line.size() && line[size] > 32 && line[size] < 127 && line[size] != ':') ++size;
  colon = size;
  while (colon < line.size() && is_blank(line[colon])) ++colon;
  return colon < line.size() && line[colon] == ':' ? size : 0;
}

/// Without blanks and line ends at both ends.
std::string_view trim_folding(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

bool HeaderScan::next(HeaderField& field) {
  const auto end_here = [this](Ended why, std::size_t body) {
    ended_ = why;
    body_ = body;
    return false;
  };
  if (at_ >= text_.size()) return end_here(Ended::EndOfText, text_.size());

  const std::size_t first_end = line_end(text_, at_);
  const std::string_view first = text_.substr(at_, first_end - at_);
  if (is_empty_line(first)) return end_here(Ended::EmptyLine, first_end);
  std::size_t colon = 0;
  const std::size_t name = name_size(first, colon);
  if (name == 0) return end_here(Ended::NoField, at_);
  if (fields_ >= kFieldsMax) return end_here(Ended::TooLarge, at_);

  std::size_t end = first_end;
  while (end < text_.size() && is_blank(text_[end])) {
    if (end - at_ > kHeaderBytesMax) break;
    end = line_end(text_, end);
  }
  if (end > kHeaderBytesMax) return end_here(Ended::TooLarge, at_);
  field.whole = text_.substr(at_, end - at_);
  field.name = first.substr(0, name);
  field.value = trim_folding(field.whole.substr(colon + 1));
  field.offset = at_;
  at_ = end;
  ++fields_;
  return true;
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
