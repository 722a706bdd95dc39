#include "engine/injection/greeting_name.h"

#include "policy/base/ascii.h"

namespace sluice::injection {

std::string greeting_name(const queue::Snapshot& snapshot, const ClientRules& rules, const IpAddress& local) {
  const std::string_view usual = rules.listener_virtual_mta.empty()
                                     ? std::string_view(rules.settings.default_virtual_mta)
                                     : std::string_view(rules.listener_virtual_mta);
  const auto ehlo = [&snapshot](config::VmtaId id) { return snapshot.identity(id).sources.front().ehlo; };
  const auto target = snapshot.rules->directory().find(usual);
  if (target && !iequals(usual, config::kDefaultVmtaName)) {
    if (const auto* vmta = std::get_if<config::VmtaId>(&*target)) return ehlo(*vmta);
    if (const auto* pool = std::get_if<config::PoolId>(&*target)) {
      return ehlo(snapshot.config->pool(*pool).settings.members.front().id);
    }
  }
  if (const auto owner = snapshot.owners.find(local); owner != snapshot.owners.end()) {
    for (const queue::SourceAddress& source : snapshot.identity(owner->second).sources) {
      if (!source.proxy && source.address == local) return source.ehlo;
    }
    // What is reached through a proxy has another name than this address.
    const auto& own = snapshot.config->vmta(owner->second).settings.smtp_source_host;
    for (const config::SourceHost& host : own.empty() ? snapshot.config->globals.smtp_source_host : own) {
      if (host.source.contains(local) && !host.ehlo.empty()) return host.ehlo;
    }
  }
  const auto& names = snapshot.config->globals.host_name;
  return names.empty() ? "localhost" : names.front();
}

}  // namespace sluice::injection
