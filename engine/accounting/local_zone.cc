#include "engine/accounting/local_zone.h"

#include <span>

#include "engine/runtime/file.h"

namespace sluice::accounting {

runtime::Task<TimeZone> read_local_zone(runtime::Reactor& reactor, ZoneChoice choice) {
  std::string name = choice.tz.value_or("/etc/localtime");
  if (name.starts_with(':')) name.erase(0, 1);
  if (name.empty()) co_return TimeZone();
  std::string path = name.starts_with('/') ? name : choice.directory + '/' + name;
  const Result<std::string> bytes =
      co_await runtime::read_small_file(reactor, std::move(path), TimeZone::kFileBytesMax);
  std::optional<TimeZone> zone;
  if (bytes) zone = TimeZone::parse_tzif(std::as_bytes(std::span(*bytes)));
  if (!zone) zone = TimeZone::parse_rule(name);
  co_return zone.value_or(TimeZone());
}

}  // namespace sluice::accounting
