// Why a queue's mail waits, for `show queues`.
#include <chrono>

#include "engine/delivery/deliverer.h"
#include "engine/delivery/dispatcher.h"
#include "policy/base/ascii.h"

namespace sluice::delivery {
namespace {

std::string seconds_text(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(std::max(time, Duration{0})).count()) + 's';
}

/// Receivers call it many names; all of them hold this word in one of its spellings.
bool is_greylisting(std::string_view reply) {
  for (std::size_t at = 0; at + 4 <= reply.size(); ++at) {
    const std::string_view rest = reply.substr(at);
    if (!istarts_with(rest, "grey") && !istarts_with(rest, "gray")) continue;
    const std::size_t list = rest.find_first_of("lL");
    if (list <= 5 && istarts_with(rest.substr(list), "list")) return true;
  }
  return false;
}

std::string_view retry_text(const queue::Queue& queue) {
  const queue::QueueEvent* const reply = queue.last_reply();
  return retry_words(reply == nullptr ? std::string_view() : reply->text);
}

}  // namespace

std::string_view retry_words(std::string_view reply) {
  return is_greylisting(reply) ? "greylisted" : "in retry";
}

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
  if (queue.size() == 0) return {};
  if (queue.paused) return "paused";
  if (!queue.withheld.empty()) return std::string(queue.withheld);
  if (queue.retry_until > now) return std::string(retry_text(queue));
  if (queue.misplaced) return "moves to another shard";
  if (queue.all_shut && !is_local(queue)) return all_sources_disabled(queue.name());
  if (const queue::SharedBudget* full = desk_.waits_for(queue))
    return "waits for a connection: " + slot_text(queue, *full);
  if (queue.placement.asking || queue.placement.in_line) return "waits for DNS";
  if (queue.ready() > 0) {
    const Hold next = next_recipient(queue, now);
    if (next.until > now) return std::string(rate_reached(next.by, queue.mode.mode()));
    if (queue.connections == 0 && queue.hosts_full_until > now)
      return "its mail hosts have as many connections as mx-connection-limit or ip-connection-limit allows";
    if (queue.connections == 0 && queue.connect_not_before > now)
      return "next connection in " + seconds_text(queue.connect_not_before - now);
    return {};
  }
  if (queue.taken() > 0) return {};
  if (const auto due = queue.next_wake(); due && *due > now) {
    return std::to_string(queue.waiting()) + " recipient(s) " + std::string(retry_text(queue)) +
           ", next in " + seconds_text(*due - now);
  }
  if (queue.parked() > 0) return std::to_string(queue.parked()) + " recipient(s) of paused jobs";
  return {};
}

std::optional<MonoTime> Dispatcher::next_attempt(const queue::Queue& queue) const {
  const MonoTime now = reactor_.now();
  if (queue.size() == 0 || queue.paused || queue.misplaced || (queue.all_shut && !is_local(queue)))
    return std::nullopt;
  if (queue.retry_until > now) return queue.retry_until;
  if (desk_.waits_for(queue) != nullptr || queue.placement.asking || queue.placement.in_line)
    return std::nullopt;
  if (queue.ready() > 0) {
    const MonoTime held = next_recipient(queue, now).until;
    const MonoTime connects = queue.connections == 0 ? queue.connect_not_before : now;
    const MonoTime next = std::max(held, connects);
    return next > now ? std::optional(next) : std::nullopt;
  }
  const auto due = queue.next_wake();
  return queue.taken() == 0 && due && *due > now ? due : std::nullopt;
}

}  // namespace sluice::delivery
