#pragma once
// Names for programs that wait for the answer. The C library would leave threads behind that are still at work
// when such a program ends.

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/config/facts.h"

namespace sluice::tools {

/// Asks `servers`, or the system's name servers when there are none, for addresses of all `names` at once. Only
/// DNS counts, as for the receivers who will ask: no hosts file, no search list.
/// Thread: any one, and no other is made. Limits: returns after `at_most`; names without an answer by then are
/// Unknown.
[[nodiscard]] std::vector<config::HostFacts::Resolves> look_up_names(std::span<const std::string> names,
                                                                     std::span<const Endpoint> servers,
                                                                     Duration at_most);

/// The addresses of `host` as this system knows them, its hosts file included, the preferred ones first.
/// Thread: as above. Errors: in words for the operator.
[[nodiscard]] std::expected<std::vector<IpAddress>, std::string> addresses_of(const std::string& host,
                                                                              Duration at_most);

}  // namespace sluice::tools
