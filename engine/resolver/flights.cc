#include "engine/resolver/flights.h"

#include <algorithm>

#include "net/dns/answer.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/dns_name.h"

namespace sluice::resolver {

using net::dns::Answer;
using net::dns::Type;
using runtime::Task;

void Flights::Ring::push_back(Asker& asker) {
  if (asker.queued_) return;
  asker.queued_ = true;
  if (head == nullptr) {
    head = asker.next_ = asker.prev_ = &asker;
    return;
  }
  asker.next_ = head;
  asker.prev_ = head->prev_;
  head->prev_->next_ = &asker;
  head->prev_ = &asker;
}

void Flights::Ring::remove(Asker& asker) {
  if (!asker.queued_) return;
  asker.queued_ = false;
  if (asker.next_ == &asker) {
    head = nullptr;
    return;
  }
  if (head == &asker) head = asker.next_;
  asker.prev_->next_ = asker.next_;
  asker.next_->prev_ = asker.prev_;
}

Flights::Flights(runtime::Reactor& reactor, DnsTransport& transport, RrsetCache& cache,
                 const ResolverOptions& options, Resolver::Counters& counters)
    : reactor_(reactor), transport_(transport), cache_(cache), options_(options), counters_(counters) {}

Flights::~Flights() { SLUICE_ASSERT(table_.empty() && in_flight_ == 0); }

void Flights::plan(Asker& asker, Flight& flight) {
  flight.owner = &asker;
  asker.to_start_.push_back(&flight);
  if (asker.in_flight_ < Resolver::kQueriesPerAskerMax) {
    rings_[static_cast<std::size_t>(asker.klass)].push_back(asker);
  }
}

void Flights::unplan(Flight& flight) {
  Asker& owner = *std::exchange(flight.owner, nullptr);
  owner.to_start_.erase(std::find(owner.to_start_.begin(), owner.to_start_.end(), &flight));
  if (owner.to_start_.empty()) rings_[static_cast<std::size_t>(owner.klass)].remove(owner);
}

void Flights::want(Asker& asker, std::string_view name, Type type) {
  if (stopping_) {
    asker.wants.push_back({nullptr, failure(name, type)});
    ++asker.landed;
    asker.wakeup.set();
    return;
  }
  if (const auto found = table_.find(Key{name, type}); found != table_.end()) {
    Flight& flight = *found->second;
    ++counters_.joined;
    flight.askers.push_back(&asker);
    asker.wants.push_back({&flight, {}});
    if (!flight.started && asker.klass < flight.owner->klass) {
      unplan(flight);
      plan(asker, flight);
    }
    return;
  }
  auto flight = std::make_unique<Flight>(Flight{std::string(name), type, false, false, nullptr, {&asker}});
  asker.wants.push_back({flight.get(), {}});
  plan(asker, *flight);
  const Key key{flight->name, type};
  table_.emplace(key, std::move(flight));
}

Asker* Flights::next_asker() {
  if (in_flight_ >= Resolver::kQueriesInFlightMax) return nullptr;
  for (std::size_t klass = 0; klass < Asker::kClasses; ++klass) {
    const bool is_new = klass != static_cast<std::size_t>(Asker::Class::Known);
    if (is_new && in_flight_new_ >= Resolver::kQueriesInFlightNewMax) return nullptr;
    if (Asker* asker = rings_[klass].head) return asker;
  }
  return nullptr;
}

void Flights::depart() {
  // A transport may answer at once, and landing departs again: the loop below does that work, not a deeper
  // call.
  if (departing_) return;
  departing_ = true;
  while (Asker* asker = next_asker()) start_one(*asker);
  departing_ = false;
}

void Flights::start_one(Asker& asker) {
  Ring& ring = rings_[static_cast<std::size_t>(asker.klass)];
  ring.remove(asker);
  Flight* flight = asker.to_start_.front();
  asker.to_start_.pop_front();
  flight->started = true;
  flight->is_new = asker.klass != Asker::Class::Known;
  SLUICE_ASSERT(flight->owner == &asker);
  ++in_flight_;
  if (flight->is_new) ++in_flight_new_;
  ++asker.in_flight_;
  if (!asker.to_start_.empty() && asker.in_flight_ < Resolver::kQueriesPerAskerMax) ring.push_back(asker);
  flying_.spawn(fly(flight));  // may land before it returns
}

Task<void> Flights::fly(Flight* flight) {
  RrsetRef result;
  try {
    result = co_await ask(flight->name, flight->type);
  } catch (...) {  // one question without an answer
    reactor_.count_contained();
  }
  if (!result) result = failure(flight->name, flight->type);
  cache_.insert(result);
  land(*flight, result);
}

void Flights::land(Flight& flight, const RrsetRef& result) {
  if (flight.started) {
    --in_flight_;
    if (flight.is_new) --in_flight_new_;
    if (Asker* owner = flight.owner) {
      --owner->in_flight_;
      if (!owner->to_start_.empty()) rings_[static_cast<std::size_t>(owner->klass)].push_back(*owner);
    }
  }
  for (Asker* asker : flight.askers) {
    for (Asker::Want& want : asker->wants) {
      if (want.flight != &flight) continue;
      want.flight = nullptr;
      want.result = result;
      ++asker->landed;
      break;
    }
    asker->wakeup.set();
  }
  table_.erase(Key{flight.name, flight.type});
  depart();
}

void Flights::leave(Asker& asker) {
  for (Asker::Want& want : asker.wants) {
    if (want.flight == nullptr) continue;
    Flight& flight = *std::exchange(want.flight, nullptr);
    flight.askers.erase(std::find(flight.askers.begin(), flight.askers.end(), &asker));
    if (flight.owner != &asker) continue;
    if (flight.started) {
      flight.owner = nullptr;  // it goes on, for the cache
      continue;
    }
    unplan(flight);
    if (flight.askers.empty()) {
      table_.erase(Key{flight.name, flight.type});
    } else {
      plan(*flight.askers.front(), flight);
    }
  }
  SLUICE_ASSERT(asker.to_start_.empty() && !asker.queued_);
  depart();
}

RrsetRef Flights::failure(std::string_view name, Type type) {
  ++counters_.failures;
  const MonoTime now = reactor_.now();
  if (options_.serve_stale_for) {
    const RrsetRef old = cache_.find_any(name, type);
    if (old && old->kind() != Rrset::Kind::Failure &&
        now < old->first_expired() + *options_.serve_stale_for) {
      ++counters_.stale_served;
      return Rrset::stale_copy(*old, now + options_.failure_ttl);
    }
  }
  return Rrset::of_nothing(name, type, Rrset::Kind::Failure, now + options_.failure_ttl);
}

Task<RrsetRef> Flights::ask(std::string question, Type type) {
  std::string name = question;
  std::optional<std::chrono::seconds> ttl;
  for (std::size_t chased = 0; chased <= Resolver::kCnameChaseMax; ++chased) {
    ++counters_.queries;
    const auto raw = co_await transport_.query(name, type);
    if (!raw) co_return failure(question, type);
    auto message = net::dns::parse_message(*raw);
    // RFC 2181 9: a truncated set is no set. The transport has tried TCP already.
    if (!message || message->header.truncated) break;
    Answer answer = net::dns::interpret_answer(std::move(*message), name, type);
    if (answer.ttl) ttl = ttl ? std::min(*ttl, *answer.ttl) : *answer.ttl;
    const MonoTime now = reactor_.now();
    const auto expires_of_nothing = [&] {
      const Duration wanted = ttl ? Duration(*ttl) : options_.negative_ttl_default;
      return now + std::clamp(wanted, options_.ttl_min, options_.negative_ttl_max);
    };
    switch (answer.kind) {
      case Answer::Kind::Records:
        co_return Rrset::of_records(question, type, answer.records,
                                    now + std::clamp(Duration(*ttl), options_.ttl_min, options_.ttl_max));
      case Answer::Kind::NoData:
        co_return Rrset::of_nothing(question, type, Rrset::Kind::NoData, expires_of_nothing());
      case Answer::Kind::NxDomain:
        co_return Rrset::of_nothing(question, type, Rrset::Kind::NxDomain, expires_of_nothing());
      case Answer::Kind::Failure: co_return failure(question, type);
      case Answer::Kind::Alias:
        if (!is_host_name(answer.alias)) {
          co_return Rrset::of_nothing(question, type, Rrset::Kind::NoData, expires_of_nothing());
        }
        name = std::move(answer.alias);
        continue;
      case Answer::Kind::Bad: break;
    }
    break;
  }
  ++counters_.bad_answers;
  co_return failure(question, type);
}

Task<void> Flights::stop() {
  stopping_ = true;
  std::vector<Flight*> waiting;
  for (const auto& [key, flight] : table_) {
    if (!flight->started) waiting.push_back(flight.get());
  }
  for (Flight* flight : waiting) unplan(*flight);
  for (Flight* flight : waiting) land(*flight, failure(flight->name, flight->type));
  co_await transport_.stop();
  co_await flying_.join();
}

}  // namespace sluice::resolver
