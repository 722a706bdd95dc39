// Handing out recipients to whoever delivers them.
//
//   when taken         no rate forbids it now, its window is open, and volumes are reserved by message
//   when it goes out   (its message may have had to be read) a token of queue, source, shared domain, virtual
//                      MTA and pools, from all or from none
#include <algorithm>

#include "engine/delivery/deliverer.h"
#include "engine/delivery/dispatcher.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

constexpr Duration kRecordRetry = 1s;  // while the journal cannot be written, or copies not be taken

}  // namespace

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

/// Another connection of the queue may wait for a nearer time of its own source address.
void Dispatcher::wake_at(queue::Queue& queue, MonoTime time) {
  const bool sooner = queue.timer.armed() && queue.timer.due() > reactor_.now() && queue.timer.due() < time;
  set_timer(queue, sooner && !queue.gates.sources.empty() ? queue.timer.due() : time);
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
      queue.misplaced || queue.placement.moving || !queue.withheld.empty() || Gatekeeper::is_waiting(queue) ||
      (queue.all_shut && !is_local(queue))) {
    return NothingToDo{};
  }
  if (!settler_.can_record() || !settler_.can_copy(queue) || !settler_.can_report()) {
    set_timer(queue, now + kRecordRetry);
    return NothingToDo{};
  }
  most = std::min<std::size_t>(most, queue.settings->max_rcpt_per_message.value_or(~std::uint32_t{0}));
  if (const auto hold = gatekeeper_.message_hold(queue, source, most)) return held(queue, *hold);
  do {
    queue.take(into, most);
  } while (!into.empty() && !screen(queue, into));
  if (into.empty()) {  // all wait for their windows, or for their jobs
    set_timer(queue, std::nullopt);
    return NothingToDo{};
  }
  if (const auto hold = gatekeeper_.reserve(queue, source, into.front()->message->body_bytes(), ticket)) {
    for (; !into.empty(); into.pop_back()) queue.put_back(*into.back());
    return held(queue, *hold);
  }
  return std::monostate{};
}

std::optional<MonoTime> Dispatcher::pay(queue::Queue& queue, const queue::SourceGate* source,
                                        queue::Batch& batch) {
  auto granted = static_cast<std::uint32_t>(batch.size());
  if (const auto hold = gatekeeper_.pay(queue, source, granted)) return held(queue, *hold).time;
  for (; batch.size() > granted; batch.pop_back()) queue.put_back(*batch.back());
  QueueModes::count(queue, reactor_.now(), batch.size());
  return std::nullopt;
}

}  // namespace sluice::delivery
