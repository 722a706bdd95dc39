#pragma once
// Little-endian numbers and short strings in records. Pure.

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "policy/base/units.h"

namespace sluice::log {

static_assert(std::endian::native == std::endian::little,
              "the formats are little-endian and copied as they are");

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <class T>
[[nodiscard]] T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// Writes into memory whose size was computed before. Thread: any.
class Encoder {
 public:
  explicit Encoder(std::byte* at) : at_(at) {}
  template <class T>
  void number(T value) {
    store(at_, value);
    at_ += sizeof value;
  }
  void bytes(std::span<const std::byte> all) {
    if (all.empty()) return;
    std::memcpy(at_, all.data(), all.size());
    at_ += all.size();
  }
  /// Two bytes of length, then the text. Requires at most 65,535 bytes.
  void text16(std::string_view text) {
    number(static_cast<std::uint16_t>(text.size()));
    bytes(std::as_bytes(std::span(text)));
  }
  /// Seven bits a byte, lowest first: 1 to 10 bytes.
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) number(static_cast<std::uint8_t>(value | 0x80));
    number(static_cast<std::uint8_t>(value));
  }
  void signed_varint(std::int64_t value) {
    const auto raw = static_cast<std::uint64_t>(value);
    varint((raw << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
  }
  void text(std::string_view value) {
    varint(value.size());
    bytes(std::as_bytes(std::span(value)));
  }
  [[nodiscard]] std::byte* at() const { return at_; }

 private:
  std::byte* at_;
};

/// A stored time. What cannot be one (before 1970, after 2248) becomes the nearest that can: later arithmetic
/// in nanoseconds must not overflow, whatever somebody wrote into a file.
[[nodiscard]] inline WallTime stored_time(std::int64_t milliseconds) {
  constexpr std::int64_t kMax = std::int64_t{1} << 43;
  return WallTime(std::chrono::milliseconds(std::clamp<std::int64_t>(milliseconds, 0, kMax)));
}

/// Reads what may be damaged: every read is checked; after the first failure all answer zero and ok() is
/// false. Thread: any. Lifetime: views the bytes.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  void fail() {
    ok_ = false;
    at_ = bytes_.size();
  }
  template <class T>
  T number() {
    if (left() < sizeof(T)) {
      fail();
      return T{};
    }
    const T value = load<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }
  std::span<const std::byte> bytes(std::size_t size) {
    if (left() < size) {
      fail();
      return {};
    }
    const auto part = bytes_.subspan(at_, size);
    at_ += size;
    return part;
  }
  std::string_view view(std::size_t size) {
    const auto part = bytes(size);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::string_view text16() { return view(number<std::uint16_t>()); }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto part = number<std::uint8_t>();
      if (shift == 63 && part > 1) break;
      value |= std::uint64_t{part & 0x7fu} << shift;
      if (part < 0x80) return value;
    }
    fail();
    return 0;
  }
  std::int64_t signed_varint() {
    const std::uint64_t raw = varint();
    return static_cast<std::int64_t>((raw >> 1) ^ ((raw & 1) != 0 ? ~std::uint64_t{0} : 0));
  }
  std::string_view text() {
    const std::uint64_t size = varint();
    if (size > left()) {
      fail();
      return {};
    }
    return view(static_cast<std::size_t>(size));
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

[[nodiscard]] constexpr std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}
[[nodiscard]] constexpr std::size_t round_up(std::size_t value, std::size_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace sluice::log
