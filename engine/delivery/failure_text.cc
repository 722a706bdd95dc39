#include "engine/delivery/failure_text.h"

#include <cerrno>

namespace sluice::delivery {

std::string connect_failure_text(const Error& error, std::string_view host, const Endpoint& to) {
  const std::string where = std::string(host) + " (" + to.address.text() + ')';
  switch (error.sys_errno) {
    case ECONNREFUSED: return "ECONNREFUSED connecting to " + where;
    case ETIMEDOUT: return "ETIMEDOUT in connection to " + where;
    case ECONNRESET: return "ECONNRESET connecting to " + where;
    case EHOSTUNREACH: return "EHOSTUNREACH connecting to " + where;
    case ENETUNREACH: return "ENETUNREACH connecting to " + where;
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL connecting to " + where;
    default: break;
  }
  return error.text() + " connecting to " + where;
}

}  // namespace sluice::delivery
