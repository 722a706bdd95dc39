// Why a queue's mail waits, for `show queues`.
#include <chrono>

#include "engine/delivery/deliverer.h"
#include "engine/delivery/dispatcher.h"

namespace sluice::delivery {
namespace {

std::string seconds_text(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(std::max(time, Duration{0})).count()) + 's';
}

}  // namespace

std::string Dispatcher::slot_text(const queue::Queue& queue, const queue::SharedBudget& full) const {
  const std::string limit = " (limit " + std::to_string(full.limit()) + ')';
  if (&full == &shared_.outbound) return "total-max-smtp-out reached" + limit;
  if (&full == &shared_.files) return "total-max-file reached" + limit;
  if (&full == &shared_.connecting) return "too many connections are being opened" + limit;
  if (&full == &shared_.strangers)
    return "too many connections to domains that have not answered yet" + limit;
  if (&full == &shared_.penalty) return "too many connections to domains that do not answer" + limit;
  if (&full == queue.gates.shared_connections.get()) return "max-smtp-out of the domain reached" + limit;
  const auto& totals = snapshot_->identity(queue.vmta).totals;
  const bool own = !totals.empty() && &totals.front().state->connections == &full;
  return std::string(own ? "max-smtp-out of the virtual MTA" : "max-smtp-out of a pool") + " reached" + limit;
}

std::string Dispatcher::why_waiting(const queue::Queue& queue) const {
  const MonoTime now = reactor_.now();
  if (queue.size() == 0 || queue.paused) return {};
  if (!queue.withheld.empty()) return std::string(queue.withheld);
  if (queue.retry_until > now) return {};
  if (queue.misplaced) return "moves to another shard";
  if (queue.all_shut && !is_local(queue)) return all_sources_disabled(queue.name());
  if (const queue::SharedBudget* full = desk_.waits_for(queue))
    return "waits for a connection: " + slot_text(queue, *full);
  if (queue.placement.asking || queue.placement.in_line) return "waits for DNS";
  if (queue.ready() > 0) {
    const Hold next = next_recipient(queue, now);
    if (next.until > now) return std::string(rate_reached(next.by, queue.mode.mode()));
    if (queue.connections == 0 && queue.connect_not_before > now)
      return "next connection in " + seconds_text(queue.connect_not_before - now);
    return {};
  }
  if (const auto due = queue.next_wake(); due && *due > now && queue.taken() == 0) {
    std::string out =
        std::to_string(queue.waiting()) + " recipient(s) in retry, next in " + seconds_text(*due - now);
    if (!queue.events().empty()) out += "; last error: " + queue.events().front().text;
    return out;
  }
  return {};
}

}  // namespace sluice::delivery
