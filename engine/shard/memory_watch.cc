#include "engine/shard/memory_watch.h"

#include <charconv>
#include <limits>

namespace sluice::shard {
namespace {

/// "MemTotal:       32768000 kB" of the line that begins with `name`.
std::optional<std::uint64_t> kilobytes_of(std::string_view text, std::string_view name) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    std::uint64_t value = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || value > std::numeric_limits<std::uint64_t>::max() / 1024) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::uint32_t HostMemory::used_percent() const {
  if (total_bytes == 0 || available_bytes >= total_bytes) return 0;
  // Never 100 while anything is left: that stands for "off".
  return static_cast<std::uint32_t>((total_bytes - available_bytes) / (total_bytes / 100 + 1));
}

std::optional<HostMemory> parse_meminfo(std::string_view text) {
  const auto total = kilobytes_of(text, "MemTotal:");
  const auto available = kilobytes_of(text, "MemAvailable:");
  if (!total || !available || *total == 0) return std::nullopt;
  return HostMemory{*total * 1024, *available * 1024};
}

std::uint64_t recipients_max(const config::GlobalSettings& globals, const std::optional<HostMemory>& memory) {
  if (globals.spool_max_recipients) return *globals.spool_max_recipients;
  return memory ? memory->total_bytes / 2 / kRecipientBytes : std::numeric_limits<std::uint64_t>::max();
}

std::string MemoryWatch::look(const std::optional<HostMemory>& memory, std::uint32_t percent_max) {
  const std::uint32_t used = memory ? memory->used_percent() : 0;
  const bool is = percent_max < 100 && used > percent_max;
  if (is == short_) return {};
  short_ = is;
  if (!is) return "Memory: " + std::to_string(used) + "% in use, new mail is accepted again";
  return "Memory: " + std::to_string(used) + "% in use, above max-memory-usage-percent " +
         std::to_string(percent_max) + ": new mail is refused with 452, deliveries go on";
}

}  // namespace sluice::shard
