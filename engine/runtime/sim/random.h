#pragma once
// Chance and its fingerprint: everything a simulated world decides comes from here, so that a seed is a whole story.

#include <cstdint>

#include "policy/base/assert.h"
#include "policy/base/units.h"

namespace sluice::runtime::sim {

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and every seed gives a good stream.
/// Thread: the world's only one.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    return mix(state_);
  }
  /// 0 .. bound - 1. Requires bound >= 1. The bias of the remainder is below 2^-32 for the bounds used here.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
    SLUICE_ASSERT(bound >= 1);
    return next() % bound;
  }
  /// Never for p <= 0 (and then takes nothing from the stream), always for p >= 1.
  [[nodiscard]] bool chance(double p) {
    if (p <= 0) return false;
    return static_cast<double>(next() >> 11) * 0x1.0p-53 < p;
  }
  /// low .. high, both included.
  [[nodiscard]] Duration between(Duration low, Duration high) {
    if (high <= low) return low;
    return low +
           Duration{static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count()) + 1))};
  }
  /// An independent stream, so that drawing from one part of the world does not shift another.
  [[nodiscard]] Random branch(std::uint64_t label) const { return Random(mix(state_ ^ mix(label + 1))); }

  [[nodiscard]] static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

/// An order-sensitive fingerprint of what happened. Never fed with addresses of memory: they differ between runs.
class Digest {
 public:
  void add(std::uint64_t word) {
    value_ = Random::mix(value_ ^ (word + 0x9e3779b97f4a7c15ULL + (value_ << 6)));
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

}  // namespace sluice::runtime::sim
