// Goal: no zone file, however broken, makes local time crash, loop or leave a day.
// How: input is the file; what is accepted is asked for some midnights.
#include <cstddef>
#include <cstdint>

#include "policy/accounting/time_zone.h"
#include "policy/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using namespace sluice::accounting;
  const auto zone = TimeZone::parse_tzif(std::as_bytes(std::span(data, size)));
  if (!zone) return 0;
  for (const std::int64_t seconds : {0, 1'767'571'200, 2'000'000'000}) {
    const WallTime time{std::chrono::seconds(seconds)};
    const WallTime midnight = zone->next_midnight(time);
    SLUICE_ASSERT(midnight > time && midnight <= time + std::chrono::hours(27));
    (void)zone->day_of(midnight);
  }
  return 0;
}
