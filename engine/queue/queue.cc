#include "engine/queue/queue.h"

#include <algorithm>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::queue {
namespace {

/// For a heap whose front is the earliest.
bool later(const Item* a, const Item* b) { return a->due > b->due; }

bool is_paused(const Item& item) {
  const spool::Job* job = item.message->job();
  return job != nullptr && job->paused.load(std::memory_order_relaxed);
}

}  // namespace

Queue::Queue(std::string domain, std::string vmta_name, runtime::Timer::Fire fire, void* owner)
    : timer(fire, *this, owner), name_(std::move(domain)), domain_size_(name_.size()) {
  name_ += '/';
  name_ += vmta_name;
}

void Queue::count_among(QueueTotals* totals) {
  SLUICE_ASSERT(size_ == 0);
  totals_ = totals;
}

void Queue::entered(const Item& item) {
  const std::uint64_t bytes = item.message->body_bytes();
  bytes_ += bytes;
  if (totals_ != nullptr) {
    totals_->queues += size_ == 0 ? 1 : 0;
    totals_->bytes += bytes;
    ++totals_->recipients;
  }
  ++size_;
}

void Queue::left(const Item& item) {
  SLUICE_ASSERT(size_ > 0);
  --size_;
  const std::uint64_t bytes = std::min<std::uint64_t>(bytes_, item.message->body_bytes());
  bytes_ -= bytes;
  if (totals_ != nullptr) {
    totals_->queues -= size_ == 0 ? 1 : 0;
    totals_->bytes -= bytes;
    --totals_->recipients;
  }
}

Queue::Level& Queue::level_of(std::vector<Level>& levels, std::uint8_t priority) {
  // Almost every queue has one level.
  auto at = levels.begin();
  while (at != levels.end() && at->priority > priority) ++at;
  if (at == levels.end() || at->priority != priority)
    at = levels.insert(at, Level{priority, nullptr, nullptr});
  return *at;
}

void Queue::append(std::vector<Level>& levels, Item& item) {
  item.next = nullptr;
  Level& level = level_of(levels, item.priority);
  (level.tail == nullptr ? level.head : level.tail->next) = &item;
  level.tail = &item;
  ++ready_count_;
}

void Queue::append_ready(Item& item) { append(expects_older_ ? behind_ : levels_, item); }

void Queue::expect_older() {
  if (std::exchange(expects_older_, true)) return;
  behind_ = std::exchange(levels_, {});
}

void Queue::push_older(Item& item) {
  entered(item);
  append(levels_, item);
}

void Queue::bring_together() {
  if (!std::exchange(expects_older_, false)) return;
  for (const Level& last : std::exchange(behind_, {})) {
    Level& level = level_of(levels_, last.priority);
    (level.tail == nullptr ? level.head : level.tail->next) = last.head;
    level.tail = last.tail;
  }
}

Item* Queue::take_head(std::size_t level) {
  Level& from = levels_[level];
  Item* item = from.head;
  from.head = item->next;
  item->next = nullptr;
  if (from.head == nullptr) levels_.erase(levels_.begin() + static_cast<std::ptrdiff_t>(level));
  --ready_count_;
  ++taken_;
  return item;
}

void Queue::push(Item& item) {
  entered(item);
  append_ready(item);
}

void Queue::put_back(Item& item) {
  SLUICE_ASSERT(taken_ > 0);
  Level& level = level_of(levels_, item.priority);  // may need memory
  --taken_;
  item.next = level.head;
  level.head = &item;
  if (level.tail == nullptr) level.tail = &item;
  ++ready_count_;
}

void Queue::give_back(Item& item, MonoTime now) {
  if (item.due > now) return wait(item, true);
  SLUICE_ASSERT(taken_ > 0);
  --taken_;
  append_ready(item);
}

void Queue::wait(Item& item, bool taken) {
  SLUICE_ASSERT(!taken || taken_ > 0);
  waiting_.push_back(&item);  // may need memory
  if (taken) {
    --taken_;
  } else {
    entered(item);
  }
  std::push_heap(waiting_.begin(), waiting_.end(), later);
}

std::size_t Queue::wake(MonoTime now) {
  std::size_t woken = 0;
  while (!waiting_.empty() && waiting_.front()->due <= now) {
    append_ready(*pop_waiting());
    ++woken;
  }
  return woken;
}

Item* Queue::pop_waiting() {
  std::pop_heap(waiting_.begin(), waiting_.end(), later);
  Item* const first = waiting_.back();
  waiting_.pop_back();
  return first;
}

std::size_t Queue::wake_all() {
  const std::size_t woken = waiting_.size();
  wake_all_in_order();
  return woken;
}

void Queue::wake_all_in_order() {
  std::sort(waiting_.begin(), waiting_.end(), [](const Item* a, const Item* b) { return a->due < b->due; });
  for (Item* item : waiting_) append_ready(*item);
  waiting_.clear();
}

std::optional<MonoTime> Queue::next_wake() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front()->due;
}

void Queue::park_paused() {
  bring_together();
  while (!levels_.empty() && is_paused(*levels_.front().head)) {
    parked_.push_back(take_head(0));
    --taken_;
  }
}

std::size_t Queue::unpark() {
  std::size_t count = 0;
  std::erase_if(parked_, [&](Item* item) {
    if (is_paused(*item)) return false;
    append_ready(*item);
    ++count;
    return true;
  });
  return count;
}

void Queue::take(Batch& into, std::size_t most) {
  park_paused();
  if (levels_.empty()) return;
  const spool::StoredMessage* message = levels_.front().head->message;
  const std::uint8_t priority = levels_.front().priority;
  // Every recipient has a sender of its own: one transaction each.
  if (message->flags().has(spool::MessageFlags::kVerp)) most = std::min<std::size_t>(most, 1);
  while (into.size() < most && !levels_.empty() && levels_.front().priority == priority &&
         levels_.front().head->message == message) {
    into.push_back(take_head(0));
  }
}

void Queue::ended(const Item& item) {
  SLUICE_ASSERT(taken_ > 0);
  --taken_;
  left(item);
}

void Queue::inherit(Queue& from) {
  is_stand_in = from.is_stand_in;
  route = std::move(from.route);
  route_lost = from.route_lost;
  is_joined_by_setting = is_joined_by_setting || from.is_joined_by_setting;
  retry_until = from.retry_until;
  retry_index = from.retry_index;
  connect_not_before = from.connect_not_before;
  standing = from.standing;
  gates = std::move(from.gates);
  last_opened = from.last_opened;
  mode = std::move(from.mode);
  shut = std::move(from.shut);
  pacing = std::move(from.pacing);
  all_shut = from.all_shut;
  stored_retry = from.stored_retry;
  delivered += from.delivered;
  bounced += from.bounced;
  deferred += from.deferred;
  events_ = std::move(from.events_);
  last_deferral_ = std::move(from.last_deferral_);
  mode_events_ = std::move(from.mode_events_);
}

void Queue::note(WallTime time, bool is_error, std::string text) {
  events_.push_front({time, is_error, std::move(text)});
  if (events_.size() > kEventsMax) events_.pop_back();
}

void Queue::note_state(WallTime time, std::string_view text) {
  if (!events_.empty() && events_.front().text == text) {
    events_.front().time = time;
  } else {
    note(time, true, std::string(text));
    events_.front().is_state = true;
  }
}

void Queue::unnote_state(std::string_view text) {
  std::erase_if(events_, [text](const QueueEvent& event) { return event.text == text; });
}

const QueueEvent* Queue::last_reply() const {
  const auto found =
      std::find_if(events_.begin(), events_.end(), [](const auto& one) { return !one.is_state; });
  const bool newer = last_deferral_ && (found == events_.end() || found->time <= last_deferral_->time);
  if (newer) return last_deferral_.get();
  return found == events_.end() ? nullptr : &*found;
}

void Queue::note_deferral(WallTime time, std::string_view text) {
  if (!last_deferral_) last_deferral_ = std::make_unique<QueueEvent>();
  last_deferral_->time = time;
  last_deferral_->text.assign(text.substr(0, kDeferralBytesMax));
}

void Queue::note_mode(WallTime time, std::string text) {
  if (mode_events_.size() == kEventsMax) mode_events_.pop_back();
  mode_events_.insert(mode_events_.begin(), {time, false, std::move(text)});
}

void Queue::restore_heap() { std::make_heap(waiting_.begin(), waiting_.end(), later); }

}  // namespace sluice::queue
