#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/smtp_reply.h"
#include "policy/base/units.h"
#include "policy/routing/mx.h"

namespace sluice::resolver {

/// One place to connect to.
struct RouteHop {
  Endpoint endpoint;
  std::uint16_t group = 0;       ///< of a static host list; 0 for MX
  std::uint16_t preference = 0;  ///< MX preference; 0 for hosts without one
  std::uint16_t host = 0;        ///< number of the mail host: hops of one host have the same
  std::uint32_t name_at = 0;     ///< in RouteAnswer's names
  std::uint8_t name_bytes = 0;
};

/// Where mail for a domain goes: the hops to try, in order, or why there are none. A plain value.
struct RouteAnswer {
  routing::RouteOutcome outcome = routing::RouteOutcome::TempFail;
  /// The domain has no MX record and its own addresses were used or asked for (RFC 5321 5.1). The caller
  /// judges by `bounce-upon-no-mx`; never set for static hosts.
  bool no_mx = false;
  /// TempFail only: not DNS but Sluice itself is too busy (Resolver::kAskersMax). Not worth a failed attempt.
  bool busy = false;
  /// Some mail hosts could not be looked up (yet); asking again may give more hops.
  bool incomplete = false;
  MonoTime valid_until{};  ///< asking before gives the same hosts, shuffled anew
  std::vector<RouteHop> hops;
  std::string names;
  std::string failed_name;  ///< TempFail: what could not be resolved

  [[nodiscard]] bool ok() const { return outcome == routing::RouteOutcome::Ok; }
  /// The mail host's name, lower case; for address literals "[192.0.2.1]". Valid while the answer lives.
  [[nodiscard]] std::string_view host_of(const RouteHop& hop) const {
    return std::string_view(names).substr(hop.name_at, hop.name_bytes);
  }
  /// The queue's "last error": "StatusDnsQueryFailed resolving mx.example.com", or the outcome's text. Not
  /// for Ok.
  [[nodiscard]] std::string error_text() const;
  /// Status of the recipients when not Ok.
  [[nodiscard]] EnhancedStatus status() const { return routing::status_of(outcome); }
};

}  // namespace sluice::resolver
