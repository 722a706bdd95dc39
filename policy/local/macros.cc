#include "policy/local/macros.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "policy/base/ascii.h"

namespace sluice::local {
namespace {

constexpr std::size_t kPathValueBytesMax =
    128;  // names are limited to 255 bytes, and one may hold two values
constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_plain(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("!@%-_=+:,./").find(c) != std::string_view::npos;
}

std::string_view file_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_shell(std::string_view word) {
  static constexpr std::array<std::string_view, 10> kShells{"sh",  "bash", "dash", "ash",  "ksh",
                                                            "zsh", "csh",  "tcsh", "fish", "rbash"};
  return std::find(kShells.begin(), kShells.end(), file_name(word)) != kShells.end();
}

/// "-c", "-lc", "-ec": an option group of a shell with c in it.
bool is_command_option(std::string_view word) {
  return word.size() >= 2 && word[0] == '-' && word[1] != '-' && word.find('c') != std::string_view::npos;
}

/// Calls `text(piece)` for what is copied and `value(string)` for each macro, in order.
template <class Text, class Value>
void walk(std::string_view from, const MacroValues& values, Text&& text, Value&& value) {
  for (std::size_t at = 0; at < from.size();) {
    const std::size_t dollar = std::min(from.find('$', at), from.size());
    text(from.substr(at, dollar - at));
    if (dollar == from.size()) return;
    std::size_t end = dollar + 1;
    while (end < from.size() && is_alpha(from[end])) ++end;
    if (const std::string* found = values.find(from.substr(dollar + 1, end - dollar - 1))) {
      value(*found);
    } else {
      text(from.substr(dollar, end - dollar));
    }
    at = end;
  }
}

struct LocalClock {
  std::chrono::year_month_day date;
  std::chrono::weekday weekday;
  std::chrono::hh_mm_ss<std::chrono::seconds> time;
};

LocalClock local_clock(WallTime now, std::chrono::seconds offset) {
  const auto local = std::chrono::floor<std::chrono::seconds>(now) + offset;
  const auto day = std::chrono::floor<std::chrono::days>(local);
  return {std::chrono::year_month_day(day), std::chrono::weekday(day), std::chrono::hh_mm_ss(local - day)};
}

}  // namespace

MacroValues::MacroValues(const MacroFacts& facts)
    : from(facts.preserve_case ? std::string(facts.from) : to_lower(facts.from)),
      to(facts.preserve_case ? std::string(facts.to) : to_lower(facts.to)),
      envid(facts.env_id),
      bodytype(facts.eight_bit ? "8BITMIME" : "7BIT") {
  const std::size_t at = facts.to.rfind('@');
  const std::string_view local_part = facts.to.substr(0, at);
  user = to_lower(local_part.substr(0, local_part.find('+')));
  if (at != std::string_view::npos) domain = to_lower(facts.to.substr(at + 1));
  const LocalClock clock = local_clock(facts.now, facts.utc_offset);
  const int year = static_cast<int>(clock.date.year());
  const unsigned month = static_cast<unsigned>(clock.date.month());
  const unsigned day = static_cast<unsigned>(clock.date.day());
  const auto hours = static_cast<int>(clock.time.hours().count());
  const auto minutes = static_cast<int>(clock.time.minutes().count());
  const auto seconds = static_cast<int>(clock.time.seconds().count());
  const char* const day_name = kDays[clock.weekday.c_encoding()];
  const char* const month_name = kMonths[month - 1];
  const auto offset =
      static_cast<int>(std::chrono::duration_cast<std::chrono::minutes>(facts.utc_offset).count());
  const int offset_size = offset < 0 ? -offset : offset;
  char text[80];
  std::snprintf(text, sizeof text, "%s %s %2u %02d:%02d:%02d %04d", day_name, month_name, day, hours, minutes,
                seconds, year);
  ctime = text;
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", year, month, day);
  isodate = text;
  std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d %c%02d%02d", day_name, day, month_name,
                year, hours, minutes, seconds, offset < 0 ? '-' : '+', offset_size / 60, offset_size % 60);
  rfctime = text;
  timet = std::to_string(std::chrono::floor<std::chrono::seconds>(facts.now).time_since_epoch().count());
}

const std::string* MacroValues::find(std::string_view name) const {
  const struct {
    std::string_view name;
    const std::string& value;
  } known[] = {{"from", from},      {"to", to},           {"user", user},
               {"domain", domain},  {"envid", envid},     {"bodytype", bodytype},
               {"ctime", ctime},    {"isodate", isodate}, {"timet", timet},
               {"rfctime", rfctime}};
  for (const auto& one : known) {
    if (one.name == name) return &one.value;
  }
  return nullptr;
}

std::expected<Command, std::string> Command::parse(std::string_view text) {
  Command out;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  const auto finish = [&] {
    if (in_word) out.words_.push_back(std::exchange(word, {}));
    in_word = false;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (c == '\\' && (next == '"' || next == '\'' || next == '\\')) {
      word += next;
      in_word = true;
      ++i;
    } else if (quote != '\0' ? c == quote : c == '"' || c == '\'') {
      quote = quote == '\0' ? c : '\0';
      in_word = true;  // "" is an empty word
    } else if (quote == '\0' && (is_blank(c) || c == '\r' || c == '\n')) {
      finish();
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != '\0') return std::unexpected(std::string("the command has a quote without its end"));
  finish();
  if (out.words_.empty() || out.words_.front().empty())
    return std::unexpected(std::string("the command is empty"));
  if (out.words_.size() > kWordsMax) return std::unexpected(std::string("the command has too many words"));
  bool shell = false;
  for (const std::string& one : out.words_) {
    if (shell && is_command_option(one)) out.starts_shell_ = true;
    shell = shell || is_shell(one);
  }
  return out;
}

std::expected<std::vector<std::string>, std::string> Command::arguments(const MacroValues& values) const {
  std::vector<std::string> out;
  out.reserve(words_.size());
  for (const std::string& word : words_) {
    std::string& made = out.emplace_back();
    bool begins_with_value = false;
    walk(
        word, values, [&made](std::string_view text) { made += text; },
        [&](const std::string& value) {
          if (made.empty() && !value.empty()) begins_with_value = true;
          for (const char c : value) made += is_control(c) || (starts_shell_ && !is_plain(c)) ? '_' : c;
        });
    if (begins_with_value && made.front() == '-') {
      return std::unexpected(std::string("an address that begins with '-' cannot be given to a program"));
    }
  }
  return out;
}

std::string fill_path(std::string_view path, const MacroValues& values) {
  std::string out;
  walk(
      path, values, [&out](std::string_view text) { out += text; },
      [&out](const std::string& value) {
        std::string safe = value.substr(0, kPathValueBytesMax);
        for (char& c : safe) {
          if (c == '/' || is_control(c)) c = '_';
        }
        if (safe.starts_with('.')) safe.front() = '_';
        if (safe.empty()) safe = "_";  // the null sender is a name too, not the directory above
        out += safe;
      });
  return out;
}

bool has_macro(std::string_view text) {
  static const MacroValues kNone{MacroFacts{}};
  bool found = false;
  walk(text, kNone, [](std::string_view) {}, [&found](const std::string&) { found = true; });
  return found;
}

}  // namespace sluice::local
