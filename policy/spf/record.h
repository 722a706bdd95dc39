#pragma once
// SPF records as values (RFC 7208 4.5, 4.6.1, 5, 6, 12).

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"

namespace sluice::spf {

/// RFC 7208 2.6.
enum class Result : std::uint8_t { None, Neutral, Pass, Fail, SoftFail, TempError, PermError };
/// "softfail", as Authentication-Results and people write it.
[[nodiscard]] std::string_view name_of(Result result);

/// One directive.
struct Directive {
  enum class Kind : std::uint8_t { All, Include, A, Mx, Ptr, Ip4, Ip6, Exists };
  Kind kind = Kind::All;
  Result result = Result::Pass;   ///< when it matches: its qualifier
  std::string target;             ///< domain-spec, macros and all; empty: the domain itself
  bool uses_client_name = false;  ///< %{p} in `target`
  std::uint8_t v4_bits = 32;      ///< prefix length for addresses of either family
  std::uint8_t v6_bits = 128;
  std::array<std::uint8_t, 16> network{};  ///< Ip4 (4 octets) and Ip6
  std::string text;                        ///< as written

  /// One that counts against the limit of 10 (RFC 7208 4.6.4).
  [[nodiscard]] bool asks_dns() const { return kind != Kind::All && kind != Kind::Ip4 && kind != Kind::Ip6; }
  /// Ip4 and Ip6 only: is `client` in the network?
  [[nodiscard]] bool holds(const IpAddress& client) const;
  /// A and Mx: does the record's address `one` speak for `client`, under the prefix lengths?
  [[nodiscard]] bool covers(const IpAddress& one, const IpAddress& client) const;
};

struct SpfRecord {
  std::vector<Directive> directives;
  std::string redirect;  ///< domain-spec; empty: none
  bool redirect_uses_client_name = false;
  std::string explanation;  ///< domain-spec of exp=; empty: none
  bool explanation_uses_client_name = false;
};

/// "v=spf1", alone or with a blank behind it.
[[nodiscard]] bool is_spf_record(std::string_view text);
/// The whole record is read before anything of it is believed. Error: what is wrong, as a text for operators.
/// Requires is_spf_record(text).
[[nodiscard]] std::expected<SpfRecord, std::string> parse_spf_record(std::string_view text);

}  // namespace sluice::spf
