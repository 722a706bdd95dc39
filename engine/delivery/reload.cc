// A new configuration for queues that hold mail and for connections that carry some.
//
// Limits of a queue are kept by the one shard that has it. So when a reload gives a virtual MTA to another
// shard, each of its queues goes there whole, with its rates, pause and mode, once its connections here have
// ended; and nothing of that virtual MTA begins anywhere before all are where they belong.
//
// IdentityState::leaving counts what that waits for: one for each shard that has not heard of the reload
// (queue::apply_limits() adds them before it spreads the snapshot), one for each queue that is misplaced or
// on its way (Queue::leaving). A queue keeps its claim wherever it goes, also when the next reload sends it
// on, so shards may hear of reloads in any order and at any time.
#include <algorithm>
#include <map>

#include "engine/delivery/connection.h"
#include "engine/delivery/dispatcher.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
void Dispatcher::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  const std::vector<queue::Queue*> in_line = desk_.clear();
  host_line_.clear();
  snapshot_ = std::move(snapshot);
  settings_ = std::make_shared<config::DomainSettingsCache>(snapshot_->config);
  withheld_said_.clear();
  settler_.set_snapshot(snapshot_, settings_);
  modes_.forget_rules();
  reroute_turns_.clear();
  rollups_.set_snapshot(snapshot_);
  gatekeeper_.set_snapshot(snapshot_);
  queues_.for_each([this](queue::Queue& queue) {
    queue.hosts_full_until = {};
    apply_settings(queue);
    queue.bring_together();
    find_place(queue);
    // Of a virtual MTA that is gone all mail finds another way now, also what waits for its retry.
    if (!queue.vmta_exists) queue.wake_all();
  });
  for (const config::VmtaId id : snapshot_->moved) {
    const queue::Identity& identity = snapshot_->identity(id);
    give_up_claim(identity.state, identity.name);
  }
  end_surplus();
  for (Deliverer* one : std::vector(running_)) one->renew();
  // Those that end anyway first: they leave room for others.
  for (const bool finishing : {true, false}) {
    for (Deliverer* one : std::vector(running_)) {
      if (one->is_finishing() == finishing) one->count_anew();
    }
  }
  if (!started_) return;
  consider_each(in_line);  // before others, so that they keep their places
  consider_all();
}

// --- Queues that belong elsewhere.

void Dispatcher::find_place(queue::Queue& queue) {
  queue.misplaced = queue.vmta_exists && !peers_.empty() &&
                    snapshot_->home_of(queue.vmta, queue.domain()) != reactor_.shard();
  if (!queue.misplaced) {
    if (const auto state = std::exchange(queue.leaving, nullptr))
      give_up_claim(state, std::string(queue.vmta_name()));
  } else if (!queue.leaving) {
    queue.leaving = snapshot_->identity(queue.vmta).state;
    queue.leaving->leaving.fetch_add(1, std::memory_order_acq_rel);
  }
}

bool Dispatcher::awaits_others(const queue::Queue& queue) const {
  return snapshot_->identity(queue.vmta).state->leaving.load(std::memory_order_acquire) != 0;
}

void Dispatcher::give_up_claim(const std::shared_ptr<queue::IdentityState>& state, const std::string& vmta) {
  const std::uint32_t before = state->leaving.fetch_sub(1, std::memory_order_acq_rel);
  SLUICE_ASSERT(before > 0);
  if (before > 1) return;
  for (Dispatcher* there : peers_) {
    reactor_.send_to(there->reactor_.shard(), [there, vmta] { there->all_have_left(vmta); });
  }
}

void Dispatcher::all_have_left(const std::string& vmta) {
  if (awaited_.erase(vmta) == 0) return;
  queues_.for_each([&](queue::Queue& queue) {
    if (queue.vmta_name() == vmta && queue.size() > 0) reactor_.arm(queue.timer, reactor_.now());
  });
}

// --- Queues whose virtual MTA is gone.

/// Who sends a message now: the pool it was meant for, else `invalid-virtual-mta-fallback`.
std::optional<config::VmtaId> Dispatcher::successor_of(const queue::Queue& queue,
                                                       const spool::MessageView& message) {
  if (!message.vmta_pool.empty()) {
    if (const auto member = reroute_member(queue, message.vmta_pool)) return member;
  }
  const std::string& fallback = snapshot_->config->globals.invalid_virtual_mta_fallback;
  return fallback.empty() ? std::nullopt : reroute_member(queue, fallback);
}

runtime::Task<void> Dispatcher::find_successor(queue::Queue& queue) {
  static const Failure kGone{{5, 3, 5}, "smtp;specified VirtualMTA does not exist"};
  ++queue.held;
  const std::string domain(queue.domain());
  queue.wake_all();
  queue::Batch batch;
  for (std::size_t left = queue.ready(); left > 0 && queue.ready() > 0 && !stopping_ && !queue.vmta_exists;) {
    batch.clear();
    queue.take(batch, std::min<std::size_t>(left, 100));
    if (batch.empty()) break;  // the rest belongs to paused jobs
    left -= batch.size();
    Result<spool::MessageLease> lease = co_await reader_.open(*batch.front()->message);
    std::vector<Handed> slice;
    for (queue::Item* item : batch) {
      const auto successor = lease ? successor_of(queue, lease->view()) : std::nullopt;
      if (!lease) {
        settler_.lost(queue, *item, lease.error());
      } else if (queue.vmta_exists) {
        queue.give_back(*item, reactor_.now());  // another reload has brought it back
      } else if (!successor) {
        settler_.bounced(queue, *item, lease->view(), nullptr, kGone);
      } else {
        const Arrival moved = arrival_of(*item);
        queue.ended(*item);
        items_.give_back(item);
        slice.push_back({.home = snapshot_->home_of(*successor, domain),
                         .arrival = moved,
                         .domain = domain,
                         .vmta = snapshot_->identity(*successor).name,
                         .by = {queue.route, queue.is_joined_by_setting}});
      }
    }
    co_await hand_over(std::move(slice));
  }
  --queue.held;
  consider(queue);
}

// --- Connections.

/// Ends connections that a lower `max-smtp-out` leaves no room for, the youngest first.
void Dispatcher::end_surplus() {
  std::map<const queue::Queue*, std::size_t> kept;
  for (Deliverer* one : std::vector(running_)) {
    if (one->is_finishing()) continue;
    if (kept[&one->queue()]++ >= connections_at_most(one->queue())) one->finish();
  }
}

void Connection::renew() {
  outdated_ = true;
  if (!fits_settings()) {
    dispatcher_.withdraw(*this);
    finish();
  }
  wakeup_.set();
}

void Connection::count_anew() {
  if (!queue_->vmta_exists) return;
  const bool among_ours = dispatcher_.recount(*queue_, slots_);
  const bool at_the_host = dispatcher_.recount(passage_);
  if (!(among_ours || at_the_host) || finishing_) return;
  dispatcher_.withdraw(*this);
  finish();
}

const queue::SourceAddress* Connection::source_in_force() const {
  for (const queue::SourceAddress& one : dispatcher_.snapshot()->identity(queue_->vmta).sources) {
    if (one.address == source_ && one.ehlo == source_host_ && one.same_way(proxy_)) return &one;
  }
  return nullptr;
}

/// True when a connection opened now could be like this one: from the same address, by the same name, to
/// where the mail is to go, and speaking alike.
bool Connection::fits_settings() const {
  const config::DomainSettings& old = *settings_;
  const config::DomainSettings& now = *queue_->settings;
  if (!queue_->vmta_exists || queue_->misplaced || !queue_->withheld.empty() || old.type != now.type ||
      old.smtp_hosts != now.smtp_hosts || old.default_smtp_port != now.default_smtp_port)
    return false;
  if (!(client_settings(old, {}) == client_settings(now, {}))) return false;
  return !has_source_ || source_in_force() != nullptr;
}

/// Only between two steps of the conversation: nothing refers to the settings of before.
void Connection::follow_settings() {
  outdated_ = false;
  dispatcher_.withdraw(*this);
  if (!fits_settings()) finish();
  if (finishing_) return;
  dispatcher_.spares().leave(seat_);
  snapshot_ = dispatcher_.snapshot();
  settings_ = queue_->settings;
  passage_.source = source_in_force();
  passage_.count_by(queue_->gates.of_source(source_));
  std::erase_if(guests_, [this](const Guest& guest) {
    if (guest.queue->settings == settings_ && guest.queue->vmta == queue_->vmta && !guest.queue->misplaced &&
        guest.queue->vmta_exists)
      return false;
    dispatcher_.left(*guest.queue, reactor_.now());
    return true;
  });
  if (passage_.must_end()) {
    finish();
  } else if (Dispatcher::may_lend(*settings_)) {
    seat_ = dispatcher_.spares().enter(*settings_, queue_->vmta, endpoint_);
  }
}

}  // namespace sluice::delivery
