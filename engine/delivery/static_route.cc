#include "engine/delivery/static_route.h"

namespace sluice::delivery {

routing::HostList to_routing(const config::HostList& hosts) {
  routing::HostList out;
  std::uint16_t group = 0;
  for (const auto& equal : hosts.groups) {
    for (const config::SmtpHost& host : equal) {
      routing::StaticHost one;
      one.kind = host.address     ? routing::StaticHost::Kind::Address
                 : host.lookup_mx ? routing::StaticHost::Kind::LookupMx
                                  : routing::StaticHost::Kind::Host;
      one.name = host.name;
      if (host.address) one.address = *host.address;
      one.port = host.port;
      one.group = group;
      out.hosts.push_back(std::move(one));
    }
    ++group;
  }
  return out;
}

}  // namespace sluice::delivery
