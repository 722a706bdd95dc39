#pragma once

#include <optional>
#include <string>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "policy/accounting/time_zone.h"

namespace sluice::accounting {

/// Which zone an operator has chosen for a process, as for every other program (tzset(3)).
struct ZoneChoice {
  std::optional<std::string> tz;                  ///< `TZ`; nullopt: not set
  std::string directory = "/usr/share/zoneinfo";  ///< `TZDIR`
};

/// The zone that `TZ` names, a file or a rule, else that of /etc/localtime; UTC when there is none or it cannot be
/// read.
[[nodiscard]] runtime::Task<TimeZone> read_local_zone(runtime::Reactor& reactor, ZoneChoice choice);

}  // namespace sluice::accounting
