// What a data shard shows of its queues, jobs and virtual MTAs: a slice at a time, so that nothing else waits.
#include <algorithm>
#include <map>

#include "engine/delivery/queue_modes.h"
#include "engine/delivery/queue_pattern.h"
#include "engine/shard/data_shard.h"
#include "policy/limits/mode_limits.h"

namespace sluice::shard {
namespace {

constexpr std::size_t kLookedAt = 512;         ///< queues or jobs a slice
constexpr std::size_t kScheduleLookedAt = 64;  ///< queues whose recipients are looked at, too

bool is_shown(const queue::Queue& queue) {
  return queue.size() > 0 || queue.connections > 0 || queue.paused || queue.stored_retry ||
         delivery::QueueModes::must_stay(queue);
}

std::string pace_of(const queue::Queue& queue) {
  const auto limit = queue.pacing ? queue.pacing->limit() : std::nullopt;
  if (!limit) return {};
  std::string out = rate_text(*limit);
  const auto ceiling = limits_of(*queue.settings, queue.mode.mode()).recipients;
  if (ceiling) out += " of " + rate_text(*ceiling);
  if (const auto good = queue.pacing->last_good()) out += ", last good " + rate_text(*good);
  return out;
}

QueueStatus details_of(const delivery::Dispatcher& dispatcher, const queue::Queue& queue, MonoTime now) {
  QueueStatus one;
  one.why = dispatcher.why_waiting(queue);
  if (const auto next = dispatcher.next_attempt(queue)) one.next_attempt = std::max(Duration{0}, *next - now);
  if (const queue::QueueEvent* const last = queue.last_reply()) {
    one.last_reply = last->text;
    one.last_reply_time = last->time;
  }
  one.mode_reason = queue.mode.reason();
  one.pace = pace_of(queue);
  one.errors.assign(queue.events().begin(), queue.events().end());
  one.mode_events = queue.mode_events();
  for (const ShutSources::Entry& shut : queue.shut.entries()) {
    one.shut.push_back({.address = shut.address.text(), .left = {}, .reason = shut.reason});
    if (shut.until) one.shut.back().left = std::max(Duration{0}, *shut.until - now);
  }
  return one;
}

}  // namespace

Slice<QueueRow> DataShard::queues(std::string_view pattern, std::string_view after) const {
  Slice<QueueRow> out;
  const MonoTime now = reactor_.now();
  out.next = dispatcher_.queues().visit_some(after, kLookedAt, [&](const queue::Queue& queue) {
    if (!is_shown(queue) || !delivery::matches_queue(pattern, queue.name())) return;
    out.rows.push_back({.name = queue.name(),
                        .recipients = queue.size(),
                        .bytes = queue.bytes(),
                        .connections = queue.connections,
                        .shard = reactor_.shard().raw(),
                        .paused = queue.paused,
                        .backoff = queue.mode.in_backoff(),
                        .has_shut = !queue.shut.entries().empty(),
                        .in_retry = queue.retry_until > now,
                        .retry_in = std::max(Duration{0}, queue.retry_until - now)});
  });
  return out;
}

Slice<QueueSum> DataShard::queue_sums(std::string_view after) const {
  Slice<QueueSum> out;
  out.next = dispatcher_.queues().visit_some(after, kLookedAt, [&out](const queue::Queue& queue) {
    if (queue.size() == 0) return;
    out.rows.push_back({.domain = std::hash<std::string_view>{}(queue.domain()),
                        .type = queue.settings->type,
                        .recipients = queue.size(),
                        .bytes = queue.bytes()});
  });
  return out;
}

std::vector<QueueStatus> DataShard::queue_details(const std::vector<std::string>& names) const {
  std::vector<QueueStatus> out;
  for (const std::string& name : names) {
    const std::string_view text = name;
    const std::size_t slash = text.find('/');
    const queue::Queue* const queue =
        dispatcher_.queues().find({text.substr(0, slash), text.substr(slash + 1)});
    out.push_back(queue == nullptr ? QueueStatus() : details_of(dispatcher_, *queue, reactor_.now()));
  }
  return out;
}

Slice<ScheduleStatus> DataShard::schedules(std::string_view pattern, std::string_view after) const {
  Slice<ScheduleStatus> out;
  const WallTime now = reactor_.wall_now();
  out.next = dispatcher_.queues().visit_some(after, kScheduleLookedAt, [&](const queue::Queue& queue) {
    if (!delivery::matches_queue(pattern, queue.name())) return;
    ScheduleStatus one{.name = queue.name(), .waiting = 0, .next_opening = {}, .last_end = {}};
    for (const queue::Item* item : queue.all_waiting()) {
      const auto windows = items_.schedule_of(*item);
      if (windows == nullptr) continue;
      ++one.waiting;
      one.last_end = std::max(one.last_end, windows->list().back().end);
      const schedule::Standing standing = windows->at(now);
      const WallTime opening = standing.kind == schedule::Standing::Kind::Waits ? standing.until : now;
      if (one.waiting == 1 || opening < one.next_opening) one.next_opening = opening;
    }
    if (one.waiting > 0) out.rows.push_back(std::move(one));
  });
  return out;
}

Slice<VmtaStatus> DataShard::vmtas(std::string_view after) const {
  std::map<std::string_view, VmtaStatus> found;
  Slice<VmtaStatus> out;
  out.next = dispatcher_.queues().visit_some(after, kLookedAt, [&found](const queue::Queue& queue) {
    VmtaStatus& one = found[queue.vmta_name()];
    one.name = queue.vmta_name();
    one.domains += queue.size() > 0 ? 1 : 0;
    one.recipients += queue.size();
    one.bytes += queue.bytes();
    one.connections += queue.connections;
  });
  for (auto& [name, one] : found) out.rows.push_back(std::move(one));
  return out;
}

Slice<JobStatus> DataShard::jobs(std::string_view after) {
  Slice<JobStatus> out;
  out.next = storage_.spool.jobs().visit_some(
      after, kLookedAt, [&out](const spool::Job* job, std::string_view name) {
        if (job == nullptr) {
          out.rows.push_back({std::string(name), 0, 0, true});
        } else {
          out.rows.push_back(
              {job->name, job->recipients, job->bytes, job->paused.load(std::memory_order_relaxed)});
        }
      });
  return out;
}

}  // namespace sluice::shard
