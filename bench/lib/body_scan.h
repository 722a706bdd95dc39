#pragma once
// The one pass over received bodies: where a line starts with a dot, and whether every line end is CR LF.

#include <cstddef>
#include <string_view>

namespace sluice::bench {

struct BodyScan {
  /// Index of the first LF with a dot behind it; npos: none.
  std::size_t line_dot = std::string_view::npos;
  /// A CR without LF or a LF without CR was passed (RFC 5321 2.3.8). What a fragment's first and last bytes say is
  /// judged with `before`; a CR as the last byte is left to the next call, which gets it as `before`.
  bool bare = false;
};

/// Scans up to and including the first "LF dot". `before`: the byte in front of `bytes`; '\0' when there is none.
/// Vectors of 16 bytes where the machine has SSE2; scan_body_plain() is the reference.
[[nodiscard]] BodyScan scan_body(std::string_view bytes, char before);
[[nodiscard]] BodyScan scan_body_plain(std::string_view bytes, char before);

}  // namespace sluice::bench
