// Mail that goes to another queue: to the shard its virtual MTA has moved to, into the queue its domain joins,
// or to the virtual MTA its own is rerouted to.
//
//   queue -> a slice -> the queues of this shard; each other shard: one job that is answered -> the next slice
//
// A queue of a million costs a turn no more than kMovedAtOnce recipients, here and there, and other shards'
// mailboxes hold one job of each of kMoversMax queues. Between slices everything goes on: mail that comes
// stands behind what is still here; a queue that commands or reports look through waits until they are done;
// a reload in between changes where the rest goes.
#include <algorithm>

#include "engine/delivery/dispatcher.h"
#include "engine/runtime/mailbox.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

constexpr Duration kHeardPause = 1ms;  // until a shard is asked again whether it has heard of a reload

}  // namespace

Arrival Dispatcher::arrival_of(const queue::Item& item) const {
  return {.message = item.message,
          .recipient = item.recipient,
          .attempts = item.attempts,
          .priority = item.priority,
          .shut_attempts = item.shut_attempts,
          .due = item.due,
          .schedule = items_.schedule_of(item),
          .first_attempt = settler_.first_attempts().take(item),
          .rerouted = {}};
}

/// Puts back what was taken out by arrival_of().
void Dispatcher::keep_item(queue::Queue& queue, queue::Item& item, const Arrival& arrival) {
  settler_.first_attempts().note(item.message, item.recipient, arrival.first_attempt);
  if (item.due > reactor_.now()) {
    queue.wait(item, false);
  } else {
    queue.push(item);
  }
}

// --- Which queues move.

/// Mail waits in `queue` that another queue is to have.
bool Dispatcher::has_to_move(const queue::Queue& queue, MonoTime now) const {
  if (queue.misplaced) return true;
  if (queue.paused || !queue.vmta_exists || queue.ready() + queue.waiting() == 0) return false;
  if (!QueueModes::reroute_target(queue).empty()) return true;
  const queue::Placement& placement = queue.placement;
  return !placement.joins.empty() && !placement.in_circle && !placement.open(now);
}

/// Nobody else works on the queue but `movers` tasks. Who does looks at it again when he has done.
bool Dispatcher::may_move(const queue::Queue& queue, std::uint32_t movers) const {
  if (stopping_ || queue.held > movers || queue.placement.asking) return false;
  return !queue.misplaced || (queue.connections == 0 && queue.taken() == 0);
}

/// Has the queue's mail moved, soon and in slices. Harmless while that goes on.
void Dispatcher::start_moving(queue::Queue& queue) {
  if (queue.placement.moving || !may_move(queue, 0)) return;
  queue.placement.moving = true;
  ++queue.held;
  if (moving_ >= kMoversMax) {
    moving_line_.push_back(&queue);
    return;
  }
  ++moving_;
  tasks_.spawn(move(queue));
}

runtime::Task<void> Dispatcher::move(queue::Queue& queue) {
  // Never from within what found out: it may hold a list of queues.
  co_await runtime::yield(reactor_);
  bool goes_on = true;
  while (goes_on && may_move(queue, 1) && has_to_move(queue, reactor_.now())) {
    if (queue.misplaced) {
      goes_on = co_await move_home(queue);
    } else {
      std::vector<Handed> slice;
      goes_on = cut_slice(queue, slice);
      co_await hand_over(std::move(slice));
    }
  }
  --queue.held;
  queue.placement.moving = false;
  if (queue.size() == 0) {
    queue.placement.hops = 0;
    queue.emptied_at = reactor_.now();
  }
  const bool leaves = queue.misplaced && queue.size() == 0 && may_move(queue, 0);
  if (leaves) {
    co_await leave_home(queue);
  } else if (!stopping_) {
    consider(queue);
  }
  --moving_;
  next_in_moving_line();
}

void Dispatcher::next_in_moving_line() {
  while (!stopping_ && !moving_line_.empty() && moving_ < kMoversMax) {
    queue::Queue& next = *moving_line_.front();
    moving_line_.pop_front();
    ++moving_;
    tasks_.spawn(move(next));
  }
}

/// False: what is left stays.
bool Dispatcher::cut_slice(queue::Queue& queue, std::vector<Handed>& slice) {
  bool goes_on = true;
  std::vector<std::pair<queue::Item*, Arrival>> stay;
  queue.remove_some(kMovedAtOnce, [&](queue::Item& item) {
    Arrival arrival = arrival_of(item);
    auto handed = elsewhere(queue, arrival);
    if (!handed) {
      stay.emplace_back(&item, std::move(arrival));
      return;
    }
    slice.push_back(std::move(*handed));
    items_.give_back(&item);
  });
  for (const auto& [item, arrival] : stay) keep_item(queue, *item, arrival);
  if (!stay.empty()) goes_on = false;
  return goes_on;
}

/// Where mail of `queue` goes instead; nothing: it stays.
std::optional<Dispatcher::Handed> Dispatcher::elsewhere(queue::Queue& queue, const Arrival& arrival) {
  if (auto handed = rerouted(queue, arrival)) return handed;
  const queue::Placement& placement = queue.placement;
  if (placement.joins.empty()) return std::nullopt;
  Handed out{.arrival = arrival, .domain = placement.joins, .vmta = std::string(queue.vmta_name())};
  out.arrival.hops = static_cast<std::uint8_t>(std::max(arrival.hops, placement.hops) + 1);
  out.home = snapshot_->home_of(queue.vmta, placement.joins);
  out.by = {placement.route, placement.by_setting};
  snapshot_->joined->set(snapshot_->identity(queue.vmta).state.get(), queue.domain(), placement.joins);
  return out;
}

runtime::Task<void> Dispatcher::hand_over(std::vector<Handed> slice) {
  std::vector<std::vector<Handed>> others(peers_.size());
  for (Handed& one : slice) {
    if (one.home == reactor_.shard() || one.home.raw() >= peers_.size()) {
      arrive(one.arrival, one.domain, one.vmta, one.by);
    } else {
      others[one.home.raw()].push_back(std::move(one));
    }
  }
  for (std::size_t home = 0; home < others.size(); ++home) {
    if (others[home].empty()) continue;
    co_await runtime::call_on(reactor_, ShardId(static_cast<std::uint32_t>(home)),
                              [there = peers_[home], &mail = others[home]] {
                                for (Handed& one : mail)
                                  there->arrive(one.arrival, one.domain, one.vmta, one.by);
                              });
  }
  co_await runtime::yield(reactor_);
}

// --- To another shard.

/// Sends a slice of a queue to the shard it belongs to. False: nothing is left.
runtime::Task<bool> Dispatcher::move_home(queue::Queue& queue) {
  const std::shared_ptr<const queue::Snapshot> snapshot = snapshot_;
  const ShardId home = snapshot->home_of(queue.vmta, queue.domain());
  Dispatcher* const there = peers_[home.raw()];
  // A shard that has not heard of this configuration would only send it back.
  const std::uint64_t heard =
      co_await runtime::call_on(reactor_, home, [there] { return there->snapshot_->number; });
  if (heard < snapshot->number) co_await runtime::sleep_for(reactor_, kHeardPause);
  if (heard < snapshot->number || snapshot != snapshot_ || !may_move(queue, 1)) co_return true;
  std::vector<Arrival> mail;
  queue.remove_some(kMovedAtOnce, [&](queue::Item& item) {
    mail.push_back(arrival_of(item));
    items_.give_back(&item);
  });
  if (mail.empty()) co_return false;
  co_await runtime::call_on(reactor_, home, [there, &queue, &mail] {
    // Its name is never changed, and it stays where it is until this is answered.
    there->take_in(queue.domain(), queue.vmta_name(), mail);
  });
  co_return queue.size() > 0;
}

/// A slice of a queue that is on its way here; the queue itself follows with take_over().
void Dispatcher::take_in(std::string_view domain, std::string_view vmta, const std::vector<Arrival>& mail) {
  queue::Queue& here = queue_for(domain, vmta);
  const bool waits = !here.misplaced && here.vmta_exists && awaits_others(here);
  if (waits) here.expect_older();
  for (const Arrival& one : mail) keep(here, one, waits ? Age::Older : Age::New);
  consider(here);
}

/// The queue itself, with everything it has counted. It is gone from here afterwards.
runtime::Task<void> Dispatcher::leave_home(queue::Queue& queue) {
  reactor_.disarm(queue.timer);
  gatekeeper_.leave(queue);
  desk_.leave(queue);
  host_line_.leave(queue);
  if (std::exchange(queue.placement.in_line, false)) std::erase(placing_line_, &queue);
  const ShardId home = snapshot_->home_of(queue.vmta, queue.domain());
  std::unique_ptr<queue::Queue> owned = queues_.release(queue);
  co_await runtime::call_on(reactor_, home,
                            [there = peers_[home.raw()], &owned] { there->take_over(std::move(owned)); });
}

void Dispatcher::take_over(std::unique_ptr<queue::Queue> queue) {
  const std::string vmta(queue->vmta_name());
  const std::shared_ptr<queue::IdentityState> claim = std::exchange(queue->leaving, nullptr);
  queue::Queue* here = queues_.find({queue->domain(), queue->vmta_name()});
  if (here == nullptr) {
    queue->timer.owner = this;
    queue->emptied_at = reactor_.now();
    here = &queues_.add(std::move(queue));
  } else if (!queue->is_stand_in || here->is_stand_in) {
    gatekeeper_.leave(*here);
    here->inherit(*queue);
  }
  here->paused = pauses_->is_paused(here->name());
  here->bring_together();
  apply_settings(*here);
  find_place(*here);
  if (claim) give_up_claim(claim, vmta);
  consider(*here);
}

}  // namespace sluice::delivery
