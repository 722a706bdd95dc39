#pragma once
// Words of the small texts in which states of queues are kept over a restart: times as calendar time, as a
// monotonic clock means nothing to the next process.

#include <optional>
#include <string>
#include <string_view>

#include "policy/base/units.h"

namespace sluice {

/// Up to the next blank, which goes too; empty at the end.
[[nodiscard]] std::string_view take_word(std::string_view& text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view word);

/// Milliseconds of calendar time, "-" for none.
[[nodiscard]] std::string encode_time(const std::optional<MonoTime>& time, MonoTime now, WallTime wall_now);
/// The outer optional is empty when `word` is damaged. A time in the past is `now`.
[[nodiscard]] std::optional<std::optional<MonoTime>> decode_time(std::string_view word, MonoTime now,
                                                                 WallTime wall_now);

}  // namespace sluice
