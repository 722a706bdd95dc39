#include "policy/config/pattern_checks.h"

#include <optional>

#include "policy/base/ascii.h"

namespace sluice::config {
namespace {

/// One piece of a regular expression at its outermost level.
struct Atom {
  enum class Kind : std::uint8_t { Literal, Start, End, Or, Other };
  Kind kind = Kind::Other;
  char letter = 0;        ///< Literal
  bool consumes = false;  ///< takes at least one byte of the text
  bool repeated = false;  ///< has a quantifier
};

bool is_punctuation(char c) { return !is_alpha(c) && !is_digit(c) && static_cast<unsigned char>(c) < 0x80; }

/// Length of the [class] at the front of `text`.
std::size_t class_length(std::string_view text) {
  std::size_t i = 1;
  if (i < text.size() && text[i] == '^') ++i;
  if (i < text.size() && text[i] == ']') ++i;
  for (; i < text.size() && text[i] != ']'; ++i) {
    if (text[i] == '\\') ++i;
  }
  return std::min(i + 1, text.size());
}

/// Length of the (group) at the front of `text`.
std::size_t group_length(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '[') {
      i += class_length(text.substr(i)) - 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')' && --depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

/// Takes the piece at the front of `text` with its quantifier.
Atom take_atom(std::string_view& text) {
  Atom out;
  std::size_t length = 1;
  switch (text.front()) {
    case '^': out.kind = Atom::Kind::Start; break;
    case '$': out.kind = Atom::Kind::End; break;
    case '|': out.kind = Atom::Kind::Or; break;
    case '.': out.consumes = true; break;
    case '[':
      length = class_length(text);
      out.consumes = true;
      break;
    case '(': length = group_length(text); break;
    case '\\':
      length = std::min<std::size_t>(2, text.size());
      if (length == 2 && is_punctuation(text[1])) {
        out = {Atom::Kind::Literal, text[1], true, false};
      } else if (length == 2 && std::string_view("dDwWsS").find(text[1]) != std::string_view::npos) {
        out.consumes = true;
      }
      break;
    default: out = {Atom::Kind::Literal, text.front(), true, false};
  }
  text.remove_prefix(length);
  if (text.empty()) return out;
  const char quantifier = text.front();
  const bool counted = quantifier == '{' && text.size() > 1 && is_digit(text[1]);
  if (quantifier == '*' || quantifier == '?' || quantifier == '+' || counted) {
    out.repeated = true;
    if (quantifier == '*' || quantifier == '?' || (counted && text[1] == '0')) out.consumes = false;
    text.remove_prefix(counted ? std::min(text.find('}'), text.size() - 1) + 1 : 1);
    if (!text.empty() && (text.front() == '?' || text.front() == '+')) text.remove_prefix(1);
  }
  return out;
}

bool digit_between(char c, char low, char high) { return c >= low && c <= high; }

/// What may stand at `position` of the text; empty when anything may.
std::string_view clash(char c, std::size_t position, PatternSubject subject) {
  const bool reply = subject == PatternSubject::Reply;
  if (position == 0 && !digit_between(c, '2', '5'))
    return reply ? "replies begin with their code, for example 421"
                 : "the text begins with a status, for example 5.1.1;";
  if (reply && position < 3 && !is_digit(c))
    return "replies begin with three digits and a blank, for example 421 4.7.0";
  if (reply && position == 3 && c != ' ' && c != '-') return "a blank stands behind the code of a reply";
  if (!reply && position == 1 && c != '.')
    return "the text begins with a status, not with the reply's code: 4.7.0;smtp;421 ...";
  if (!reply && position == 2 && !is_digit(c)) return "the text begins with a status, for example 5.1.1;";
  return {};
}

/// Why one alternative never matches; empty when it may. Takes it off the front with the `|` behind it.
std::string judge_alternative(std::string_view& text, PatternSubject subject) {
  std::string out;
  bool consumed = false, ended = false, known_place = false, first = true;
  std::size_t position = 0;
  while (!text.empty()) {
    const Atom atom = take_atom(text);
    if (atom.kind == Atom::Kind::Or) break;
    if (!out.empty()) continue;  // only the end of this alternative matters now
    if (atom.kind == Atom::Kind::Start && !atom.repeated) {
      if (consumed) out = "^ stands behind something that has to match before it";
      known_place = first;
    } else if (atom.kind == Atom::Kind::End && !atom.repeated) {
      ended = true;
    } else if (atom.consumes && ended) {
      out = "something has to match behind $";
    } else if (known_place && atom.kind == Atom::Kind::Literal && !atom.repeated) {
      out = clash(atom.letter, position++, subject);
    } else if (atom.consumes && !atom.repeated) {
      ++position;
    } else {
      known_place = false;
    }
    consumed = consumed || atom.consumes;
    first = false;
  }
  return out;
}

}  // namespace

std::string why_never_matches(std::string_view pattern, PatternSubject subject) {
  // With flags in front (?m) or (?x) the signs mean something else.
  if (pattern.empty() || pattern.starts_with("(?")) return {};
  std::string why;
  while (!pattern.empty()) {
    why = judge_alternative(pattern, subject);
    if (why.empty()) return {};
  }
  return why;
}

std::optional<PlainPattern> plain_text(std::string_view pattern) {
  PlainPattern out;
  if (pattern.starts_with('^')) {
    out.from_start = true;
    pattern.remove_prefix(1);
  }
  while (!pattern.empty()) {
    const Atom atom = take_atom(pattern);
    if (atom.kind != Atom::Kind::Literal || atom.repeated) return std::nullopt;
    out.text += to_lower(atom.letter);
  }
  return out;
}

bool pattern_covers(std::string_view earlier, std::string_view later) {
  if (earlier.empty() || earlier == later) return true;
  const auto a = plain_text(earlier);
  if (!a || a->text.empty()) return a.has_value();
  const auto b = plain_text(later);
  if (!b) return false;
  return a->from_start ? b->from_start && b->text.starts_with(a->text)
                       : b->text.find(a->text) != std::string::npos;
}

}  // namespace sluice::config
