#include "engine/delivery/removal.h"

#include "engine/delivery/dispatcher.h"
#include "engine/delivery/queue_pattern.h"

namespace sluice::delivery {

bool RecipientFilter::may_match(const queue::Item& item, WallTime now) const {
  const spool::StoredMessage& message = *item.message;
  if (!job.empty() && (message.job() == nullptr || message.job()->name != job)) return false;
  return !older_than || now - message.received() >= *older_than;
}

bool RecipientFilter::matches(const spool::MessageView& message, std::uint32_t recipient) const {
  if (!orig.empty() && !matches_glob(orig, message.orig)) return false;
  if (!env_id.empty() && !matches_glob(env_id, message.env_id)) return false;
  return rcpt.empty() || matches_glob(rcpt, message.recipient(recipient).address);
}

runtime::Task<std::uint64_t> Dispatcher::remove(RecipientFilter filter) {
  static const Failure kWhy{{5, 0, 0}, "smtp;deleted by administrator"};
  std::vector<queue::Queue*> found;
  queues_.for_each([&](queue::Queue& queue) {
    if (!matches_queue(filter.queue, queue.name())) return;
    ++queue.held;
    found.push_back(&queue);
  });
  std::uint64_t removed = 0;
  for (queue::Queue* queue : found) {
    queue::Batch batch;
    queue->extract(batch, queue->size(), [&filter, now = reactor_.wall_now()](const queue::Item& item) {
      return filter.may_match(item, now);
    });
    for (queue::Item* item : batch) {
      Result<spool::MessageLease> lease = co_await reader_.open(*item->message);
      if (!lease && lease.error().code == Errc::Corrupt) {
        settler_.lost(*queue, *item, lease.error());
        continue;
      }
      // What cannot be read now is not known to be meant.
      if (!lease || !filter.matches(lease->view(), item->recipient)) {
        queue->give_back(*item, reactor_.now());
        continue;
      }
      settler_.bounced(*queue, *item, lease->view(), nullptr, kWhy, journal::Ending::Deleted);
      ++removed;
    }
    --queue->held;
    consider(*queue);
  }
  co_return removed;
}

void Dispatcher::release_parked() {
  std::vector<queue::Queue*> found;
  queues_.for_each([&](queue::Queue& queue) {
    if (queue.unpark() > 0) found.push_back(&queue);
  });
  for (queue::Queue* queue : found) consider(*queue);
}

}  // namespace sluice::delivery
