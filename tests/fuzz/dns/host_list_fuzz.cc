// Goal: any text for a host list either parses or is complained about at a place inside it.
// How: libFuzzer; what parses is printed and has to parse to the same list again.

#include "policy/base/assert.h"
#include "policy/routing/host_list.h"

using namespace sluice::routing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_address_literal(text);
  for (const auto& list : {parse_host_list(text), parse_route(text)}) {
    if (!list) {
      SLUICE_ASSERT(list.error().column <= text.size() && !list.error().message.empty());
      continue;
    }
    SLUICE_ASSERT(!list->hosts.empty() && list->hosts.size() <= HostList::kHostsMax);
    const auto again = parse_host_list(list->text());
    SLUICE_ASSERT(again.has_value() && again->text() == list->text());
  }
  return 0;
}
