// Limits of connections: when a queue may open one, from which source address, and who comes first when slots
// are short.
//
//   a connection   smtp-out-rampup-interval, max-connect-rate, then a slot of each count it is part of:
//   daemon (and of
//                  its connecting half), virtual MTA, pools, shared domain; at the host ip-connection-limit,
//                  mx-connection-limit, source-ip-max-smtp-out and -connect-rate
//   a local worker total-max-file where it writes files
#include <algorithm>
#include <functional>

#include "engine/delivery/connection.h"
#include "engine/delivery/dispatcher.h"
#include "engine/delivery/local/http.h"
#include "engine/delivery/local/workers.h"
#include "policy/backoff/status_texts.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

constexpr Duration kSourceRetry =
    10s;  // source-ip-max-smtp-out; a connection of the queue that ends comes first
constexpr Duration kLookAgain = 5ms;    // between two searches for connections that could make room
constexpr Duration kYieldRetry = 50ms;  // how often other shards are asked to make room

/// A key of KeyedBudget: mixes two hashes so that all bits are good.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9e3779b97f4a7c15u + b;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
std::uint64_t hash_of(const std::optional<IpAddress>& address) {
  return address ? std::hash<IpAddress>{}(*address) : 0;
}
std::uint64_t key_of(const IpAddress& to) { return mix(1, std::hash<IpAddress>{}(to)); }
std::uint64_t key_of(std::string_view host, const queue::SourceAddress& from) {
  return mix(std::hash<std::string_view>{}(host), hash_of(from.address));
}

/// Stands in the list while it lives.
class Listed {
 public:
  Listed(std::vector<Deliverer*>& list, Deliverer* one) : list_(list), one_(one) { list_.push_back(one_); }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;
  ~Listed() { std::erase(list_, one_); }

 private:
  std::vector<Deliverer*>& list_;
  Deliverer* one_;
};

/// An exception ended a connection of `queue`.
void contain(Dispatcher& dispatcher, queue::Queue& queue, const std::string& words) {
  dispatcher.reactor().count_contained();
  if (dispatcher.log()) dispatcher.log()("delivery of " + queue.name() + " failed: internal error: " + words);
  dispatcher.failed(queue, QueueFailureKind::Delivery, nullptr, {{4, 3, 0}, "internal error: " + words});
}

}  // namespace

/// Rings when a connection has heard nothing for a while, and again as long as it holds up others.
struct Dispatcher::SlowTimer : runtime::Timer {
  SlowTimer(Dispatcher& one, Deliverer& deliverer, Slots& its_slots)
      : Timer([](runtime::Timer& timer) {
          auto& self = static_cast<SlowTimer&>(timer);
          Dispatcher& owner = self.owner;
          const auto waits = [&owner](const Slots::Held& held) {
            return held.fleeting && held.budget.get() != &owner.shared_.penalty;
          };
          if (std::none_of(self.slots.held.begin(), self.slots.held.end(), waits)) return;
          owner.reactor_.arm_in(timer, kSlowAfter);
          self.silent_for += kSlowAfter;
          owner.on_slow(self.one, self.slots, self.silent_for);
        }),
        owner(one),
        one(deliverer),
        slots(its_slots) {}
  SlowTimer(const SlowTimer&) = delete;
  SlowTimer& operator=(const SlowTimer&) = delete;
  ~SlowTimer() { owner.reactor_.disarm(*this); }
  Dispatcher& owner;
  Deliverer& one;
  Slots& slots;
  Duration silent_for{0};
};

/// What connections of `queue` count for, besides those that are connecting.
std::vector<Budget> Dispatcher::budgets_of(const queue::Queue& queue) const {
  std::vector<Budget> out;
  out.reserve(8);
  out.push_back(ours(shared_.outbound));
  for (const queue::Totals& totals : gatekeeper_.totals_of(queue))
    out.emplace_back(totals.state, &totals.state->connections);
  if (queue.gates.shared_connections) out.push_back(queue.gates.shared_connections);
  return out;
}

bool Dispatcher::recount(const queue::Queue& queue, Slots& slots) {
  std::vector<Slots::Held> before = std::exchange(slots.held, {});
  for (auto& one : budgets_of(queue)) {
    const auto known =
        std::find_if(before.begin(), before.end(), [&one](const auto& held) { return held.budget == one; });
    if (known != before.end()) {
      slots.held.push_back(std::move(*known));
      before.erase(known);
    } else {
      one->take_anyway();
      slots.held.push_back({.budget = std::move(one)});
    }
  }
  for (Slots::Held& one : before) {
    if (one.fleeting) slots.held.push_back(std::move(one));
  }
  std::erase_if(before, [](const Slots::Held& one) { return !one.budget; });
  Slots gone{std::move(before)};
  desk_.give_back(gone);
  bool surplus = false;
  for (Slots::Held& one : slots.held) {
    one.ending = one.ending || one.budget->must_end();
    surplus = surplus || one.ending;
  }
  return surplus;
}

bool Dispatcher::recount(Passage& passage) {
  if (passage.source == nullptr) return false;
  const bool at_address =
      passage.at_address.renew(shared_.hosts, key_of(passage.to), snapshot_->ip_limit(passage.to));
  const bool at_host = passage.at_host.renew(shared_.hosts, key_of(passage.host, *passage.source),
                                             snapshot_->mx_limit(passage.host));
  return at_address || at_host;
}

bool Dispatcher::may_come_back(const queue::Queue& queue, const queue::SourceGate* gate, MonoTime at) const {
  const MonoTime now = reactor_.now();
  if (at - now <= kLinger) return false;
  const auto pays = [now, at](const queue::RateGate& rate) {
    return !rate || rate.bucket->next_time(now) <= at;
  };
  return pays(queue.gates.own.connects) && pays(queue.gates.shared.connects) &&
         (gate == nullptr || pays(gate->connects)) && queue.connect_not_before <= at &&
         queue.hosts_full_until <= at && queue.last_opened + queue.settings->smtp_out_rampup_interval <= at;
}

/// Connections that serve whoever has the same settings must not carry counts of one queue along.
bool Dispatcher::may_lend(const config::DomainSettings& settings) {
  return settings.share_connections && !settings.share_limits_over_vmtas &&
         settings.source_ip_max_smtp_out.empty() && settings.source_ip_max_connect_rate.empty() &&
         settings.source_ip_max_msg_rate.empty() && settings.source_ip_max_data_volume_rate.empty();
}

bool Dispatcher::open_connection(queue::Queue& queue, MonoTime& again_at) {
  const MonoTime now = reactor_.now();
  const config::QueueType type = queue.settings->type;
  if (is_local(type)) return open_local(queue);
  if (is_smtp(type) && borrow_known(queue)) return true;
  again_at = std::max({queue.connect_not_before, queue.hosts_full_until, shared_.descriptors.connect_at()});
  if (queue.last_opened != MonoTime{})
    again_at = std::max(again_at, queue.last_opened + queue.settings->smtp_out_rampup_interval);
  const queue::RateGate* const rates[] = {&queue.gates.own.connects, &queue.gates.shared.connects};
  for (const queue::RateGate* rate : rates) {
    if (!*rate || rate->bucket->ready(now)) continue;
    queue.note_state(reactor_.wall_now(), kConnectRateReached);
    again_at = std::max(again_at, rate->bucket->next_time(now));
  }
  if (again_at > now) return false;
  if (has_enough_scouts(queue)) return false;
  auto slots = take_slots(queue);
  if (!slots) {
    ask_to_yield(queue, *slots.error());
    return false;
  }
  ConnectGrants grants;
  for (const queue::RateGate* rate : rates) {
    if (!*rate) continue;
    const auto token = rate->bucket->try_take(now);
    if (!token) {  // another shard was faster
      refund_connect(grants);
      desk_.give_back(*slots);
      again_at = token.error();
      return false;
    }
    grants.paid.push_back({rate->bucket, *token});
    gatekeeper_.remember(*rate);
  }
  queue.last_opened = now;
  ++queue.connections;
  ++connections_running_;
  tasks_.spawn(run_connection(queue, type, std::move(*slots), std::move(grants)));
  return true;
}

/// Nothing goes out, so nothing is drawn from what is counted for connections.
bool Dispatcher::open_local(queue::Queue& queue) {
  const config::QueueType type = queue.settings->type;
  Slots slots;
  if (type == config::QueueType::File) {
    auto taken = desk_.take(queue, {ours(shared_.files)});
    if (!taken) return false;
    slots = std::move(*taken);
  }
  ++queue.connections;
  ++connections_running_;
  tasks_.spawn(run_local(queue, type, std::move(slots)));
  return true;
}

runtime::Task<void> Dispatcher::run_local(queue::Queue& queue, config::QueueType type, Slots slots) {
  co_await runtime::yield(reactor_);
  if (queue.settings->type == type) {  // no reload came in between
    try {
      const std::unique_ptr<Deliverer> worker = make_local_worker(*this, queue);
      const Listed listed(running_, worker.get());
      co_await worker->run();
    } catch (...) {
      contain(*this, queue, runtime::current_exception_text());
    }
  }
  --queue.connections;
  --connections_running_;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  desk_.give_back(slots);
  consider(queue);
}

void Dispatcher::refund_connect(ConnectGrants& grants) {
  for (ConnectGrants::Paid& one : grants.paid) one.bucket->give_back(one.grant);
  grants.paid.clear();
}

runtime::Task<bool> Dispatcher::pay_connect(queue::Queue& queue) {
  for (const queue::RateGate* rate : {&queue.gates.own.connects, &queue.gates.shared.connects}) {
    while (*rate) {
      const auto token = rate->bucket->try_take(reactor_.now());
      if (token) {
        gatekeeper_.remember(*rate);
        break;
      }
      if (stopping_) co_return false;
      co_await runtime::sleep_for(reactor_, std::min<Duration>(token.error() - reactor_.now(), 1s));
    }
  }
  co_return !stopping_;
}

void Dispatcher::note_no_descriptor() {
  shared_.descriptors.hold_connects(reactor_.now());
  std::string line = shared_.descriptors.look(0, reactor_.descriptor_reserve());
  if (!line.empty() && log_) log_(std::move(line));
}

void Dispatcher::hold_connects(queue::Queue& queue, MonoTime again) {
  queue.connect_not_before = std::max(queue.connect_not_before, again);
}

void Dispatcher::hold_for_hosts(queue::Queue& queue, MonoTime again) {
  // One that came free while this one still looked at the next host is not told again.
  if (std::exchange(queue.host_freed, false)) again = std::min(again, reactor_.now() + HostLine::kLookAgain);
  queue.hosts_full_until = again;
}

runtime::Task<void> Dispatcher::run_connection(queue::Queue& opened_for, config::QueueType type, Slots slots,
                                               ConnectGrants grants) {
  queue::Queue* served = &opened_for;
  // consider() counts this connection before it runs; what it runs into at once (a cached answer of DNS) must
  // not come back to consider() while that is still deciding.
  co_await runtime::yield(reactor_);
  bool was_established = false;
  if (opened_for.settings->type == type) {
    std::unique_ptr<Deliverer> one;
    try {
      if (is_smtp(type)) {
        one = std::make_unique<Connection>(*this, opened_for, slots, std::move(grants));
      } else {
        one = std::make_unique<HttpWorker>(*this, opened_for, slots, std::move(grants));
      }
      const Listed listed(running_, one.get());
      SlowTimer slow(*this, *one, slots);
      reactor_.arm_in(slow, kSlowAfter);
      co_await one->run();
    } catch (...) {
      contain(*this, opened_for, runtime::current_exception_text());
      if (!one) refund_connect(grants);  // it would give back what it was given
    }
    if (one) {
      was_established = one->established();
      served = &one->queue();
    }
  } else {  // a reload came in between
    refund_connect(grants);
  }
  queue::Queue& queue = *served;
  if (was_established) {
    --queue.established;
    queue.hosts_full_until = {};  // it may have been one of its own
  }
  desk_.give_back(slots);  // to others first, if any wait
  --queue.connections;
  --connections_running_;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  consider(queue);
}

/// False: not now, or `soonest` says when at the latest.
bool Dispatcher::take_source(const queue::SourceAddress& source, std::optional<std::uint32_t> mx_limit,
                             queue::Queue& queue, Passage& out, MonoTime& soonest) {
  const MonoTime now = reactor_.now();
  std::shared_ptr<queue::SourceGate> gate = queue.gates.of_source(source.address);
  if (gate && gate->max_connections && gate->connections >= *gate->max_connections) {
    soonest = std::min(soonest, now + kSourceRetry);
    return false;
  }
  if (gate && gate->connects && !gate->connects.bucket->ready(now)) {
    soonest = std::min(soonest, gate->connects.bucket->next_time(now));
    return false;
  }
  // No connection from where nothing may be sent for long.
  MonoTime mail = now;
  if (gate && gate->messages) mail = std::max(mail, gate->messages.bucket->next_time(now));
  if (gate && gate->volume) mail = std::max(mail, gate->volume->budget.next_time(now));
  if (mail > now + kRateWaitMax) {
    soonest = std::min(soonest, mail - kRateWaitMax);
    return false;
  }
  const std::uint64_t key = mx_limit ? key_of(out.host, source) : 0;
  if (mx_limit && !out.at_host.try_take(shared_.hosts, key, *mx_limit)) {
    soonest = std::min(soonest, host_line_.stand(queue, key, *mx_limit));
    return false;
  }
  if (gate) {
    if (gate->connects) {
      const auto token = gate->connects.bucket->try_take(now);
      SLUICE_ASSERT(token.has_value());  // ready() said so, and only this shard takes
      gatekeeper_.remember(gate->connects);
    }
    out.count_by(std::move(gate));
  }
  out.source = &source;
  return true;
}

Dispatcher::Pass Dispatcher::pass(queue::Queue& queue, const queue::Snapshot& snapshot, std::string_view host,
                                  const Endpoint& to, const ProxyTries& tries, Passage& out,
                                  MonoTime& again) {
  const MonoTime now = reactor_.now();
  const queue::Identity& identity = snapshot.identity(queue.vmta);
  out.release();
  out.host = host;
  out.to = to.address;
  const auto limited = [&again, &out](MonoTime at) {
    out.release();
    again = again == MonoTime{} ? at : std::min(again, at);
    return Pass::Limited;
  };
  const auto ip_limit = snapshot.ip_limit(to.address);
  if (ip_limit && !out.at_address.try_take(shared_.hosts, key_of(to.address), *ip_limit))
    return limited(host_line_.stand(queue, key_of(to.address), *ip_limit));
  const auto mx_limit = snapshot.mx_limit(host);
  // A proxy that was lost a moment ago is asked again when no other is left.
  for (const bool also_lost : {false, true}) {
    if (also_lost && !identity.sources.front().proxy) break;
    const auto usable = [&](const queue::SourceAddress& one) {
      return !QueueModes::is_shut(queue, one.address) && !tries.excludes(one.proxy) &&
             (also_lost || !one.proxy || !proxies_.is_lost(*one.proxy, now));
    };
    for (std::size_t at = 0; at < identity.sources.size();) {
      const std::span<const queue::SourceAddress> among = identity.rank_at(at);
      MonoTime soonest = MonoTime::max();
      for (std::size_t left = among.size(); left > 0; --left) {
        const queue::SourceAddress* source = identity.next_source(among, to.address.is_v4(), usable);
        if (source == nullptr) break;
        if (!take_source(*source, mx_limit, queue, out, soonest)) continue;
        host_line_.leave(queue);
        return Pass::Granted;
      }
      if (soonest != MonoTime::max()) return limited(soonest);
      at += among.size();
    }
  }
  return Pass::NoSource;
}

// --- Making room.

/// It is the turn of a queue of `shard` to take from `budget`.
void Dispatcher::tell(std::uint32_t shard, Budget budget) {
  Dispatcher* const there = shard < peers_.size() ? peers_[shard] : this;
  reactor_.send_to(there->reactor_.shard(),
                   [there, one = std::move(budget)] { there->desk_.turn_has_come(one); });
}

void Dispatcher::tell_of_host(std::uint64_t mask, std::uint32_t place) {
  if (peers_.empty()) return host_line_.turn_has_come(place);
  for (Dispatcher* there : peers_) {
    const std::uint32_t shard = there->reactor_.shard().raw();
    if ((mask >> (shard % 64) & 1) == 0) continue;
    reactor_.send_to(there->reactor_.shard(), [there, place] { there->host_line_.turn_has_come(place); });
  }
}

bool Dispatcher::must_hand_on(Slots& slots, const queue::Queue& queue, std::uint64_t messages,
                              MonoTime since) const {
  const bool over = messages >= kTurnMessages || reactor_.now() - since >= kTurnTime;
  if (messages == 0 || (!over && !queue.settings->allow_priority_interruption)) return false;
  return SlotDesk::must_yield(
      slots, {.priority = queue.settings->queue_priority, .holds = queue.connections, .has_had_turn = over});
}

/// Looks connections over while queues stand in line, of this shard or another.
void Dispatcher::watch_connections() {
  if (!look_timer_.armed() && !stopping_) reactor_.arm_in(look_timer_, kLookOver);
}

/// Those that came to rest before somebody stood in line, and those whose hosts stall, may have to end.
void Dispatcher::on_look_timer(runtime::Timer& timer) {
  Dispatcher& self = static_cast<LookTimer&>(timer).owner;
  bool again = false;
  for (Deliverer* one : std::vector(self.running_)) {
    Slots* const slots = one->slots();
    if (slots == nullptr) continue;
    const bool wanted = SlotDesk::is_wanted(*slots);
    again = again || wanted || one->rests();
    if (one->rests() && wanted) one->finish();
    if (self.ends_stalled(*one)) one->stop_waiting();
  }
  if (again) self.watch_connections();
}

/// `queue` stands in line: connections that rest, or one of a queue of lower priority, may have to end for it.
void Dispatcher::ask_to_yield(const queue::Queue& queue, const queue::SharedBudget& full) {
  const std::uint32_t priority = queue.settings->queue_priority;
  const MonoTime now = reactor_.now();
  if (stopping_) return;
  // Thousands of queues may stand in line for the same count, and looking goes over all connections. What a
  // search that is left out misses, connections find by themselves: between messages, or when they rest.
  if (searched_.budget == &full && searched_.priority >= priority && searched_.until > now) return;
  searched_ = {&full, priority, now + kLookAgain};
  yield_for(&queue, priority, full, desk_.waiting_for(full));
  watch_connections();
  if (now < asked_to_yield_) return;
  asked_to_yield_ = now + kYieldRetry;
  const bool everybodys = &full == &shared_.outbound || &full == &shared_.connecting;
  for (Dispatcher* there : peers_) {
    if (there == this) continue;
    reactor_.send_to(there->reactor_.shard(), [there, priority, everybodys] {
      if (everybodys) there->yield_for(nullptr, priority, there->shared_.outbound, 1);
      there->watch_connections();
    });
  }
}

/// A connection of `queue` is part of the count `budget`.
bool Dispatcher::counts_for(const queue::Queue& queue, const queue::SharedBudget* budget) const {
  if (budget == &shared_.outbound || budget == &shared_.connecting ||
      budget == queue.gates.shared_connections.get())
    return true;
  const auto& totals = snapshot_->identity(queue.vmta).totals;
  return std::any_of(totals.begin(), totals.end(),
                     [budget](const queue::Totals& one) { return budget == &one.state->connections; });
}

/// Sees to it that up to `wanted` connections which are part of the count `needed` end, those of `who` not among
/// them: whatever ends already counts, then those that rest, then one of the lowest priority below `priority`.
void Dispatcher::yield_for(const queue::Queue* who, std::uint32_t priority, const queue::SharedBudget& needed,
                           std::size_t wanted) {
  Deliverer* victim = nullptr;
  std::size_t ending = 0;
  std::vector<Deliverer*> resting;
  for (Deliverer* connection : running_) {
    if (connection->slots() == nullptr) continue;
    if (!counts_for(connection->queue(), &needed)) continue;
    if (&needed == &shared_.connecting && connection->established()) continue;
    if (connection->is_finishing()) {
      if (++ending >= wanted) return;
      continue;
    }
    if (connection->rests() && &connection->queue() != who) resting.push_back(connection);
    const config::DomainSettings& settings = connection->settings();
    if (settings.queue_priority >= priority || !settings.allow_priority_interruption) continue;
    if (victim == nullptr || settings.queue_priority < victim->settings().queue_priority) victim = connection;
  }
  for (Deliverer* one : resting) {
    if (ending++ >= wanted) return;
    one->finish();
  }
  if (ending > 0 || victim == nullptr) return;
  if (victim->settings().allow_priority_interruption_during_transfer) {
    victim->cut();
  } else {
    victim->finish();
  }
}

}  // namespace sluice::delivery
