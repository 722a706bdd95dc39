#pragma once
// Chance that can be repeated: every draw is a hash of a seed and of what is drawn for.

#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "bench/lib/values.h"
#include "policy/base/ascii.h"

namespace sluice::bench {

[[nodiscard]] inline std::uint64_t hash_of(std::string_view text, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

/// A good mix of 64 bits (the finaliser of SplitMix64).
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(a ^ mix(b)); }

/// `draw` mapped to 0 .. below - 1 evenly. Requires below >= 1.
[[nodiscard]] constexpr std::uint64_t scale_to(std::uint64_t draw, std::uint64_t below) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(draw) * below) >> 64);
}

/// True for `share` of all draws.
[[nodiscard]] constexpr bool falls_into(std::uint64_t draw, Share share) {
  return scale_to(draw, Share::kAll) < share.millionths;
}

}  // namespace sluice::bench
