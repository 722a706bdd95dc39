#pragma once
// Which addresses of which mail hosts are tried, in which order (RFC 5321 5.1, RFC 7505), and what an answer
// without a usable host means for the recipient.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/smtp_reply.h"

namespace sluice::routing {

/// How the question "where does mail for this domain go" ended.
enum class RouteOutcome : std::uint8_t {
  Ok,               ///< there is at least one hop
  NullMx,           ///< RFC 7505: the domain says that it takes no mail
  NoSuchDomain,     ///< the name does not exist, and the zone itself says so
  NoAddress,        ///< the domain exists, but neither it nor its mail hosts have an address
  NoUsableAddress,  ///< addresses exist, but only of a family for which there is no source address
  LoopsBack,        ///< the best mail host is this server
  TargetRefused,    ///< the guard refuses every address (loopback, private, multicast ...)
  BadName,          ///< not a domain name and not an address literal
  TempFail,         ///< DNS did not answer, or not sensibly: nothing is known, try again later
};

/// True when another try cannot help and recipients are to be bounced. NoUsableAddress is permanent too: it
/// needs a change of the configuration or of the domain.
[[nodiscard]] bool is_permanent(RouteOutcome outcome);
/// RFC 3463 status for the recipient: 5.1.10, 5.1.2, 5.4.4, 5.4.6, 5.7.1, 4.4.3 ... Not for Ok (asserted).
[[nodiscard]] EnhancedStatus status_of(RouteOutcome outcome);
/// What accounting and DSNs show: "bad destination system: no such domain". Not for Ok (asserted).
[[nodiscard]] std::string_view text_of(RouteOutcome outcome);

/// Which targets are refused, because a stranger's DNS must not make this server talk to its own network.
enum class TargetGuard : std::uint8_t {
  Off,      ///< any unicast address; multicast, broadcast and the unspecified address are refused always
  Special,  ///< also loopback, link-local, 0.0.0.0/8, 240.0.0.0/4, documentation and benchmark networks
  Private,  ///< also private and shared networks (RFC 1918, 6598, 4193)
};
[[nodiscard]] bool is_refused_target(const IpAddress& address, TargetGuard guard);

/// Address families for which a source address exists.
struct Families {
  bool v4 = true;
  bool v6 = false;
  bool v6_first = false;  ///< with both: which family of a host is tried first
};

struct MxRules {
  static constexpr std::size_t kHopsMaxDefault = 64;
  Families families;
  TargetGuard guard = TargetGuard::Off;
  /// Addresses and names (lower case) this server answers at. A mail host among them cuts its preference and
  /// all worse ones from the list (RFC 5321 5.1). Empty: no check, for static routes.
  std::span<const IpAddress> own_addresses;
  std::span<const std::string> own_names;
  std::size_t hops_max = kHopsMaxDefault;
};

/// One mail host with its addresses; views are borrowed for the call.
struct MailHost {
  /// Groups of a static HOST-LIST (semicolons) come before MX preferences. 0 for plain MX.
  std::uint16_t group = 0;
  std::uint16_t preference = 0;
  std::string_view name;
  std::uint16_t port = 25;
  std::span<const IpAddress> addresses;
};

/// One attempt: host and address by their index in the input.
struct HopChoice {
  std::uint16_t host = 0;
  std::uint16_t address = 0;
  friend bool operator==(const HopChoice&, const HopChoice&) = default;
};

struct MxDecision {
  RouteOutcome outcome =
      RouteOutcome::NoAddress;  ///< Ok, NoAddress, NoUsableAddress, LoopsBack or TargetRefused
  std::vector<HopChoice> hops;
};

/// Orders by (group, preference). Hosts that are equal in both are shuffled, and so are the addresses of one
/// host; the first address of every host of such a set comes before the second of any, so that a dead host
/// costs one attempt. `random` decides the shuffle; the same number gives the same order.
[[nodiscard]] MxDecision order_mail_hosts(std::span<const MailHost> hosts, const MxRules& rules,
                                          std::uint64_t random);

}  // namespace sluice::routing
