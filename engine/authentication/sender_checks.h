#pragma once
// SPF and iprev, asked of DNS.

#include <string>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/runtime/task.h"
#include "policy/spf/check.h"
#include "policy/spf/iprev.h"

namespace sluice::authentication {

/// For a whole check; RFC 7208 4.6.4 asks for 20 s at least. Then: TempError.
inline constexpr Duration kCheckTimeMax = 20s;

/// What DNS was asked and said, a line of printable ASCII each: "A mail.example.com: 192.0.2.1".
using DnsLines = std::vector<std::string>;
/// Of one answer; more is cut.
inline constexpr std::size_t kDnsLineBytesMax = 600;

/// What a check works with. All but `resolver` and `reactor` may be null.
struct Asking {
  runtime::Reactor& reactor;
  resolver::Resolver& resolver;
  resolver::LookupStop* stop = nullptr;  ///< stopped: the outcome says nothing, throw it away
  DnsLines* lines = nullptr;             ///< gets what was asked
};

/// Thread: `resolver`'s shard. Lifetime: what `asking` refers to outlives the task.
/// Limits: kCheckTimeMax, spf::Check::kQuestionsMax. Errors: none, every ending is an outcome.
/// `settings.now` is filled in here. Texts of the outcome are printable ASCII.
[[nodiscard]] runtime::Task<spf::Outcome> check_spf(Asking asking, IpAddress client, spf::Identity identity,
                                                    spf::CheckSettings settings);
[[nodiscard]] runtime::Task<spf::IprevOutcome> check_iprev(Asking asking, IpAddress client);

}  // namespace sluice::authentication
