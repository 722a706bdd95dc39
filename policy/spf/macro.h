#pragma once
// Macros in SPF records (RFC 7208 7).

#include <optional>
#include <string>
#include <string_view>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::spf {

/// Explanations may use blanks and the letters c, r and t, domain specs not.
enum class MacroPlace : std::uint8_t { Domain, Explanation };

/// What a text with macros looks like before it is expanded.
struct MacroFacts {
  bool uses_client_name = false;  ///< %{p}: DNS has to be asked before
  bool ends_with_macro = false;
  bool uses_local_part = false;  ///< %{l} or %{s}: mailboxes of one domain may get different answers
};
/// nullopt: not a macro-string.
[[nodiscard]] std::optional<MacroFacts> scan_macros(std::string_view text, MacroPlace place);
/// A macro-string with a domain-end: a top label or a macro. nullopt: not one.
[[nodiscard]] std::optional<MacroFacts> scan_domain_spec(std::string_view text);

/// Views of the caller's.
struct MacroValues {
  std::string_view local;          ///< l
  std::string_view sender_domain;  ///< o
  std::string_view domain;         ///< d
  std::string_view helo;           ///< h
  IpAddress client;                ///< i, c, v
  std::string_view client_name;    ///< p
  std::string_view receiver;       ///< r
  WallTime now;                    ///< t
};
inline constexpr std::size_t kExpandedBytesMax = 4096;

/// Requires that scan_macros() has taken `text`. nullopt: longer than kExpandedBytesMax.
[[nodiscard]] std::optional<std::string> expand_macros(std::string_view text, const MacroValues& values);

}  // namespace sluice::spf
