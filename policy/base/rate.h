#pragma once

#include <cstdint>

#include "policy/base/units.h"

namespace sluice {

/// "500/h" kept as the operator wrote it. "Unlimited" is the absence of a Rate, never a value of it.
/// Requires: events >= 1 and per > 0.
struct Rate {
  std::uint64_t events = 1;
  Duration per = 1s;
  friend constexpr bool operator==(const Rate&, const Rate&) = default;
};

}  // namespace sluice
