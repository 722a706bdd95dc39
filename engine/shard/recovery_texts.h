#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/journal/recovery.h"

namespace sluice::shard {

/// What a start says in the log of what it has found on the disks. Pure.
[[nodiscard]] std::vector<std::string> recovery_lines(const journal::RecoveryReport& report,
                                                      std::string_view root);

/// Why a start is refused, what would happen, and what to do. Requires report.doubts.
[[nodiscard]] std::string refusal_text(const journal::RecoveryReport& report, std::string_view root);

}  // namespace sluice::shard
