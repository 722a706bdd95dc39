#pragma once
// What a reload would change, for `sluice reload --dry-run` and for the answer of a reload.

#include <string>
#include <vector>

#include "policy/config/config.h"

namespace sluice::config {

/// Directive by directive: "max-smtp-out 20 -> 30 (FILE:LINE)" below the block it stands in, effective
/// values, secrets masked; blocks that come, go or hold something else. What a `<domain *>` block changes for
/// all is said once. Empty when nothing would change. Pure. Cost: every <domain> block is flattened twice.
[[nodiscard]] std::string difference_text(const Config& before, const Config& after);

/// Directives of the top level, and other things, whose change takes effect at the next start only.
[[nodiscard]] std::vector<std::string> needs_restart(const Config& before, const Config& after);

}  // namespace sluice::config
