// NOTIFY=DELAY (RFC 3461 4.1): senders who asked for it hear every `notify-of-delay-every` that their mail
// still waits. Nothing is remembered for each recipient: a report is due whenever its age passes a multiple
// of that time between two looks at its queue. So it is left out for who is being attempted at that very
// moment, and for multiples that pass while the daemon is down; the next one comes.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "engine/delivery/dispatcher.h"
#include "engine/runtime/boundary.h"

namespace sluice::delivery {

std::optional<Duration> Dispatcher::time_to_delay_report(const queue::Queue& queue,
                                                         const queue::Item& item) const {
  if (!item.message->flags().has(spool::MessageFlags::kNotifyDelay)) return std::nullopt;
  const auto every = queue.settings->notify_of_delay_every;
  if (!every || *every <= Duration{0}) return std::nullopt;
  const Duration age = std::max<Duration>(Duration{0}, reactor_.lasting_now() - item.message->received());
  return *every - age % *every;
}

std::optional<Duration> Dispatcher::report_delays(queue::Queue& queue) {
  const WallTime now = reactor_.lasting_now();
  const auto every = queue.settings->notify_of_delay_every;
  const WallTime before = std::exchange(queue.delays_reported, now);
  if (!every || *every <= Duration{0}) return std::nullopt;
  std::optional<Duration> next;
  queue::Batch late;
  queue.extract(late, SIZE_MAX, [&](const queue::Item& item) {
    const auto left = time_to_delay_report(queue, item);
    if (!left) return false;
    next = next ? std::min(*next, *left) : *left;
    if (before == WallTime{}) return false;
    const WallTime received = item.message->received();
    const auto multiples = [&](WallTime at) {
      return std::max<Duration>(Duration{0}, at - received) / *every;
    };
    return multiples(now) > multiples(before);
  });
  if (!late.empty()) {
    Failure last{{4, 0, 0}, "smtp;waiting for another attempt"};
    if (!queue.events().empty() && !queue.events().front().text.empty())
      last.diag = queue.events().front().text;
    ++queue.held;
    tasks_.spawn(report_delayed(queue, std::move(late), std::move(last)));
  }
  return next;
}

runtime::Task<void> Dispatcher::report_delayed(queue::Queue& queue, queue::Batch late, Failure last) {
  co_await runtime::yield(reactor_);  // never ends inside the consider() that began it
  for (std::size_t i = late.size(); i-- > 0;) {
    queue::Item& item = *late[i];
    try {
      if (!stopping_) {
        const Result<spool::MessageLease> lease = co_await reader_.open(*item.message);
        // A message that cannot be read is found to be so where it is to be delivered.
        if (lease) settler_.delayed(queue, item, lease->view(), last);
      }
    } catch (...) {  // the next time comes
      runtime::note_contained(reactor_, log_, "a delay report to a sender");
    }
    if (item.due > reactor_.now()) {
      queue.wait(item, true);
    } else {
      queue.put_back(item);
    }
  }
  --queue.held;
  consider(queue);
}

}  // namespace sluice::delivery
