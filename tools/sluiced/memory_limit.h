#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace sluice::tools {

/// The tightest limit on the memory of this process.
struct MemoryLimit {
  std::uint64_t bytes = 0;
  std::string what;  ///< for the operator: "the control group (memory.max)", "the address space (ulimit -v)"
};

/// The content of a file; empty when it cannot be read.
using ReadFile = std::function<std::string(const std::string& path)>;
[[nodiscard]] std::string read_whole_file(const std::string& path);

/// Limits of the process (RLIMIT_AS, RLIMIT_DATA) and of the control groups it is in, of both versions.
/// `address_space`, `data`: of the process, RLIM_INFINITY when there is none. nullopt: none is set.
[[nodiscard]] std::optional<MemoryLimit> memory_limit(std::uint64_t address_space, std::uint64_t data,
                                                      const ReadFile& read);
/// Of this process.
[[nodiscard]] std::optional<MemoryLimit> memory_limit();

/// What is needed to begin, of which `shard_bytes` by each shard; more is used as mail flows.
struct MemoryNeed {
  std::uint32_t shards = 1;
  std::uint64_t shard_bytes = 0;
  [[nodiscard]] std::uint64_t bytes() const;
};
/// Why the daemon cannot start within `limit` and what to do about it; empty: it can.
[[nodiscard]] std::string too_little_memory(const MemoryNeed& need, const std::optional<MemoryLimit>& limit);
/// Whether the system would give so much now. Takes nothing.
[[nodiscard]] bool is_given(std::uint64_t bytes);
/// Memory was refused at the start: in words, with the limit when one is known.
[[nodiscard]] std::string memory_refused(const MemoryNeed& need, const std::optional<MemoryLimit>& limit);

}  // namespace sluice::tools
