#pragma once
// What the programs need of the process they are: signals as an event, processor time, whole files.

#include <string>
#include <vector>

#include "bench/lib/values.h"
#include "policy/base/result.h"

namespace sluice::bench {

/// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it starts, ignores SIGPIPE, and answers a
/// descriptor that becomes readable when one of the three comes. Call it first in main().
[[nodiscard]] Result<int> signal_descriptor();
/// Raises the limit of open files to what is allowed; answers it.
std::uint64_t raise_descriptor_limit();

/// Processor time used so far.
struct CpuTime {
  Duration user{0};
  Duration system{0};
  [[nodiscard]] Duration total() const { return user + system; }
};
[[nodiscard]] CpuTime own_cpu_time();
/// Of another process, from /proc; ticks of 10 ms. Errors: NotFound.
[[nodiscard]] Result<CpuTime> cpu_time_of(std::uint64_t pid);

/// A whole file. Errors: NotFound, Permission, Io; NoSpace beyond `bytes_max`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max = 64 * kMiB);

}  // namespace sluice::bench
