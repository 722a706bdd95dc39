#pragma once
// Operations this ring has no opcode for on the oldest kernel we support; they are short and rare.

#include <cstdint>

#include "engine/runtime/op.h"

namespace sluice::runtime {

/// Carries out a Truncate or SyncDir at once: >= 0, or -errno.
[[nodiscard]] std::int32_t perform_now(const Op& op);

}  // namespace sluice::runtime
