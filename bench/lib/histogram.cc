#include "bench/lib/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/lib/values.h"

namespace sluice::bench {

void Histogram::record(std::uint64_t value, std::uint64_t times) {
  if (value > kValueMax) {
    value = kValueMax;
    clipped_ += times;
  }
  counts_[slot_of(value)] += times;
  count_ += times;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value) * static_cast<double>(times);
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  clipped_ += other.clipped_;
  sum_ += other.sum_;
}

void Histogram::clear() { *this = Histogram(); }

double Histogram::mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }

std::uint64_t Histogram::at_share(double share) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t slot = 0; slot < counts_.size(); ++slot) {
    seen += counts_[slot];
    if (seen >= rank) return std::clamp(highest_in(slot), min_, max_);
  }
  return max_;
}

std::string latency_text(const Histogram& nanoseconds) {
  const auto at = [&](double percent) {
    return duration_text(Duration{static_cast<std::int64_t>(nanoseconds.percentile(percent))});
  };
  return fmt::format("p50 {} p90 {} p99 {} p99.9 {} max {}", at(50), at(90), at(99), at(99.9), at(100));
}

}  // namespace sluice::bench
