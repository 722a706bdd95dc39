#include "net/dns/wire_name.h"

#include "net/dns/message.h"
#include "policy/base/ascii.h"

namespace sluice::net::dns {
namespace {

unsigned byte_at(std::span<const std::byte> bytes, std::size_t at) {
  return std::to_integer<unsigned>(bytes[at]);
}

void append_escaped(std::string& text, char c) {
  const auto value = static_cast<unsigned char>(c);
  if (value >= 0x20 && value < 0x7f && c != '.' && c != '\\') {
    text += to_lower(c);
    return;
  }
  text += '\\';
  text += static_cast<char>('0' + value / 100);
  text += static_cast<char>('0' + value / 10 % 10);
  text += static_cast<char>('0' + value % 10);
}

/// One byte of a label, unescaped; `at` moves behind it. nullopt: broken escape.
std::optional<char> take_label_byte(std::string_view text, std::size_t& at) {
  const char c = text[at++];
  if (c != '\\') return c;
  if (text.size() - at < 3) return std::nullopt;
  unsigned value = 0;
  for (unsigned i = 0; i < 3; ++i) {
    const char digit = text[at++];
    if (!is_digit(digit)) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(digit - '0');
  }
  if (value > 255) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace

std::optional<WireName> read_name(std::span<const std::byte> message, std::size_t at) {
  WireName out;
  std::size_t wire_bytes = 1;   // the root
  std::size_t part_start = at;  // where the labels being read begin: pointers have to go before it
  bool jumped = false;
  for (;;) {
    if (at >= message.size()) return std::nullopt;
    const unsigned length = byte_at(message, at);
    if (length >= 0xc0) {
      if (message.size() - at < 2) return std::nullopt;
      const std::size_t target = ((length & 0x3fu) << 8) | byte_at(message, at + 1);
      if (!jumped) out.end = at + 2;
      jumped = true;
      if (target >= part_start) return std::nullopt;
      part_start = at = target;
      continue;
    }
    if (length > kLabelBytesMax) return std::nullopt;  // 0x40 and 0x80: never standardised for use
    ++at;
    if (length == 0) break;
    wire_bytes += 1 + length;
    if (wire_bytes > kNameWireMax || message.size() - at < length) return std::nullopt;
    if (!out.text.empty()) out.text += '.';
    for (std::size_t i = 0; i < length; ++i)
      append_escaped(out.text, static_cast<char>(byte_at(message, at + i)));
    at += length;
  }
  if (!jumped) out.end = at;
  return out;
}

std::optional<std::string> encode_name(std::string_view text) {
  std::string wire;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length_at = wire.size();
    wire += '\0';
    while (at < text.size() && text[at] != '.') {
      const auto c = take_label_byte(text, at);
      if (!c) return std::nullopt;
      wire += *c;
    }
    const std::size_t length = wire.size() - length_at - 1;
    if (length == 0 || length > kLabelBytesMax || wire.size() >= kNameWireMax) return std::nullopt;
    wire[length_at] = static_cast<char>(length);
    if (at < text.size() && ++at == text.size()) return std::nullopt;  // a dot at the end
  }
  wire += '\0';
  return wire;
}

}  // namespace sluice::net::dns
