#include "engine/queue/queue.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice::queue {
namespace {

/// For a heap whose front is the earliest.
bool later(const Item* a, const Item* b) { return a->due > b->due; }

}  // namespace

Queue::Queue(std::string domain, std::string vmta_name, runtime::Timer::Fire fire, void* owner)
    : timer(fire, *this, owner), name_(std::move(domain)), domain_size_(name_.size()) {
  name_ += '/';
  name_ += vmta_name;
}

void Queue::add_bytes(const Item& item) { bytes_ += item.message->body_bytes(); }

void Queue::append_ready(Item& item) {
  item.next = nullptr;
  if (tail_ == nullptr) {
    head_ = &item;
  } else {
    tail_->next = &item;
  }
  tail_ = &item;
  ++ready_count_;
}

void Queue::push(Item& item) {
  add_bytes(item);
  append_ready(item);
}

void Queue::put_back(Item& item) {
  SLUICE_ASSERT(taken_ > 0);
  --taken_;
  item.next = head_;
  head_ = &item;
  if (tail_ == nullptr) tail_ = &item;
  ++ready_count_;
}

void Queue::wait(Item& item, bool taken) {
  if (taken) {
    SLUICE_ASSERT(taken_ > 0);
    --taken_;
  } else {
    add_bytes(item);
  }
  waiting_.push_back(&item);
  std::push_heap(waiting_.begin(), waiting_.end(), later);
}

std::size_t Queue::wake(MonoTime now) {
  std::size_t woken = 0;
  while (!waiting_.empty() && waiting_.front()->due <= now) {
    std::pop_heap(waiting_.begin(), waiting_.end(), later);
    append_ready(*waiting_.back());
    waiting_.pop_back();
    ++woken;
  }
  return woken;
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

void Queue::take(Batch& into, std::size_t most) {
  const spool::StoredMessage* message = head_ == nullptr ? nullptr : head_->message;
  while (head_ != nullptr && head_->message == message && into.size() < most) {
    Item* item = head_;
    head_ = item->next;
    if (head_ == nullptr) tail_ = nullptr;
    item->next = nullptr;
    --ready_count_;
    ++taken_;
    into.push_back(item);
  }
}

void Queue::ended(const Item& item) {
  SLUICE_ASSERT(taken_ > 0);
  --taken_;
  subtract_bytes(item);
}

void Queue::subtract_bytes(const Item& item) {
  bytes_ -= std::min<std::uint64_t>(bytes_, item.message->body_bytes());
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
  }
}

void Queue::note_mode(WallTime time, std::string text) {
  if (mode_events_.size() == kEventsMax) mode_events_.pop_back();
  mode_events_.insert(mode_events_.begin(), {time, false, std::move(text)});
}

void Queue::restore_heap() { std::make_heap(waiting_.begin(), waiting_.end(), later); }

}  // namespace sluice::queue
