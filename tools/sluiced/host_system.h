#pragma once

#include "engine/shard/host_system.h"

namespace sluice::tools {

/// This host, from uname(2), sysinfo(2) and /proc/cpuinfo. What cannot be read stays empty.
[[nodiscard]] shard::HostSystem host_system();

}  // namespace sluice::tools
