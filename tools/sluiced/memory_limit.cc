#include "tools/sluiced/memory_limit.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

namespace sluice::tools {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;
/// The configuration, names, the command line's side, threads.
constexpr std::uint64_t kProcessBytes = 48 * kMiB;
/// A control group of version 1 without a limit shows the largest multiple of a page.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 62;

std::string megabytes(std::uint64_t bytes) { return std::to_string((bytes + kMiB - 1) / kMiB) + " MB"; }

void take(std::optional<MemoryLimit>& tightest, std::uint64_t bytes, std::string what) {
  if (bytes >= kNoLimit || (tightest && tightest->bytes <= bytes)) return;
  tightest = MemoryLimit{bytes, std::move(what)};
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;  // "max"
  return value;
}

/// The group and all that it lies in: the tightest counts.
void take_groups(std::optional<MemoryLimit>& tightest, const std::string& root, std::string group,
                 const std::string& file, const ReadFile& read) {
  for (;;) {
    if (const auto bytes = number_in(read(root + group + '/' + file)))
      take(tightest, *bytes, "the control group (" + file + ')');
    if (group.empty()) return;
    const std::size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace

std::string read_whole_file(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

std::optional<MemoryLimit> memory_limit(std::uint64_t address_space, std::uint64_t data,
                                        const ReadFile& read) {
  std::optional<MemoryLimit> tightest;
  if (address_space != RLIM_INFINITY) take(tightest, address_space, "the address space (ulimit -v, LimitAS)");
  if (data != RLIM_INFINITY) take(tightest, data, "data (ulimit -d, LimitDATA)");
  std::istringstream groups(read("/proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    // "0::/system.slice/sluice.service", or of version 1 "5:cpu,memory:/docker/1234".
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers == ",,") take_groups(tightest, "/sys/fs/cgroup", group, "memory.max", read);
    if (controllers.find(",memory,") != std::string::npos)
      take_groups(tightest, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", read);
  }
  return tightest;
}

std::optional<MemoryLimit> memory_limit() {
  const auto limit_of = [](auto which) {
    rlimit limit{};
    return ::getrlimit(which, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
  };
  return memory_limit(limit_of(RLIMIT_AS), limit_of(RLIMIT_DATA), read_whole_file);
}

std::uint64_t MemoryNeed::bytes() const { return kProcessBytes + shards * shard_bytes; }

std::string too_little_memory(const MemoryNeed& need, const std::optional<MemoryLimit>& limit) {
  if (!limit || limit->bytes >= need.bytes()) return {};
  return memory_refused(need, limit);
}

bool is_given(std::uint64_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  ::munmap(memory, bytes);
  return true;
}

std::string memory_refused(const MemoryNeed& need, const std::optional<MemoryLimit>& limit) {
  std::string out = "not enough memory: " + std::to_string(need.shards) +
                    (need.shards == 1 ? " shard needs " : " shards need ") + megabytes(need.bytes()) +
                    " to start";
  if (limit) out += ", and " + limit->what + " is limited to " + megabytes(limit->bytes);
  out += ".\nRaise the limit";
  if (need.shards > 1) out += ", or set `shards` to fewer: each needs " + megabytes(need.shard_bytes);
  return out;
}

}  // namespace sluice::tools
