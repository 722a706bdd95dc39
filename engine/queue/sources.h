#pragma once
// Which addresses a virtual MTA sends from, as its configuration means it.

#include <unordered_map>
#include <vector>

#include "engine/queue/identity.h"
#include "policy/config/config.h"

namespace sluice::queue {

/// Fills in the sources of `vmta`. What it says itself counts before what its pool and the global settings
/// say:
///   smtp-proxy-source-host   through that proxy
///   use-proxy                its own, its pool's, the global one: through those in their order, from the
///   clients
///                            of each in rotation; smtp-source-host says what to reach them from
///   smtp-source-host         directly
///   global smtp-proxy-source-host, then global smtp-source-host; else the system chooses
/// `local_addresses`: this host's, for blocks such as 192.0.2.0/24. A block without any leaves
/// smtp-source-host without that source, and smtp-proxy-source-host to the system's choice: never past the
/// proxy. Thread: control shard.
void add_sources(Identity& out, const config::Config& config, const config::Vmta& vmta,
                 const std::vector<IpAddress>& local_addresses);

/// The VMTA that owns an address of this host: one that names it before the global list, then file order.
[[nodiscard]] std::unordered_map<IpAddress, config::VmtaId> owners_of(
    const config::Config& config, const std::vector<Identity>& identities);

}  // namespace sluice::queue
