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
  Lister(const Dispatcher& dispatcher, std::size_t most, const runtime::Reactor& reactor)
      : dispatcher_(dispatcher), most_(most), reactor_(reactor) {}
  /// Before its recipients are out of it: their absence changes what it says.
  void begin(const queue::Queue& queue) {
    why_ = dispatcher_.why_waiting(queue);
    next_ = dispatcher_.next_attempt(queue);
    const queue::QueueEvent* const last = queue.last_reply();
    last_reply_ = last == nullptr ? std::string() : last->text;
  }
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
    if (item.attempts > 0 || !why_.empty()) one.last_reply = last_reply_;
    tell_wait(item, one);
    return found.size() == most_ ? Next::Stop : Next::Keep;
  }
  [[nodiscard]] bool needs_message() const override { return true; }
  std::vector<ListedRecipient> found;

 private:
  void tell_wait(const queue::Item& item, ListedRecipient& one) const {
    const spool::Job* job = item.message->job();
    const bool job_paused = job != nullptr && job->paused.load(std::memory_order_relaxed);
    const MonoTime now = reactor_.now();
    const MonoTime due = std::max(item.due, next_.value_or(now));
    if (job_paused) {
      one.why = "its job is paused";
    } else if (!one.paused && item.due > now && item.due >= next_.value_or(now)) {
      one.why = one.last_reply.empty() ? "in retry" : retry_words(one.last_reply);
    } else {
      one.why = why_;
    }
    if (!one.paused && due > now) one.due_in = due - now;
  }
  const Dispatcher& dispatcher_;
  std::string why_, last_reply_;
  std::optional<MonoTime> next_;
  std::size_t most_;
  const runtime::Reactor& reactor_;
};

class Counter final : public RecipientVisitor {
 public:
  Next visit(queue::Queue& queue, queue::Item&, const spool::MessageView*) override {
    if (queue_ != &queue) next_queue(&queue);
    ++here_;
    return Next::Keep;
  }
  [[nodiscard]] bool needs_message() const override { return false; }
  RecipientCount take() {
    next_queue(nullptr);
    return std::move(count_);
  }

 private:
  void next_queue(const queue::Queue* queue) {
    if (here_ > 0) count_.add(queue_->name(), std::exchange(here_, 0));
    queue_ = queue;
  }
  RecipientCount count_;
  const queue::Queue* queue_ = nullptr;  // held by the walk while it is looked at
  std::uint64_t here_ = 0;
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

void RecipientCount::add(std::string queue, std::uint64_t count) {
  recipients += count;
  ++queues;
  const auto at =
      std::find_if(largest.begin(), largest.end(), [&](const auto& one) { return one.second < count; });
  largest.emplace(at, std::move(queue), count);
  if (largest.size() > kQueuesMax) largest.pop_back();
}

void RecipientCount::add(const RecipientCount& other) {
  const std::uint64_t all = recipients + other.recipients, all_queues = queues + other.queues;
  for (const auto& [queue, count] : other.largest) add(queue, count);
  recipients = all;
  queues = all_queues;
}

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

runtime::Task<RecipientCount> Dispatcher::count(RecipientFilter filter) {
  Counter counter;
  co_await walk(std::move(filter), counter);
  co_return counter.take();
}

runtime::Task<RecipientSlice> Dispatcher::list(RecipientFilter filter, std::vector<std::string> names,
                                               RecipientSlice from, std::size_t most) {
  Lister lister(*this, most, reactor_);
  bool stopped = most == 0;
  while (!stopped && from.queue < names.size()) {
    const std::string_view name = names[from.queue];
    const std::size_t slash = name.find('/');  // no domain holds one
    queue::Queue* const queue = queues_.find({name.substr(0, slash), name.substr(slash + 1)});
    std::size_t seen = SIZE_MAX;
    if (queue != nullptr) {
      ++queue->held;
      lister.begin(*queue);
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
