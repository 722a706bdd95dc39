#pragma once

#include <string>

#include "engine/injection/client_rules.h"
#include "policy/base/ip_address.h"

namespace sluice::injection {

/// What we call ourselves to a client that connected to `local` (PowerMTA 5.0r5): the EHLO name of its
/// default virtual MTA (the first one of a pool, no rotation), else of the virtual MTA or global source that
/// owns `local`, else the first `host-name`.
[[nodiscard]] std::string greeting_name(const queue::Snapshot& snapshot, const ClientRules& rules,
                                        const IpAddress& local);

}  // namespace sluice::injection
