// Recipients with delivery windows: they wait for one, and bounce when none is left.
#include <algorithm>

#include "engine/delivery/dispatcher.h"
#include "policy/backoff/retry_rules.h"

namespace sluice::delivery {

/// Puts a taken recipient where it belongs when it may not go at `not_before` (or now, if that is later): it
/// waits, or joins `over`. False: it may go at once.
bool Dispatcher::postpone(queue::Queue& queue, queue::Item& item, MonoTime not_before, queue::Batch& over) {
  const auto windows = items_.schedule_of(item);
  if (windows == nullptr) return false;
  const MonoTime now = reactor_.now();
  const WallTime wall = reactor_.wall_now();
  const Duration ahead = std::max(Duration{0}, not_before - now);
  const schedule::Standing then = windows->at(wall + std::chrono::ceil<std::chrono::milliseconds>(ahead));
  switch (then.kind) {
    case schedule::Standing::Kind::Open:
      if (ahead == Duration{0}) return false;
      item.due = not_before;
      break;
    case schedule::Standing::Kind::Waits: item.due = now + (then.until - wall); break;
    case schedule::Standing::Kind::Over: over.push_back(&item); return true;
  }
  queue.wait(item, true);
  return true;
}

void Dispatcher::admit_scheduled(queue::Queue& queue, queue::Item& item) {
  queue.admit(item);
  queue::Batch over;
  if (!postpone(queue, item, item.due, over)) queue.put_back(item);
  end_over(queue, std::move(over));
}

/// Leaves those in `batch` who may go now. False: nobody may.
bool Dispatcher::screen(queue::Queue& queue, queue::Batch& batch) {
  if (batch.empty() || !batch.front()->message->flags().has(spool::MessageFlags::kScheduled)) {
    return !batch.empty();  // all of one message
  }
  queue::Batch over;
  std::erase_if(batch, [&](queue::Item* item) { return postpone(queue, *item, {}, over); });
  end_over(queue, std::move(over));
  return !batch.empty();
}

void Dispatcher::end_over(queue::Queue& queue, queue::Batch over) {
  if (over.empty()) return;
  ++queue.held;
  tasks_.spawn(expire(queue, std::move(over), {}));
}

void Dispatcher::clock_was_set() {
  if (!items_.has_schedules()) return;
  std::vector<queue::Queue*> all;
  queues_.for_each([&all](queue::Queue& queue) { all.push_back(&queue); });
  for (queue::Queue* queue : all) {
    queue::Batch scheduled;
    queue->extract(scheduled, SIZE_MAX,
                   [this](const queue::Item& item) { return items_.schedule_of(item) != nullptr; });
    // Ready, until they are looked at: screen().
    for (std::size_t i = scheduled.size(); i-- > 0;) queue->put_back(*scheduled[i]);
    if (!scheduled.empty()) queue->expiry_check = reactor_.now();
  }
  consider_each(all);
}

/// Until the recipient is too old, or its last window over; 0 when that is so.
Duration Dispatcher::time_left(const queue::Queue& queue, const queue::Item& item) const {
  if (const auto windows = items_.schedule_of(item)) {
    return std::max<Duration>(Duration{0}, windows->list().back().end - reactor_.wall_now());
  }
  const Duration age = reactor_.lasting_now() - item.message->received();
  return time_to_expiry(retry_rules_of(*queue.settings, queue.mode.mode()), age);
}

}  // namespace sluice::delivery
