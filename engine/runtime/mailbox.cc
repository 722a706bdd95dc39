#include "engine/runtime/mailbox.h"

#include <array>
#include <thread>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::runtime {

// One cache line for each side's index, so that two cores do not fight over one line for every job.
struct Mailboxes::Ring {
  alignas(64) std::atomic<std::uint64_t> head{0};  // next to take; written by the receiver
  alignas(64) std::atomic<std::uint64_t> tail{0};  // next to fill; written by the sender
  alignas(64) std::uint64_t head_seen = 0;         // the sender's last view of head
  std::array<Reactor::Job, kRingMax> jobs;
  std::deque<Reactor::Job> overflow;  // the sender's

  bool try_push(Reactor::Job& job) {
    const std::uint64_t at = tail.load(std::memory_order_relaxed);
    if (at - head_seen == kRingMax) {
      head_seen = head.load(std::memory_order_acquire);
      if (at - head_seen == kRingMax) return false;
    }
    jobs[at % kRingMax] = std::move(job);
    tail.store(at + 1, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool empty() const {
    return head.load(std::memory_order_relaxed) == tail.load(std::memory_order_acquire);
  }
};

struct Mailboxes::Shard {
  alignas(64) std::atomic<bool> asleep{false};
  std::atomic<Reactor*> reactor{nullptr};
  std::atomic<bool> has_attached{false};  // stays true after detach()
  std::atomic<std::uint32_t> wakers{0};   // others that are about to touch `reactor`
};

Mailboxes::Mailboxes(std::size_t shards) : shards_(shards) {
  rings_.resize(shards * shards);
  for (auto& one : rings_) one = std::make_unique<Ring>();
  slots_.resize(shards);
  for (auto& one : slots_) one = std::make_unique<Shard>();
}

Mailboxes::~Mailboxes() = default;

Mailboxes::Ring& Mailboxes::ring(std::size_t from, std::size_t to) const {
  return *rings_[from * shards_ + to];
}

void Mailboxes::attach(Reactor& reactor) {
  SLUICE_ASSERT(reactor.shard().raw() < shards_);
  Shard& slot = *slots_[reactor.shard().raw()];
  slot.reactor.store(&reactor, std::memory_order_release);
  slot.has_attached.store(true, std::memory_order_release);
}

void Mailboxes::detach(Reactor& reactor) {
  Shard& slot = *slots_[reactor.shard().raw()];
  slot.reactor.store(nullptr);
  // Sequentially consistent on both sides: a waker either finds no reactor or is seen here.
  while (slot.wakers.load() != 0) std::this_thread::yield();
}

bool Mailboxes::complete() const {
  for (const auto& slot : slots_) {
    if (!slot->has_attached.load(std::memory_order_acquire)) return false;
  }
  return true;
}

Reactor& reactor_at(Mailboxes& boxes, ShardId shard) { return boxes.at(shard); }

Reactor& Mailboxes::at(ShardId shard) const {
  Reactor* found = slots_[shard.raw()]->reactor.load(std::memory_order_acquire);
  SLUICE_ASSERT(found != nullptr);
  return *found;
}

void Mailboxes::wake_if_asleep(Reactor& from, std::size_t to) {
  // Pairs with announce_sleep(): either the receiver sees the job, or this side sees that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Shard& slot = *slots_[to];
  if (slot.asleep.load(std::memory_order_relaxed) && slot.asleep.exchange(false, std::memory_order_acq_rel)) {
    slot.wakers.fetch_add(1);
    if (Reactor* target = slot.reactor.load()) target->wake_from(from);
    slot.wakers.fetch_sub(1);
  }
}

void Mailboxes::send(Reactor& from, ShardId to, Reactor::Job job) {
  SLUICE_ASSERT(to.raw() < shards_);
  Ring& one = ring(from.shard().raw(), to.raw());
  if (!one.overflow.empty() || !one.try_push(job)) {
    one.overflow.push_back(std::move(job));
    return;
  }
  if (to != from.shard()) wake_if_asleep(from, to.raw());
}

std::size_t Mailboxes::deliver(Reactor& at) {
  const std::size_t here = at.shard().raw();
  std::size_t run = 0;
  for (std::size_t from = 0; from < shards_; ++from) {
    Ring& one = ring(from, here);
    std::uint64_t head = one.head.load(std::memory_order_relaxed);
    const std::uint64_t tail = one.tail.load(std::memory_order_acquire);
    for (; head != tail; ++head, ++run) {
      Reactor::Job job = std::move(one.jobs[head % kRingMax]);
      one.head.store(head + 1, std::memory_order_release);
      job();
    }
  }
  for (std::size_t to = 0; to < shards_; ++to) {
    Ring& one = ring(here, to);
    bool moved = false;
    while (!one.overflow.empty() && one.try_push(one.overflow.front())) {
      one.overflow.pop_front();
      moved = true;
    }
    if (moved && to != here) wake_if_asleep(at, to);
  }
  return run;
}

bool Mailboxes::waiting_for(Reactor& at) const {
  const std::size_t here = at.shard().raw();
  for (std::size_t other = 0; other < shards_; ++other) {
    if (!ring(other, here).empty() || !ring(here, other).overflow.empty()) return true;
  }
  return false;
}

void Mailboxes::announce_sleep(Reactor& at) {
  slots_[at.shard().raw()]->asleep.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Mailboxes::end_sleep(Reactor& at) {
  slots_[at.shard().raw()]->asleep.store(false, std::memory_order_relaxed);
}

}  // namespace sluice::runtime
