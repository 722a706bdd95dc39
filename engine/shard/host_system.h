#pragma once

#include <cstdint>
#include <string>

namespace sluice::shard {

/// The host as status trees name it (`mta.os`, `mta.cpu`, `mta.ram`). Filled in by who starts the node.
struct HostSystem {
  std::string os_name;     ///< "Linux"
  std::string os_version;  ///< "6.1.0-18-amd64"
  std::string os_build;
  std::string cpu_type;
  std::uint32_t cpu_count = 0;
  std::uint64_t ram_kib = 0;
};

}  // namespace sluice::shard
