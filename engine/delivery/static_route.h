#pragma once

#include "policy/routing/host_list.h"
#include "policy/settings/values.h"

namespace sluice::delivery {

/// `smtp-hosts` of the configuration as the resolver takes it.
[[nodiscard]] routing::HostList to_routing(const config::HostList& hosts);

}  // namespace sluice::delivery
