#pragma once
// The header in which a server says what it found out about a sender (RFC 8601 2).

#include <span>
#include <string>
#include <string_view>

namespace sluice::net {

/// One method's result. Texts of strangers are made harmless here.
struct AuthResult {
  std::string_view method;             ///< "spf"
  std::string_view result;             ///< "pass"
  std::string_view comment;            ///< empty: none
  std::span<const std::string> trace;  ///< more comments, a line each
  std::string_view property;           ///< "smtp.mailfrom"; empty: what was looked at is not told
  std::string_view value;
};

/// Appends the header with CRLF, each result on a line of its own:
///   Authentication-Results: HOST;
///     spf=pass (matched "a") smtp.mailfrom=joe@example.com
/// At most kAuthTraceMax lines of a trace, each text cut at kAuthTextMax bytes. Requires a result.
void append_auth_results(std::string& out, std::string_view host, std::span<const AuthResult> results);
inline constexpr std::size_t kAuthTraceMax = 40;
inline constexpr std::size_t kAuthTextMax = 450;

/// Does the body of an Authentication-Results header claim to be `host`'s? Whatever blanks, comments and
/// quotes are around the name.
[[nodiscard]] bool is_auth_results_of(std::string_view body, std::string_view host);

}  // namespace sluice::net
