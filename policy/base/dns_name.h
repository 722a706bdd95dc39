#pragma once
// Names that may be asked of DNS, as text: labels of 1 to 63 bytes joined by dots, 253 bytes at most (RFC
// 1035 2.3.4, without length bytes and root), no dot at the end: strip it before.

#include <string_view>

namespace sluice {

/// Labels of letters, digits, '-' and '_'.
[[nodiscard]] bool is_host_name(std::string_view name);
/// Labels of any printable ASCII but blank and backslash.
[[nodiscard]] bool is_plain_dns_name(std::string_view name);
/// The same with blanks, which macros of SPF records may make (RFC 7208 7.3).
[[nodiscard]] bool is_askable_dns_name(std::string_view name);

}  // namespace sluice
