#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// RFC 3463 "class.subject.detail".
struct EnhancedStatus {
  std::uint8_t klass = 0;  ///< 2, 4 or 5
  std::uint16_t subject = 0;
  std::uint16_t detail = 0;
  /// Reads "5.1.1" at the front of `text`; what follows has to be the end or a blank.
  [[nodiscard]] static std::optional<EnhancedStatus> parse_front(std::string_view text);
  [[nodiscard]] std::string text() const;
  friend constexpr bool operator==(const EnhancedStatus&, const EnhancedStatus&) = default;
};

/// One complete reply of a remote SMTP server: data for policy/, whatever it says (RFC 5321 4.2).
struct SmtpReply {
  std::uint16_t code = 0;  ///< 200 .. 599; 0 = no reply (connection lost, time-out)
  std::optional<EnhancedStatus> enhanced;
  /// All lines joined by one blank, without codes, enhanced codes of the first line kept, control bytes
  /// replaced by '?'. At most kTextBytesMax bytes; more was cut.
  std::string text;
  static constexpr std::size_t kTextBytesMax = 1024;

  [[nodiscard]] bool positive() const { return code >= 200 && code < 400; }
  [[nodiscard]] bool transient() const { return code >= 400 && code < 500; }
  [[nodiscard]] bool permanent() const { return code >= 500 && code < 600; }
  /// "550 5.1.1 user unknown": the form that patterns match and accounting shows behind "smtp;".
  [[nodiscard]] std::string full_text() const;
};

}  // namespace sluice
