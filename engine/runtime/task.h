#pragma once
// Coroutine tasks of one shard.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
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
  std::exception_ptr failure;  // what left the coroutine; goes on in whoever awaits it
  void unhandled_exception() noexcept { failure = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (failure) [[unlikely]]
      std::rethrow_exception(std::exchange(failure, nullptr));
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() {
    if (failure) [[unlikely]]
      std::rethrow_exception(std::exchange(failure, nullptr));
  }
};

}  // namespace detail

/// A lazily started coroutine that answers with a T.
/// Thread:   starts, resumes and ends on the shard that awaits it.
/// Lifetime: owns the frame. Destroyed only before it was started or after it ended (asserted): what the
///           kernel still writes into may live in the frame. To end one early, cancel what it waits for.
/// Arguments: values, or references that outlive the task. Never make one from a lambda with captures.
/// Errors: this project answers with Result, but libraries throw, and so does a lack of memory. An exception
///         goes on in whoever awaits the task, up to a boundary: contained().
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

/// Ends the process: the exception being handled met no boundary.
[[noreturn]] void exception_left() noexcept;

/// A frame that nobody awaits and that frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { exception_left(); }
  };
};
}  // namespace detail

/// The words of the exception being handled.
[[nodiscard]] std::string current_exception_text();

/// The boundary around one thing that may fail without taking others along: a conversation, a command, a
/// delivery. Answers nothing when `task` ended well, else the words of the exception that ended it. What the
/// task held is given back by its destructors; what it had promised to others is for the caller to say.
[[nodiscard]] Task<std::optional<std::string>> contained(Task<void> task);

/// Runs tasks beside each other and waits for all of them. An exception that leaves one ends the process: boundary.h.
/// Thread: one shard. Lifetime: join() has answered before destruction (asserted), unless nothing was ever
/// spawned.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { SLUICE_ASSERT(running_ == 0); }

  /// Starts `task` at once, up to its first suspension. Without memory it throws, and nothing has begun.
  void spawn(Task<void> task) { run(this, std::move(task)); }
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
    ++group->running_;  // here: when there is no memory for the frame, nothing has begun
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
