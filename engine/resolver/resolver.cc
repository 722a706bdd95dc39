#include "engine/resolver/resolver.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/resolver/flights.h"
#include "engine/resolver/gathering.h"
#include "engine/resolver/rrset_cache.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/dns_name.h"
#include "policy/base/idn.h"

namespace sluice::resolver {

using net::dns::Type;
using routing::RouteOutcome;
using routing::StaticHost;
using runtime::Task;

namespace {

/// The element a recipient's domain stands for; nullopt: neither a name nor a literal.
std::optional<StaticHost> element_of(std::string_view domain) {
  StaticHost element;
  if (!domain.empty() && domain.front() == '[') {
    const auto literal = routing::parse_address_literal(domain);
    if (!literal) return std::nullopt;
    element.kind = StaticHost::Kind::Address;
    element.address = *literal;
    return element;
  }
  if (domain.size() > 1 && domain.back() == '.') domain.remove_suffix(1);
  std::optional<std::string> name = to_a_labels(domain);
  if (!name || !routing::is_domain_name(*name)) return std::nullopt;
  element.kind = StaticHost::Kind::LookupMx;
  element.name = std::move(*name);
  return element;
}

RouteAnswer answer_of(RouteOutcome outcome) {
  RouteAnswer answer;
  answer.outcome = outcome;
  return answer;
}

/// Sets a wakeup when its time has come.
struct Alarm : runtime::Timer {
  explicit Alarm(runtime::Wakeup& target)
      : Timer([](Timer& timer) {
          auto& alarm = static_cast<Alarm&>(timer);
          alarm.rang = true;
          alarm.wakeup.set();
        }),
        wakeup(target) {}
  runtime::Wakeup& wakeup;
  bool rang = false;
};

bool is_stopped(const LookupStop* stop) { return stop != nullptr && stop->stopped(); }

/// Lets `stop` (may be null) wake a look-up as long as it is under way.
class Watch {
 public:
  Watch(LookupStop* stop, runtime::Wakeup& waiting) : stop_(stop), waiting_(waiting) {
    if (stop_ != nullptr) stop_->watch(waiting_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    if (stop_ != nullptr) stop_->unwatch(waiting_);
  }

 private:
  LookupStop* stop_;
  runtime::Wakeup& waiting_;
};

}  // namespace

class Resolver::State {
 public:
  State(runtime::Reactor& reactor, DnsTransport& transport, ResolverOptions the_options)
      : reactor_(reactor),
        options_(the_options),
        cache_(options_.cache_bytes_max, reactor.random()),
        flights_(reactor, transport, cache_, options_, counters_),
        all_left_(reactor) {}
  ~State() { SLUICE_ASSERT(askers_ == 0); }

  /// Fills what the cache knows; true when nothing is missing.
  bool gather_cached(Gathering& gathering, Duration fresh_for) {
    const MonoTime now = reactor_.now() + fresh_for;
    bool complete = true;
    for (Fact& fact : gathering.mx_facts()) complete &= fill(fact, now);
    if (!complete) return false;
    gathering.plan_targets();
    for (Target& target : gathering.targets()) {
      for (Fact* fact : {&target.v4, &target.v6}) {
        if (gathering.is_needed(target, *fact)) complete &= fill(*fact, now);
      }
    }
    return complete;
  }

  Task<RouteAnswer> route(std::span<const StaticHost> elements, bool is_domain, const RouteOptions& options);
  Task<RrsetRef> lookup(std::string name, Type type, Duration within, LookupStop* stop);

  Task<void> stop() {
    stopping_ = true;
    co_await flights_.stop();
    while (askers_ != 0) co_await all_left_.wait();
  }

  [[nodiscard]] Counters counters() const {
    Counters out = counters_;
    out.evictions = cache_.evictions();
    out.cache_entries = cache_.entries();
    out.cache_bytes = cache_.bytes();
    out.in_flight = flights_.in_flight();
    out.waiting = flights_.waiting();
    return out;
  }

  runtime::Reactor& reactor_;
  ResolverOptions options_;
  Counters counters_;
  RrsetCache cache_;

 private:
  bool fill(Fact& fact, MonoTime now) {
    fact.set = cache_.find(fact.name, fact.type, now);
    return static_cast<bool>(fact.set);
  }
  Task<void> fly_mx(Gathering& gathering, Asker& asker, const Alarm& limit, const LookupStop* stop);
  Task<void> fly_targets(Gathering& gathering, Asker& asker, const Alarm& limit, const RouteOptions& options);
  /// False: too many wait already.
  [[nodiscard]] bool enter() {
    if (askers_ >= kAskersMax || stopping_) {
      ++counters_.turned_away;
      return false;
    }
    ++askers_;
    return true;
  }
  void leave(Asker& asker) {
    flights_.leave(asker);
    if (--askers_ == 0 && stopping_) all_left_.set();
  }

  Flights flights_;
  std::size_t askers_ = 0;
  bool stopping_ = false;
  runtime::Wakeup all_left_;
};

/// Leaves facts empty when the limit rings.
Task<void> Resolver::State::fly_mx(Gathering& gathering, Asker& asker, const Alarm& limit,
                                   const LookupStop* stop) {
  std::vector<Fact*> asked;
  for (Fact& fact : gathering.mx_facts()) {
    if (fact.set) continue;
    asked.push_back(&fact);
    flights_.want(asker, fact.name, fact.type);
  }
  flights_.depart();
  while (!asker.all_landed() && !limit.rang && !is_stopped(stop)) co_await asker.wakeup.wait();
  for (std::size_t i = 0; i < asked.size(); ++i) asked[i]->set = asker.wants[i].result;
}

Task<void> Resolver::State::fly_targets(Gathering& gathering, Asker& asker, const Alarm& limit,
                                        const RouteOptions& options) {
  const std::size_t first = asker.wants.size();
  std::vector<Fact*> asked;
  const MonoTime now = reactor_.now() + options.fresh_for;
  for (Target& target : gathering.targets()) {
    for (Fact* fact : {&target.v4, &target.v6}) {
      if (!gathering.is_needed(target, *fact) || fact->set || fill(*fact, now)) continue;
      asked.push_back(fact);
      flights_.want(asker, fact->name, fact->type);
    }
  }
  flights_.depart();
  Alarm alarm(asker.wakeup);
  for (;;) {
    for (std::size_t i = 0; i < asked.size(); ++i) {
      if (!asked[i]->set) asked[i]->set = asker.wants[first + i].result;
    }
    if (asker.all_landed() || alarm.rang || limit.rang || is_stopped(options.stop)) break;
    if (!alarm.armed() && gathering.best_is_known()) reactor_.arm_in(alarm, options_.laggard_wait);
    co_await asker.wakeup.wait();
  }
  reactor_.disarm(alarm);
}

Task<RouteAnswer> Resolver::State::route(std::span<const StaticHost> elements, bool is_domain,
                                         const RouteOptions& options) {
  ++counters_.asked;
  Gathering gathering(elements, is_domain, options);
  if (gather_cached(gathering, options.fresh_for)) {
    ++counters_.answered_cached;
    co_return gathering.compose(reactor_.random());
  }
  if (!enter()) {
    RouteAnswer answer = answer_of(RouteOutcome::TempFail);
    answer.busy = true;
    if (!elements.empty()) answer.failed_name = elements[0].name;
    co_return answer;
  }
  const bool known = !elements.empty() && (cache_.is_known(elements[0].name, Type::Mx) ||
                                           cache_.is_known(elements[0].name, Type::A));
  Asker asker(reactor_, known ? Asker::Class::Known : Asker::Class::New);
  Alarm limit(asker.wakeup);
  reactor_.arm_in(limit, options_.answer_within);
  const Watch watch(options.stop, asker.wakeup);
  if (gathering.unknown_mx() != nullptr) {
    co_await fly_mx(gathering, asker, limit, options.stop);
    if (const Fact* unknown = gathering.unknown_mx()) {
      reactor_.disarm(limit);
      leave(asker);
      RouteAnswer answer = answer_of(RouteOutcome::TempFail);
      answer.failed_name = unknown->name;
      co_return answer;
    }
    gathering.plan_targets();
    if (asker.klass == Asker::Class::New) asker.klass = Asker::Class::Begun;
  }
  co_await fly_targets(gathering, asker, limit, options);
  reactor_.disarm(limit);
  leave(asker);
  if (is_stopped(options.stop)) co_return answer_of(RouteOutcome::TempFail);
  co_return gathering.compose(reactor_.random());
}

Task<RrsetRef> Resolver::State::lookup(std::string name, Type type, Duration within, LookupStop* stop) {
  ++counters_.asked;
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  name = to_a_labels(name).value_or(std::string());
  const MonoTime now = reactor_.now();
  if (!is_askable_dns_name(name)) co_return Rrset::of_nothing("", type, Rrset::Kind::NxDomain, MonoTime::max());
  if (RrsetRef found = cache_.find(name, type, now)) {
    ++counters_.answered_cached;
    co_return found;
  }
  if (!enter()) co_return Rrset::of_nothing(name, type, Rrset::Kind::Failure, now);
  Asker asker(reactor_, cache_.is_known(name, type) ? Asker::Class::Known : Asker::Class::New);
  Alarm limit(asker.wakeup);
  reactor_.arm_in(limit, std::min(within, options_.answer_within));
  flights_.want(asker, name, type);
  flights_.depart();
  const Watch watch(stop, asker.wakeup);
  while (!asker.all_landed() && !limit.rang && !is_stopped(stop)) co_await asker.wakeup.wait();
  reactor_.disarm(limit);
  RrsetRef result = asker.wants[0].result;
  leave(asker);
  if (!result) result = Rrset::of_nothing(name, type, Rrset::Kind::Failure, reactor_.now());
  co_return result;
}

RrsetRef Resolver::find(std::string_view name, Type type) const {
  return state_->cache_.find(name, type, state_->reactor_.now());
}
RrsetRef Resolver::find_any(std::string_view name, Type type) const {
  return state_->cache_.find_any(name, type);
}

Resolver::Resolver(runtime::Reactor& reactor, DnsTransport& transport, ResolverOptions options)
    : state_(std::make_unique<State>(reactor, transport, options)) {}
Resolver::~Resolver() = default;

Task<RouteAnswer> Resolver::resolve_mail_hosts(std::string domain, RouteOptions options) {
  const auto element = element_of(domain);
  if (!element) co_return answer_of(RouteOutcome::BadName);
  const std::array<StaticHost, 1> elements{*element};
  co_return co_await state_->route(elements, element->kind == StaticHost::Kind::LookupMx, options);
}

std::optional<RouteAnswer> Resolver::find_mail_hosts(std::string_view domain, const RouteOptions& options) {
  const auto element = element_of(domain);
  if (!element) return answer_of(RouteOutcome::BadName);
  Gathering gathering(std::span(&*element, 1), element->kind == StaticHost::Kind::LookupMx, options);
  if (!state_->gather_cached(gathering, options.fresh_for)) return std::nullopt;
  ++state_->counters_.asked;
  ++state_->counters_.answered_cached;
  return gathering.compose(state_->reactor_.random());
}

Task<RouteAnswer> Resolver::resolve_static_hosts(const routing::HostList& hosts, RouteOptions options) {
  co_return co_await state_->route(hosts.hosts, false, options);
}

Task<RrsetRef> Resolver::lookup(std::string name, Type type, Duration within, LookupStop* stop) {
  return state_->lookup(std::move(name), type, within, stop);
}

void Resolver::clear_cache() { state_->cache_.clear(); }

void Resolver::clear_cache(std::string_view domain) {
  const std::string name = to_a_labels(domain).value_or(std::string());
  for (const Type type : {Type::Mx, Type::A, Type::Aaaa, Type::Txt, Type::Ptr})
    state_->cache_.erase(name, type);
}

Task<void> Resolver::stop() { return state_->stop(); }
Resolver::Counters Resolver::counters() const { return state_->counters(); }

std::string RouteAnswer::error_text() const {
  SLUICE_ASSERT(!ok());
  if (outcome == RouteOutcome::TempFail) return "StatusDnsQueryFailed resolving " + failed_name;
  return std::string(routing::text_of(outcome));
}

}  // namespace sluice::resolver
