// Limits of recipients: putting a queue's limits in force, and handing out mail under them.
//
//   a recipient   when taken: no rate forbids it now, and volumes are reserved by message;
//                 when it goes out (its message may have had to be read): a token of queue, source,
//                 shared domain, virtual MTA and pools, from all or from none
#include <algorithm>

#include "engine/delivery/deliverer.h"
#include "engine/delivery/dispatcher.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

constexpr Duration kRecordRetry = 1s;  // while the journal cannot be written, or copies not be taken

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

/// Makes the object behind a shared gate once, whichever shard comes first.
template <class T, class Make>
std::shared_ptr<T> shared_gate(std::atomic<T*>& place, Make make) {
  T* there = place.load(std::memory_order_acquire);
  if (there == nullptr) {
    std::unique_ptr<T> made = make();
    if (place.compare_exchange_strong(there, made.get(), std::memory_order_acq_rel)) there = made.release();
  }
  return {std::shared_ptr<void>(), there};  // lives as long as SharedState
}

}  // namespace

// --- Putting limits in force.

void Dispatcher::set_gate(queue::RateGate& gate, const config::RateLimit& rate, std::string key) const {
  if (!rate) {
    gate = {};
  } else if (gate) {
    gate.bucket->set_rate(*rate);
  } else {
    gate = {std::make_shared<TokenBucket>(*rate), std::move(key)};
    shared_.remembered.restore(*gate.bucket, gate.key, reactor_.now(), reactor_.wall_now());
  }
}

void Dispatcher::set_gate(queue::VolumeGateRef& gate, const config::VolumeLimit& rate,
                          std::string key) const {
  if (!rate) {
    gate.reset();
  } else if (gate) {
    gate->budget.set_rate(reactor_.now(), rate->bytes.raw(), rate->per);
  } else {
    gate = std::make_shared<queue::VolumeGate>(*rate, std::move(key));
    shared_.remembered.restore(gate->budget, gate->key, reactor_.now(), reactor_.wall_now());
  }
}

/// Call again whenever the queue's settings or its mode have changed. State is kept: what went before still
/// counts.
void Dispatcher::apply_limits(queue::Queue& queue) {
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
  set_gate(gates.own.connects, own ? limits.connects : std::nullopt,
           Remembered::connect_rate_key(queue.name()));
  set_gate(gates.own.messages, own || paced ? limits.recipients : std::nullopt,
           Remembered::message_rate_key(queue.name()));
  set_gate(gates.own.volume, own ? limits.volume : std::nullopt, Remembered::volume_key(queue.name()));
  if (shares) {
    share_gates(queue, limits_of(settings, config::QueueMode::Normal));
  } else {
    gates.shared = {};
    gates.shared_connections.reset();
  }
  apply_source_limits(queue);
}

void Dispatcher::share_gates(queue::Queue& queue, const ModeLimits& limits) {
  queue::SharedGates::Entry& entry = shared_.domains.entry(queue.domain());
  queue::Gates& gates = queue.gates;
  const MonoTime now = reactor_.now();
  const WallTime wall_now = reactor_.wall_now();
  const std::string scope = "shared/" + std::string(queue.domain());
  entry.connections.set_limit(limits.connections.value_or(~std::uint32_t{0}));
  gates.shared_connections = {std::shared_ptr<void>(), &entry.connections};
  const auto share_rate = [&](queue::RateGate& gate, std::atomic<TokenBucket*>& place,
                              const config::RateLimit& rate, std::string key) {
    gate = {};
    if (!rate) return;
    gate.bucket = shared_gate(place, [&] {
      auto made = std::make_unique<TokenBucket>(*rate);
      shared_.remembered.restore(*made, key, now, wall_now);
      return made;
    });
    gate.bucket->set_rate(*rate);
    gate.key = std::move(key);
  };
  share_rate(gates.shared.connects, entry.connects, limits.connects,
             queue::Remembered::connect_rate_key(scope));
  share_rate(gates.shared.messages, entry.messages, limits.recipients,
             queue::Remembered::message_rate_key(scope));
  gates.shared.volume.reset();
  if (!limits.volume) return;
  gates.shared.volume = shared_gate(entry.volume, [&] {
    auto made = std::make_unique<queue::VolumeGate>(*limits.volume, queue::Remembered::volume_key(scope));
    shared_.remembered.restore(made->budget, made->key, now, wall_now);
    return made;
  });
  gates.shared.volume->budget.set_rate(now, limits.volume->bytes.raw(), limits.volume->per);
}

void Dispatcher::apply_source_limits(queue::Queue& queue) {
  const config::DomainSettings& settings = *queue.settings;
  std::vector<std::shared_ptr<queue::SourceGate>> before = std::move(queue.gates.sources);
  queue.gates.sources.clear();
  if (settings.source_ip_max_smtp_out.empty() && settings.source_ip_max_connect_rate.empty() &&
      settings.source_ip_max_msg_rate.empty() && settings.source_ip_max_data_volume_rate.empty()) {
    return;
  }
  for (const queue::SourceAddress& source : snapshot_->identity(queue.vmta).sources) {
    const IpAddress address = source.address.value_or(IpAddress());
    const auto* connections = value_for(settings.source_ip_max_smtp_out, address);
    const auto* connects = value_for(settings.source_ip_max_connect_rate, address);
    const auto* messages = value_for(settings.source_ip_max_msg_rate, address);
    const auto* volume = value_for(settings.source_ip_max_data_volume_rate, address);
    if (connections == nullptr && connects == nullptr && messages == nullptr && volume == nullptr) continue;
    const auto known = std::find_if(before.begin(), before.end(),
                                    [&source](const auto& one) { return one->address == source.address; });
    std::shared_ptr<queue::SourceGate> gate =
        known != before.end() ? *known : std::make_shared<queue::SourceGate>();
    gate->address = source.address;
    gate->max_connections = connections == nullptr ? config::CountLimit() : config::CountLimit(*connections);
    const std::string scope = queue.name() + '/' + (source.address ? address.text() : "any");
    set_gate(gate->connects, connects == nullptr ? std::nullopt : *connects,
             queue::Remembered::connect_rate_key(scope));
    set_gate(gate->messages, messages == nullptr ? std::nullopt : *messages,
             queue::Remembered::message_rate_key(scope));
    set_gate(gate->volume, volume == nullptr ? std::nullopt : *volume, queue::Remembered::volume_key(scope));
    queue.gates.sources.push_back(std::move(gate));
  }
}

void Dispatcher::remember(const queue::RateGate& gate) {
  const auto value = queue::Remembered::value_of(*gate.bucket, reactor_.now(), reactor_.wall_now());
  if (value) settler_.remember(gate.key, *value);
}

void Dispatcher::remember(queue::VolumeGate& gate) {
  const auto slot = static_cast<std::int64_t>(VolumeBudget::kSlots);
  const std::int64_t stretch =
      reactor_.now().time_since_epoch().count() / (gate.budget.per().count() / slot + 1);
  if (gate.noted.exchange(stretch, std::memory_order_relaxed) == stretch) return;
  const auto value = queue::Remembered::value_of(gate.budget, reactor_.now(), reactor_.wall_now());
  if (value) settler_.remember(gate.key, *value);
}

// --- When.

/// `max-smtp-*` of virtual MTA and pools: what does not leave this host is none of theirs.
std::span<const queue::Totals> Dispatcher::totals_of(const queue::Queue& queue) const {
  if (is_local(queue)) return {};
  return snapshot_->identity(queue.vmta).totals;
}

Dispatcher::Hold Dispatcher::next_recipient(const queue::Queue& queue, MonoTime now) const {
  Hold next{.until = now};
  const auto later = [&next](MonoTime at, HeldBy by) {
    if (at > next.until) next = {at, by};
  };
  const auto look = [&](const queue::RateGate& rate, const queue::VolumeGateRef& volume, bool of_vmta) {
    if (rate) later(rate.bucket->next_time(now), of_vmta ? HeldBy::VmtaMessages : HeldBy::Messages);
    if (volume) later(volume->budget.next_time(now), of_vmta ? HeldBy::VmtaVolume : HeldBy::Volume);
  };
  look(queue.gates.own.messages, queue.gates.own.volume, false);
  look(queue.gates.shared.messages, queue.gates.shared.volume, false);
  for (const queue::Totals& totals : totals_of(queue)) look(totals.messages, totals.volume, true);
  return next;
}

bool Dispatcher::is_slow(const queue::Queue& queue) const {
  constexpr std::uint64_t kSmallMessage = 4096;
  const auto slow = [](const queue::RateGate& rate, const queue::VolumeGateRef& volume) {
    return (rate && rate.bucket->gap() >= kLinger) ||
           (volume &&
            volume->budget.per() / static_cast<std::int64_t>(volume->budget.bytes() / kSmallMessage + 1) >=
                kLinger);
  };
  const auto totals = totals_of(queue);
  return slow(queue.gates.own.messages, queue.gates.own.volume) ||
         slow(queue.gates.shared.messages, queue.gates.shared.volume) ||
         std::any_of(totals.begin(), totals.end(),
                     [&slow](const queue::Totals& one) { return slow(one.messages, one.volume); });
}

/// A queue that is forgotten takes its rates with it: not before they are at rest.
MonoTime Dispatcher::owed_until(const queue::Queue& queue, MonoTime now) {
  MonoTime until = now;
  const auto look = [&until, now](const queue::RateGate& connects, const queue::RateGate& messages,
                                  const queue::VolumeGateRef& volume) {
    if (connects) until = std::max(until, now + connects.bucket->debt(now));
    if (messages) until = std::max(until, now + messages.bucket->debt(now));
    if (volume && !volume->budget.at_rest(now)) until = std::max(until, now + volume->budget.per() / 4);
  };
  look(queue.gates.own.connects, queue.gates.own.messages, queue.gates.own.volume);
  for (const auto& source : queue.gates.sources) look(source->connects, source->messages, source->volume);
  return until;
}

std::size_t Dispatcher::connections_at_most(const queue::Queue& queue) {
  return queue.gates.max_connections.value_or(~std::uint32_t{0});
}

std::size_t Dispatcher::wanted_connections(const queue::Queue& queue) {
  const std::size_t for_ready = (queue.ready() + kRecipientsPerConnection - 1) / kRecipientsPerConnection;
  const std::size_t busy = queue.connections - queue.idle.size();
  // A connection takes one recipient after the other; a program or a file that is waited for holds the others
  // up.
  const std::size_t wanted =
      is_local(queue) ? busy + queue.ready()
                      : std::max(for_ready, queue.ready() > 0 && busy == 0 ? std::size_t{1} : busy);
  return std::min(wanted, connections_at_most(queue));
}

// --- Recipients.

std::optional<Dispatcher::Hold> Dispatcher::reserve_volumes(const queue::Queue& queue,
                                                            const queue::SourceGate* source,
                                                            std::uint64_t bytes, VolumeTicket& ticket) {
  const MonoTime now = reactor_.now();
  ticket.gates.clear();
  ticket.bytes = bytes;
  std::optional<Hold> wait;
  const auto reserve = [&](const queue::VolumeGateRef& gate, HeldBy by) {
    if (!gate || wait) return;
    const auto passed = gate->budget.try_reserve(now, bytes);
    if (passed) {
      ticket.gates.push_back(gate);
    } else {
      wait = Hold{passed.error().again, by};
    }
  };
  reserve(queue.gates.own.volume, HeldBy::Volume);
  if (source != nullptr) reserve(source->volume, HeldBy::SourceVolume);
  reserve(queue.gates.shared.volume, HeldBy::Volume);
  for (const queue::Totals& totals : totals_of(queue)) reserve(totals.volume, HeldBy::VmtaVolume);
  if (wait) end_volumes(ticket, false);
  return wait;
}

void Dispatcher::end_volumes(VolumeTicket& ticket, bool delivered) {
  for (const queue::VolumeGateRef& gate : ticket.gates) {
    if (delivered) {
      gate->budget.delivered(reactor_.now(), ticket.bytes);
      remember(*gate);
    } else {
      gate->budget.failed(ticket.bytes);
    }
  }
  ticket.gates.clear();
}

/// Another connection of the queue may wait for a nearer time of its own source address.
void Dispatcher::wake_at(queue::Queue& queue, MonoTime time) {
  const bool sooner = queue.timer.armed() && queue.timer.due() > reactor_.now() && queue.timer.due() < time;
  set_timer(queue, sooner && !queue.gates.sources.empty() ? queue.timer.due() : time);
}

/// The message rates `queue` is under, the queue's own first: what only this shard takes from can always be
/// given back.
void Dispatcher::ask_gates(const queue::Queue& queue, const queue::SourceGate* source) {
  gates_asked_.clear();
  const auto ask = [this](const queue::RateGate& gate, HeldBy by) {
    if (gate) gates_asked_.push_back({&gate, by});
  };
  ask(queue.gates.own.messages, HeldBy::Messages);
  if (source != nullptr) ask(source->messages, HeldBy::SourceMessages);
  ask(queue.gates.shared.messages, HeldBy::Messages);
  for (const queue::Totals& totals : totals_of(queue)) ask(totals.messages, HeldBy::VmtaMessages);
}

Dispatcher::WaitUntil Dispatcher::held(queue::Queue& queue, const Hold& hold) {
  note_rate(queue, hold.by);
  wake_at(queue, hold.until);
  return WaitUntil{hold.until};
}

Dispatcher::Taken Dispatcher::take(queue::Queue& queue, const queue::SourceGate* source, queue::Batch& into,
                                   std::size_t most, VolumeTicket& ticket) {
  const MonoTime now = reactor_.now();
  queue.wake(now);
  if (stopping_ || queue.paused || queue.ready() == 0 || queue.retry_until > now || !queue.vmta_exists ||
      queue.misplaced || (queue.all_shut && !is_local(queue))) {
    return NothingToDo{};
  }
  if (!settler_.can_record() || !settler_.can_copy(queue) || !settler_.can_report()) {
    set_timer(queue, now + kRecordRetry);
    return NothingToDo{};
  }
  most = std::min<std::size_t>(most, queue.settings->max_rcpt_per_message.value_or(~std::uint32_t{0}));
  ask_gates(queue, source);
  for (const Asked& one : gates_asked_) {
    const TokenBucket& bucket = *one.gate->bucket;
    // Several recipients of a message go together where the rate is so fast that waiting for them costs
    // nothing; not where another queue could be faster every time.
    const std::uint32_t some = one.gate == &queue.gates.own.messages ? bucket.together_max() : 1;
    const std::size_t together = some > 1 ? queue.run_of_next(std::min<std::size_t>(most, some)) : 1;
    if (const MonoTime at =
            bucket.next_time(now, static_cast<std::uint32_t>(std::max<std::size_t>(together, 1)));
        at > now) {
      return held(queue, {at, one.by});
    }
  }
  do {
    queue.take(into, most);
  } while (!into.empty() && !screen(queue, into));
  if (into.empty()) {  // all wait for their windows, or for their jobs
    set_timer(queue, std::nullopt);
    return NothingToDo{};
  }
  if (const auto hold = reserve_volumes(queue, source, into.front()->message->body_bytes(), ticket)) {
    for (; !into.empty(); into.pop_back()) queue.put_back(*into.back());
    return held(queue, *hold);
  }
  return std::monostate{};
}

std::optional<MonoTime> Dispatcher::pay(queue::Queue& queue, const queue::SourceGate* source,
                                        queue::Batch& batch) {
  const MonoTime now = reactor_.now();
  ask_gates(queue, source);
  auto granted = static_cast<std::uint32_t>(batch.size());
  std::optional<Hold> wait;
  grants_taken_.clear();
  for (const auto& [gate, by] : gates_asked_) {
    const auto taken = gate->bucket->try_take(now, granted);
    if (!taken) {
      wait = Hold{taken.error(), by};
      granted = 0;
      break;
    }
    grants_taken_.push_back(*taken);
    granted = taken->count();
  }
  for (std::size_t i = 0; i < grants_taken_.size(); ++i)
    gates_asked_[i].gate->bucket->give_back(grants_taken_[i], grants_taken_[i].count() - granted);
  if (wait) return held(queue, *wait).time;
  for (; batch.size() > granted; batch.pop_back()) queue.put_back(*batch.back());
  QueueModes::count(queue, now, batch.size());
  for (const Asked& one : gates_asked_) remember(*one.gate);
  return std::nullopt;
}

}  // namespace sluice::delivery
