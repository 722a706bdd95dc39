// How many slots go to hosts that may never answer.
//
//   good      somebody there has answered mail: draws from the common counts only
//   unknown   a part of the slots (SharedState::strangers), until a first answer; who came first and who came
//             last in turns, so that new mail is tried at once however many dead domains came before it
//   failing   a smaller part (SharedState::penalty)
//
// A connection that hears nothing for kSlowAfter moves from the part it draws from to the penalty part. When that
// is full and others want its place, it ends after kSilentMax without an attempt, and its queue waits as failing:
// there it gets all its time-outs allow.
//
// A host that stalls in the middle of a conversation (kStalledAfter) keeps a slot as long as no more than a quarter of
// any count are held so, or nobody stands in line. Else the conversation ends as by its time-out, and its queue counts
// as failing. One that has a whole message and owes the reply is always waited for: it may have delivered it.
#include <algorithm>

#include "engine/delivery/connection.h"
#include "engine/delivery/dispatcher.h"

namespace sluice::delivery {
namespace {

using queue::Standing;

/// So many queues that come later go before one for each time it has failed in a row.
constexpr std::uint64_t kLagPerFailure = 4096;
constexpr std::uint64_t kFailuresCounted = 16;
/// A failing host that does not accept a connection so long is not waited for while others stand in line: the
/// kernel has asked four times by then.
constexpr Duration kPenaltyConnect = 10s;

}  // namespace

void Dispatcher::recall_standing(queue::Queue& queue) {
  if (queue.stored_retry) {
    queue.standing = Standing::Failing;
  } else if (history_.is_known(queue.domain(), reactor_.now())) {
    queue.standing = Standing::Good;
  }
}

/// A queue nobody knows finds out with some connections first.
bool Dispatcher::has_enough_scouts(const queue::Queue& queue) const {
  return queue.standing != Standing::Good && queue.connections > 0 &&
         queue.connections >= shared_.strangers.limit() / 4;
}

std::expected<Slots, const queue::SharedBudget*> Dispatcher::take_slots(queue::Queue& queue) {
  std::vector<Budget> budgets = budgets_of(queue);
  SlotDesk::Manner manner;
  switch (queue.standing) {
    case Standing::Good: break;
    case Standing::Unknown:
      budgets.push_back(ours(shared_.strangers));
      manner.both_ends = true;
      break;
    case Standing::Failing:
      budgets.push_back(ours(shared_.penalty));
      if (!history_.is_known(queue.domain(), reactor_.now()))
        manner.lag = kLagPerFailure * std::min<std::uint64_t>(queue.retry_index + 1, kFailuresCounted);
      break;
  }
  if (queue.standing != Standing::Failing) budgets.push_back(ours(shared_.connecting));
  auto slots = desk_.take(queue, budgets, manner);
  if (!slots) return slots;
  for (Slots::Held& one : slots->held) one.fleeting = is_fleeting(*one.budget);
  return slots;
}

bool Dispatcher::is_fleeting(const queue::SharedBudget& budget) const {
  return &budget == &shared_.connecting || &budget == &shared_.strangers || &budget == &shared_.penalty;
}

bool Dispatcher::to_penalty(Slots& slots) {
  if (SlotDesk::holds(slots, shared_.penalty)) return true;
  if (!shared_.penalty.try_take()) return false;
  slots.held.push_back({.budget = ours(shared_.penalty), .fleeting = true});
  desk_.give_back(slots, shared_.connecting);
  desk_.give_back(slots, shared_.strangers);
  return true;
}

void Dispatcher::on_slow(Deliverer& one, Slots& slots, Duration silent_for) {
  queue::Queue& queue = one.queue();
  if (to_penalty(slots) || one.established() || silent_for < kSilentMax) return;
  const auto is_wanted = [](const Slots::Held& held) { return held.budget->is_awaited(); };
  if (std::none_of(slots.held.begin(), slots.held.end(), is_wanted)) return;
  if (const IpAddress* host = one.target()) history_.host_failed(*host, reactor_.now());
  if (queue.established == 0) queue.standing = Standing::Failing;
  one.finish();  // nothing has been said: no attempt
}

/// True: `one` has to end, somebody in line needs its slot.
bool Dispatcher::ends_stalled(Deliverer& one) {
  Slots& slots = *one.slots();
  if (one.stalled_for() < kStalledAfter) {
    SlotDesk::goes_on(slots);
    return false;
  }
  queue::Queue& queue = one.queue();
  if (!SlotDesk::must_stop_waiting(slots, {.priority = queue.settings->queue_priority,
                                           .holds = queue.connections}))
    return false;
  queue.standing = Standing::Failing;
  return true;
}

bool Dispatcher::may_knock(queue::Queue& queue, Slots& slots, const IpAddress& host) {
  if (queue.standing == Standing::Good || !history_.is_dead(host, reactor_.now())) return true;
  if (to_penalty(slots)) return true;
  queue.standing = Standing::Failing;
  return false;
}

Duration Dispatcher::connect_timeout(const Slots& slots, const config::DomainSettings& settings) const {
  if (!shared_.penalty.is_awaited() || !SlotDesk::holds(slots, shared_.penalty))
    return settings.connect_timeout;
  return std::min(settings.connect_timeout, kPenaltyConnect);
}

void Dispatcher::answered(queue::Queue& queue, Slots& slots, const IpAddress* host) {
  if (host != nullptr) history_.host_answered(*host);
  desk_.give_back(slots, shared_.strangers);
  desk_.give_back(slots, shared_.penalty);
  is_good(queue);
}

void Dispatcher::is_good(queue::Queue& queue) {
  if (queue.standing == Standing::Good) return;
  queue.standing = Standing::Good;
  history_.answered(queue.domain(), reactor_.now());
  // Not consider(): a connection in the middle of its work calls.
  if (queue.ready() > 0) set_timer(queue, reactor_.now());
}

}  // namespace sluice::delivery
