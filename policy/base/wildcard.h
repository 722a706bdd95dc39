#pragma once

#include <string_view>

namespace sluice {

/// True when the whole of `text` fits `pattern`, in which `*` stands for any run of characters, also none.
/// Case-insensitive (ASCII). Thread: any. Cost: at most pattern times text.
[[nodiscard]] bool matches_wildcard(std::string_view pattern, std::string_view text);

}  // namespace sluice
