#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/settings/global_settings.h"

namespace sluice::shard {

/// The host's memory, from /proc/meminfo.
struct HostMemory {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;  ///< what programs could still get; the page cache counts as free
  [[nodiscard]] std::uint32_t used_percent() const;
};
/// nullopt: not such a text.
[[nodiscard]] std::optional<HostMemory> parse_meminfo(std::string_view text);

/// `spool-max-recipients`; auto: as many as fit into half of the host's memory, kRecipientBytes each, no
/// limit when the memory is unknown.
[[nodiscard]] std::uint64_t recipients_max(const config::GlobalSettings& globals,
                                           const std::optional<HostMemory>& memory);
/// What a queued recipient costs at most, with its message.
inline constexpr std::uint64_t kRecipientBytes = 128;

/// Whether memory is short, with a line for the log whenever that changes. `max-memory-usage-percent` 100:
/// never. Thread: one.
class MemoryWatch {
 public:
  /// Answers the line; empty: nothing changed.
  std::string look(const std::optional<HostMemory>& memory, std::uint32_t percent_max);
  [[nodiscard]] bool is_short() const { return short_; }

 private:
  bool short_ = false;
};

}  // namespace sluice::shard
