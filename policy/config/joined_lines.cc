// Lines that continue on the next one, because they may or because an editor or a paste has wrapped them.
#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

/// First word of a line, as a directive's name.
std::string_view name_in(std::string_view line) {
  line = trim(line);
  return line.starts_with('/') ? line.substr(0, 1) : line.substr(0, line.find_first_of(" \t"));
}

/// A /regex/ token in `text` that is never closed.
bool has_open_regex(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      const std::size_t end = text.find('"', i + 1);
      if (end == std::string_view::npos) return false;
      i = end;
    } else if (text[i] == '/' && (i == 0 || is_blank(text[i - 1]) || text[i - 1] == ',')) {
      const std::size_t length = regex_length(text.substr(i));
      if (length == 0) return true;
      i += length - 1;
    }
  }
  return false;
}

/// In these every regular expression has something behind it.
constexpr ScopeMask kWithResults =
    in(Scope::BounceCategories, Scope::ReplyList, Scope::PatternList, Scope::BounceActions);

/// `/REGEX/` at the end of the line, with its result on the next one.
bool lacks_result(std::string_view text, Scope scope) {
  if ((in(scope) & kWithResults) == 0) return false;
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && regex_length(text.substr(slash)) == text.size() - slash;
}

}  // namespace

/// Joins lines that continue: lists behind a comma, seeds behind a backslash, regexes and macros wrapped by a
/// paste.
void Loader::complete_line(LineReader& reader, LogicalLine& line) {
  const auto trimmed = [&] { return trim(line.text); };
  while (line.text.ends_with("\\") && line.text.size() > 1 && is_blank(line.text[line.text.size() - 2])) {
    line.text.pop_back();
    while (!line.text.empty() && is_blank(line.text.back())) line.text.pop_back();
    if (!reader.extend(line, true)) break;
  }
  const std::string name = to_lower(name_in(line.text));
  if (name.empty() || name.front() == '<') return;
  const Scope scope = frames_.back().scope;
  const Directive* row = table_.find(name, scope);
  if (row == nullptr && (scope == Scope::Vmta || scope == Scope::Pool))
    row = table_.find(name, Scope::Domain);
  if (row == nullptr) return;
  if (row->action == LoaderAction::DomainMacro && split_words(trimmed()).size() == 2) {
    const std::string_view next = reader.peek();
    const auto is_word = [](std::string_view item) { return split_words(item).size() == 1; };
    if (!next.empty() && !next.starts_with('<') && std::ranges::all_of(split_list(next), is_word) &&
        reader.extend(line, true))
      report(Severity::Warning, trimmed(), "the macro's domains stand on the line below its name", {},
             "write them on one line");
  }
  if (row->has(kList)) {
    while (trimmed().ends_with(',')) {
      const std::string_view next = reader.peek();
      if (next.starts_with('<') || !reader.extend(line, true)) break;
    }
  }
  if (row->has(kRegex)) complete_regex(reader, line);
}

/// An entry wrapped by an editor or a paste: inside of its regular expression, behind it, or at a hyphen of its
/// category. The next line is a part of it unless it begins something of its own.
void Loader::complete_regex(LineReader& reader, LogicalLine& line) {
  static constexpr std::size_t kWrappedLinesMax = 64;
  const Scope scope = frames_.back().scope;
  LineReader ahead = reader;
  LogicalLine joined = line;
  for (std::size_t i = 0; i < kWrappedLinesMax; ++i) {
    const std::string_view text = trim(joined.text);
    const bool open = has_open_regex(text);
    const bool lacks = !open && lacks_result(text, scope);
    const bool cut = !open && !lacks && scope == Scope::BounceCategories && text.ends_with('-');
    if (!open && !lacks && !cut) break;
    const std::string_view next = ahead.peek();
    const std::string_view first = name_in(next);
    const bool escaped = open && text.ends_with('\\') && !text.ends_with("\\\\");
    if (next.starts_with('<') || (first != "/" && table_.find(to_lower(first), scope) != nullptr) ||
        (next.starts_with('/') && !escaped && (!open || regex_length(next) > 0)) ||
        (!open && (next.empty() || next.find('/') != std::string_view::npos)))
      return;
    if (!ahead.extend(joined, lacks)) return;
  }
  if (joined.pieces.size() == line.pieces.size() || has_open_regex(trim(joined.text))) return;
  line = std::move(joined);
  reader = ahead;
  report(Severity::Warning, trim(line.text), "regular expression over several lines", {},
         "write it on one line");
}

}  // namespace sluice::config
