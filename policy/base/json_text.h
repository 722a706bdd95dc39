#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// Appends `text` as a JSON string with its quotes (RFC 8259 7). Bytes that are not UTF-8 become U+FFFD each:
/// what has to arrive whole is checked with is_utf8() first (policy/base/utf8.h).
void append_json_string(std::string& out, std::string_view text);
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace sluice
