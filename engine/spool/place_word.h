#pragma once
// Where a message is, in one word that changes in one step: 16 bits segment slot, 32 bits offset / 8, 16 bits commit
// buffer + 1 (0: in none).

#include <cstdint>
#include <optional>

#include "policy/base/assert.h"

namespace sluice::spool {

struct PlaceWord {
  static constexpr std::uint32_t kBuffersMax = 0xfffe;
  std::uint32_t slot = 0;
  std::uint32_t offset = 0;
  std::optional<std::uint32_t> buffer;

  [[nodiscard]] std::uint64_t pack() const {
    SLUICE_ASSERT(slot <= 0xffff && offset % 8 == 0 && (!buffer || *buffer <= kBuffersMax));
    return std::uint64_t{slot} << 48 | std::uint64_t{offset / 8} << 16 | (buffer ? *buffer + 1 : 0);
  }
  [[nodiscard]] static PlaceWord unpack(std::uint64_t word) {
    PlaceWord out;
    out.slot = static_cast<std::uint32_t>(word >> 48);
    out.offset = static_cast<std::uint32_t>(word >> 16) * 8;
    if (const auto buffer = static_cast<std::uint32_t>(word & 0xffff); buffer != 0) out.buffer = buffer - 1;
    return out;
  }
};

}  // namespace sluice::spool
