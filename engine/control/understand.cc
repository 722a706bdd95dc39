// Commands as people type them, held against the table. Whatever is not in the table is an error that says what was
// probably meant: a command is carried out as a whole or not at all.
#include <algorithm>
#include <set>

#include "engine/control/command.h"
#include "engine/control/command_help.h"
#include "engine/control/command_table.h"
#include "policy/base/ascii.h"
#include "policy/base/ip_address.h"
#include "policy/config/directive.h"
#include "policy/config/value.h"

namespace sluice::control {
namespace {

using Failure = std::unexpected<std::string>;
using Words = std::vector<std::string_view>;

constexpr std::size_t kShortestWord = 3;  // so that "s" does not mean "shutdown"
constexpr std::size_t kSuggestionsMax = 4;

Words split(std::string_view text, char between) {
  Words out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(between), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool has_word(std::string_view list, std::string_view word) {
  const Words words = split(list, ' ');
  return std::any_of(words.begin(), words.end(), [word](std::string_view one) { return iequals(one, word); });
}

/// Long words from elsewhere are cut, and what a terminal would obey is left out.
std::string quoted(std::string_view word) {
  static constexpr std::size_t kShown = 80;
  std::string out = "\"";
  for (const char c : word.substr(0, kShown))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '.' : c;
  return out + (word.size() > kShown ? "...\"" : "\"");
}

bool is_short_for(std::string_view word, std::string_view name) {
  return word.size() >= kShortestWord && istarts_with(name, word);
}

/// A spelling of a row, word by word.
struct Spelling {
  const CommandRow* row;
  Words words;
};

std::vector<Spelling> all_spellings() {
  std::vector<Spelling> out;
  for (const CommandRow& row : command_table()) {
    out.push_back({&row, split(row.words, ' ')});
    for (const std::string_view other : row.other_words) out.push_back({&row, split(other, ' ')});
  }
  return out;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
    out += '`' + names[i] + '`';
  }
  return out;
}

/// What a command might be whose first words, at least one, nobody knows.
std::vector<std::string> commands_like(const Words& typed) {
  std::set<std::string> out;
  const std::string_view first = typed.front();
  std::vector<std::string_view> firsts, seconds;
  for (const Spelling& one : all_spellings()) {
    if (has_word(one.row->others, first)) out.insert(std::string(one.row->words));
    firsts.push_back(one.words.front());
    if (one.words.size() > 1) seconds.push_back(one.words[1]);
  }
  if (!out.empty()) return {out.begin(), out.end()};
  const std::string_view like_first = config::nearest_name(first, firsts);
  const std::string_view like_second = config::nearest_name(first, seconds);
  for (const CommandRow& row : command_table()) {
    const Words words = split(row.words, ' ');
    const bool begins = !like_first.empty() && words.front() == like_first &&
                        (typed.size() == 1 || words.size() == 1 || is_short_for(typed[1], words[1]) ||
                         iequals(typed[1], words[1]));
    const bool goes_on =
        like_first.empty() && !like_second.empty() && words.size() > 1 && words[1] == like_second;
    if (begins || goes_on) out.insert(std::string(row.words));
  }
  return {out.begin(), out.end()};
}

Failure unknown_command(const Words& typed, std::size_t known, const std::vector<Spelling>& left) {
  std::string text;
  for (const std::string_view word :
       Words(typed.begin(), typed.begin() + static_cast<std::ptrdiff_t>(std::min(typed.size(), known + 1))))
    text += (text.empty() ? "" : " ") + std::string(word);
  std::vector<std::string> meant;
  std::string out = "unknown command " + quoted(text);
  if (known == 0) {
    meant = commands_like(typed);
  } else {
    std::vector<std::string_view> next;
    for (const Spelling& one : left) {
      if (one.words.size() > known) next.push_back(one.words[known]);
    }
    const std::string_view nearest =
        typed.size() > known ? config::nearest_name(typed[known], next) : std::string_view();
    if (typed.size() == known) out = quoted(text) + " needs a word more";
    for (const CommandRow& row : command_table()) {
      const bool fits = std::any_of(left.begin(), left.end(), [&](const Spelling& one) {
        return one.row == &row && one.words.size() > known &&
               (nearest.empty() || one.words[known] == nearest);
      });
      if (fits) meant.emplace_back(row.words);
    }
  }
  const bool few = meant.size() <= kSuggestionsMax || known > 0;
  if (!meant.empty() && few) out += "; did you mean " + list_of(meant) + '?';
  return Failure(out + (meant.empty() || !few ? "; `sluice help` lists all\n" : "\n"));
}

struct Found {
  const CommandRow* row;
  std::size_t words;  ///< of what was typed
};

/// The row whose words stand first. A full word means itself, whatever else begins with it.
std::expected<Found, std::string> find_row(const Words& typed) {
  std::vector<Spelling> left = all_spellings();
  std::size_t known = 0;
  for (; known < typed.size(); ++known) {
    const auto take = [&](auto fits) {
      std::vector<Spelling> out;
      for (const Spelling& one : left) {
        if (one.words.size() > known && fits(one.words[known])) out.push_back(one);
      }
      return out;
    };
    std::vector<Spelling> next = take([&](std::string_view word) { return iequals(word, typed[known]); });
    if (next.empty()) next = take([&](std::string_view word) { return is_short_for(typed[known], word); });
    if (next.empty()) break;
    left = std::move(next);
  }
  if (known == 0) return unknown_command(typed, 0, left);
  std::set<const CommandRow*> rows, whole;
  for (const Spelling& one : left) {
    rows.insert(one.row);
    if (one.words.size() == known) whole.insert(one.row);
  }
  const auto same_words = [&] {
    return std::all_of(left.begin(), left.end(), [&](const Spelling& one) {
      return std::equal(one.words.begin(), one.words.begin() + static_cast<std::ptrdiff_t>(known),
                        left.front().words.begin());
    });
  };
  if (whole.size() == 1 && (rows.size() == 1 || same_words())) return Found{*whole.begin(), known};
  if (whole.empty()) return unknown_command(typed, known, left);
  std::string text;
  for (std::size_t i = 0; i < known; ++i) text += (i == 0 ? "" : " ") + std::string(typed[i]);
  std::vector<std::string> meant;
  for (const CommandRow& row : command_table()) {
    if (rows.contains(&row)) meant.emplace_back(row.words);
  }
  return Failure(quoted(text) + " may mean " + list_of(meant) + '\n');
}

std::expected<Found, std::string> find_words(const Command& typed) {
  Words words;
  for (const std::string& one : typed.given) {
    if (one == "--") break;
    if (!one.starts_with("--")) words.push_back(one);
  }
  if (words.empty()) return Failure("no command given; `sluice help` lists all\n");
  return find_row(words);
}

/// The value as handlers read it. Errors: what it should be.
std::expected<std::string, std::string> read_value(Value kind, std::string_view shape,
                                                   std::string_view text) {
  static constexpr std::uint64_t kMost = 4'294'967'295;
  switch (kind) {
    case Value::None:
    case Value::Text: return std::string(text);
    case Value::YesNo:
      if (iequals(text, "yes") || iequals(text, "true")) return "yes";
      if (iequals(text, "no") || iequals(text, "false")) return "no";
      return Failure("yes or no");
    case Value::Number: {
      const auto number = config::parse_number(text);
      if (!number || *number > kMost) return Failure("a number, 0 to " + std::to_string(kMost));
      return std::string(text);
    }
    case Value::Time:
      if (!config::parse_duration(text)) return Failure("a time, for example 30m or 2d12h");
      return std::string(text);
    case Value::Choice: {
      const Words choices = split(shape, '|');
      for (const std::string_view one : choices) {
        if (iequals(one, text)) return std::string(one);
      }
      return Failure(list_of({choices.begin(), choices.end()}));
    }
    case Value::Address:
      if (!IpAddress::parse(text)) return Failure("an IP address");
      return std::string(text);
  }
  return std::string(text);
}

/// One command on its way from tokens to options and arguments.
class Reading {
 public:
  Reading(const CommandRow& row, std::size_t words) : row_(row), words_left_(words) {
    out_.row = &row;
    for (const std::string_view word : split(row.words, ' ')) out_.words.emplace_back(word);
    before_ = out_.words.size();
  }
  std::expected<Command, std::string> read(const std::vector<std::string>& given);

 private:
  using Step = std::expected<void, std::string>;
  [[nodiscard]] Failure wrong(const std::string& text) const {
    return Failure(std::string(row_.words) + ": " + text + '\n');
  }
  [[nodiscard]] Failure unknown_option(std::string_view name) const;
  [[nodiscard]] const OptionRow* find(std::string_view name) const;
  Step option(const std::vector<std::string>& given, std::size_t& at);
  Step argument(const std::string& word);
  [[nodiscard]] Step complete() const;
  [[nodiscard]] std::size_t arguments() const { return out_.words.size() - before_; }
  const CommandRow& row_;
  std::size_t words_left_;
  std::size_t before_ = 0;
  Command out_;
};

const OptionRow* Reading::find(std::string_view name) const {
  for (const std::span<const OptionRow> rows : {std::span(row_.options), common_options()}) {
    for (const OptionRow& one : rows) {
      if (iequals(one.name, name)) return &one;
    }
  }
  return nullptr;
}

Failure Reading::unknown_option(std::string_view name) const {
  std::string text = "there is no option --" + std::string(name.substr(0, 80));
  std::vector<std::string_view> names;
  std::string meant;
  for (const OptionRow& one : row_.options) {
    if (has_word(one.others, name)) meant = one.name;
    names.push_back(one.name);
  }
  if (meant.empty()) {
    std::vector<std::string> lower;
    for (const std::string_view one : names) lower.push_back(to_lower(one));
    const std::vector<std::string_view> views(lower.begin(), lower.end());
    std::string_view near = config::nearest_name(name, views);
    for (const std::string_view one : views) {
      if (near.empty() && is_short_for(name, one)) near = one;
    }
    for (const std::string_view one : names) {
      if (iequals(one, near)) meant = one;
    }
  }
  if (!meant.empty()) text += "; did you mean --" + meant + '?';
  if (names.empty()) return wrong(text + "; " + std::string(row_.words) + " takes none");
  return wrong(text + "\nusage: " + command_usage(row_));
}

Reading::Step Reading::option(const std::vector<std::string>& given, std::size_t& at) {
  const std::string_view token = std::string_view(given[at]).substr(2);
  const std::size_t equals = std::min(token.find('='), token.size());
  const std::string_view name = token.substr(0, equals);
  const OptionRow* const row = find(name);
  if (row == nullptr) return unknown_option(name);
  const std::string shown = "--" + std::string(row->name);
  const std::string key = to_lower(row->name);
  std::string value;
  if (row->value == Value::None) {
    if (equals < token.size()) return wrong(shown + " takes no value");
    if (out_.has(key)) return {};
  } else {
    if (out_.has(key)) return wrong(shown + " is given twice");
    bool has_value = equals < token.size();
    if (has_value) {
      value = token.substr(equals + 1);
    } else if (at + 1 < given.size() && !given[at + 1].starts_with("--") &&
               (row->value != Value::YesNo || read_value(Value::YesNo, "", given[at + 1]))) {
      value = given[++at];
      has_value = true;
    } else if (row->value == Value::YesNo) {
      value = "yes";
      has_value = true;
    }
    if (!has_value) return wrong(shown + " needs a value: " + option_usage(*row));
    if (value.empty()) return wrong(shown + " has an empty value; it takes " + option_usage(*row));
    const auto read = read_value(row->value, row->shape, value);
    if (!read) return wrong(shown + " takes " + read.error() + ", not " + quoted(value));
    value = *read;
  }
  out_.options.emplace_back(key, std::move(value));
  return {};
}

Reading::Step Reading::argument(const std::string& word) {
  static constexpr std::string_view kDashes[] = {"\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x88\x92"};
  for (const std::string_view dash : kDashes) {
    if (word.starts_with(dash))
      return wrong(quoted(word) + " begins with a typographic dash; options begin with --");
  }
  if (word.size() > 1 && word.front() == '-') {
    const std::string_view name = std::string_view(word).substr(1, word.find('=') - 1);
    if (const OptionRow* const row = find(name)) {
      return wrong("options begin with two dashes: " + option_usage(*row));
    }
  }
  const bool repeats = !row_.arguments.empty() && row_.arguments.back().need >= ArgumentRow::Need::Several;
  const std::size_t at = arguments();
  if (at >= row_.arguments.size() && !repeats) {
    return wrong("what is " + quoted(word) + "?\nusage: " + command_usage(row_));
  }
  const ArgumentRow& row = row_.arguments[std::min(at, row_.arguments.size() - 1)];
  if (word.empty()) return wrong("an empty " + std::string(row.name) + "\nusage: " + command_usage(row_));
  const auto read = read_value(row.value, row.shape, word);
  if (!read) return wrong(std::string(row.name) + " is " + read.error() + ", not " + quoted(word));
  out_.words.push_back(*read);
  return {};
}

Reading::Step Reading::complete() const {
  for (std::size_t i = arguments(); i < row_.arguments.size(); ++i) {
    const ArgumentRow& row = row_.arguments[i];
    if (row.need == ArgumentRow::Need::Required || row.need == ArgumentRow::Need::Several) {
      return wrong(std::string(row.question) + "\nusage: " + command_usage(row_));
    }
  }
  if (static_cast<int>(out_.has("xml")) + static_cast<int>(out_.has("json")) +
          static_cast<int>(out_.has("dom")) >
      1)
    return wrong("one of --xml, --json and --dom");
  return {};
}

std::expected<Command, std::string> Reading::read(const std::vector<std::string>& given) {
  bool options = true;
  for (std::size_t at = 0; at < given.size(); ++at) {
    const std::string& token = given[at];
    if (options && token == "--") {
      options = false;
    } else if (options && token.starts_with("--")) {
      if (const Step taken = option(given, at); !taken) return Failure(taken.error());
    } else if (words_left_ > 0) {
      --words_left_;
    } else if (const Step taken = argument(token); !taken) {
      return Failure(taken.error());
    }
  }
  if (!out_.has("help")) {
    if (const Step whole = complete(); !whole) return Failure(whole.error());
  }
  out_.given = given;
  return std::move(out_);
}

}  // namespace

std::expected<const CommandRow*, std::string> find_command(const Command& typed) {
  const auto found = find_words(typed);
  if (!found) return Failure(found.error());
  return found->row;
}

std::expected<Command, std::string> understand(const Command& typed) {
  const auto found = find_words(typed);
  if (!found) return Failure(found.error());
  auto read = Reading(*found->row, found->words).read(typed.given);
  if (!read || !read->has("help")) return read;
  Command help{.words = {"help"}, .options = {}, .given = typed.given, .row = &command_row(CommandId::Help)};
  for (const std::string_view word : split(found->row->words, ' ')) help.words.emplace_back(word);
  return help;
}

}  // namespace sluice::control
