#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bench/load/load_plan.h"

namespace sluice::bench {

/// The times at which an open loop intends to send, seen from its start. They do not depend on how the server does:
/// a message that waits for a free connection has its latency measured from here (coordinated omission avoided).
/// Every thread has its own, and together they make the plan's rate. Thread: one.
class ArrivalTimes {
 public:
  /// Thread `index` of `threads`. Requires plan.rates not empty.
  ArrivalTimes(const LoadPlan& plan, std::uint64_t index, std::uint64_t threads);
  /// nullopt: the last step is over.
  [[nodiscard]] std::optional<Duration> next();

 private:
  [[nodiscard]] double next_in_step();
  const std::vector<RateStep>& steps_;
  Arrivals arrivals_;
  std::uint64_t seed_;
  std::uint64_t index_;
  std::uint64_t threads_;
  std::size_t step_ = 0;
  double step_start_s_ = 0;
  double at_s_ = 0;          // within the step; Poisson
  std::uint64_t count_ = 0;  // within the step
  std::uint64_t draws_ = 0;
};

}  // namespace sluice::bench
