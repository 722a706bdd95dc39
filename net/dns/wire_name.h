#pragma once
// Names on the wire (RFC 1035 3.1, 4.1.4). Inner part of net/dns.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::net::dns {

/// A name read from a message and the offset behind it.
struct WireName {
  std::string text;  ///< lower case, escaped; see message.h
  std::size_t end = 0;
};

/// Reads the name at `at`. A pointer has to point before the name part it ends, so every jump goes further
/// back and the walk ends. nullopt: cut off, more than kNameWireMax bytes, a pointer that does not go back, a
/// reserved label type.
[[nodiscard]] std::optional<WireName> read_name(std::span<const std::byte> message, std::size_t at);

/// The wire form of `text`, uncompressed and in its own case, 1 to kNameWireMax bytes. nullopt: empty or long
/// labels, a name too long, a broken escape.
[[nodiscard]] std::optional<std::string> encode_name(std::string_view text);

}  // namespace sluice::net::dns
