#pragma once
// Starting coroutines from plain test code.

#include <optional>
#include <utility>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::test {

namespace detail {
struct Root {
  struct promise_type {
    Root get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept {
      assertion_failed("exception left a coroutine", __FILE__, __LINE__);
    }
  };
};

template <class T>
Root run_into(runtime::Task<T> task, std::optional<T>* answer) {
  answer->emplace(co_await task);
}
inline Root run_into(runtime::Task<void> task, bool* done) {
  co_await task;
  *done = true;
}
inline Root run_alone(runtime::Task<void> task) { co_await task; }
}  // namespace detail

/// Starts `task` at once, up to its first suspension; nobody waits for it.
inline void start(runtime::Task<void> task) { detail::run_alone(std::move(task)); }
/// As above; `done` is set at the end and outlives the task.
inline void start(runtime::Task<void> task, bool& done) { detail::run_into(std::move(task), &done); }
/// As above; `answer` receives the result and outlives the task.
template <class T>
void start(runtime::Task<T> task, std::optional<T>& answer) {
  detail::run_into(std::move(task), &answer);
}

}  // namespace sluice::test
