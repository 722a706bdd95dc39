#include "policy/schedule/windows.h"

#include <algorithm>
#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::schedule {
namespace {

// 2248: arithmetic in nanoseconds reaches from 1970 to there and back.
constexpr WallTime kLatest{std::chrono::seconds(8'796'093'022)};

/// The part of a window between 1970 and 2248, at least a second.
Window within_reach(Window one) {
  one.start = std::clamp(one.start, WallTime{}, kLatest - std::chrono::seconds(1));
  one.end = std::clamp(one.end, WallTime(std::chrono::seconds(1)), kLatest);
  return one;
}

bool is_space(char c) { return is_blank(c) || c == '\r' || c == '\n'; }

std::string_view trim_all(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Exactly `digits` digits at the front of `text`.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits),
                                           [](char c) { return is_digit(c); })) {
    return std::nullopt;
  }
  int value = 0;
  std::from_chars(text.data(), text.data() + digits, value);
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::chrono::local_seconds> parse_time(std::string_view text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || text.empty() || !is_space(text.front())) return std::nullopt;
  text = trim_all(text);
  const auto hour = take_number(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || !text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return std::chrono::local_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

/// A piece of the client's text in an answer: short and without control characters.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 60)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  if (text.size() > 60) out += "...";
  return out + '"';
}

}  // namespace

Windows::Windows(std::vector<Window> windows) {
  std::sort(windows.begin(), windows.end(),
            [](const Window& a, const Window& b) { return a.start < b.start; });
  for (const Window& any : windows) {
    const Window one = within_reach(any);
    if (!windows_.empty() && one.start <= windows_.back().end) {
      windows_.back().end = std::max(windows_.back().end, one.end);
    } else {
      windows_.push_back(one);
    }
  }
}

std::expected<Windows, std::string> Windows::parse(std::string_view text, const accounting::TimeZone& zone) {
  if (text.size() > kTextBytesMax)
    return std::unexpected("longer than " + std::to_string(kTextBytesMax) + " bytes");
  if (trim_all(text).empty()) return std::unexpected(std::string("no window; expected START/END, START/END"));
  std::vector<Window> windows;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = trim_all(text.substr(at, comma - at));
    at = comma + 1;
    const std::size_t slash = item.find('/');
    if (slash == std::string_view::npos) {
      return std::unexpected(quoted(item) + " is no window; expected START/END, each YYYY-MM-DD HH:MM:SS");
    }
    Window window;
    for (const bool is_start : {true, false}) {
      const std::string_view part = trim_all(is_start ? item.substr(0, slash) : item.substr(slash + 1));
      const auto time = parse_time(part);
      if (!time) return std::unexpected(quoted(part) + " is no time; expected YYYY-MM-DD HH:MM:SS");
      (is_start ? window.start : window.end) = zone.moment_of(*time);
    }
    if (window.end <= window.start)
      return std::unexpected("window " + quoted(item) + " ends before it starts");
    if (windows.size() == kWindowsMax) {
      return std::unexpected("more than " + std::to_string(kWindowsMax) + " windows");
    }
    windows.push_back(window);
  }
  return Windows(std::move(windows));
}

std::string Windows::encode() const {
  const auto seconds = [](WallTime time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
  };
  std::string out;
  for (const Window& one : windows_) {
    if (!out.empty()) out += ' ';
    out += seconds(one.start) + '-' + seconds(one.end);
  }
  return out;
}

std::optional<Windows> Windows::decode(std::string_view stored) {
  std::vector<Window> windows;
  const char* at = stored.data();
  const char* const end = at + stored.size();
  const auto number = [&at, end](WallTime& into) {
    std::int64_t value = 0;
    const auto read = std::from_chars(at, end, value);
    if (read.ec != std::errc{} || value < 0 || value > 253'402'300'799) return false;  // year 9999
    at = read.ptr;
    into = WallTime(std::chrono::seconds(value));
    return true;
  };
  while (at != end) {
    if (!windows.empty() && *at++ != ' ') return std::nullopt;
    Window one;
    if (windows.size() == kWindowsMax || !number(one.start) || at == end || *at++ != '-' ||
        !number(one.end) || one.end <= one.start) {
      return std::nullopt;
    }
    windows.push_back(one);
  }
  if (windows.empty()) return std::nullopt;
  return Windows(std::move(windows));
}

Standing Windows::at(WallTime now) const {
  for (const Window& one : windows_) {
    if (now < one.start) return {Standing::Kind::Waits, one.start};
    if (now < one.end) return {Standing::Kind::Open, one.end};
  }
  return {Standing::Kind::Over, {}};
}

}  // namespace sluice::schedule
