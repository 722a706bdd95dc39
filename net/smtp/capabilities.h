#pragma once
// What a server offered in its reply to EHLO (RFC 5321 4.1.1.1 and the extensions' own documents).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::net {

/// SASL mechanisms we could use with a server; a set.
struct AuthMechanisms {
  static constexpr std::uint8_t kPlain = 1;
  static constexpr std::uint8_t kLogin = 2;
  static constexpr std::uint8_t kCramMd5 = 4;
  std::uint8_t bits = 0;
  [[nodiscard]] bool has(std::uint8_t bit) const { return (bits & bit) != 0; }
};

/// Thread: a value. Errors: none; a line that makes no sense is left out (remote answers are data).
struct Capabilities {
  bool esmtp = false;  ///< false after HELO: nothing else is set then
  bool pipelining = false;
  bool chunking = false;
  bool eight_bit_mime = false;
  bool smtp_utf8 = false;
  bool enhanced_status_codes = false;
  bool starttls = false;
  bool dsn = false;
  bool size = false;  ///< SIZE was named; MAIL may carry SIZE=
  AuthMechanisms auth;
  std::optional<std::uint64_t>
      size_max_bytes;                     ///< absent: no limit was announced (also for "SIZE 0", RFC 1870 4)
  std::optional<std::uint32_t> rcpt_max;  ///< LIMITS RCPTMAX (RFC 9422): recipients per transaction, >= 1
  std::optional<std::uint32_t> mail_max;  ///< LIMITS MAILMAX: transactions per connection, >= 1
  /// Accounting field dlvEsmtpAvailable: the known keywords in the server's order,
  /// "ENHANCEDSTATUSCODES,SIZE,8BITMIME".
  std::string listed;
  static constexpr std::size_t kListedBytesMax = 256;

  /// `lines`: the texts of the reply lines without codes, separated by '\n', as ReplyParser::lines() keeps
  /// them. The first line is the greeting of the server and is not read. Keywords in any case.
  [[nodiscard]] static Capabilities parse(std::string_view lines);
  /// PowerMTA ignore-* directives of <domain>: what is ignored is as if it had not been offered, except in
  /// `listed`.
  struct Ignore {
    bool pipelining = false;
    bool chunking = false;
    bool eight_bit_mime = false;
    bool dsn = false;
    friend bool operator==(const Ignore&, const Ignore&) = default;
  };
  void ignore(const Ignore& what);
};

}  // namespace sluice::net
