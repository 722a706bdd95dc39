#pragma once
// What the program is called, and its version: the one place for both. The version is the project's (CMakeLists.txt).

#include <string_view>

namespace sluice {

inline constexpr std::string_view kOwnName = "Sluice";
/// "0.1.0". Thread: any.
[[nodiscard]] std::string_view version();
/// "2026-03-01", of its configuration by CMake.
[[nodiscard]] std::string_view build_date();
/// "Sluice 0.1.0": what strangers read, in greetings, Received headers and reports.
[[nodiscard]] std::string_view own_product();

/// The product whose place it takes: programs around PowerMTA look for these words in status (`status-product`).
inline constexpr std::string_view kReplacedName = "PowerMTA";
inline constexpr std::string_view kReplacedVersion = "v5.0r1";

}  // namespace sluice
