#include "tools/sluiced/host_system.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <string_view>

#include "policy/base/ascii.h"
#include "tools/sluiced/memory_limit.h"

namespace sluice::tools {
namespace {

/// The value of the first line that begins with `name`.
std::string field_of(std::string_view text, std::string_view name) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (line.starts_with(name) && colon != std::string_view::npos)
      return std::string(trim(line.substr(colon + 1)));
    at = end + 1;
  }
  return {};
}

}  // namespace

shard::HostSystem host_system() {
  shard::HostSystem out;
  struct utsname system{};
  if (::uname(&system) == 0) {
    out.os_name = system.sysname;
    out.os_version = system.release;
    out.os_build = system.version;
    out.cpu_type = system.machine;
  }
  const std::string model = field_of(read_whole_file("/proc/cpuinfo"), "model name");
  if (!model.empty()) out.cpu_type = model;
  out.cpu_count = static_cast<std::uint32_t>(std::max(1, ::get_nprocs()));
  struct sysinfo memory{};
  if (::sysinfo(&memory) == 0) out.ram_kib = std::uint64_t{memory.totalram} * memory.mem_unit / 1024;
  return out;
}

}  // namespace sluice::tools
