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
/// `--maxitems`, or `usual`.
[[nodiscard]] std::size_t max_items(const control::Command& command, std::size_t usual);
/// Where a command needs a queue.
inline constexpr std::string_view kWhichQueue = "which queue? For example: gmail.com/vmta1, gmail.com/*, *\n";
/// "1:05:00".
[[nodiscard]] std::string clock_text(Duration time);

}  // namespace sluice::shard
