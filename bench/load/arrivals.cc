#include "bench/load/arrivals.h"

#include <cmath>

#include "bench/lib/hash.h"

namespace sluice::bench {

namespace {
double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e9; }
}  // namespace

ArrivalTimes::ArrivalTimes(const LoadPlan& plan, std::uint64_t index, std::uint64_t threads)
    : steps_(plan.rates),
      arrivals_(plan.arrivals),
      seed_(mix(plan.seed, index)),
      index_(index),
      threads_(threads) {}

double ArrivalTimes::next_in_step() {
  const Rate& rate = steps_[step_].rate;
  const double gap = seconds(rate.per) / static_cast<double>(rate.events);
  if (arrivals_ == Arrivals::Even) {
    // Computed from the count, not added up: no drift over a long run.
    return gap * static_cast<double>(index_ + threads_ * count_++);
  }
  const double draw = static_cast<double>(mix(seed_, draws_++) >> 11) * 0x1p-53;
  at_s_ += -std::log1p(-draw) * gap * static_cast<double>(threads_);
  return at_s_;
}

std::optional<Duration> ArrivalTimes::next() {
  while (step_ < steps_.size()) {
    const double at = next_in_step();
    const auto& lasts = steps_[step_].lasts;
    if (!lasts || at < seconds(*lasts)) {
      return Duration{static_cast<std::int64_t>((step_start_s_ + at) * 1e9)};
    }
    step_start_s_ += seconds(*lasts);
    ++step_;
    count_ = 0;
    at_s_ = 0;
  }
  return std::nullopt;
}

}  // namespace sluice::bench
