#include "engine/runtime/reactor.h"

#include <utility>

#include "engine/runtime/mailbox.h"
#include "policy/base/assert.h"

namespace sluice::runtime {

Reactor::Reactor(ShardId shard, MonoTime start) : shard_(shard), now_(start), timers_(start) {
  ready_.reserve(kReadyPerTurnMax);
  running_.reserve(kReadyPerTurnMax);
}

Reactor::~Reactor() = default;

void BufferKeeper::keeps_buffers(Reactor& reactor) {
  if (is_keeper()) return;
  next_ = reactor.keepers_;
  if (next_ != nullptr) next_->list_ = &next_;
  list_ = &reactor.keepers_;
  reactor.keepers_ = this;
}

void BufferKeeper::keeps_none() {
  if (!is_keeper()) return;
  *list_ = next_;
  if (next_ != nullptr) next_->list_ = list_;
  list_ = nullptr;
  next_ = nullptr;
}

void Reactor::reclaim_buffers() {
  while (keepers_ != nullptr) {
    BufferKeeper& keeper = *keepers_;
    keeper.keeps_none();
    keeper.give_buffers_back();
  }
}

void Reactor::join_world(Mailboxes& boxes) {
  boxes_ = &boxes;
  boxes.attach(*this);
}

void Reactor::send_to(ShardId to, Job job) {
  SLUICE_ASSERT(boxes_ != nullptr);
  boxes_->send(*this, to, std::move(job));
}

bool Reactor::turn() {
  ++counters_.turns;
  bool worked = false;
  if (boxes_ != nullptr) {
    const std::size_t mails = boxes_->deliver(*this);
    counters_.mails += mails;
    worked |= mails != 0;
  }
  worked |= timers_.advance(now_) != 0;
  // Only what was ready when the pass began: a coroutine that yields goes behind I/O, never starves it.
  running_.swap(ready_);
  std::size_t next = 0;
  for (; next < running_.size() && next < kReadyPerTurnMax; ++next) running_[next].resume();
  counters_.resumed += next;
  worked |= next != 0;
  if (next < running_.size()) {
    ready_.insert(ready_.begin(), running_.begin() + static_cast<std::ptrdiff_t>(next), running_.end());
  }
  running_.clear();
  return worked || !ready_.empty();
}

bool Reactor::announce_sleep() {
  if (boxes_ == nullptr) return false;
  boxes_->announce_sleep(*this);
  return boxes_->waiting_for(*this);
}

void Reactor::end_sleep() {
  if (boxes_ != nullptr) boxes_->end_sleep(*this);
}

void Reactor::run() {
  while (!stopping_) {
    refresh_clock();
    const bool worked = turn();
    if (stopping_) break;
    if (worked || has_ready()) {
      poll(false, std::nullopt);
      continue;
    }
    // Announce first, look again, then sleep: a sender that misses the announcement has left its mail before
    // the look.
    const bool mail = announce_sleep();
    poll(!mail, timers_.next());
    end_sleep();
  }
}

void Perform::await_suspend(std::coroutine_handle<> waiting) noexcept {
  waiting_ = waiting;
  op_.done = &Perform::on_done;
  op_.user = this;
  reactor_.submit(op_);
}

void Perform::on_done(Op& op, Completion completion) {
  auto* self = static_cast<Perform*>(op.user);
  self->result_ = completion.result;
  SLUICE_ASSERT(!completion.more);
  self->reactor_.post(self->waiting_);
}

Sleep::Alarm::Alarm(Sleep& sleep)
    : Timer([](Timer& timer) {
        Sleep& asleep = static_cast<Alarm&>(timer).owner;
        asleep.reactor_.post(asleep.waiting_);
      }),
      owner(sleep) {}

void Sleep::await_suspend(std::coroutine_handle<> waiting) noexcept {
  waiting_ = waiting;
  alarm_.emplace(*this);
  reactor_.arm(*alarm_, due_);
}

}  // namespace sluice::runtime
