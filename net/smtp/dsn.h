#pragma once
// Delivery status notification parameters of MAIL and RCPT (RFC 3461), shared by both SMTP machines.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::net {

/// RET= of MAIL.
enum class DsnReturn : std::uint8_t { Unset, Headers, Full };

/// NOTIFY= of RCPT: a set. Empty = the parameter was absent.
struct DsnNotify {
  static constexpr std::uint8_t kNever = 1;
  static constexpr std::uint8_t kSuccess = 2;
  static constexpr std::uint8_t kFailure = 4;
  static constexpr std::uint8_t kDelay = 8;
  std::uint8_t bits = 0;

  [[nodiscard]] bool empty() const { return bits == 0; }
  [[nodiscard]] bool has(std::uint8_t bit) const { return (bits & bit) != 0; }
  /// "SUCCESS,FAILURE", "never". NEVER has to stand alone (RFC 3461 4.1). No value: not valid.
  [[nodiscard]] static std::optional<DsnNotify> parse(std::string_view text);
  /// Writes the canonical form ("SUCCESS,FAILURE,DELAY" or "NEVER") behind `out`. Requires !empty().
  void append_to(std::string& out) const;
  friend bool operator==(const DsnNotify&, const DsnNotify&) = default;
};

inline constexpr std::size_t kEnvidBytesMax = 100;  // RFC 3461 4.4
inline constexpr std::size_t kOrcptBytesMax = 500;  // RFC 3461 4.2

/// True when `text` is xtext (RFC 3461 4): printable ASCII without '+' and '=', and "+XX" with two upper-case
/// hexadecimal digits.
[[nodiscard]] bool is_xtext(std::string_view text);
/// The bytes `text` stands for; no value when it is not xtext. The result may hold any byte: check before
/// showing it.
[[nodiscard]] std::optional<std::string> decode_xtext(std::string_view text);
[[nodiscard]] std::string encode_xtext(std::string_view bytes);
/// True for "rfc822;xtext": an atom, a semicolon, xtext; at most kOrcptBytesMax bytes.
[[nodiscard]] bool is_orcpt(std::string_view text);

}  // namespace sluice::net
