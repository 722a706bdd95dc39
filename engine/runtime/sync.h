#pragma once
// Waiting inside one shard. Nothing here crosses threads. Waiters are resumed through the reactor's ready
// list, never from inside the call that releases them.

#include <coroutine>
#include <cstdint>
#include <deque>
#include <utility>

#include "engine/runtime/reactor.h"
#include "policy/base/assert.h"

namespace sluice::runtime {

/// A latch with one waiter that many may set: the heart of a loop that serves several sources of events.
///   for (;;) { handle everything there is; co_await wakeup.wait(); }
/// set() before wait() is remembered once. Thread: one shard.
class Wakeup {
 public:
  explicit Wakeup(Reactor& reactor) : reactor_(reactor) {}
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup() { SLUICE_ASSERT(!waiting_); }

  void set() {
    if (waiting_) {
      reactor_.post(std::exchange(waiting_, nullptr));
    } else {
      set_ = true;
    }
  }
  auto wait() {
    struct Awaiter {
      Wakeup& wakeup;
      bool await_ready() const noexcept { return std::exchange(wakeup.set_, false); }
      void await_suspend(std::coroutine_handle<> waiting) const {
        SLUICE_ASSERT(!wakeup.waiting_);
        wakeup.waiting_ = waiting;
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  Reactor& reactor_;
  std::coroutine_handle<> waiting_;
  bool set_ = false;
};

/// Opens once; any number wait. Waiting on an open gate returns at once. Thread: one shard.
class Gate {
 public:
  explicit Gate(Reactor& reactor) : reactor_(reactor) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { SLUICE_ASSERT(waiting_.empty()); }
  [[nodiscard]] bool is_open() const { return open_; }
  void open() {
    open_ = true;
    for (const auto handle : std::exchange(waiting_, {})) reactor_.post(handle);
  }
  auto wait() {
    struct Awaiter {
      Gate& gate;
      bool await_ready() const noexcept { return gate.open_; }
      void await_suspend(std::coroutine_handle<> waiting) const { gate.waiting_.push_back(waiting); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  Reactor& reactor_;
  std::deque<std::coroutine_handle<>> waiting_;
  bool open_ = false;
};

/// A budget of units (bytes, slots). Waiters are served in order; a large request is not overtaken. Thread:
/// one shard.
class Semaphore {
 public:
  Semaphore(Reactor& reactor, std::uint64_t units) : reactor_(reactor), free_(units), total_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { SLUICE_ASSERT(waiting_.empty()); }

  [[nodiscard]] std::uint64_t free() const { return free_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  /// Takes `units` now or not at all. Never ahead of a waiter.
  [[nodiscard]] bool try_take(std::uint64_t units) {
    if (!waiting_.empty() || units > free_) return false;
    free_ -= units;
    return true;
  }
  void give(std::uint64_t units) {
    free_ += units;
    SLUICE_ASSERT(free_ <= total_);
    while (!waiting_.empty() && waiting_.front().units <= free_) {
      free_ -= waiting_.front().units;
      reactor_.post(waiting_.front().handle);
      waiting_.pop_front();
    }
  }
  /// Requires units <= total.
  auto take(std::uint64_t units) {
    struct Awaiter {
      Semaphore& semaphore;
      std::uint64_t units;
      bool await_ready() const noexcept { return semaphore.try_take(units); }
      void await_suspend(std::coroutine_handle<> waiting) const {
        semaphore.waiting_.push_back({waiting, units});
      }
      void await_resume() const noexcept {}
    };
    SLUICE_ASSERT(units <= total_);
    return Awaiter{*this, units};
  }

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    std::uint64_t units;
  };
  Reactor& reactor_;
  std::uint64_t free_;
  std::uint64_t total_;
  std::deque<Waiter> waiting_;
};

}  // namespace sluice::runtime
