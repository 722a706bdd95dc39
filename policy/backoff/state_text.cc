#include "policy/backoff/state_text.h"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

// A century: a damaged number must not overflow a time.
constexpr Duration kFarMax = 876'000h;

}  // namespace

std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

std::optional<std::int64_t> parse_integer(std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::string encode_time(const std::optional<MonoTime>& time, MonoTime now, WallTime wall_now) {
  if (!time) return "-";
  const WallTime wall = wall_now + std::chrono::ceil<std::chrono::milliseconds>(*time - now);
  return std::to_string(wall.time_since_epoch().count());
}

std::optional<std::optional<MonoTime>> decode_time(std::string_view word, MonoTime now, WallTime wall_now) {
  if (word == "-") return std::optional<MonoTime>();
  const auto ms = parse_integer(word);
  if (!ms) return std::nullopt;
  const std::int64_t far_ms = std::chrono::duration_cast<std::chrono::milliseconds>(kFarMax).count();
  const std::int64_t left = *ms - std::min(*ms, wall_now.time_since_epoch().count());
  return now + std::chrono::milliseconds(std::min(left, far_ms));
}

}  // namespace sluice
