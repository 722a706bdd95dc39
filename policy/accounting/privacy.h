#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// `privacy-policy` of an `<acct-file>`: what stands in its rows for the local parts of recipients, in lower
/// case. Always the same for the same address, so that rows can still be counted and joined.
///   redact TEXT                      TEXT
///   siphash KEY, siphash-hexkey      SipHash-2-4 as 16 hex digits; a short key is filled up with zeros
///   hmac-sha256 KEY, ..-hexkey       HMAC-SHA-256 as 64 hex digits
/// Thread: one at a time.
class Privacy {
 public:
  Privacy() = default;
  /// Errors: a key that is too long, or not hexadecimal where it should be.
  [[nodiscard]] static std::expected<Privacy, std::string> make(const config::PrivacyPolicy& policy);

  [[nodiscard]] bool hides() const { return kind_ != config::PrivacyKind::Retain; }
  /// `out` becomes "replacement@domain".
  void address(std::string& out, std::string_view address) const;
  /// "rfc822;bob+2Bx@example.com": as address(), behind the type.
  void original_recipient(std::string& out, std::string_view orcpt) const;
  /// A VERP sender that names `recipient` as "bob=example.com"; any other one stays as it is.
  void sender(std::string& out, std::string_view sender, std::string_view recipient) const;
  /// Words of a server: `recipient` and its local part, where it stands as a word of its own.
  void text(std::string& out, std::string_view text, std::string_view recipient) const;

 private:
  void append_replacement(std::string& out, std::string_view local) const;
  config::PrivacyKind kind_ = config::PrivacyKind::Retain;
  std::string key_;  ///< redact: the text
};

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
[[nodiscard]] std::uint64_t siphash24(const std::array<std::uint8_t, 16>& key, std::string_view bytes);

}  // namespace sluice::accounting
