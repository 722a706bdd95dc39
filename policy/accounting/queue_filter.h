#pragma once

#include <span>
#include <string_view>

#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// Whether `queue` ("domain/vmta") passes `queue-filter`: the first entry that fits decides; when none does, it does
/// not pass, so a list of exclusions alone lets nothing through. An empty list lets everything through. `*` stands for
/// any run of characters. Names compare without case.
[[nodiscard]] bool passes_filter(std::span<const config::QueueFilter> filter, std::string_view queue);

}  // namespace sluice::accounting
