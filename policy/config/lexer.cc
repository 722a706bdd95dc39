#include "policy/config/lexer.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/value.h"

namespace sluice::config {

const LogicalLine::Piece& LogicalLine::piece_at(std::size_t offset) const {
  SLUICE_ASSERT(!pieces.empty());
  const auto behind = std::upper_bound(pieces.begin(), pieces.end(), offset,
                                       [](std::size_t at, const Piece& piece) { return at < piece.offset; });
  return behind == pieces.begin() ? pieces.front() : *(behind - 1);
}

std::string_view without_comment(std::string_view line) {
  line = line.substr(0, line.find('#'));
  while (!line.empty() && (is_blank(line.back()) || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

LineReader::LineReader(std::string_view contents) : contents_(contents) {
  if (contents_.starts_with("\xef\xbb\xbf")) contents_.remove_prefix(3);
}

std::string_view LineReader::physical(std::size_t begin) const {
  return contents_.substr(begin, contents_.find('\n', begin) - begin);
}

bool LineReader::next(LogicalLine& out) {
  out.pieces.clear();
  bool in_comment = false;
  while (position_ < contents_.size()) {
    const std::string_view raw = physical(position_);
    position_ += raw.size() + 1;
    ++line_;
    // <!-- ... --> over one or more lines; what stands behind it on the last line is dropped.
    const std::string_view start = trim(raw);
    if (in_comment || start.starts_with("<!--")) {
      in_comment = raw.find("-->") == std::string_view::npos;
      continue;
    }
    const std::string_view line = without_comment(raw);
    if (trim(line).empty()) continue;
    out.text.assign(line.substr(0, kLogicalLineBytesMax));
    out.pieces.push_back({0, line_, 0});
    return true;
  }
  return false;
}

std::string_view LineReader::peek() const {
  if (position_ >= contents_.size()) return {};
  return trim(without_comment(physical(position_)));
}

bool LineReader::extend(LogicalLine& line, bool spaced) {
  if (position_ >= contents_.size() || line.pieces.size() >= kJoinedLinesMax) return false;
  const std::string_view raw = physical(position_);
  const std::string_view more = trim(without_comment(raw));
  // A blank at the end of the line before stood between two words, when an editor wrapped them.
  const std::string_view before = contents_.substr(0, position_ - std::min<std::size_t>(position_, 1));
  const bool blank_before_end =
      !before.empty() &&
      is_blank(before.ends_with('\r') ? before.substr(0, before.size() - 1).back() : before.back());
  if (line.text.size() + more.size() + 1 > kLogicalLineBytesMax) return false;
  position_ += raw.size() + 1;
  ++line_;
  if (more.empty()) return true;
  if (spaced || blank_before_end) line.text += ' ';
  line.pieces.push_back({line.text.size(), line_, static_cast<std::size_t>(more.data() - raw.data())});
  line.text += more;
  return true;
}

namespace {

bool is_name_byte(char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.'; }

/// Position of the `>` that ends the tag at the start of `text`; npos when there is none.
std::size_t tag_end(std::string_view text, std::string_view name) {
  // The command of an accounting pipe may hold `>` itself.
  if (name == "acct-file") return text.rfind('>');
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"')
      quoted = !quoted;
    else if (text[i] == '>' && !quoted)
      return i;
  }
  return text.find('>');
}

Statement directive_of(std::string_view text) {
  if (text.front() == '/') return {Statement::Kind::Directive, text.substr(0, 1), text};
  const std::size_t blank = text.find_first_of(" \t");
  const std::string_view argument =
      blank == std::string_view::npos ? text.substr(text.size()) : trim(text.substr(blank));
  return {Statement::Kind::Directive, text.substr(0, blank), argument};
}

}  // namespace

StatementError split_statements(std::string_view text, bool (*is_block)(std::string_view),
                                std::vector<Statement>& out) {
  using Kind = Statement::Kind;
  const char* const begin = text.data();
  text = trim(text);
  const auto offset = [&](std::string_view at) { return static_cast<std::size_t>(at.data() - begin); };
  while (!text.empty()) {
    if (text.front() != '<' || text.starts_with("<>")) {
      // Content of a block that was opened on the same line ends at the next tag; a line of its own does not.
      const std::size_t tag = out.empty() ? std::string_view::npos : text.find("</");
      out.push_back(directive_of(trim(text.substr(0, tag))));
      if (tag == std::string_view::npos) return {};
      text.remove_prefix(tag);
      continue;
    }
    const bool closing = text.starts_with("</");
    std::string_view rest = trim(text.substr(closing ? 2 : 1));
    std::size_t name_size = 0;
    while (name_size < rest.size() && is_name_byte(rest[name_size])) ++name_size;
    const std::string_view name = rest.substr(0, name_size);
    if (name.empty()) return {offset(text), "tag without a name", "<name> or <name argument>"};
    rest.remove_prefix(name_size);
    const std::size_t end = tag_end(rest, closing ? "" : name);
    if (end == std::string_view::npos) return {offset(text), "tag without its closing >", "<name argument>"};
    std::string_view argument = trim(rest.substr(0, end));
    rest = trim(rest.substr(end + 1));
    if (closing) {
      out.push_back({Kind::Close, name, argument});
      text = rest;
      continue;
    }
    // <handler type="delete"/>, but not <spool /var/spool/>.
    if (!argument.empty() && argument.back() == '/') {
      const std::string_view attributes = trim(argument.substr(0, argument.size() - 1));
      if (attributes.empty() || parse_attributes(attributes)) {
        out.push_back({Kind::Element, name, attributes});
        text = rest;
        continue;
      }
    }
    const std::size_t close = rest.find("</");
    const bool closes_here = close != std::string_view::npos && rest.substr(close + 2).starts_with(name);
    const bool has_argument = !argument.empty() && !parse_attributes(argument);
    if (closes_here && !rest.starts_with('<') && !(is_block(name) && has_argument)) {
      const std::size_t close_end = rest.find('>', close);
      if (close_end == std::string_view::npos)
        return {offset(rest) + close, "tag without its closing >", "</name>"};
      out.push_back({Kind::Element, name, trim(rest.substr(0, close))});
      text = trim(rest.substr(close_end + 1));
      continue;
    }
    out.push_back({Kind::Open, name, argument});
    text = rest;
  }
  return {};
}

}  // namespace sluice::config
