#pragma once
// Coroutine tasks of one shard.

#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "policy/base/assert.h"

namespace sluice::runtime {

template <class T = void>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> done) const noexcept {
      return done.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  // Exceptions do not cross functions in this project; one that gets here is a bug or memory is gone.
  [[noreturn]] void unhandled_exception() const noexcept {
    assertion_failed("exception left a coroutine", __FILE__, __LINE__);
  }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() const noexcept {}
};

}  // namespace detail

/// A lazily started coroutine that answers with a T.
/// Thread:   starts, resumes and ends on the shard that awaits it.
/// Lifetime: owns the frame. Destroyed only before it was started or after it ended (asserted): what the
///           kernel still writes into may live in the frame. To end one early, cancel what it waits for.
/// Arguments: values, or references that outlive the task. Never make one from a lambda with captures.
template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), started_(other.started_) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (!handle_) return;
    SLUICE_ASSERT(!started_ || handle_.done());
    handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    started_ = true;
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  friend promise_type;
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
  bool started_ = false;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

/// A frame that nobody awaits and that frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept {
      assertion_failed("exception left a coroutine", __FILE__, __LINE__);
    }
  };
};
}  // namespace detail

/// Runs tasks beside each other and waits for all of them.
/// Thread: one shard. Lifetime: join() has answered before destruction (asserted), unless nothing was ever
/// spawned.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { SLUICE_ASSERT(running_ == 0); }

  /// Starts `task` at once, up to its first suspension.
  void spawn(Task<void> task) {
    ++running_;
    run(this, std::move(task));
  }
  [[nodiscard]] std::uint64_t running() const { return running_; }

  /// Resolves once no task runs. One waiter at a time; what it waits for may still spawn more.
  auto join() {
    struct Awaiter {
      TaskGroup& group;
      bool await_ready() const noexcept { return group.running_ == 0; }
      void await_suspend(std::coroutine_handle<> waiting) noexcept {
        SLUICE_ASSERT(!group.waiting_);
        group.waiting_ = waiting;
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  static detail::Detached run(TaskGroup* group, Task<void> task) {
    {
      Task<void> owned = std::move(task);
      co_await owned;
    }
    // The frame of `owned` is gone before the group may be.
    if (--group->running_ == 0 && group->waiting_) std::exchange(group->waiting_, nullptr).resume();
  }
  std::uint64_t running_ = 0;
  std::coroutine_handle<> waiting_;
};

}  // namespace sluice::runtime
