#pragma once
// Values as people write them on a command line and in a provider file: "250ms", "10k", "500/h", "2.5%", quoted words.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "policy/base/rate.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// A value, or one sentence that says what is wrong with the text.
template <class T>
using Parsed = std::expected<T, std::string>;

[[nodiscard]] inline std::unexpected<std::string> complain(std::string sentence) {
  return std::unexpected(std::move(sentence));
}

/// `f` of the value, or the complaint passed on.
template <class T, class F>
[[nodiscard]] auto mapped(Parsed<T> from, F f) -> Parsed<std::invoke_result_t<F, T>> {
  if (!from) return std::unexpected(std::move(from.error()));
  if constexpr (std::is_void_v<std::invoke_result_t<F, T>>) {
    f(*std::move(from));
    return {};
  } else {
    return f(*std::move(from));
  }
}

/// Plain decimal number, at most `max`.
[[nodiscard]] Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t max = UINT64_MAX);
/// "250ms", "1.5s", "2m", "1h", "1d", "30us"; a bare number is seconds. At most 366 days.
[[nodiscard]] Parsed<Duration> parse_duration(std::string_view text);
/// "512", "10k", "10kb", "4m", "1g": powers of 1024.
[[nodiscard]] Parsed<std::uint64_t> parse_size(std::string_view text);
/// "500/h", "10/s", "3/5m".
[[nodiscard]] Parsed<Rate> parse_rate(std::string_view text);

/// A share of events, in millionths.
struct Share {
  static constexpr std::uint32_t kAll = 1'000'000;
  std::uint32_t millionths = kAll;
  friend constexpr bool operator==(Share, Share) = default;
};
/// "5%", "0.01%", "100%".
[[nodiscard]] Parsed<Share> parse_share(std::string_view text);

/// A span of time, both ends included: "10ms..50ms", or "10ms" for both.
struct DurationRange {
  Duration from{0};
  Duration to{0};
  friend constexpr bool operator==(const DurationRange&, const DurationRange&) = default;
};
[[nodiscard]] Parsed<DurationRange> parse_duration_range(std::string_view text);

/// One line cut into words. A word in double quotes may hold blanks and the escapes \" \\ \r \n \t \0 \xHH; a word that
/// starts with # outside quotes ends the line.
struct Word {
  std::string text;
  bool quoted = false;
};
[[nodiscard]] Parsed<std::vector<Word>> split_words(std::string_view line);

/// "1.5s", "250ms": the shortest of the forms parse_duration() reads, at most 3 digits after the point.
[[nodiscard]] std::string duration_text(Duration duration);
/// Cuts at every `separator`; empty parts are kept, an empty text has none.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace sluice::bench
