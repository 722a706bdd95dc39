// What the dispatcher does to a queue as a whole: rest, expiry, bounces, another virtual MTA.
#include <algorithm>

#include "engine/delivery/connection.h"
#include "engine/delivery/dispatcher.h"
#include "engine/delivery/queue_pattern.h"
#include "engine/runtime/boundary.h"
#include "policy/backoff/retry_rules.h"
#include "policy/backoff/state_text.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

constexpr std::size_t kExpiredAtOnceMax = 1000;
// A walk over a large queue costs time: so long per recipient until the next one, about a minute for a
// million.
constexpr Duration kExpiryGapPerRecipient = 60us;

}  // namespace

void Dispatcher::keep_up(queue::Queue& queue) {
  modes_.on_time(queue);
  if (queue.held == 0 && queue.size() > 0 && queue.expiry_check <= reactor_.now()) expire_old(queue);
  if (!queue.paused && queue.ready() + queue.waiting() > 0 && !QueueModes::reroute_target(queue).empty()) {
    start_moving(queue);
  }
}

void Dispatcher::note_rate(queue::Queue& queue, HeldBy by) {
  queue.note_state(reactor_.wall_now(), rate_reached(by, queue.mode.mode()));
}

/// One line in the log for all queues of the same settings: there may be a million of them.
void Dispatcher::note_withheld(queue::Queue& queue) {
  queue.note_state(reactor_.wall_now(), queue.withheld);
  if (!log_ || !withheld_said_.insert(queue.settings.get()).second) return;
  log_("Queue " + queue.name() + ", and others with the same settings: " + std::string(queue.withheld));
}

// --- Retry of the whole queue

void Dispatcher::failed(queue::Queue& queue, QueueFailureKind kind, const HopFacts* hop,
                        const Failure& failure, std::optional<Duration> wait) {
  if (stopping_) return;
  try {
    settler_.queue_failed(queue, hop, failure);
  } catch (...) {  // it has failed without a record, too
    runtime::note_contained(reactor_, log_, "recording a failure of", queue.name());
  }
  if (queue.established > 0) {
    // Others of this queue are talking: no reason to stop them, but none to knock at that door again at once
    // either.
    queue.connect_not_before = reactor_.now() + kConnectPause;
    return;
  }
  queue.standing = queue::Standing::Failing;
  rest(queue, kind, wait);
}

void Dispatcher::rest(queue::Queue& queue, QueueFailureKind kind, std::optional<Duration> wait) {
  const MonoTime now = reactor_.now();
  const QueueFailure what{
      .kind = kind, .failures_before = static_cast<std::uint32_t>(queue.retry_index), .asked_by_rule = wait};
  queue.retry_until = now + queue_wait(retry_rules_of(*queue.settings, queue.mode.mode()), what);
  ++queue.retry_index;
  queue.stored_retry = true;
  try {
    settler_.remember(queue::Remembered::retry_key(queue.name()),
                      encode_time(queue.retry_until, now, reactor_.lasting_now()));
  } catch (...) {  // a restart forgets it
    runtime::note_contained(reactor_, log_, "remembering a rest of", queue.name());
  }
  consider(queue);
}

void Dispatcher::succeeded(queue::Queue& queue, const SmtpReply& reply) {
  queue.retry_index = 0;
  is_good(queue);  // also one that another queue's connection has served
  // A rest that a rule asked for goes on, whatever was under way when it began.
  if (queue.stored_retry && queue.retry_until <= reactor_.now()) end_rest(queue);
  modes_.on_delivered(queue, reply);
}

void Dispatcher::end_rest(queue::Queue& queue) {
  queue.retry_until = {};
  if (std::exchange(queue.stored_retry, false)) {
    settler_.remember(queue::Remembered::retry_key(queue.name()), {});
  }
}

// --- Age

void Dispatcher::expects_expiry(queue::Queue& queue, const queue::Item& item) {
  queue.expiry_check = std::min(queue.expiry_check, reactor_.now() + time_left(queue, item));
  if (const auto late = time_to_delay_report(queue, item))
    queue.expiry_check = std::min(queue.expiry_check, reactor_.now() + *late);
}

void Dispatcher::expire_old(queue::Queue& queue) {
  const MonoTime now = reactor_.now();
  const WallTime lasting_now = reactor_.lasting_now();
  const RetryRules rules = retry_rules_of(*queue.settings, queue.mode.mode());
  queue::Batch old;
  Duration least = rules.bounce_after;
  queue.extract(old, kExpiredAtOnceMax, [&](const queue::Item& item) {
    if (items_.schedule_of(item) != nullptr) {
      const Duration left = time_left(queue, item);
      if (left > Duration{0}) least = std::min(least, left);
      return left == Duration{0};
    }
    const Duration age = lasting_now - item.message->received();
    if (is_expired(rules, age)) return true;
    least = std::min(least, time_to_expiry(rules, age));
    return false;
  });
  if (old.size() == kExpiredAtOnceMax) {
    queue.expiry_check = now;
  } else {
    queue.expiry_check =
        now + std::max(least, kExpiryGapPerRecipient * static_cast<std::int64_t>(queue.size()));
  }
  if (const auto late = report_delays(queue)) queue.expiry_check = std::min(queue.expiry_check, now + *late);
  if (old.empty()) return;
  Failure last;
  if (!queue.events().empty()) last.diag = queue.events().front().text;
  ++queue.held;
  tasks_.spawn(expire(queue, std::move(old), std::move(last)));
}

runtime::Task<void> Dispatcher::expire(queue::Queue& queue, queue::Batch old, Failure last) {
  co_await runtime::yield(reactor_);  // never ends inside the consider() that began it
  for (queue::Item* item : old) {
    try {
      co_await expire_one(queue, *item, last);
    } catch (...) {
      hold_back(queue, *item);
    }
  }
  --queue.held;
  consider(queue);
}

runtime::Task<void> Dispatcher::expire_one(queue::Queue& queue, queue::Item& item, const Failure& last) {
  Result<spool::MessageLease> lease = co_await reader_.open(*item.message);
  if (!lease) {
    settler_.lost(queue, item, lease.error());
  } else if (items_.schedule_of(item) != nullptr) {
    settler_.window_over(queue, item, lease->view(), last);
  } else {
    settler_.expired(queue, item, lease->view(), last);
  }
}

/// Catches for a recipient that was to be ended: it waits, and is looked at again. Without memory for that, either,
/// the process ends, and the next one finds the recipient in the spool.
void Dispatcher::hold_back(queue::Queue& queue, queue::Item& item) noexcept {
  runtime::note_contained(reactor_, log_, "ending a recipient of", queue.name());
  item.due = reactor_.now() + queue.settings->retry_recipients_after;
  queue.wait(item, true);
}

// --- Bounces

void Dispatcher::bounce_all(queue::Queue& queue, Failure failure, const HopFacts& hop) {
  queue.wake_all();
  tasks_.spawn(bounce_waiting(queue, std::move(failure), hop));
}

runtime::Task<void> Dispatcher::bounce_waiting(queue::Queue& queue, Failure failure, HopFacts hop) {
  co_await bounce_ready(queue, std::move(failure), journal::Ending::Bounced, &hop);
}

runtime::Task<void> Dispatcher::bounce_ready(queue::Queue& queue, Failure failure, journal::Ending ending,
                                             const HopFacts* hop, Duration older_than) {
  ++queue.held;
  queue::Batch batch;
  queue::Batch younger;
  for (std::size_t left = queue.ready(); left > 0 && queue.ready() > 0 && !stopping_;) {
    batch.clear();
    queue.take(batch, std::min<std::size_t>(left, 100));
    if (batch.empty()) break;  // the rest belongs to paused jobs
    left -= batch.size();
    std::size_t ended = 0;
    try {
      if (reactor_.lasting_now() - batch.front()->message->received() < older_than) {
        younger.insert(younger.end(), batch.begin(), batch.end());
        continue;
      }
      Result<spool::MessageLease> lease = co_await reader_.open(*batch.front()->message);
      for (; ended < batch.size(); ++ended) {
        if (lease) {
          settler_.bounced(queue, *batch[ended], lease->view(), hop, failure, ending);
        } else {
          settler_.lost(queue, *batch[ended], lease.error());
        }
      }
    } catch (...) {
      for (; ended < batch.size(); ++ended) hold_back(queue, *batch[ended]);
    }
    co_await runtime::yield(reactor_);
  }
  for (auto item = younger.rbegin(); item != younger.rend(); ++item) queue.put_back(**item);
  --queue.held;
  consider(queue);
}

// --- Other ways

void Dispatcher::limits_changed(queue::Queue& queue) {
  gatekeeper_.apply(queue);
  // Connections over the limit, and those from addresses that are not to be used, end what they have under
  // way.
  std::vector<Deliverer*> own;
  for (Deliverer* one : running_) {
    if (&one->queue() != &queue || one->is_finishing()) continue;
    const std::optional<IpAddress>* source = one->source_in_use();
    if (source != nullptr && QueueModes::is_shut(queue, *source)) {
      one->finish();
    } else {
      own.push_back(one);
    }
  }
  for (std::size_t kept = connections_at_most(queue); kept < own.size(); ++kept) own[kept]->finish();
  if (started_ && !stopping_) tasks_.spawn(look_soon(queue));
}

runtime::Task<void> Dispatcher::look_soon(queue::Queue& queue) {
  // Whoever changed the queue may be in the middle of something, consider() included.
  ++queue.held;
  co_await runtime::yield(reactor_);
  --queue.held;
  consider(queue);
}

std::optional<config::VmtaId> Dispatcher::reroute_member(const queue::Queue& queue, std::string_view target) {
  const config::Config& config = *snapshot_->config;
  if (const auto vmta = config.find_vmta(target)) return vmta;
  const auto pool = config.find_pool(target);
  if (!pool || config.pool(*pool).settings.members.empty()) return std::nullopt;
  const auto& members = config.pool(*pool).settings.members;
  // A member's own mail is where it should be.
  for (const config::PoolMember& member : members) {
    if (member.id == queue.vmta) return queue.vmta;
  }
  auto turns = reroute_turns_.find(pool->raw());
  if (turns == reroute_turns_.end()) {
    std::vector<std::uint32_t> weights;
    for (const config::PoolMember& member : members) weights.push_back(member.weight);
    turns = reroute_turns_.emplace(pool->raw(), identity::PoolTurns(std::move(weights))).first;
  }
  return members[turns->second.member(reroute_turn_++, [](std::uint32_t) { return true; })].id;
}

std::optional<Dispatcher::Handed> Dispatcher::rerouted(queue::Queue& queue, const Arrival& arrival) {
  const std::string_view target = QueueModes::reroute_target(queue);
  if (target.empty()) return std::nullopt;
  const auto vmta = reroute_member(queue, target);
  if (vmta == queue.vmta) {
    queue.reroute_loops = true;  // to itself: nothing to say about it
    return std::nullopt;
  }
  const std::string name = vmta ? snapshot_->identity(*vmta).name : std::string(target);
  const std::string path = '\n' + arrival.rerouted;
  if (!vmta || path.find('\n' + name + '\n') != std::string::npos) {
    queue.reroute_loops = true;
    queue.note(reactor_.wall_now(), true,
               vmta ? "reroute ignored: it leads back to virtual MTA " + name
                    : "reroute ignored: there is no virtual MTA or pool " + name);
    modes_.log("Queue " + queue.name() + ": " + queue.events().front().text);
    return std::nullopt;
  }
  Handed out{.home = snapshot_->home_of(*vmta, queue.domain()),
             .arrival = arrival,
             .domain = std::string(queue.domain()),
             .vmta = name,
             .by = {queue.route, queue.is_joined_by_setting}};
  out.arrival.rerouted += std::string(queue.vmta_name()) + '\n';
  return out;
}

// --- Commands

template <class Act>
std::size_t Dispatcher::for_matching(std::string_view pattern, Act&& act) {
  std::vector<queue::Queue*> found;
  queues_.for_each([&](queue::Queue& queue) {
    if (matches_queue(pattern, queue.name())) found.push_back(&queue);
  });
  const bool outer = std::exchange(sweeping_, true);
  for (queue::Queue* queue : found) act(*queue);
  sweeping_ = outer;
  return found.size();
}

std::size_t Dispatcher::set_pauses(std::shared_ptr<const queue::PauseRules> pauses,
                                   std::string_view pattern) {
  pauses_ = std::move(pauses);
  return for_matching(pattern, [this](queue::Queue& queue) {
    const bool before = std::exchange(queue.paused, pauses_->is_paused(queue.name()));
    if (before != queue.paused) consider(queue);
  });
}

std::size_t Dispatcher::schedule(std::string_view pattern, bool also_recipients) {
  return for_matching(pattern, [this, also_recipients](queue::Queue& queue) {
    end_rest(queue);
    if (also_recipients) queue.wake_all();
    consider(queue);
  });
}

std::shared_ptr<Trace> Dispatcher::trace(Trace wanted, bool also_recipients) {
  bool has_any = false;
  queues_.for_each(
      [&](queue::Queue& queue) { has_any = has_any || matches_queue(wanted.pattern, queue.name()); });
  if (!has_any) return nullptr;
  const auto made = std::make_shared<Trace>(std::move(wanted));
  made->line = [this, trace = made.get()](std::string text) {
    if (trace->to_log && log_) log_(text);
    if (!trace->live || trace->over) return;
    if (trace->lines.size() < Trace::kLinesMax) {
      trace->lines.push_back(std::move(text));
    } else {
      ++trace->left_out;
    }
  };
  // The same asked for again is not wanted twice.
  std::erase_if(traces_, [&](const auto& one) { return !one->live && one->pattern == made->pattern; });
  traces_.push_back(made);
  schedule(made->pattern, also_recipients);
  return made;
}

void Dispatcher::drop_trace(Trace& trace) {
  trace.over = true;
  std::erase_if(traces_, [&](const auto& one) { return one.get() == &trace; });
}

std::shared_ptr<Trace> Dispatcher::take_trace(const queue::Queue& queue) {
  const auto found = std::ranges::find_if(
      traces_, [&](const auto& one) { return matches_queue(one->pattern, queue.name()); });
  if (found == traces_.end()) return nullptr;
  std::shared_ptr<Trace> out = std::move(*found);
  traces_.erase(found);
  out->begun = true;
  return out;
}

std::size_t Dispatcher::set_mode(std::string_view pattern, config::QueueMode mode) {
  return for_matching(pattern, [this, mode](queue::Queue& queue) { modes_.set_mode(queue, mode); });
}

std::size_t Dispatcher::disable_source(std::string_view pattern, const IpAddress& source,
                                       std::optional<Duration> reenable_after) {
  std::size_t done = 0;
  for_matching(pattern, [&](queue::Queue& queue) {
    if (modes_.disable_source(queue, source, reenable_after)) ++done;
  });
  return done;
}

std::size_t Dispatcher::enable_source(std::string_view pattern, const IpAddress& source) {
  std::size_t done = 0;
  for_matching(pattern, [&](queue::Queue& queue) {
    if (modes_.enable_source(queue, source)) ++done;
  });
  return done;
}

}  // namespace sluice::delivery
