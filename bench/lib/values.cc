#include "bench/lib/values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

struct NumberAndUnit {
  double number = 0;
  std::string unit;
};

std::optional<NumberAndUnit> cut_number(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) ++end;
  NumberAndUnit out;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + end, out.number);
  if (end == 0 || error != std::errc() || stop != text.data() + end) return std::nullopt;
  out.unit = to_lower(text.substr(end));
  return out;
}

std::optional<double> seconds_of(std::string_view unit) {
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s" || unit.empty()) return 1.0;
  if (unit == "m" || unit == "min") return 60.0;
  if (unit == "h") return 3600.0;
  if (unit == "d") return 86400.0;
  return std::nullopt;
}

std::optional<int> hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char low = to_lower(c);
  if (low >= 'a' && low <= 'f') return low - 'a' + 10;
  return std::nullopt;
}

// Reads the escape whose backslash is at `at`; moves `at` behind it.
std::optional<char> read_escape(std::string_view line, std::size_t& at) {
  if (at + 1 >= line.size()) return std::nullopt;
  const char kind = line[at + 1];
  at += 2;
  switch (kind) {
    case '"': return '"';
    case '\\': return '\\';
    case 'r': return '\r';
    case 'n': return '\n';
    case 't': return '\t';
    case '0': return '\0';
    case 'x': {
      if (at + 1 >= line.size()) return std::nullopt;
      const auto high = hex_digit(line[at]);
      const auto low = hex_digit(line[at + 1]);
      at += 2;
      if (!high || !low) return std::nullopt;
      return static_cast<char>(*high * 16 + *low);
    }
    default: return std::nullopt;
  }
}

Parsed<Word> read_quoted(std::string_view line, std::size_t& at) {
  Word word{.text = {}, .quoted = true};
  ++at;
  while (at < line.size() && line[at] != '"') {
    if (line[at] != '\\') {
      word.text += line[at++];
      continue;
    }
    const auto c = read_escape(line, at);
    if (!c) return complain("unknown escape in quotes; known: \\\" \\\\ \\r \\n \\t \\0 \\xHH");
    word.text += *c;
  }
  if (at >= line.size()) return complain("a quote is not closed");
  ++at;
  return word;
}

}  // namespace

Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size()) {
    return complain(fmt::format("'{}' is not a whole number", text));
  }
  if (value > max) return complain(fmt::format("{} is too large; at most {}", text, max));
  return value;
}

Parsed<Duration> parse_duration(std::string_view text) {
  const auto cut = cut_number(text);
  const auto factor = cut ? seconds_of(cut->unit) : std::nullopt;
  if (!factor) return complain(fmt::format("'{}' is not a time; write 250ms, 1.5s, 2m, 1h or 1d", text));
  const double seconds = cut->number * *factor;
  if (seconds > 366.0 * 86400.0) return complain(fmt::format("'{}' is longer than 366 days", text));
  return Duration{std::llround(seconds * 1e9)};
}

Parsed<std::uint64_t> parse_size(std::string_view text) {
  const auto cut = cut_number(text);
  if (!cut) return complain(fmt::format("'{}' is not a size; write 512, 10k, 4m or 1g", text));
  double factor = 0;
  const std::string& unit = cut->unit;
  if (unit.empty() || unit == "b") factor = 1;
  if (unit == "k" || unit == "kb") factor = static_cast<double>(kKiB);
  if (unit == "m" || unit == "mb") factor = static_cast<double>(kMiB);
  if (unit == "g" || unit == "gb") factor = static_cast<double>(kGiB);
  const double bytes = cut->number * factor;
  if (factor == 0 || bytes > 1e15)
    return complain(fmt::format("'{}' is not a size; write 512, 10k, 4m or 1g", text));
  return static_cast<std::uint64_t>(bytes);
}

Parsed<Rate> parse_rate(std::string_view text) {
  const auto wrong = [&] {
    return complain(fmt::format("'{}' is not a rate; write 10/s, 500/h or 3/5m", text));
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash + 1 == text.size()) return wrong();
  const auto events = parse_number(text.substr(0, slash), 1'000'000'000);
  const std::string_view per = text.substr(slash + 1);
  const auto period = is_digit(per.front()) ? parse_duration(per) : parse_duration("1" + std::string(per));
  if (!events || *events == 0 || !period || *period <= 0s) return wrong();
  return Rate{.events = *events, .per = *period};
}

Parsed<Share> parse_share(std::string_view text) {
  const auto cut = cut_number(text);
  if (!cut || cut->unit != "%" || cut->number > 100.0) {
    return complain(fmt::format("'{}' is not a share; write 5%, 0.01% or 100%", text));
  }
  return Share{static_cast<std::uint32_t>(std::llround(cut->number * 10'000.0))};
}

Parsed<DurationRange> parse_duration_range(std::string_view text) {
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos) {
    return mapped(parse_duration(text), [](Duration only) { return DurationRange{only, only}; });
  }
  const auto from = parse_duration(text.substr(0, dots));
  const auto to = parse_duration(text.substr(dots + 2));
  if (!from || !to || *from > *to) {
    return complain(fmt::format("'{}' is not a span of time; write 10ms..50ms", text));
  }
  return DurationRange{*from, *to};
}

Parsed<std::vector<Word>> split_words(std::string_view line) {
  std::vector<Word> words;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && (is_blank(line[at]) || line[at] == '\r')) ++at;
    if (at >= line.size() || line[at] == '#') return words;
    if (line[at] == '"') {
      auto word = read_quoted(line, at);
      if (!word) return std::unexpected(word.error());
      words.push_back(*std::move(word));
      continue;
    }
    const std::size_t start = at;
    while (at < line.size() && !is_blank(line[at]) && line[at] != '\r') ++at;
    words.push_back({std::string(line.substr(start, at - start)), false});
  }
}

std::string duration_text(Duration duration) {
  const double nanoseconds = static_cast<double>(duration.count());
  if (duration < 1ms) return fmt::format("{:.4g}us", nanoseconds / 1e3);
  if (duration < 1s) return fmt::format("{:.4g}ms", nanoseconds / 1e6);
  return fmt::format("{:.6g}s", nanoseconds / 1e9);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  if (text.empty()) return parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace sluice::bench
