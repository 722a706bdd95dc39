#pragma once
// Base64 with padding (RFC 4648 4).

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

[[nodiscard]] std::string encode_base64(std::string_view bytes);
/// No value for anything but whole groups of four with correct padding and unused bits zero: one spelling per
/// value, so that nothing can be hidden in it. No line ends, no blanks.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sluice
