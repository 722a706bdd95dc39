#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Why a text is not a mail address or path. Data: the text comes from strangers.
enum class AddressFault : std::uint8_t {
  Syntax,         ///< brackets, quotes, dots or characters that RFC 5321 4.1.2 does not allow
  LocalTooLong,   ///< kLocalBytesMax
  DomainTooLong,  ///< kDomainBytesMax, or a label of more than 63 bytes
  PathTooLong,    ///< kPathBytesMax
  NullPath,       ///< "<>" where AddressRules::allow_null is false
  NoDomain,       ///< no '@' where AddressRules::allow_no_domain is false
  NotAscii,       ///< bytes above 127 where AddressRules::allow_utf8 is false, or not UTF-8
};
[[nodiscard]] std::string_view name_of(AddressFault fault);

/// Where and how an address may be written.
struct AddressRules {
  bool allow_null = false;       ///< "<>" (MAIL FROM)
  bool allow_no_domain = false;  ///< "<postmaster>"; the caller qualifies it (auto-qualify-domain)
  bool allow_utf8 = false;       ///< SMTPUTF8 (RFC 6531)
  bool bare = false;             ///< without angle brackets: headers, configuration, x-receiver
  /// "a..b@x" and "a.@x": not RFC 5321, but addresses of old Japanese mobile carriers look like this.
  bool allow_loose_dots = false;
};

/// An envelope address as a value.
/// The domain is lower case (ASCII letters; UTF-8 is left as it is) and without a trailing dot. The local
/// part keeps its letters; quotes that are not needed are dropped ("joe"@x is joe@x), so that one mailbox has
/// one spelling here. Source routes ("@a,@b:joe@x") are dropped (RFC 5321 appendix F.2). Thread: a value.
/// Limits: kPathBytesMax. Memory: one string; assign() reuses it.
class MailAddress {
 public:
  /// RFC 5321 4.5.3.1.1 says 64 and not to refuse longer ones without need; VERP makes them.
  static constexpr std::size_t kLocalBytesMax = 254;
  static constexpr std::size_t kDomainBytesMax = 255;  // RFC 5321 4.5.3.1.2
  static constexpr std::size_t kPathBytesMax =
      1024;  // as written, source route included; RFC 5321 4.5.3.1.3 says 256
  static constexpr std::size_t kAddressBytesMax = kLocalBytesMax + 1 + kDomainBytesMax;

  MailAddress() = default;  ///< the null path
  [[nodiscard]] static std::expected<MailAddress, AddressFault> parse(std::string_view text,
                                                                      const AddressRules& rules = {});
  /// As parse(), into this object's memory. With a fault the value is the null path.
  [[nodiscard]] std::optional<AddressFault> assign(std::string_view text, const AddressRules& rules = {});

  [[nodiscard]] bool is_null() const { return text_.empty(); }
  [[nodiscard]] bool has_domain() const { return local_size_ < text_.size(); }
  /// "joe@example.com", "\"a b\"@example.com", "postmaster"; empty for the null path. Never has angle
  /// brackets.
  [[nodiscard]] std::string_view text() const { return text_; }
  /// With quotes when it needs them.
  [[nodiscard]] std::string_view local() const { return std::string_view(text_).substr(0, local_size_); }
  /// "example.com", "[192.0.2.1]", "[ipv6:2001:db8::1]"; empty when there is none.
  [[nodiscard]] std::string_view domain() const {
    return has_domain() ? std::string_view(text_).substr(local_size_ + 1U) : std::string_view();
  }
  [[nodiscard]] bool is_literal() const { return domain().starts_with('['); }
  /// True when a byte is above 127: sending it needs SMTPUTF8.
  [[nodiscard]] bool needs_utf8() const;
  /// Adds a domain to an address that has none. Requires !is_null() && !has_domain(); `domain` is a valid
  /// one.
  void qualify(std::string_view domain);
  friend bool operator==(const MailAddress&, const MailAddress&) = default;

 private:
  std::string text_;
  std::uint16_t local_size_ = 0;
};

/// True for a domain name as RFC 5321 4.1.2 has it (letters, digits, '-' and, seen in the wild, '_'), or an
/// address literal; with `allow_utf8` also U-labels.
[[nodiscard]] bool is_mail_domain(std::string_view text, bool allow_utf8 = false);

}  // namespace sluice
