#include "engine/delivery/gatekeeper.h"

#include <algorithm>
#include <utility>

#include "engine/delivery/deliverer.h"
#include "policy/base/assert.h"
#include "policy/limits/mode_limits.h"

namespace sluice::delivery {
namespace {

/// The value of the most specific network that holds `address`; of two alike the later line.
template <class T>
const T* value_for(const std::vector<config::PerSource<T>>& list, const IpAddress& address) {
  const config::PerSource<T>* best = nullptr;
  for (const config::PerSource<T>& one : list) {
    if (one.source.contains(address) &&
        (best == nullptr || one.source.prefix_bits() >= best->source.prefix_bits()))
      best = &one;
  }
  return best == nullptr ? nullptr : &best->value;
}

MonoTime owed_until(const queue::GateSet& gates, MonoTime now) {
  MonoTime until = now;
  if (gates.connects) until = std::max(until, now + gates.connects.bucket->debt(now));
  if (gates.messages) until = std::max(until, now + gates.messages.bucket->debt(now));
  if (gates.volume && !gates.volume->budget.at_rest(now))
    until = std::max(until, now + gates.volume->budget.per() / 4);
  return until;
}

/// `gate` goes on from the last event of `before`, whose scope it takes over.
void go_on(const queue::RateGate& gate, const queue::RateGate& before) {
  if (gate && before) gate.bucket->count_with(*before.bucket);
}

}  // namespace

Gatekeeper::Gatekeeper(runtime::Reactor& reactor, Settler& settler, queue::SharedState& shared, Wake wake,
                       Find find)
    : reactor_(reactor),
      settler_(settler),
      shared_(shared),
      wake_(std::move(wake)),
      find_(std::move(find)),
      peers_{this} {}

// --- Putting limits in force.

void Gatekeeper::set_gate(queue::RateGate& gate, queue::RateGate& kept, const config::RateLimit& rate,
                          std::string key) const {
  gate = {};
  if (!rate) return;
  if (kept) {
    kept.bucket->set_rate(*rate);
  } else {
    kept = {std::make_shared<TokenBucket>(*rate), std::move(key)};
    shared_.remembered.restore(*kept.bucket, kept.key, reactor_.now(), reactor_.lasting_now());
  }
  gate = kept;
}

void Gatekeeper::set_gate(queue::VolumeGateRef& gate, queue::VolumeGateRef& kept,
                          const config::VolumeLimit& rate, std::string key) const {
  gate.reset();
  if (!rate) return;
  if (kept) {
    kept->budget.set_rate(reactor_.now(), rate->bytes.raw(), rate->per);
  } else {
    kept = std::make_shared<queue::VolumeGate>(*rate, std::move(key));
    shared_.remembered.restore(kept->budget, kept->key, reactor_.now(), reactor_.lasting_now());
  }
  gate = kept;
}

void Gatekeeper::apply(queue::Queue& queue) {
  const config::DomainSettings& settings = *queue.settings;
  ModeLimits limits = limits_of(settings, queue.mode.mode());
  queue::Gates& gates = queue.gates;
  const bool shares = settings.share_limits_over_vmtas;
  // In backoff the queue's own lower limits come on top of what the domain's queues share.
  const bool own = !shares || queue.mode.in_backoff();
  // Adaptive pacing stays below the limit; under shared limits it is the queue's own.
  const auto paced = queue.pacing ? queue.pacing->limit() : std::nullopt;
  if (paced) limits.recipients = paced;
  gates.max_connections = limits.connections;
  using queue::Remembered;
  set_gate(gates.own.connects, gates.kept.connects, own ? limits.connects : std::nullopt,
           Remembered::connect_rate_key(queue.name()));
  set_gate(gates.own.messages, gates.kept.messages, own || paced ? limits.recipients : std::nullopt,
           Remembered::message_rate_key(queue.name()));
  set_gate(gates.own.volume, gates.kept.volume, own ? limits.volume : std::nullopt,
           Remembered::volume_key(queue.name()));
  if (shares) {
    join_domain(queue, limits_of(settings, config::QueueMode::Normal));
  } else if (gates.shared_asked != 0 || gates.shared_connections) {
    leave_domain(queue);
  }
  apply_sources(queue);
}

// --- What a domain shares.
//
// One shard has the book of a domain. Queues of other shards ask it, some hundred in a message, and wait for
// the answer: so whoever sets a shared gate is always the same one.

std::size_t Gatekeeper::keeper_of(std::string_view domain) const {
  return std::hash<std::string_view>{}(domain) % peers_.size();
}

void Gatekeeper::join_domain(queue::Queue& queue, const ModeLimits& limits) {
  queue::Gates& gates = queue.gates;
  if (gates.shared_asked == snapshot_->number) return;
  gates.shared_asked = snapshot_->number;
  const std::size_t keeper = keeper_of(queue.domain());
  const queue::SharedGates::Request request{limits, snapshot_->number};
  if (peers_[keeper] == this) {
    joined(queue, domains_.join(queue.domain(), request, reactor_.now(), reactor_.lasting_now(),
                                shared_.remembered));
    return;
  }
  if (asks_.size() <= keeper) asks_.resize(keeper + 1);
  asks_[keeper].waiting.push_back({std::string(queue.domain()), std::string(queue.vmta_name()), request});
  send_asks(keeper);
}

/// One message to a keeper at a time.
void Gatekeeper::send_asks(std::size_t keeper) {
  Asks& asks = asks_[keeper];
  if (asks.under_way || asks.waiting.empty()) return;
  asks.under_way = true;
  std::vector<Ask> some;
  for (; !asks.waiting.empty() && some.size() < kAsksAtOnce; asks.waiting.pop_front())
    some.push_back(std::move(asks.waiting.front()));
  reactor_.send_to(peers_[keeper]->reactor_.shard(),
                   [this, keeper, there = peers_[keeper], some = std::move(some)]() mutable {
                     there->answer(std::move(some), *this, keeper);
                   });
}

/// On the keeper's shard.
void Gatekeeper::answer(std::vector<Ask> asks, Gatekeeper& who, std::size_t keeper) {
  for (Ask& one : asks)
    one.joined =
        domains_.join(one.domain, one.request, reactor_.now(), reactor_.lasting_now(), shared_.remembered);
  reactor_.send_to(who.reactor_.shard(), [&who, keeper, asks = std::move(asks)]() mutable {
    for (Ask& one : asks) {
      queue::Queue* queue = who.find_(one.domain, one.vmta);
      // Gone, or asked anew under another configuration.
      if (queue == nullptr || queue->gates.shared_asked != one.request.configuration) continue;
      who.joined(*queue, std::move(one.joined));
      who.wake_(*queue);
    }
    who.asks_[keeper].under_way = false;
    who.send_asks(keeper);
  });
}

void Gatekeeper::joined(queue::Queue& queue, queue::SharedGates::Joined shared) {
  queue::Gates& gates = queue.gates;
  const MonoTime now = reactor_.now();
  const bool is_new = !gates.shared_connections;
  gates.shared_given = gates.shared_asked;
  gates.shared_connections = std::move(shared.connections);
  gates.shared = std::move(shared.gates);
  // What the queue did on its own is a part of what all do together.
  go_on(gates.shared.connects, gates.kept.connects);
  go_on(gates.shared.messages, gates.kept.messages);
  if (is_new && gates.shared.volume && gates.kept.volume)
    gates.shared.volume->budget.count_with(now, gates.kept.volume->budget, gates.volume_told);
  if (is_new) gates.volume_told = now;
}

/// What the queue did under shared limits is not known apart: it counts all of it as its own.
void Gatekeeper::leave_domain(queue::Queue& queue) {
  queue::Gates& gates = queue.gates;
  go_on(gates.own.connects, gates.shared.connects);
  go_on(gates.own.messages, gates.shared.messages);
  if (gates.own.volume && gates.shared.volume)
    gates.own.volume->budget.count_with(reactor_.now(), gates.shared.volume->budget, gates.volume_told);
  gates.volume_told = reactor_.now();
  gates.shared = {};
  gates.shared_connections.reset();
  gates.shared_asked = gates.shared_given = 0;
}

void Gatekeeper::leave(queue::Queue& queue) {
  await(queue, nullptr);
  // An answer that is under way finds nobody; where the queue goes to it asks again.
  if (queue.gates.shared_asked != queue.gates.shared_given) queue.gates.shared_asked = 0;
}

void Gatekeeper::apply_sources(queue::Queue& queue) {
  const config::DomainSettings& settings = *queue.settings;
  queue::Gates& gates = queue.gates;
  const MonoTime now = reactor_.now();
  // A source that a reload leaves out is kept while it owes anything: the next one may bring it back.
  std::vector<std::shared_ptr<queue::SourceGate>> before = std::exchange(gates.kept_sources, {});
  before.insert(before.end(), gates.sources.begin(), gates.sources.end());
  gates.sources.clear();
  const bool none = settings.source_ip_max_smtp_out.empty() && settings.source_ip_max_connect_rate.empty() &&
                    settings.source_ip_max_msg_rate.empty() &&
                    settings.source_ip_max_data_volume_rate.empty();
  if (!none && queue.vmta_exists) {
    for (const queue::SourceAddress& source : snapshot_->identity(queue.vmta).sources) {
      const IpAddress address = source.address.value_or(IpAddress());
      const auto* connections = value_for(settings.source_ip_max_smtp_out, address);
      const auto* connects = value_for(settings.source_ip_max_connect_rate, address);
      const auto* messages = value_for(settings.source_ip_max_msg_rate, address);
      const auto* volume = value_for(settings.source_ip_max_data_volume_rate, address);
      if (connections == nullptr && connects == nullptr && messages == nullptr && volume == nullptr) continue;
      const auto known = std::find_if(before.begin(), before.end(),
                                      [&source](const auto& one) { return one->address == source.address; });
      std::shared_ptr<queue::SourceGate> gate;
      if (known == before.end()) {
        gate = std::make_shared<queue::SourceGate>();
        gate->address = source.address;
      } else {
        gate = std::move(*known);
        before.erase(known);
      }
      gate->max_connections =
          connections == nullptr ? config::CountLimit() : config::CountLimit(*connections);
      const std::string scope = queue.name() + '/' + (source.address ? address.text() : "any");
      set_gate(gate->connects, gate->kept.connects, connects == nullptr ? std::nullopt : *connects,
               queue::Remembered::connect_rate_key(scope));
      set_gate(gate->messages, gate->kept.messages, messages == nullptr ? std::nullopt : *messages,
               queue::Remembered::message_rate_key(scope));
      set_gate(gate->volume, gate->kept.volume, volume == nullptr ? std::nullopt : *volume,
               queue::Remembered::volume_key(scope));
      gates.sources.push_back(std::move(gate));
    }
  }
  std::erase_if(before, [now](const auto& one) {
    return one->connections == 0 && delivery::owed_until(one->kept, now) <= now;
  });
  gates.kept_sources = std::move(before);
}

MonoTime Gatekeeper::owed_until(const queue::Queue& queue, MonoTime now) {
  MonoTime until = delivery::owed_until(queue.gates.kept, now);
  for (const auto* sources : {&queue.gates.sources, &queue.gates.kept_sources}) {
    for (const auto& source : *sources) until = std::max(until, delivery::owed_until(source->kept, now));
  }
  return until;
}

void Gatekeeper::remember(const queue::RateGate& gate) {
  const auto value = queue::Remembered::value_of(*gate.bucket, reactor_.now(), reactor_.lasting_now());
  if (value) settler_.remember(gate.key, *value);
}

void Gatekeeper::remember(queue::VolumeGate& gate) {
  const auto slot = static_cast<std::int64_t>(VolumeBudget::kSlots);
  const std::int64_t stretch =
      reactor_.now().time_since_epoch().count() / (gate.budget.per().count() / slot + 1);
  if (gate.noted.exchange(stretch, std::memory_order_relaxed) == stretch) return;
  const auto value = queue::Remembered::value_of(gate.budget, reactor_.now(), reactor_.lasting_now());
  if (value) settler_.remember(gate.key, *value);
}

// --- When.

std::span<const queue::Totals> Gatekeeper::totals_of(const queue::Queue& queue) const {
  if (is_local(queue)) return {};
  return snapshot_->identity(queue.vmta).totals;
}

Gatekeeper::Hold Gatekeeper::next_recipient(const queue::Queue& queue, MonoTime now) const {
  Hold next{.until = now};
  enum class Whose : std::uint8_t { Queue, Domain, Vmta };
  const auto look = [&](const queue::RateGate& rate, const queue::VolumeGateRef& volume, Whose whose) {
    const bool of_vmta = whose == Whose::Vmta;
    if (rate) {
      const MonoTime at = rate.bucket->next_time(now);
      if (at > next.until) next = {at, of_vmta ? HeldBy::VmtaMessages : HeldBy::Messages};
    }
    if (!volume) return;
    const MonoTime at = volume->budget.next_time(now);
    if (at <= next.until) return;
    next = {at, of_vmta ? HeldBy::VmtaVolume : HeldBy::Volume};
    if (whose != Whose::Queue && volume->budget.reserved() > 0) next.gate = volume;
  };
  look(queue.gates.own.messages, queue.gates.own.volume, Whose::Queue);
  look(queue.gates.shared.messages, queue.gates.shared.volume, Whose::Domain);
  for (const queue::Totals& totals : totals_of(queue)) look(totals.messages, totals.volume, Whose::Vmta);
  return next;
}

bool Gatekeeper::is_slow(const queue::Queue& queue, Duration apart) const {
  constexpr std::uint64_t kSmallMessage = 4096;
  const auto slow = [apart](const queue::RateGate& rate, const queue::VolumeGateRef& volume) {
    return (rate && rate.bucket->gap() >= apart) ||
           (volume &&
            volume->budget.per() / static_cast<std::int64_t>(volume->budget.bytes() / kSmallMessage + 1) >=
                apart);
  };
  const auto totals = totals_of(queue);
  return slow(queue.gates.own.messages, queue.gates.own.volume) ||
         slow(queue.gates.shared.messages, queue.gates.shared.volume) ||
         std::any_of(totals.begin(), totals.end(),
                     [&slow](const queue::Totals& one) { return slow(one.messages, one.volume); });
}

// --- Recipients.

/// The message rates `queue` is under, the queue's own first: what only this shard takes from can always be
/// given back.
void Gatekeeper::ask(const queue::Queue& queue, const queue::SourceGate* source) {
  asked_.clear();
  const auto ask = [this](const queue::RateGate& gate, HeldBy by) {
    if (gate) asked_.push_back({&gate, by});
  };
  ask(queue.gates.own.messages, HeldBy::Messages);
  if (source != nullptr) ask(source->messages, HeldBy::SourceMessages);
  ask(queue.gates.shared.messages, HeldBy::Messages);
  for (const queue::Totals& totals : totals_of(queue)) ask(totals.messages, HeldBy::VmtaMessages);
}

std::optional<Gatekeeper::Hold> Gatekeeper::message_hold(const queue::Queue& queue,
                                                         const queue::SourceGate* source, std::size_t most) {
  const MonoTime now = reactor_.now();
  ask(queue, source);
  for (const Asked& one : asked_) {
    const TokenBucket& bucket = *one.gate->bucket;
    // Several recipients of a message go together where the rate is so fast that waiting for them costs
    // nothing; not where another queue could be faster every time.
    const std::uint32_t some = one.gate == &queue.gates.own.messages ? bucket.together_max() : 1;
    const std::size_t together = some > 1 ? queue.run_of_next(std::min<std::size_t>(most, some)) : 1;
    const MonoTime at = bucket.next_time(now, static_cast<std::uint32_t>(std::max<std::size_t>(together, 1)));
    if (at > now) return Hold{at, one.by};
  }
  return std::nullopt;
}

std::optional<Gatekeeper::Hold> Gatekeeper::pay(const queue::Queue& queue, const queue::SourceGate* source,
                                                std::uint32_t& count) {
  const MonoTime now = reactor_.now();
  ask(queue, source);
  std::optional<Hold> wait;
  taken_.clear();
  for (const auto& [gate, by] : asked_) {
    const auto taken = gate->bucket->try_take(now, count);
    if (!taken) {
      wait = Hold{taken.error(), by};
      count = 0;
      break;
    }
    taken_.push_back(*taken);
    count = taken->count();
  }
  for (std::size_t i = 0; i < taken_.size(); ++i)
    asked_[i].gate->bucket->give_back(taken_[i], taken_[i].count() - count);
  if (wait) return wait;
  for (const Asked& one : asked_) remember(*one.gate);
  return std::nullopt;
}

/// A reservation of every volume, or of none.
std::optional<Gatekeeper::Hold> Gatekeeper::reserve_all(const queue::Queue& queue,
                                                        const queue::SourceGate* source,
                                                        VolumeTicket& ticket) {
  const MonoTime now = reactor_.now();
  std::optional<Hold> wait;
  // The queue's own volumes come back through its own connections, which look for mail then.
  const auto reserve = [&](const queue::VolumeGateRef& gate, HeldBy by, bool of_several) {
    if (!gate || wait) return;
    const auto passed = gate->budget.try_reserve(now, ticket.bytes);
    if (passed) {
      ticket.gates.push_back(gate);
    } else {
      wait = Hold{passed.error().again, by, of_several && passed.error().by_reserved ? gate : nullptr};
    }
  };
  reserve(queue.gates.own.volume, HeldBy::Volume, false);
  if (source != nullptr) reserve(source->volume, HeldBy::SourceVolume, false);
  reserve(queue.gates.shared.volume, HeldBy::Volume, true);
  for (const queue::Totals& totals : totals_of(queue)) reserve(totals.volume, HeldBy::VmtaVolume, true);
  if (wait) end(ticket, false);
  return wait;
}

std::optional<Gatekeeper::Hold> Gatekeeper::reserve(queue::Queue& queue, const queue::SourceGate* source,
                                                    std::uint64_t bytes, VolumeTicket& ticket) {
  ticket.gates.clear();
  ticket.bytes = bytes;
  std::optional<Hold> wait = reserve_all(queue, source, ticket);
  if (wait && wait->gate) {
    // In line first, then asked again: what has come back in between found nobody to wake.
    await(queue, wait->gate);
    wait = reserve_all(queue, source, ticket);
  }
  await(queue, wait ? wait->gate : nullptr);
  if (wait && wait->gate)
    wait->until = std::min(wait->until, reactor_.now() + VolumeBudget::kReservedLookMax);
  return wait;
}

bool Gatekeeper::wait_for(queue::Queue& queue, Hold& hold) {
  await(queue, hold.gate);
  if (!hold.gate) return true;
  const MonoTime now = reactor_.now();
  hold.until = std::min(hold.gate->budget.next_time(now), now + VolumeBudget::kReservedLookMax);
  return hold.until > now;
}

void Gatekeeper::end(VolumeTicket& ticket, bool delivered) {
  for (const queue::VolumeGateRef& gate : ticket.gates) {
    if (delivered) {
      gate->budget.delivered(reactor_.now(), ticket.bytes);
      remember(*gate);
    } else {
      gate->budget.failed(ticket.bytes);
      returned(gate);
    }
  }
  ticket.gates.clear();
}

// --- The line for volumes under way.
//
// A shard with queues in line shows its bit at the gate, and whoever returns volume tells the shards that
// show theirs. A shard sets its bit before it asks once more, and a return is made before the bits are read:
// one of the two sees the other.

/// `queue` stands in line at `gate`, and at no other; null: at none.
void Gatekeeper::await(queue::Queue& queue, const queue::VolumeGateRef& gate) {
  const queue::VolumeGateRef before = std::exchange(queue.gates.awaited, gate);
  if (before == gate) return;
  if (before) {
    const auto line = lines_.find(before.get());
    line->second.erase(std::ranges::find(line->second, &queue));
    if (line->second.empty()) {
      before->waiting.fetch_and(~bit_of(reactor_.shard()));
      lines_.erase(line);
    }
  }
  if (!gate) return;
  lines_[gate.get()].push_back(&queue);
  gate->waiting.fetch_or(bit_of(reactor_.shard()));
}

void Gatekeeper::returned(const queue::VolumeGateRef& gate) {
  const std::uint64_t waiting = gate->waiting.load();
  if (waiting == 0) return;
  // One message to each: it says "look", and a second one would say no more.
  const std::uint64_t told = gate->told.fetch_or(waiting);
  for (Gatekeeper* there : peers_) {
    const std::uint64_t bit = bit_of(there->reactor_.shard());
    if ((waiting & ~told & bit) == 0) continue;
    if (there == this) {
      gate->told.fetch_and(~bit);
      wake_some(gate);
    } else {
      reactor_.send_to(there->reactor_.shard(), [there, gate, bit] {
        gate->told.fetch_and(~bit);
        there->wake_some(gate);
      });
    }
  }
}

void Gatekeeper::wake_some(const queue::VolumeGateRef& gate) {
  for (std::size_t left = kWokenMax; left > 0; --left) {
    const auto line = lines_.find(gate.get());
    if (line == lines_.end()) return;
    queue::Queue& first = *line->second.front();
    await(first, nullptr);
    wake_(first);
  }
}

}  // namespace sluice::delivery
