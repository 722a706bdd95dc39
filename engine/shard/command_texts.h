#pragma once
// Pieces of answers that several commands share.

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/control/command.h"
#include "policy/base/units.h"

namespace sluice::shard {

/// "2026-03-01 09:30:00", in the zone of the host.
[[nodiscard]] std::string local_time(WallTime time);
/// Rounded up, as PowerMTA shows sizes.
[[nodiscard]] std::uint64_t kilobytes(std::uint64_t bytes);
/// "12.5", as PowerMTA's lists for people show sizes.
[[nodiscard]] std::string kbytes_text(std::uint64_t bytes);
/// For a cell or a line: line ends become " | ", other control bytes blanks.
[[nodiscard]] std::string one_line(std::string_view text);
/// `--maxitems`, or `usual`.
[[nodiscard]] std::size_t max_items(const control::Command& command, std::size_t usual);
/// "1:05:00".
[[nodiscard]] std::string clock_text(Duration time);

}  // namespace sluice::shard
