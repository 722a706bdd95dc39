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

constexpr Duration kSlotRetry = 20ms;   // slots other shards give back are noticed this late at most
constexpr Duration kHostRetry = 50ms;   // the same for counts by host
constexpr Duration kLookAgain = 5ms;    // after no connection was found that could make room
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

}  // namespace

/// What connections of `queue` count for.
std::vector<std::shared_ptr<queue::SharedBudget>> Dispatcher::budgets_of(const queue::Queue& queue) const {
  std::vector<std::shared_ptr<queue::SharedBudget>> out;
  out.emplace_back(std::shared_ptr<void>(), &shared_.outbound);
  for (const queue::Totals& totals : gatekeeper_.totals_of(queue))
    out.emplace_back(totals.state, &totals.state->connections);
  if (queue.gates.shared_connections) out.push_back(queue.gates.shared_connections);
  return out;
}

/// Takes one of every count; or nothing, and answers the one that is full.
const queue::SharedBudget* Dispatcher::take_slots(const queue::Queue& queue, Slots& slots) {
  for (auto& one : budgets_of(queue)) {
    if (!one->try_take()) {
      give_back(slots);
      return one.get();
    }
    slots.held.push_back({std::move(one)});
  }
  return nullptr;
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
      slots.held.push_back({std::move(one)});
    }
  }
  Slots gone{std::move(before)};
  give_back(gone);
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

void Dispatcher::give_back(Slots& slots) {
  for (const Slots::Held& one : slots.held) {
    if (one.ending) {
      one.budget->give_back_ended();
    } else {
      one.budget->give_back();
    }
  }
  slots.held.clear();
}

bool Dispatcher::is_slot_short(const queue::Queue& queue) const {
  const auto full = [](const queue::SharedBudget& one) { return one.used() >= one.limit(); };
  if (full(shared_.outbound)) return true;
  if (queue.gates.shared_connections && full(*queue.gates.shared_connections)) return true;
  const auto& totals = snapshot_->identity(queue.vmta).totals;
  return std::any_of(totals.begin(), totals.end(),
                     [&full](const queue::Totals& one) { return full(one.state->connections); });
}

bool Dispatcher::may_come_back(const queue::Queue& queue, const queue::SourceGate* gate, MonoTime at) const {
  const MonoTime now = reactor_.now();
  if (at - now <= kLinger) return false;
  const auto pays = [now, at](const queue::RateGate& rate) {
    return !rate || rate.bucket->next_time(now) <= at;
  };
  return pays(queue.gates.own.connects) && pays(queue.gates.shared.connects) &&
         (gate == nullptr || pays(gate->connects)) && queue.connect_not_before <= at &&
         queue.last_opened + queue.settings->smtp_out_rampup_interval <= at;
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
  again_at = queue.connect_not_before;
  if (queue.last_opened != MonoTime{})
    again_at = std::max(again_at, queue.last_opened + queue.settings->smtp_out_rampup_interval);
  const queue::RateGate* const rates[] = {&queue.gates.own.connects, &queue.gates.shared.connects};
  for (const queue::RateGate* rate : rates) {
    if (!*rate || rate->bucket->ready(now)) continue;
    queue.note_state(reactor_.wall_now(), kConnectRateReached);
    again_at = std::max(again_at, rate->bucket->next_time(now));
  }
  if (again_at > now) return false;
  if (stands_behind(queue)) {
    want_slot(queue, shared_.outbound);
    return false;
  }
  if (!shared_.connecting.try_take()) {
    want_slot(queue, shared_.connecting);
    return false;
  }
  Slots slots;
  if (const queue::SharedBudget* full = take_slots(queue, slots)) {
    shared_.connecting.give_back();
    want_slot(queue, *full);
    return false;
  }
  ConnectGrants grants;
  for (const queue::RateGate* rate : rates) {
    if (!*rate) continue;
    const auto token = rate->bucket->try_take(now);
    if (!token) {  // another shard was faster
      refund_connect(grants);
      shared_.connecting.give_back();
      give_back(slots);
      again_at = token.error();
      return false;
    }
    grants.paid.push_back({rate->bucket, *token});
    gatekeeper_.remember(*rate);
  }
  queue.last_opened = now;
  ++queue.connections;
  ++connections_running_;
  tasks_.spawn(run_connection(queue, type, std::move(slots), std::move(grants)));
  return true;
}

/// Nothing goes out, so nothing is drawn from what is counted for connections.
bool Dispatcher::open_local(queue::Queue& queue) {
  const config::QueueType type = queue.settings->type;
  if (type == config::QueueType::File && !shared_.files.try_take()) {
    want_file(queue);
    return false;
  }
  ++queue.connections;
  ++connections_running_;
  tasks_.spawn(run_local(queue, type));
  return true;
}

runtime::Task<void> Dispatcher::run_local(queue::Queue& queue, config::QueueType type) {
  co_await runtime::yield(reactor_);
  if (queue.settings->type == type) {  // no reload came in between
    const std::unique_ptr<Deliverer> worker = make_local_worker(*this, queue);
    running_.push_back(worker.get());
    co_await worker->run();
    std::erase(running_, worker.get());
  }
  --queue.connections;
  --connections_running_;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  if (type == config::QueueType::File) {
    shared_.files.give_back();
    offer_files();  // others first
  }
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

void Dispatcher::hold_connects(queue::Queue& queue, MonoTime again) {
  queue.connect_not_before = std::max(queue.connect_not_before, again);
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
    if (is_smtp(type)) {
      one = std::make_unique<Connection>(*this, opened_for, shared_.connecting, slots, std::move(grants));
    } else {
      one = std::make_unique<HttpWorker>(*this, opened_for, shared_.connecting, std::move(grants));
    }
    running_.push_back(one.get());
    co_await one->run();
    was_established = one->established();
    served = &one->queue();
    std::erase(running_, one.get());
  } else {  // a reload came in between
    refund_connect(grants);
    shared_.connecting.give_back();
  }
  queue::Queue& queue = *served;
  if (was_established) --queue.established;
  give_back(slots);
  --queue.connections;
  --connections_running_;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  consider(queue);
  offer_slots();
}

/// False: not now, or `soonest` says when at the latest.
bool Dispatcher::take_source(const queue::SourceAddress& source, std::optional<std::uint32_t> mx_limit,
                             queue::Queue& queue, Passage& out, MonoTime& soonest) {
  const MonoTime now = reactor_.now();
  std::shared_ptr<queue::SourceGate> gate = queue.gates.of_source(source.address);
  if (gate && gate->max_connections && gate->connections >= *gate->max_connections) {
    soonest = std::min(soonest, now + kHostRetry);
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
  if (mx_limit && !out.at_host.try_take(shared_.hosts, key_of(out.host, source), *mx_limit)) {
    soonest = std::min(soonest, now + kHostRetry);
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
    return limited(now + kHostRetry);
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
        if (take_source(*source, mx_limit, queue, out, soonest)) return Pass::Granted;
      }
      if (soonest != MonoTime::max()) return limited(soonest);
      at += among.size();
    }
  }
  return Pass::NoSource;
}

// --- The line for slots.

/// Queues stand in the order of their priority, and of their coming where that is the same.
void Dispatcher::want_slot(queue::Queue& queue, const queue::SharedBudget& full) {
  queue.blocked_by = &full;
  if (!queue.wants_slot) {
    queue.wants_slot = true;
    auto place = slot_line_.end();
    while (place != slot_line_.begin() &&
           (*std::prev(place))->settings->queue_priority < queue.settings->queue_priority) {
      --place;
    }
    slot_line_.insert(place, &queue);
  }
  ask_to_yield(queue);
  // Other shards give slots back without telling this one.
  if (!slot_timer_.armed()) reactor_.arm_in(slot_timer_, kSlotRetry);
}

/// The same for `total-max-file`, which no connection holds up.
void Dispatcher::want_file(queue::Queue& queue) {
  if (!std::exchange(queue.wants_slot, true)) file_line_.push_back(&queue);
  if (!slot_timer_.armed()) reactor_.arm_in(slot_timer_, kSlotRetry);
}

void Dispatcher::on_slot_timer(runtime::Timer& timer) {
  Dispatcher& self = static_cast<SlotTimer&>(timer).owner;
  self.offer_slots();
  self.offer_files();
}

void Dispatcher::offer_files() {
  for (std::size_t left = file_line_.size();
       left > 0 && !file_line_.empty() && shared_.files.used() < shared_.files.limit(); --left) {
    queue::Queue* next = file_line_.front();
    file_line_.pop_front();
    next->wants_slot = false;
    consider(*next);
  }
  if (!file_line_.empty() && !slot_timer_.armed() && !stopping_) reactor_.arm_in(slot_timer_, kSlotRetry);
}

void Dispatcher::offer_slots() {
  // Everybody in line is asked once, in order; who still finds no slot is behind the others afterwards.
  std::size_t looked = 0;
  for (std::size_t left = slot_line_.size(); left > 0 && !slot_line_.empty(); --left) {
    if ((shared_.outbound.used() >= shared_.outbound.limit() ||
         shared_.connecting.used() >= shared_.connecting.limit()) &&
        (spares_.empty() || ++looked > kLineLookMax)) {
      break;
    }
    queue::Queue* next = slot_line_.front();
    slot_line_.pop_front();
    next->wants_slot = false;
    consider(*next);
  }
  if (!slot_line_.empty() && !slot_timer_.armed() && !stopping_) reactor_.arm_in(slot_timer_, kSlotRetry);
}

/// True when a queue of higher priority waits for a count this one would take from: it comes first.
bool Dispatcher::stands_behind(const queue::Queue& queue) const {
  std::size_t looked = 0;
  for (const queue::Queue* other : slot_line_) {
    if (++looked > kLineLookMax || other->settings->queue_priority <= queue.settings->queue_priority)
      return false;
    const queue::SharedBudget* full = other->blocked_by;
    if (full == &shared_.outbound || full == &shared_.connecting ||
        full == queue.gates.shared_connections.get())
      return true;
    for (const queue::Totals& totals : snapshot_->identity(queue.vmta).totals) {
      if (full == &totals.state->connections) return true;
    }
  }
  return false;
}

/// `queue` stands in line: a connection that rests, or one of a queue of lower priority, may have to end for
/// it.
void Dispatcher::ask_to_yield(const queue::Queue& queue) {
  const std::uint32_t priority = queue.settings->queue_priority;
  const MonoTime now = reactor_.now();
  if (stopping_) return;
  // Thousands of queues may stand in line for the same count, and looking goes over all connections.
  if (nobody_yields_.budget != queue.blocked_by || nobody_yields_.priority < priority ||
      nobody_yields_.until <= now) {
    if (yield_for(&queue, priority, queue.blocked_by)) return;
    nobody_yields_ = {queue.blocked_by, priority, now + kLookAgain};
  }
  const bool everybodys = queue.blocked_by == &shared_.outbound || queue.blocked_by == &shared_.connecting;
  if (!everybodys || now < asked_to_yield_) return;
  asked_to_yield_ = now + kYieldRetry;
  for (Dispatcher* there : peers_) {
    if (there == this) continue;
    reactor_.send_to(there->reactor_.shard(),
                     [there, priority] { there->yield_for(nullptr, priority, &there->shared_.outbound); });
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

/// Ends one connection of another queue than `who` that is part of the count `needed`: one that rests, else
/// one of the lowest priority below `priority`. True: one is on its way out already or now.
bool Dispatcher::yield_for(const queue::Queue* who, std::uint32_t priority,
                           const queue::SharedBudget* needed) {
  Deliverer* victim = nullptr;
  Deliverer* resting = nullptr;
  for (Deliverer* connection : running_) {
    if (!connection->holds_slots()) continue;
    if (!counts_for(connection->queue(), needed)) continue;
    if (needed == &shared_.connecting && connection->established()) continue;
    if (connection->is_finishing()) return true;
    if (connection->rests() && &connection->queue() != who) resting = connection;
    const config::DomainSettings& settings = connection->settings();
    if (settings.queue_priority >= priority || !settings.allow_priority_interruption) continue;
    if (victim == nullptr || settings.queue_priority < victim->settings().queue_priority) victim = connection;
  }
  if (resting != nullptr) {
    resting->finish();
    return true;
  }
  if (victim == nullptr) return false;
  if (victim->settings().allow_priority_interruption_during_transfer) {
    victim->cut();
  } else {
    victim->finish();
  }
  return true;
}

}  // namespace sluice::delivery
