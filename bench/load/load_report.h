#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/lib/process.h"
#include "bench/load/load_shard.h"

namespace sluice::bench {

/// Processor time another process used during the run.
struct WatchedProcess {
  std::uint64_t pid = 0;
  CpuTime before;
  CpuTime after;
};

struct LoadResult {
  std::string run;
  std::uint64_t started = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t unknown = 0;
  std::uint64_t unsent = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  std::uint64_t connects = 0;
  std::uint64_t connects_failed = 0;
  std::uint64_t connections_lost = 0;
  Duration time{0};
  CpuTime cpu;
  Histogram latency_ns;
  std::vector<std::pair<std::string, std::uint64_t>> refusals;
  std::vector<WatchedProcess> watched;
  [[nodiscard]] double per_second() const;
};

/// Adds the threads up. Thread: after they have ended.
[[nodiscard]] LoadResult add_up(const std::vector<std::unique_ptr<LoadCounters>>& threads);
[[nodiscard]] std::string load_result_text(const LoadResult& result);
[[nodiscard]] std::string load_result_json(const LoadResult& result);

}  // namespace sluice::bench
