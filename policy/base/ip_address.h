#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sockaddr;

namespace sluice {

/// An IPv4 or IPv6 address as a value. IPv4 is kept as such, never as a mapped IPv6 address.
class IpAddress {
 public:
  constexpr IpAddress() = default;  ///< 0.0.0.0
  /// "192.0.2.1", "2001:db8::1"; no brackets, no zone, no prefix. Short IPv4 forms ("10.1") are refused here.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress from_v4(std::array<std::uint8_t, 4> octets);
  /// A mapped address (::ffff:a.b.c.d) becomes IPv4.
  [[nodiscard]] static IpAddress from_v6(std::array<std::uint8_t, 16> octets);

  [[nodiscard]] bool is_v4() const { return is_v4_; }
  [[nodiscard]] bool is_any() const;       ///< 0.0.0.0 or ::
  [[nodiscard]] bool is_loopback() const;  ///< 127.0.0.0/8 or ::1
  /// Network order; 4 octets count for IPv4, 16 for IPv6.
  [[nodiscard]] const std::array<std::uint8_t, 16>& octets() const { return octets_; }
  [[nodiscard]] unsigned bit_count() const { return is_v4_ ? 32 : 128; }
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> octets_{};
  bool is_v4_ = true;
};

/// A block of addresses. PowerMTA's short IPv4 forms ("10/8", "0/0", "127.0.0.1") are accepted.
class Cidr {
 public:
  constexpr Cidr() = default;  ///< 0.0.0.0/0
  Cidr(IpAddress address, unsigned prefix_bits);
  [[nodiscard]] static std::optional<Cidr> parse(std::string_view text);
  /// "0/0" holds IPv6 addresses too, as PowerMTA operators mean it.
  [[nodiscard]] bool contains(const IpAddress& address) const;
  [[nodiscard]] const IpAddress& address() const { return address_; }
  [[nodiscard]] unsigned prefix_bits() const { return prefix_bits_; }
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  IpAddress address_;  ///< bits behind the prefix are zero
  unsigned prefix_bits_ = 0;
};

/// Address and port. Port 0 means "any" when binding.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  /// "192.0.2.1:25", "[2001:db8::1]:25".
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// An Endpoint in the kernel's layout.
struct RawEndpoint {
  alignas(8) std::array<std::byte, 128> storage{};
  std::uint32_t length = sizeof(storage);
  RawEndpoint() = default;
  explicit RawEndpoint(const Endpoint& endpoint);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(storage.data()); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(storage.data()); }
  [[nodiscard]] Endpoint endpoint() const;  ///< 0.0.0.0:0 for families other than IP
};

}  // namespace sluice

template <>
struct std::hash<sluice::IpAddress> {
  std::size_t operator()(const sluice::IpAddress& address) const noexcept;
};
