#include "policy/base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice {
namespace {

std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > max)
    return std::nullopt;
  return value;
}

/// "10", "10.1", "10.1.2" filled with zeros on the right, as PowerMTA reads a short network.
std::optional<IpAddress> parse_short_v4(std::string_view text) {
  std::array<std::uint8_t, 4> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const std::size_t dot = text.find('.');
    const auto value = parse_number(text.substr(0, dot), 255);
    if (!value) return std::nullopt;
    octets[i] = static_cast<std::uint8_t>(*value);
    if (dot == std::string_view::npos) return IpAddress::from_v4(octets);
    text.remove_prefix(dot + 1);
  }
  return std::nullopt;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer || text.contains('\0'))
    return std::nullopt;  // inet_pton stops there
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  std::array<std::uint8_t, 4> v4{};
  if (::inet_pton(AF_INET, buffer, v4.data()) == 1) return from_v4(v4);
  std::array<std::uint8_t, 16> v6{};
  if (::inet_pton(AF_INET6, buffer, v6.data()) == 1) return from_v6(v6);
  return std::nullopt;
}

IpAddress IpAddress::from_v4(std::array<std::uint8_t, 4> octets) {
  IpAddress out;
  std::copy(octets.begin(), octets.end(), out.octets_.begin());
  return out;
}

IpAddress IpAddress::from_v6(std::array<std::uint8_t, 16> octets) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), octets.begin())) {
    return from_v4({octets[12], octets[13], octets[14], octets[15]});
  }
  IpAddress out;
  out.octets_ = octets;
  out.is_v4_ = false;
  return out;
}

bool IpAddress::is_any() const {
  return std::all_of(octets_.begin(), octets_.end(), [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_loopback() const {
  if (is_v4_) return octets_[0] == 127;
  return std::all_of(octets_.begin(), octets_.end() - 1, [](std::uint8_t octet) { return octet == 0; }) &&
         octets_[15] == 1;
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(is_v4_ ? AF_INET : AF_INET6, octets_.data(), buffer, sizeof buffer);
  return buffer;
}

Cidr::Cidr(IpAddress address, unsigned prefix_bits) : prefix_bits_(prefix_bits) {
  SLUICE_ASSERT(prefix_bits <= address.bit_count());
  auto octets = address.octets();
  for (unsigned bit = prefix_bits; bit < address.bit_count(); ++bit) {
    octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] & ~(0x80u >> (bit % 8)));
  }
  address_ = address.is_v4() ? IpAddress::from_v4({octets[0], octets[1], octets[2], octets[3]})
                             : IpAddress::from_v6(octets);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  auto address = IpAddress::parse(host);
  if (!address && slash != std::string_view::npos) address = parse_short_v4(host);
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Cidr(*address, address->bit_count());
  const auto bits = parse_number(text.substr(slash + 1), address->bit_count());
  if (!bits) return std::nullopt;
  return Cidr(*address, *bits);
}

bool Cidr::contains(const IpAddress& address) const {
  if (prefix_bits_ == 0 && address_.is_v4()) return true;
  if (address.is_v4() != address_.is_v4()) return false;
  const unsigned whole = prefix_bits_ / 8;
  if (!std::equal(address_.octets().begin(), address_.octets().begin() + whole, address.octets().begin()))
    return false;
  if (prefix_bits_ % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00u >> (prefix_bits_ % 8));
  return (address.octets()[whole] & mask) == address_.octets()[whole];
}

std::string Cidr::text() const { return address_.text() + '/' + std::to_string(prefix_bits_); }

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_number(text.substr(colon + 1), 65535);
  // Without brackets "::1:25" would be an IPv6 address in its own right.
  if (!address || !port || (!address->is_v4() && !bracketed)) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint16_t>(*port)};
}

std::string Endpoint::text() const {
  const std::string host = address.is_v4() ? address.text() : '[' + address.text() + ']';
  return host + ':' + std::to_string(port);
}

RawEndpoint::RawEndpoint(const Endpoint& endpoint) {
  if (endpoint.address.is_v4()) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(endpoint.port);
    std::memcpy(&raw.sin_addr, endpoint.address.octets().data(), sizeof raw.sin_addr);
    std::memcpy(storage.data(), &raw, sizeof raw);
    length = sizeof raw;
  } else {
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(endpoint.port);
    std::memcpy(&raw.sin6_addr, endpoint.address.octets().data(), sizeof raw.sin6_addr);
    std::memcpy(storage.data(), &raw, sizeof raw);
    length = sizeof raw;
  }
}

Endpoint RawEndpoint::endpoint() const {
  if (get()->sa_family == AF_INET) {
    sockaddr_in raw{};
    std::memcpy(&raw, storage.data(), sizeof raw);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &raw.sin_addr, octets.size());
    return {IpAddress::from_v4(octets), ntohs(raw.sin_port)};
  }
  if (get()->sa_family == AF_INET6) {
    sockaddr_in6 raw{};
    std::memcpy(&raw, storage.data(), sizeof raw);
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &raw.sin6_addr, octets.size());
    return {IpAddress::from_v6(octets), ntohs(raw.sin6_port)};
  }
  return {};
}

}  // namespace sluice

std::size_t std::hash<sluice::IpAddress>::operator()(const sluice::IpAddress& address) const noexcept {
  std::uint64_t halves[2];
  std::memcpy(halves, address.octets().data(), sizeof halves);
  return static_cast<std::size_t>((halves[0] * 0x9e3779b97f4a7c15u) ^
                                  (halves[1] + (address.is_v4() ? 1 : 0)) * 0xc2b2ae3d27d4eb4fu);
}
