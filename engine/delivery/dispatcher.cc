#include "engine/delivery/dispatcher.h"

#include <algorithm>

#include "engine/delivery/connection.h"
#include "engine/delivery/queue_pattern.h"
#include "policy/backoff/status_texts.h"
#include "policy/base/assert.h"
#include "policy/limits/mode_limits.h"

namespace sluice::delivery {
namespace {

constexpr Duration kRecordRetry = 1s;  // while the journal cannot be written
constexpr Duration kSlotRetry = 20ms;  // slots other shards give back are noticed this late at most

void set_rate(std::unique_ptr<TokenBucket>& bucket, const config::RateLimit& rate) {
  if (!rate) {
    bucket.reset();
  } else if (bucket) {
    bucket->set_rate(*rate);
  } else {
    bucket = std::make_unique<TokenBucket>(*rate);
  }
}

}  // namespace

Dispatcher::Dispatcher(runtime::Reactor& reactor, resolver::Resolver& resolver, spool::MessageReader& reader,
                       Settler& settler, queue::ItemPool& items, queue::SharedState& shared)
    : reactor_(reactor),
      resolver_(resolver),
      reader_(reader),
      settler_(settler),
      items_(items),
      shared_(shared),
      modes_(*this),
      rollups_(resolver),
      slot_timer_(&on_slot_timer, *this) {}

Dispatcher::~Dispatcher() {
  SLUICE_ASSERT(tasks_.running() == 0);
  reactor_.disarm(slot_timer_);
  // The process ends or the test does: the spool remembers what the queues held.
  queues_.for_each([this](queue::Queue& queue) { reactor_.disarm(queue.timer); });
}

void Dispatcher::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  settings_ = std::make_shared<config::DomainSettingsCache>(snapshot_->config);
  settler_.set_snapshot(snapshot_);
  modes_.forget_rules();
  reroute_turns_.clear();
  rollups_.set_snapshot(snapshot_);
  queues_.for_each([this](queue::Queue& queue) { apply_settings(queue); });
  if (started_) consider_all();
}

void Dispatcher::consider_all() {
  std::vector<queue::Queue*> all;  // looking at one may make others
  all.reserve(queues_.size());
  queues_.for_each([&all](queue::Queue& queue) { all.push_back(&queue); });
  sweeping_ = true;
  for (queue::Queue* queue : all) consider(*queue);
  sweeping_ = false;
}

void Dispatcher::apply_settings(queue::Queue& queue) {
  const auto vmta = snapshot_->config->find_vmta(queue.vmta_name());
  queue.vmta_exists = vmta.has_value();
  queue.vmta = vmta.value_or(config::kDefaultVmta);
  // Shares the cache's life: a connection may hold settings of a snapshot long replaced.
  queue.settings = {settings_, &settings_->settings_for(queue.domain(), queue.vmta)};
  queue.expiry_check = reactor_.now();  // bounce-after may have changed
  modes_.apply_settings(queue);
  apply_limits(queue);
  apply_placement(queue);
}

void Dispatcher::apply_limits(queue::Queue& queue) {
  const ModeLimits limits = limits_of(*queue.settings, queue.mode.mode());
  const auto paced = queue.pacing ? queue.pacing->limit() : std::nullopt;
  set_rate(queue.message_rate, paced ? paced : limits.recipients);
  set_rate(queue.connect_rate, limits.connects);
}

std::size_t Dispatcher::connections_at_most(const queue::Queue& queue) {
  return limits_of(*queue.settings, queue.mode.mode()).connections.value_or(~std::uint32_t{0});
}

queue::Queue& Dispatcher::queue_for(std::string_view domain, std::string_view vmta) {
  if (queue::Queue* found = queues_.find({domain, vmta})) return *found;
  queue::Queue& made = queues_.add(
      std::make_unique<queue::Queue>(std::string(domain), std::string(vmta), &on_queue_timer, this));
  apply_settings(made);
  modes_.recall(made, shared_.remembered);
  apply_limits(made);
  recall(made);
  return made;
}

void Dispatcher::recall(queue::Queue& queue) {
  queue::Remembered& remembered = shared_.remembered;
  const MonoTime now = reactor_.now();
  const WallTime wall_now = reactor_.wall_now();
  queue.paused = remembered.take_pause(queue.name());
  if (queue.message_rate) {
    remembered.restore(*queue.message_rate, queue::Remembered::message_rate_key(queue.name()), now, wall_now);
  }
  if (queue.connect_rate) {
    remembered.restore(*queue.connect_rate, queue::Remembered::connect_rate_key(queue.name()), now, wall_now);
  }
}

void Dispatcher::remember_rate(const TokenBucket& bucket, std::string (*key)(std::string_view),
                               std::string_view name) {
  const auto value = queue::Remembered::value_of(bucket, reactor_.now(), reactor_.wall_now());
  if (value) settler_.remember(key(name), *value);
}

void Dispatcher::enqueue(const Arrival& arrival, std::string_view domain, std::string_view vmta) {
  arrive(arrival, domain, vmta, {});
}

void Dispatcher::arrive(const Arrival& arrival, std::string_view domain, std::string_view vmta,
                        const JoinedBy& by) {
  queue::Queue& queue = queue_for(domain, vmta);
  if (by.route) queue.route = by.route;
  queue.is_joined_by_setting = queue.is_joined_by_setting || by.setting;
  if (reroute(queue, arrival)) {
    if (started_) consider(queue);
    return;
  }
  queue::Placement& placement = queue.placement;
  if (arrival.hops >= kHopsMax && !std::exchange(placement.in_circle, true))
    queue.note(reactor_.wall_now(), true, "queue-to goes in a circle; mail stays in " + queue.name());
  if (!placement.joins.empty() && !placement.in_circle && !placement.open(reactor_.now())) {
    queue.emptied_at = reactor_.now();  // in use: the answer is not forgotten
    hand_on(arrival, queue);
    return;
  }
  queue::Item& item = *items_.make();
  item.message = arrival.message;
  item.recipient = arrival.recipient;
  item.attempts = arrival.attempts;
  item.priority = arrival.priority;
  item.due = arrival.due;
  expects_expiry(queue, item);
  if (arrival.due > reactor_.now()) {
    queue.wait(item, false);
  } else {
    queue.push(item);
    if (started_ && arrival.attempts == 0 && queue.settings->retry_upon_new_mail) end_rest(queue);
  }
  if (started_) consider(queue);
}

void Dispatcher::start() {
  started_ = true;
  consider_all();
}

void Dispatcher::on_queue_timer(runtime::Timer& timer) {
  auto& queue_timer = static_cast<queue::Queue::QueueTimer&>(timer);
  static_cast<Dispatcher*>(queue_timer.owner)->consider(queue_timer.queue);
}

void Dispatcher::set_timer(queue::Queue& queue, std::optional<MonoTime> extra) {
  std::optional<MonoTime> at = queue.next_wake();
  const auto sooner = [&at](const std::optional<MonoTime>& time) {
    if (time && (!at || *time < *at)) at = time;
  };
  sooner(extra);
  sooner(QueueModes::next_time(queue));
  if (queue.size() > 0 && queue.held == 0) sooner(queue.expiry_check);
  // What is under way on a connection lent to others counts as size; the queue is looked at again.
  if (!at && queue.ready() == 0 && queue.waiting() == 0 && queue.connections == 0 && queue.held == 0) {
    at = std::max(queue.emptied_at, reactor_.now()) + kQueueIdleMax;
  }
  if (!at) {
    reactor_.disarm(queue.timer);
  } else if (!queue.timer.armed() || queue.timer.due() != *at) {
    reactor_.arm(queue.timer, *at);
  }
}

std::size_t Dispatcher::wanted_connections(const queue::Queue& queue) {
  const std::size_t for_ready = (queue.ready() + kRecipientsPerConnection - 1) / kRecipientsPerConnection;
  const std::size_t busy = queue.connections - queue.idle.size();
  const std::size_t wanted = std::max(for_ready, queue.ready() > 0 && busy == 0 ? std::size_t{1} : busy);
  return std::min(wanted, connections_at_most(queue));
}

void Dispatcher::consider(queue::Queue& queue) {
  const MonoTime now = reactor_.now();
  queue.wake(now);
  if (started_ && !stopping_) keep_up(queue);
  queue.park_paused();
  if (queue.size() == 0) {
    if (queue.connections == 0 && queue.held == 0) {
      forget_if_idle(queue);
    } else {
      set_timer(queue, std::nullopt);
    }
    return;
  }
  if (stopping_ || !started_ || queue.paused || queue.ready() == 0) {
    set_timer(queue, std::nullopt);
    return;
  }
  if (!queue.vmta_exists) {
    if (queue.held == 0) {
      tasks_.spawn(bounce_ready(queue, {{5, 3, 5}, "smtp;specified VirtualMTA does not exist"},
                                journal::Ending::Bounced));
    }
    return;
  }
  if (place(queue, now)) return;
  if (queue.all_shut) {
    set_timer(queue, std::nullopt);
    return;
  }
  if (queue.retry_until > now) {
    set_timer(queue, queue.retry_until);
    return;
  }
  if (queue.message_rate && !queue.message_rate->ready(now)) {
    note_message_rate(queue);
    set_timer(queue, queue.message_rate->next_time(now));
    return;
  }
  // Idle connections first, the one that has rested least: the others may then time out.
  for (std::size_t work = queue.ready(); work > 0 && !queue.idle.empty(); --work) {
    queue.idle.back()->work_available();  // takes itself off the list
    if (queue.ready() <= queue.connections - queue.idle.size()) break;
  }
  MonoTime again{};
  bool waits = false;
  while (queue.connections < wanted_connections(queue)) {
    if (!open_connection(queue, again)) {
      waits = again > now;
      break;
    }
  }
  set_timer(queue, waits ? std::optional(again) : std::nullopt);
}

bool Dispatcher::borrow_known(queue::Queue& queue) {
  const config::DomainSettings& settings = *queue.settings;
  if (spares_.empty() || !settings.share_connections || !settings.smtp_hosts.empty() || queue.route)
    return false;
  const auto route = resolver_.find_mail_hosts(queue.domain(), route_options(*snapshot_, queue, settings));
  if (!route || !route->ok() || (route->no_mx && settings.bounce_upon_no_mx.age)) return false;
  return borrow(queue, settings, *route);
}

bool Dispatcher::borrow(queue::Queue& queue, const config::DomainSettings& settings,
                        const resolver::RouteAnswer& route) {
  if (stopping_ || !settings.share_connections) return false;
  const auto [connection, host] = spares_.find(settings, route);
  if (connection == nullptr || QueueModes::is_shut(queue, connection->source())) return false;
  ++queue.connections;
  ++queue.established;
  connection->invite(queue, host);
  if (!connection->has_room()) spares_.withdraw(connection->seat(), *connection);
  return true;
}

void Dispatcher::left(queue::Queue& queue, MonoTime look_again) {
  --queue.connections;
  --queue.established;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  // Not consider(): a connection in the middle of its work calls.
  set_timer(queue, queue.ready() > 0 ? std::optional(look_again) : std::nullopt);
}

bool Dispatcher::open_connection(queue::Queue& queue, MonoTime& again_at) {
  const MonoTime now = reactor_.now();
  if (borrow_known(queue)) return true;
  if (queue.connect_not_before > now) {
    again_at = queue.connect_not_before;
    return false;
  }
  if (queue.connect_rate && !queue.connect_rate->ready(now)) {
    queue.note_state(reactor_.wall_now(), kConnectRateReached);
    again_at = queue.connect_rate->next_time(now);
    return false;
  }
  queue::SharedBudget& of_vmta = snapshot_->identity(queue.vmta).state->connections;
  if (!shared_.connecting.try_take()) {
    want_slot(queue);
    return false;
  }
  if (!shared_.outbound.try_take()) {
    shared_.connecting.give_back();
    want_slot(queue);
    return false;
  }
  if (!of_vmta.try_take()) {
    shared_.connecting.give_back();
    shared_.outbound.give_back();
    want_slot(queue);
    return false;
  }
  if (queue.connect_rate) {
    const auto token = queue.connect_rate->try_take(now);
    SLUICE_ASSERT(token.has_value());  // ready() said so, and only this shard takes
    remember_rate(*queue.connect_rate, &queue::Remembered::connect_rate_key, queue.name());
  }
  ++queue.connections;
  ++connections_running_;
  tasks_.spawn(run_connection(queue));
  return true;
}

runtime::Task<void> Dispatcher::run_connection(queue::Queue& opened_for) {
  const std::shared_ptr<queue::IdentityState> identity = snapshot_->identity(opened_for.vmta).state;
  queue::Queue* served = &opened_for;
  // consider() counts this connection before it runs; what it runs into at once (a cached answer of DNS) must
  // not come back to consider() while that is still deciding.
  co_await runtime::yield(reactor_);
  bool was_established = false;
  {
    Connection connection(*this, opened_for, shared_.connecting);
    running_.push_back(&connection);
    co_await connection.run();
    was_established = connection.established();
    served = &connection.queue();
    std::erase(running_, &connection);
  }
  queue::Queue& queue = *served;
  if (was_established) --queue.established;
  shared_.outbound.give_back();
  identity->connections.give_back();
  --queue.connections;
  --connections_running_;
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  consider(queue);
  offer_slots();
}

void Dispatcher::want_slot(queue::Queue& queue) {
  if (!queue.wants_slot) {
    queue.wants_slot = true;
    slot_line_.push_back(&queue);
  }
  // Other shards give slots back without telling this one.
  if (!slot_timer_.armed()) reactor_.arm_in(slot_timer_, kSlotRetry);
}

void Dispatcher::on_slot_timer(runtime::Timer& timer) { static_cast<SlotTimer&>(timer).owner.offer_slots(); }

void Dispatcher::offer_slots() {
  // Everybody in line is asked once, in order; who still finds no slot is behind the others afterwards.
  std::size_t looked = 0;
  for (std::size_t left = slot_line_.size(); left > 0; --left) {
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

void Dispatcher::forget_if_idle(queue::Queue& queue) {
  const MonoTime now = reactor_.now();
  if (queue.emptied_at == MonoTime{}) queue.emptied_at = now;
  // A rate that still owes time is part of the promise: the queue stays until it is paid.
  MonoTime until = queue.emptied_at + kQueueIdleMax;
  if (queue.message_rate) until = std::max(until, queue.message_rate->next_time(now));
  if (queue.connect_rate) until = std::max(until, queue.connect_rate->next_time(now));
  until = std::max(until, queue.retry_until);
  const bool stays = queue.paused || queue.wants_slot || queue.placement.in_line || sweeping_ ||
                     QueueModes::must_stay(queue);
  if (now < until || stays) {
    if (stays) until = std::max(until, now + kQueueIdleMax);
    if (const auto change = QueueModes::next_time(queue)) until = std::min(until, std::max(now, *change));
    reactor_.arm(queue.timer, until);
    return;
  }
  end_rest(queue);
  reactor_.disarm(queue.timer);
  queues_.remove(queue);
}

// --- For connections
// ------------------------------------------------------------------------------------------------

Dispatcher::Taken Dispatcher::take(queue::Queue& queue, queue::Batch& into, std::size_t most) {
  const MonoTime now = reactor_.now();
  queue.wake(now);
  if (stopping_ || queue.paused || queue.ready() == 0 || queue.retry_until > now || !queue.vmta_exists ||
      queue.all_shut) {
    return NothingToDo{};
  }
  if (!settler_.can_record()) {
    set_timer(queue, now + kRecordRetry);
    return NothingToDo{};
  }
  const auto limit = static_cast<std::uint32_t>(
      std::min<std::size_t>(most, queue.settings->max_rcpt_per_message.value_or(~std::uint32_t{0})));
  queue.take(into, limit);
  if (into.empty()) return NothingToDo{};  // paused jobs
  const auto wanted = static_cast<std::uint32_t>(into.size());
  std::uint32_t granted = wanted;
  std::optional<TokenBucket::Grant> own;
  if (queue.message_rate) {
    const auto taken = queue.message_rate->try_take(now, granted);
    if (!taken) {
      while (!into.empty()) {
        queue.put_back(*into.back());
        into.pop_back();
      }
      set_timer(queue, taken.error());
      return WaitUntil{taken.error()};
    }
    own = *taken;
    granted = taken->count();
  }
  const std::shared_ptr<TokenBucket>& of_vmta = snapshot_->identity(queue.vmta).messages;
  if (of_vmta) {
    const auto taken = of_vmta->try_take(now, granted);
    const std::uint32_t passed = taken ? taken->count() : 0;
    if (own) queue.message_rate->give_back(*own, granted - passed);
    granted = passed;
    if (!taken) {
      while (!into.empty()) {
        queue.put_back(*into.back());
        into.pop_back();
      }
      set_timer(queue, taken.error());
      return WaitUntil{taken.error()};
    }
  }
  while (into.size() > granted) {
    queue.put_back(*into.back());
    into.pop_back();
  }
  QueueModes::count(queue, now, into.size());
  if (queue.message_rate)
    remember_rate(*queue.message_rate, &queue::Remembered::message_rate_key, queue.name());
  if (of_vmta) remember_rate(*of_vmta, &queue::Remembered::vmta_rate_key, queue.vmta_name());
  return std::monostate{};
}

void Dispatcher::stand_by(Connection& connection, bool exclusive) {
  queue::Queue& queue = connection.queue();
  queue.idle.push_back(&connection);
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  // The timer stays as it is: take() may have set it to the moment a rate allows the next recipient.
  if (exclusive || !connection.seat()) return;
  spares_.park(connection.seat(), connection);
  if (!slot_line_.empty()) offer_slots();
}

void Dispatcher::withdraw(Connection& connection) {
  std::erase(connection.queue().idle, &connection);
  spares_.withdraw(connection.seat(), connection);
}

bool Dispatcher::is_in_the_way(const Connection& connection) const {
  if (slot_line_.empty() || connection.has_guests()) return false;
  const std::vector<queue::Worker*>& idle = connection.queue().idle;
  if (std::find(idle.begin(), idle.end(), &connection) == idle.end())
    return false;  // has found work meanwhile
  const queue::SharedBudget& of_vmta = snapshot_->identity(connection.queue().vmta).state->connections;
  return shared_.outbound.used() >= shared_.outbound.limit() || of_vmta.used() >= of_vmta.limit();
}

void Dispatcher::established(queue::Queue& queue) { ++queue.established; }

runtime::Task<void> Dispatcher::stop(Duration grace) {
  stopping_ = true;
  reactor_.disarm(slot_timer_);
  for (Connection* connection : std::vector(running_)) connection->finish();
  const MonoTime deadline = reactor_.now() + grace;
  while (tasks_.running() > 0 && reactor_.now() < deadline) co_await runtime::sleep_for(reactor_, 5ms);
  for (Connection* connection : std::vector(running_)) connection->cut();
  co_await tasks_.join();
}

}  // namespace sluice::delivery
