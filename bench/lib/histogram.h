#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/base/assert.h"

namespace sluice::bench {

/// Counts of values on a log-linear scale with three significant digits, in the manner of HdrHistogram: every power of
/// two is cut into 1,024 equal parts, so a value is off by less than 0.1 %.
/// Thread: one; merge() brings the histograms of several together.
/// Limits: values up to kValueMax (with nanoseconds: 2.4 hours); larger ones count as kValueMax and are told by
///         clipped(). 278 KiB.
class Histogram {
 public:
  static constexpr unsigned kPartBits = 10;
  static constexpr unsigned kValueBits = 43;
  static constexpr std::uint64_t kValueMax = (std::uint64_t{1} << kValueBits) - 1;

  Histogram() : counts_(slot_of(kValueMax) + 1) {}

  void record(std::uint64_t value) { record(value, 1); }
  void record(std::uint64_t value, std::uint64_t times);
  void merge(const Histogram& other);
  void clear();

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t min() const { return count_ == 0 ? 0 : min_; }  ///< exact
  [[nodiscard]] std::uint64_t max() const { return max_; }                    ///< exact
  [[nodiscard]] double mean() const;                                          ///< exact
  [[nodiscard]] std::uint64_t clipped() const { return clipped_; }
  /// The smallest recordable value that at least `share` (0 .. 1) of all values do not exceed. 0 when empty.
  [[nodiscard]] std::uint64_t at_share(double share) const;
  [[nodiscard]] std::uint64_t percentile(double percent) const { return at_share(percent / 100.0); }

  /// Where a value is counted, and the largest value counted there. Public for tests.
  [[nodiscard]] static constexpr std::size_t slot_of(std::uint64_t value) {
    if (value < kParts) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kPartBits;
    return (static_cast<std::size_t>(shift) << kPartBits) + static_cast<std::size_t>(value >> shift);
  }
  [[nodiscard]] static constexpr std::uint64_t highest_in(std::size_t slot) {
    if (slot < kParts) return slot;
    const std::size_t shift = (slot >> kPartBits) - 1;
    const std::uint64_t top = slot - (shift << kPartBits);
    return ((top + 1) << shift) - 1;
  }

 private:
  static constexpr std::size_t kParts = std::size_t{1} << kPartBits;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t min_ = UINT64_MAX;
  std::uint64_t max_ = 0;
  std::uint64_t clipped_ = 0;
  double sum_ = 0;
};

/// "p50 1.2ms p90 … max …" of nanoseconds.
[[nodiscard]] std::string latency_text(const Histogram& nanoseconds);

}  // namespace sluice::bench
