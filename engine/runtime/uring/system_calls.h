#pragma once
// The operation this ring has no opcode for on the oldest kernel we support; it is short and rare.

#include <cstdint>

#include "engine/runtime/op.h"

namespace sluice::runtime {

/// Carries out a Truncate at once: >= 0, or -errno.
[[nodiscard]] std::int32_t perform_now(const Op& op);

}  // namespace sluice::runtime
