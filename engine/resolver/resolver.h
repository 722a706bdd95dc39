#pragma once
// Names to mail hosts, for one shard: a bounded cache, one flight for each question, fair use of the name
// servers.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/resolver/dns_transport.h"
#include "engine/resolver/route_answer.h"
#include "engine/resolver/rrset.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "policy/routing/host_list.h"
#include "policy/routing/mx.h"

namespace sluice::resolver {

/// Limits and times of one shard's resolver.
struct ResolverOptions {
  std::uint64_t cache_bytes_max = 64 * kMiB;
  /// Answers with a shorter TTL are kept this long all the same, so that a TTL of 0 is not a query per
  /// connection.
  Duration ttl_min = 1s;
  Duration ttl_max = std::chrono::hours{24};
  Duration negative_ttl_max =
      std::chrono::hours{1};             ///< RFC 2308 5 allows 3 hours; new domains come up sooner
  Duration negative_ttl_default = 1min;  ///< a negative answer without SOA
  Duration failure_ttl = 10s;            ///< RFC 9520: failures are cached, 1 s to 5 min
  /// A failed refresh may answer with what was known before, that long after its expiry (RFC 8767). Absent:
  /// never.
  std::optional<Duration> serve_stale_for;
  /// Nobody waits longer: what is unknown then counts as failed. The questions go on and fill the cache.
  Duration answer_within = 60s;
  /// Once the best mail hosts are known, slow lookups of the others are waited for this long.
  Duration laggard_wait = 2s;
};

/// Ends look-ups early, because who asked is gone. What name servers were asked goes on, for the cache.
/// Thread: the resolver's shard. Lifetime: outlives the look-ups it is given to. Cost: leaving is linear in
/// the look-ups that share one.
class LookupStop {
 public:
  /// Look-ups under way answer Failure (routes: TempFail) at once, later ones unless the cache knows better.
  void stop() {
    stopped_ = true;
    for (runtime::Wakeup* one : waiting_) one->set();
  }
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// For another use. Requires that no look-up is under way.
  void renew() { stopped_ = false; }
  // The resolver's: who waits.
  void watch(runtime::Wakeup& waiting) { waiting_.push_back(&waiting); }
  void unwatch(const runtime::Wakeup& waiting) { std::erase(waiting_, &waiting); }

 private:
  std::vector<runtime::Wakeup*> waiting_;
  bool stopped_ = false;
};

/// What the asker can use. Views are borrowed until the task ends.
struct RouteOptions {
  routing::Families families;
  std::uint16_t port = 25;  ///< default-smtp-port
  routing::TargetGuard guard = routing::TargetGuard::Off;
  std::span<const IpAddress> own_addresses;  ///< mail hosts here mean "loops back"; MX routes only
  std::span<const std::string> own_names;
  /// What is known for a shorter time than this is asked for again now: keeps busy names from running out.
  Duration fresh_for{0};
  LookupStop* stop = nullptr;  ///< ends it with TempFail; null: nobody does
};

/// Thread:   one shard.
/// Lifetime: `reactor` and `transport` outlive it; stop() has been awaited before destruction (asserted).
///           stop() stops the transport too.
/// Limits:   kQueriesInFlightMax questions under way, a quarter of them kept for names that have been
///           answered before, so that a flood of new or dead domains does not hold up the busy ones;
///           kQueriesPerAskerMax for one domain; domains take turns. kAskersMax waiting; beyond it answers
///           are TempFail with `busy`. kMailHostsMax hosts of a domain are looked at, the most preferred
///           ones. Cache: ResolverOptions::cache_bytes_max.
/// Errors:   none: every ending is a RouteAnswer.
class Resolver {
 public:
  static constexpr std::size_t kQueriesInFlightMax = 512;
  static constexpr std::size_t kQueriesInFlightNewMax = kQueriesInFlightMax / 4 * 3;
  static constexpr std::size_t kQueriesPerAskerMax = 8;
  static constexpr std::size_t kAskersMax = 65536;
  static constexpr std::size_t kMailHostsMax = 20;
  static constexpr std::size_t kCnameChaseMax = 8;

  Resolver(runtime::Reactor& reactor, DnsTransport& transport, ResolverOptions options = {});
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  /// Where mail for `domain` goes: its MX hosts, or without MX the domain's own addresses, or the address of
  /// a literal ("[192.0.2.1]"). Case and one dot at the end do not matter. Suspends only when DNS has to be
  /// asked.
  [[nodiscard]] runtime::Task<RouteAnswer> resolve_mail_hosts(std::string domain, RouteOptions options);
  /// The same without a coroutine when everything needed is in the cache; nullopt: use resolve_mail_hosts().
  [[nodiscard]] std::optional<RouteAnswer> find_mail_hosts(std::string_view domain,
                                                           const RouteOptions& options);

  /// The hops of a static route (`smtp-hosts`, `route`). `hosts` is borrowed until the task ends. No loop
  /// check and no no_mx: the operator has said where mail goes. What does not exist or is no name is left
  /// out.
  [[nodiscard]] runtime::Task<RouteAnswer> resolve_static_hosts(const routing::HostList& hosts,
                                                                RouteOptions options);

  /// One question, for rollups (MX), SPF (TXT, A, MX, PTR), DANE (TLSA), MTA-STS (TXT). Never empty. CNAMEs
  /// are followed. `within`: a Failure after this time, or ResolverOptions::answer_within when that is
  /// shorter. `stop` (may be null) ends it with a Failure.
  [[nodiscard]] runtime::Task<RrsetRef> lookup(std::string name, net::dns::Type type,
                                               Duration within = Duration::max(), LookupStop* stop = nullptr);

  /// What the cache says about one question, `name` in lower case: find() while it holds, find_any() also
  /// when its time is over. Empty: nothing is known. CNAMEs have been followed.
  [[nodiscard]] RrsetRef find(std::string_view name, net::dns::Type type) const;
  [[nodiscard]] RrsetRef find_any(std::string_view name, net::dns::Type type) const;

  /// Forgets everything cached (`pmta clear dnscache`); what is under way goes on. `domain`: only the MX, A,
  /// AAAA, TXT and PTR of it.
  void clear_cache();
  void clear_cache(std::string_view domain);

  /// Answers everybody waiting with TempFail, stops the transport, resolves when nothing runs any more.
  [[nodiscard]] runtime::Task<void> stop();

  struct Counters {
    std::uint64_t asked = 0;            ///< routes and lookups asked for
    std::uint64_t answered_cached = 0;  ///< of these, without a query
    std::uint64_t queries = 0;          ///< questions given to the transport
    std::uint64_t joined = 0;           ///< questions that found the same one under way
    std::uint64_t failures = 0;         ///< queries that ended in Rrset::Kind::Failure
    std::uint64_t bad_answers = 0;      ///< of these, because the answer was nonsense
    std::uint64_t stale_served = 0;
    std::uint64_t turned_away = 0;  ///< `busy` answers
    std::uint64_t evictions = 0;
    std::uint64_t cache_entries = 0;  ///< now
    std::uint64_t cache_bytes = 0;    ///< now
    std::uint64_t in_flight = 0;      ///< now
    std::uint64_t waiting = 0;        ///< questions waiting for a slot, now
  };
  [[nodiscard]] Counters counters() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::resolver
