#pragma once

#include <string_view>

namespace sluice::delivery {

/// True when `name` ("domain/vmta") fits QUEUE-NAME of the command language: "domain[/vmta]" with `*` for any
/// run of characters on either side; without a slash the VMTA is {default}... unless the domain part is "*"
/// alone, which means every queue. Case-insensitive.
[[nodiscard]] bool matches_queue(std::string_view pattern, std::string_view name);

}  // namespace sluice::delivery
