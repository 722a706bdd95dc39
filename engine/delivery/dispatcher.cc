#include "engine/delivery/dispatcher.h"

#include <algorithm>
#include <tuple>

#include "engine/delivery/connection.h"
#include "engine/delivery/local/pipe.h"
#include "engine/delivery/queue_pattern.h"
#include "policy/base/assert.h"
#include "policy/limits/mode_limits.h"
#include "policy/settings/withheld.h"

namespace sluice::delivery {
Dispatcher::Dispatcher(runtime::Reactor& reactor, resolver::Resolver& resolver, spool::MessageReader& reader,
                       Settler& settler, queue::ItemPool& items, queue::SharedState& shared)
    : reactor_(reactor),
      resolver_(resolver),
      reader_(reader),
      settler_(settler),
      items_(items),
      shared_(shared),
      pauses_(shared.pauses),
      gatekeeper_(
          reactor, settler, shared,
          [this](queue::Queue& queue) { reactor_.arm(queue.timer, reactor_.now()); },
          [this](std::string_view domain, std::string_view vmta) { return queues_.find({domain, vmta}); }),
      modes_(*this),
      spf_gate_(reactor, resolver),
      rollups_(resolver),
      desk_(reactor.shard().raw(),
            {.offer = [this](queue::Queue& queue) { consider(queue); },
             .tell = [this](std::uint32_t shard, Budget budget) { tell(shard, std::move(budget)); }}),
      host_line_(reactor, shared.hosts,
                 {.look =
                      [this](queue::Queue& queue) {
                        queue.hosts_full_until = {};
                        queue.host_freed = true;
                        consider(queue);
                      },
                  .tell = [this](std::uint64_t mask, std::uint32_t place) { tell_of_host(mask, place); }}),
      look_timer_(&on_look_timer, *this),
      programs_(reactor, PipeWorker::kProgramsMax) {}

Dispatcher::~Dispatcher() {
  SLUICE_ASSERT(tasks_.running() == 0);
  reactor_.disarm(look_timer_);
  desk_.close();
  // The process ends or the test does: the spool remembers what the queues held.
  queues_.for_each([this](queue::Queue& queue) { reactor_.disarm(queue.timer); });
}

void Dispatcher::set_peers(std::span<Dispatcher* const> peers) {
  peers_ = peers;
  std::vector<Gatekeeper*> keepers;
  for (Dispatcher* one : peers) {
    if (one == nullptr) return;  // still being made; said again before the first queue is
    keepers.push_back(&one->gatekeeper_);
  }
  gatekeeper_.set_peers(std::move(keepers));
}

void Dispatcher::consider_all() {
  std::vector<queue::Queue*> all;  // looking at one may make others
  all.reserve(queues_.size());
  queues_.for_each([&all](queue::Queue& queue) { all.push_back(&queue); });
  consider_each(all);
}

void Dispatcher::consider_each(const std::vector<queue::Queue*>& queues) {
  const bool outer = std::exchange(sweeping_, true);
  for (queue::Queue* queue : queues) consider(*queue);
  sweeping_ = outer;
}

void Dispatcher::apply_settings(queue::Queue& queue) {
  const auto vmta = snapshot_->config->find_vmta(queue.vmta_name());
  queue.vmta_exists = vmta.has_value();
  queue.vmta = vmta.value_or(config::kDefaultVmta);
  // Shares the cache's life: a connection may hold settings of a snapshot long replaced.
  queue.settings = {settings_, &settings_->settings_for(queue.domain(), queue.vmta)};
  if (!queue.withheld.empty()) queue.unnote_state(queue.withheld);
  queue.withheld = config::withheld_reason(*queue.settings);
  queue.expiry_check = reactor_.now();  // bounce-after may have changed
  modes_.apply_settings(queue);
  gatekeeper_.apply(queue);
  apply_placement(queue);
}

queue::Queue& Dispatcher::queue_for(std::string_view domain, std::string_view vmta) {
  if (queue::Queue* found = queues_.find({domain, vmta})) return *found;
  if (!started_ && !peers_.empty()) set_peers(peers_);
  queue::Queue& made = queues_.add(
      std::make_unique<queue::Queue>(std::string(domain), std::string(vmta), &on_queue_timer, this));
  apply_settings(made);
  modes_.recall(made, shared_.remembered);
  recall_standing(made);
  gatekeeper_.begin(made);
  made.paused = pauses_->is_paused(made.name());
  find_place(made);
  made.is_stand_in = made.vmta_exists && awaits_others(made);
  return made;
}

void Dispatcher::recall(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return;
  const std::string_view domain = name.substr(0, slash);
  const auto vmta = snapshot_->config->find_vmta(name.substr(slash + 1));
  if (snapshot_->home_of(vmta.value_or(config::kDefaultVmta), domain) != reactor_.shard()) return;
  std::ignore =
      queue_for(domain, vmta ? std::string_view(snapshot_->identity(*vmta).name) : name.substr(slash + 1));
}

void Dispatcher::enqueue(const Arrival& arrival, std::string_view domain, std::string_view vmta) {
  arrive(arrival, domain, vmta, {});
}

void Dispatcher::arrive(const Arrival& arrival, std::string_view domain, std::string_view vmta,
                        const JoinedBy& by) {
  queue::Queue& queue = queue_for(domain, vmta);
  if (by.route) queue.route = by.route;
  if (by.is_back) queue.placement.valid_until = {};  // what sent it there holds no more: the question is asked anew
  queue.is_joined_by_setting = queue.is_joined_by_setting || by.setting;
  if (queue.misplaced) {  // whoever sent it knew another configuration: it moves with the queue
    keep(queue, arrival);
    if (started_) consider(queue);
    return;
  }
  if (auto handed = rerouted(queue, arrival)) {
    pass_on(std::move(*handed));
    if (started_) consider(queue);
    return;
  }
  queue::Placement& placement = queue.placement;
  if (arrival.hops >= kHopsMax && !std::exchange(placement.in_circle, true))
    queue.note(reactor_.wall_now(), true, "queue-to goes in a circle; mail stays in " + queue.name());
  if (!placement.joins.empty() && !placement.in_circle && !placement.open(reactor_.now())) {
    queue.emptied_at = reactor_.now();  // in use: the answer is not forgotten
    const bool is_here = snapshot_->home_of(queue.vmta, placement.joins) == reactor_.shard();
    if ((is_here && queue.size() == 0) || queue.paused) {
      if (auto handed = elsewhere(queue, arrival)) return pass_on(std::move(*handed));
    }
    // Behind what moves already, or together with what comes next.
    placement.hops = std::max(placement.hops, arrival.hops);
  }
  keep(queue, arrival);
  if (started_ && arrival.due <= reactor_.now() && arrival.attempts == 0 &&
      queue.settings->retry_upon_new_mail)
    end_rest(queue);
  if (started_) consider(queue);
}

void Dispatcher::keep(queue::Queue& queue, const Arrival& arrival, Age age) {
  queue::Item& item = *items_.make();
  item.message = arrival.message;
  item.recipient = arrival.recipient;
  item.attempts = arrival.attempts;
  item.priority = arrival.priority;
  item.shut_attempts = arrival.shut_attempts;
  item.due = arrival.due;
  if (arrival.schedule != nullptr) items_.set_schedule(item, arrival.schedule);
  settler_.first_attempts().note(item.message, item.recipient, arrival.first_attempt);
  expects_expiry(queue, item);
  if (arrival.schedule != nullptr) {
    admit_scheduled(queue, item);
  } else if (arrival.due > reactor_.now()) {
    queue.wait(item, false);
  } else if (age == Age::Older) {
    queue.push_older(item);
  } else {
    queue.push(item);
  }
}

/// To a queue of whatever shard.
void Dispatcher::pass_on(Handed mail) {
  const ShardId home = mail.home;
  if (home == reactor_.shard() || home.raw() >= peers_.size())
    return arrive(mail.arrival, mail.domain, mail.vmta, mail.by);
  reactor_.send_to(home, [there = peers_[home.raw()], mail = std::move(mail)] {
    there->arrive(mail.arrival, mail.domain, mail.vmta, mail.by);
  });
}

void Dispatcher::start() {
  if (started_) return;
  if (!peers_.empty()) set_peers(peers_);
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

void Dispatcher::consider(queue::Queue& queue) {
  if (queue.misplaced) {
    reactor_.disarm(queue.timer);
    if (started_) start_moving(queue);
    return;
  }
  if (queue.expects_older()) {
    if (queue.vmta_exists && awaits_others(queue)) {  // the queue itself is on its way here
      awaited_.emplace(queue.vmta_name());
      reactor_.disarm(queue.timer);
      return;
    }
    queue.bring_together();
  }
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
  if (queue.placement.moving || !QueueModes::reroute_target(queue).empty()) {  // nothing goes out from here
    set_timer(queue, std::nullopt);
    return;
  }
  if (!queue.vmta_exists) {
    if (queue.held == 0) {
      tasks_.spawn(find_successor(queue));
    }
    return;
  }
  if (awaits_others(queue)) {
    awaited_.emplace(queue.vmta_name());
    set_timer(queue, std::nullopt);
    return;
  }
  queue.is_stand_in = false;
  if (Gatekeeper::is_waiting(queue)) {
    set_timer(queue, std::nullopt);
    return;
  }
  if (place(queue, now)) return;
  if (!queue.withheld.empty()) {
    note_withheld(queue);
    set_timer(queue, std::nullopt);
    return;
  }
  if (queue.all_shut && !is_local(queue)) {
    set_timer(queue, std::nullopt);
    return;
  }
  if (queue.retry_until > now) {
    set_timer(queue, queue.retry_until);
    return;
  }
  if (Hold next = next_recipient(queue, now); next.until > now && gatekeeper_.wait_for(queue, next)) {
    note_rate(queue, next.by);
    const bool ahead = is_smtp(queue.settings->type);
    const bool soon = next.until - now <= kRateWaitMax;
    MonoTime again{};
    // Not where others have mail that may go now.
    if (ahead && soon && queue.connections == 0 && desk_.empty()) std::ignore = open_connection(queue, again);
    set_timer(queue, soon || !ahead ? next.until : next.until - kRateWaitMax);
    return;
  }
  // Idle connections first, the one that has rested least: the others may then time out.
  const std::size_t idle = queue.idle.size();
  for (std::size_t work = queue.ready(); work > 0 && !queue.idle.empty(); --work) {
    queue.idle.back()->work_available();  // takes itself off the list
    if (queue.ready() <= queue.connections - queue.idle.size()) break;
  }
  MonoTime again{};
  bool waits = false;
  const std::size_t wanted = wanted_connections(queue);
  // Under a slow rate one connection is there for the next recipient, and more would come in vain.
  const bool slow = is_smtp(queue.settings->type) && gatekeeper_.is_slow(queue, kLinger);
  const bool enough = slow && (queue.idle.size() < idle || queue.connections > queue.established);
  while (!enough && queue.connections < wanted) {
    if (!open_connection(queue, again)) {
      waits = again > now;
      break;
    }
    if (slow) break;
  }
  set_timer(queue, waits ? std::optional(again) : std::nullopt);
}

bool Dispatcher::borrow_known(queue::Queue& queue) {
  const config::DomainSettings& settings = *queue.settings;
  if (spares_.empty() || !may_lend(settings) || !settings.smtp_hosts.empty() || queue.route) return false;
  const auto route = resolver_.find_mail_hosts(queue.domain(), route_options(*snapshot_, queue, settings));
  if (!route || !route->ok() || (route->no_mx && settings.bounce_upon_no_mx.age)) return false;
  return borrow(queue, settings, *route);
}

bool Dispatcher::borrow(queue::Queue& queue, const config::DomainSettings& settings,
                        const resolver::RouteAnswer& route) {
  if (stopping_ || !may_lend(settings)) return false;
  const auto [connection, host] = spares_.find(settings, queue.vmta, route);
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

void Dispatcher::forget_if_idle(queue::Queue& queue) {
  const MonoTime now = reactor_.now();
  if (queue.emptied_at == MonoTime{}) queue.emptied_at = now;
  // A rate that still owes time is part of the promise: the queue stays until it is paid.
  MonoTime until = queue.emptied_at + kQueueIdleMax;
  until = std::max(until, Gatekeeper::owed_until(queue, now));
  until = std::max(until, queue.retry_until);
  desk_.leave(queue);
  host_line_.leave(queue);
  const bool stays = queue.paused || queue.placement.moving || queue.placement.in_line || sweeping_ ||
                     QueueModes::must_stay(queue);
  if (now < until || stays) {
    if (stays) until = std::max(until, now + kQueueIdleMax);
    if (const auto change = QueueModes::next_time(queue)) until = std::min(until, std::max(now, *change));
    reactor_.arm(queue.timer, until);
    return;
  }
  end_rest(queue);
  if (queue.standing == queue::Standing::Good) history_.answered(queue.domain(), now);
  gatekeeper_.leave(queue);
  reactor_.disarm(queue.timer);
  queues_.remove(queue);
}

// --- For connections
// ------------------------------------------------------------------------------------------------

void Dispatcher::stand_by(Connection& connection, bool exclusive) {
  queue::Queue& queue = connection.queue();
  queue.idle.push_back(&connection);
  if (queue.size() == 0) queue.emptied_at = reactor_.now();
  // The timer stays as it is: take() may have set it to the moment a rate allows the next recipient.
  if (exclusive || !connection.seat()) return;
  spares_.park(connection.seat(), connection);
  if (!desk_.empty()) offer_spare(connection);
  watch_connections();
}

/// Queues in line that could share `connection` need no slot.
void Dispatcher::offer_spare(Connection& connection) {
  std::vector<queue::Queue*> some = desk_.first_for(*connection.slots(), kLineLookMax);
  std::erase_if(some, [&connection](const queue::Queue* one) {
    return one->settings.get() != &connection.settings() || one->vmta != connection.queue().vmta;
  });
  consider_each(some);
}

void Dispatcher::withdraw(Connection& connection) {
  std::erase(connection.queue().idle, &connection);
  spares_.withdraw(connection.seat(), connection);
}

bool Dispatcher::is_in_the_way(Connection& connection) const {
  if (connection.has_guests()) return false;
  const std::vector<queue::Worker*>& idle = connection.queue().idle;
  if (std::find(idle.begin(), idle.end(), &connection) == idle.end())
    return false;  // has found work meanwhile
  return SlotDesk::must_yield(*connection.slots(), {.rests = true});
}

void Dispatcher::established(queue::Queue& queue) { ++queue.established; }

runtime::Task<void> Dispatcher::stop(Duration grace) {
  stopping_ = true;
  reactor_.disarm(look_timer_);
  desk_.close();
  rollups_.stop();
  for (Deliverer* one : std::vector(running_)) one->finish();
  const MonoTime deadline = reactor_.now() + grace;
  while (tasks_.running() > 0 && reactor_.now() < deadline) co_await runtime::sleep_for(reactor_, 5ms);
  // Where a block says `allow-cancel-during-transfer no`, a transfer ends by itself or by its time-outs.
  for (Deliverer* one : std::vector(running_)) {
    if (one->settings().allow_cancel_during_transfer || !one->transfers()) one->cut();
  }
  co_await tasks_.join();
}

}  // namespace sluice::delivery
