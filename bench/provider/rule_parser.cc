// "at PHASE [CONDITION]... ACTION": the part of a provider file that says when a provider misbehaves and how.
#include <fmt/format.h>

#include <algorithm>

#include "bench/provider/provider_file.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kPhaseNames[kPhases] = {"connect", "greeting", "ehlo", "mail", "rcpt",
                                                   "data",    "body",     "dot",  "rset", "quit"};
constexpr std::uint64_t kRawBytesMax = 64 * kMiB;

std::optional<Phase> phase_of(std::string_view name) {
  const auto* const found = std::find(std::begin(kPhaseNames), std::end(kPhaseNames), name);
  if (found == std::end(kPhaseNames)) return std::nullopt;
  return static_cast<Phase>(found - std::begin(kPhaseNames));
}

struct Cursor {
  const std::vector<Word>& words;
  std::size_t at = 0;
  [[nodiscard]] bool done() const { return at >= words.size(); }
  [[nodiscard]] const std::string& peek() const { return words[at].text; }
  // The next word, or an error that names what was expected.
  Parsed<std::string> take(std::string_view what) {
    if (done()) return complain(fmt::format("{} is missing", what));
    return words[at++].text;
  }
};

// Takes one word and hands it to `parse`; the value goes to `into`.
template <class T, class Parse>
Parsed<void> take_value(Cursor& cursor, std::string_view what, Parse parse, T& into) {
  const auto word = cursor.take(what);
  if (!word) return std::unexpected(word.error());
  auto value = parse(*word);
  if (!value) return std::unexpected(value.error());
  into = *std::move(value);
  return {};
}

Parsed<Cidr> parse_cidr(std::string_view text) {
  const auto block = Cidr::parse(text);
  if (!block) return complain(fmt::format("'{}' is not an address block; write 127.0.1.0/24", text));
  return *block;
}

Parsed<std::uint64_t> parse_count(std::string_view text) {
  const auto number = parse_number(text);
  if (number && *number == 0) return complain("0 makes no sense here");
  return number;
}

// True: a condition was read. False: the word is not a condition.
Parsed<bool> take_condition(Cursor& cursor, Rule& rule) {
  const std::string word = cursor.peek();
  const auto read = [&](Parsed<void> outcome) -> Parsed<bool> {
    if (!outcome) return std::unexpected(outcome.error());
    return true;
  };
  if (word.ends_with('%')) return read(take_value(cursor, "a share", parse_share, rule.share));
  ++cursor.at;
  if (word == "of-addresses") {
    rule.by_address = true;
    return true;
  }
  const auto count = [](std::string_view text) { return parse_count(text); };
  if (word == "first") return read(take_value(cursor, "a count", count, rule.first));
  if (word == "every") return read(take_value(cursor, "a count", count, rule.every));
  if (word == "during") return read(take_value(cursor, "a span of time", parse_duration_range, rule.during));
  if (word == "source") return read(take_value(cursor, "an address block", parse_cidr, rule.source));
  if (word == "domain")
    return read(take_value(cursor, "a domain pattern", DomainPattern::parse, rule.domain));
  if (word == "after") return read(take_value(cursor, "a size", parse_size, rule.after_bytes));
  --cursor.at;
  return false;
}

// "550 5.1.1 no such user"; several lines are written with \r\n.
Parsed<std::string> parse_reply(std::string_view text) {
  const bool starts_well = text.size() >= 3 && text[0] >= '2' && text[0] <= '5' && text[1] >= '0' &&
                           text[1] <= '9' && text[2] >= '0' && text[2] <= '9';
  if (!starts_well)
    return complain(fmt::format("reply '{}' does not begin with a code; raw sends any bytes", text));
  return std::string(text);
}

Parsed<void> take_raw(Cursor& cursor, Action& action) {
  std::uint64_t total = 0;
  do {
    Action::Part part;
    if (!cursor.done() && cursor.peek() == "repeat") {
      ++cursor.at;
      if (const auto times = take_value(cursor, "a count", parse_count, part.times); !times) return times;
    }
    if (cursor.done() || !cursor.words[cursor.at].quoted) return complain("raw wants texts in quotes");
    part.text = cursor.words[cursor.at++].text;
    if (part.times > kRawBytesMax || (total += part.text.size() * part.times) > kRawBytesMax) {
      return complain("raw texts of more than 64 MB");
    }
    action.parts.push_back(std::move(part));
  } while (!cursor.done());
  return {};
}

Parsed<void> take_action(Cursor& cursor, Action& action) {
  const auto word = cursor.take("an action");
  if (!word) return std::unexpected(word.error());
  const auto is = [&](std::string_view name, Action::Kind kind) {
    if (*word != name) return false;
    action.kind = kind;
    return true;
  };
  using Kind = Action::Kind;
  if (is("drop", Kind::Drop) || is("accept-and-drop", Kind::AcceptAndDrop) || is("reset", Kind::Reset) ||
      is("stall", Kind::Stall)) {
    return {};
  }
  if (is("delay", Kind::Delay) || is("pause", Kind::Pause) || is("pause-until", Kind::PauseUntil)) {
    return take_value(cursor, "a time", parse_duration_range, action.time);
  }
  if (is("reply", Kind::Reply) || is("reply-and-close", Kind::ReplyAndClose)) {
    return take_value(cursor, "a reply", parse_reply, action.text);
  }
  if (is("raw", Kind::Raw)) return take_raw(cursor, action);
  if (is("slow", Kind::Slow)) {
    const auto per_second = [](std::string_view text) -> Parsed<std::uint64_t> {
      if (!text.ends_with("/s"))
        return complain(fmt::format("'{}' is not a speed; write 1/s or 10k/s", text));
      const auto bytes = parse_size(text.substr(0, text.size() - 2));
      if (bytes && *bytes == 0) return complain("a speed of 0 is 'stall'");
      return bytes;
    };
    return take_value(cursor, "a speed", per_second, action.bytes_per_second);
  }
  return complain(
      fmt::format("unknown action '{}'; known: delay reply reply-and-close raw drop accept-and-drop reset "
                  "stall pause pause-until slow",
                  *word));
}

Parsed<void> check_fit(const Rule& rule) {
  using Kind = Action::Kind;
  const Kind kind = rule.action.kind;
  const bool body_only = kind == Kind::Pause || kind == Kind::PauseUntil || kind == Kind::Slow;
  if (body_only && rule.phase != Phase::Body)
    return complain("pause, pause-until and slow belong to 'at body'");
  if (rule.phase == Phase::Body && (kind == Kind::Reply || kind == Kind::Raw)) {
    return complain("nothing can be said in the middle of a body; use 'at data' or 'at dot'");
  }
  if (kind == Kind::AcceptAndDrop && rule.phase != Phase::Dot)
    return complain("accept-and-drop belongs to 'at dot'");
  if (rule.after_bytes != 0 && rule.phase != Phase::Body) return complain("'after' belongs to 'at body'");
  return {};
}

}  // namespace

std::string_view name_of(Phase phase) { return kPhaseNames[static_cast<std::size_t>(phase)]; }

Parsed<Rule> parse_rule(const std::vector<Word>& words) {
  Cursor cursor{words};
  Rule rule;
  const auto phase_word = cursor.take("a phase");
  if (!phase_word) return std::unexpected(phase_word.error());
  const auto phase = phase_of(*phase_word);
  if (!phase) {
    return complain(fmt::format(
        "unknown phase '{}'; known: connect greeting ehlo mail rcpt data body dot rset quit", *phase_word));
  }
  rule.phase = *phase;
  for (;;) {
    if (cursor.done()) return complain("an action is missing");
    const auto read = take_condition(cursor, rule);
    if (!read) return std::unexpected(read.error());
    if (!*read) break;
  }
  if (const auto action = take_action(cursor, rule.action); !action) return std::unexpected(action.error());
  if (!cursor.done()) return complain(fmt::format("'{}' is too much", cursor.peek()));
  if (const auto fit = check_fit(rule); !fit) return std::unexpected(fit.error());
  return rule;
}

}  // namespace sluice::bench
