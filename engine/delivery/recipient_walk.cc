#include "engine/delivery/recipient_walk.h"

#include <algorithm>

#include "engine/delivery/dispatcher.h"
#include "engine/delivery/queue_pattern.h"
#include "policy/base/wildcard.h"

namespace sluice::delivery {
namespace {

/// So many recipients of a queue are out of it at a time while they are looked at.
constexpr std::size_t kOutAtATime = 4096;

bool is_paused(const queue::Queue& queue, const queue::Item& item) {
  const spool::Job* job = item.message->job();
  return queue.paused || (job != nullptr && job->paused.load(std::memory_order_relaxed));
}

class Remover final : public RecipientVisitor {
 public:
  Remover(Settler& settler, Settler::Removal how) : settler_(settler), how_(how) {}
  Next visit(queue::Queue& queue, queue::Item& item, const spool::MessageView* message) override {
    settler_.removed(queue, item, *message, how_);
    ++count;
    return Next::Gone;
  }
  [[nodiscard]] bool needs_message() const override { return true; }
  std::uint64_t count = 0;

 private:
  Settler& settler_;
  Settler::Removal how_;
};

class Lister final : public RecipientVisitor {
 public:
  Lister(std::size_t most, const runtime::Reactor& reactor) : most_(most), reactor_(reactor) {}
  Next visit(queue::Queue& queue, queue::Item& item, const spool::MessageView* message) override {
    if (found.size() >= most_) return Next::Stop;
    ListedRecipient& one = found.emplace_back();
    one.rcpt = message->recipient(item.recipient).address;
    one.orig = message->orig;
    one.queue = queue.name();
    one.job = message->job_id;
    one.env_id = message->env_id;
    one.received = reactor_.on_calendar(message->received);
    one.bytes = item.message->body_bytes();
    one.attempts = item.attempts;
    one.priority = item.priority;
    one.paused = is_paused(queue, item);
    if (item.due > reactor_.now()) one.due_in = item.due - reactor_.now();
    return found.size() == most_ ? Next::Stop : Next::Keep;
  }
  [[nodiscard]] bool needs_message() const override { return true; }
  std::vector<ListedRecipient> found;

 private:
  std::size_t most_;
  const runtime::Reactor& reactor_;
};

class PrioritySetter final : public RecipientVisitor {
 public:
  explicit PrioritySetter(std::uint8_t priority) : priority_(priority) {}
  Next visit(queue::Queue&, queue::Item& item, const spool::MessageView*) override {
    item.priority = priority_;
    ++count;
    return Next::Keep;
  }
  [[nodiscard]] bool needs_message() const override { return false; }
  std::uint64_t count = 0;

 private:
  std::uint8_t priority_;
};

}  // namespace

bool RecipientFilter::may_match(const queue::Item& item, WallTime now) const {
  const spool::StoredMessage& message = *item.message;
  if (!job.empty() && (message.job() == nullptr || message.job()->name != job)) return false;
  return !older_than || now - message.received() >= *older_than;
}

bool RecipientFilter::matches(const spool::MessageView& message, std::uint32_t recipient) const {
  if (!orig.empty() && !matches_wildcard(orig, message.orig)) return false;
  if (!env_id.empty() && !matches_wildcard(env_id, message.env_id)) return false;
  return rcpt.empty() || matches_wildcard(rcpt, message.recipient(recipient).address);
}

runtime::Task<void> Dispatcher::walk(RecipientFilter filter, RecipientVisitor& visitor) {
  std::vector<queue::Queue*> found;
  queues_.for_each([&](queue::Queue& queue) {
    if (!matches_queue(filter.queue, queue.name())) return;
    ++queue.held;
    found.push_back(&queue);
  });
  std::sort(found.begin(), found.end(),
            [](const queue::Queue* a, const queue::Queue* b) { return a->name() < b->name(); });
  bool stopped = false;
  for (queue::Queue* queue : found) {
    std::size_t looked_at = 0;
    while (!stopped) {
      const std::size_t kept = co_await walk_some(*queue, looked_at, filter, visitor, stopped);
      if (kept == SIZE_MAX) break;
      looked_at += kept;
    }
    --queue->held;
    consider(*queue);
  }
}

/// Takes recipients that may be meant out of the queue, past the first `skip` of them, shows them to the
/// visitor and puts those that stay back to the front in their order. Answers how many it has seen of those
/// that stayed; SIZE_MAX: there were none.
runtime::Task<std::size_t> Dispatcher::walk_some(queue::Queue& queue, std::size_t skip,
                                                 const RecipientFilter& filter, RecipientVisitor& visitor,
                                                 bool& stopped) {
  queue::Batch batch;
  std::size_t passed = 0;
  queue.extract(batch, kOutAtATime, [&, now = reactor_.lasting_now()](const queue::Item& item) {
    return filter.may_match(item, now) && passed++ >= skip;
  });
  if (batch.empty()) co_return SIZE_MAX;
  const bool reads = filter.needs_envelope() || visitor.needs_message();
  queue::Batch kept;
  std::size_t seen = 0;
  for (queue::Item* item : batch) {
    if (stopped) {
      kept.push_back(item);
      continue;
    }
    RecipientVisitor::Next next = RecipientVisitor::Next::Keep;
    if (!reads) {
      next = visitor.visit(queue, *item, nullptr);
    } else {
      Result<spool::MessageLease> lease = co_await reader_.open(*item->message);
      if (!lease && lease.error().code == Errc::Corrupt) {
        settler_.lost(queue, *item, lease.error());
        continue;
      }
      // What cannot be read now is not known to be meant.
      if (lease && filter.matches(lease->view(), item->recipient))
        next = visitor.visit(queue, *item, &lease->view());
    }
    stopped = next == RecipientVisitor::Next::Stop;
    if (next != RecipientVisitor::Next::Gone) kept.push_back(item);
    seen = kept.size();
  }
  const MonoTime now = reactor_.now();
  for (std::size_t i = kept.size(); i-- > 0;) {
    if (kept[i]->due > now) {
      queue.wait(*kept[i], true);
    } else {
      queue.put_back(*kept[i]);
    }
  }
  co_return seen;
}

runtime::Task<std::uint64_t> Dispatcher::remove(RecipientFilter filter, Settler::Removal how) {
  Remover remover(settler_, how);
  co_await walk(std::move(filter), remover);
  co_return remover.count;
}

runtime::Task<RecipientSlice> Dispatcher::list(RecipientFilter filter, std::vector<std::string> names,
                                               RecipientSlice from, std::size_t most) {
  Lister lister(most, reactor_);
  bool stopped = most == 0;
  while (!stopped && from.queue < names.size()) {
    const std::string_view name = names[from.queue];
    const std::size_t slash = name.find('/');  // no domain holds one
    queue::Queue* const queue = queues_.find({name.substr(0, slash), name.substr(slash + 1)});
    std::size_t seen = SIZE_MAX;
    if (queue != nullptr) {
      ++queue->held;
      seen = co_await walk_some(*queue, from.skipped, filter, lister, stopped);
      --queue->held;
      consider(*queue);
    }
    if (seen == SIZE_MAX) ++from.queue;
    from.skipped = seen == SIZE_MAX ? 0 : from.skipped + seen;
  }
  from.found = std::move(lister.found);
  co_return from;
}

runtime::Task<std::uint64_t> Dispatcher::set_priority(RecipientFilter filter, std::uint8_t priority) {
  PrioritySetter setter(priority);
  co_await walk(std::move(filter), setter);
  co_return setter.count;
}

void Dispatcher::release_parked() {
  std::vector<queue::Queue*> found;
  queues_.for_each([&](queue::Queue& queue) {
    if (queue.unpark() > 0) found.push_back(&queue);
  });
  const bool outer = std::exchange(sweeping_, true);  // looking at one may not take others away
  for (queue::Queue* queue : found) consider(*queue);
  sweeping_ = outer;
}

}  // namespace sluice::delivery
