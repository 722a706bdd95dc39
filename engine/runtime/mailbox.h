#pragma once
// Messages between shards: one single-producer single-consumer ring for every ordered pair, no locks.

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::runtime {

/// The mail of one world of shards.
/// Thread:   send() on the sender's, deliver() on the receiver's; the rest before the shards run.
/// Lifetime: outlives all reactors that joined.
/// Limits:   kRingMax jobs in a ring; more wait in the sender's own list, in order (bounded by what the
///           layers above allow to be under way).
class Mailboxes {
 public:
  static constexpr std::size_t kRingMax = 1024;

  explicit Mailboxes(std::size_t shards);
  ~Mailboxes();
  Mailboxes(const Mailboxes&) = delete;
  Mailboxes& operator=(const Mailboxes&) = delete;

  [[nodiscard]] std::size_t shards() const { return shards_; }
  /// Called by Reactor::join_world on the shard's own thread.
  void attach(Reactor& reactor);
  /// Before the reactor is destroyed, on its thread: waits until nobody is just about to wake it. Mail sent
  /// to it from now on stays in its box.
  void detach(Reactor& reactor);
  /// True once every shard has attached. Sending before is a bug (asserted).
  [[nodiscard]] bool complete() const;
  /// The reactor of `shard`. Only wake_from() may be called on another shard's.
  [[nodiscard]] Reactor& at(ShardId shard) const;

  void send(Reactor& from, ShardId to, Reactor::Job job);
  /// Runs everything that has arrived for `at`, and moves what waited in its own lists on. Returns jobs run.
  std::size_t deliver(Reactor& at);
  /// True when mail is waiting for `at` or `at` has unsent mail.
  [[nodiscard]] bool waiting_for(Reactor& at) const;
  void announce_sleep(Reactor& at);
  void end_sleep(Reactor& at);

 private:
  struct Ring;
  struct Shard;
  [[nodiscard]] Ring& ring(std::size_t from, std::size_t to) const;
  void wake_if_asleep(Reactor& from, std::size_t to);
  std::size_t shards_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::vector<std::unique_ptr<Shard>> slots_;
};

/// co_await call_on(here, there, fn): runs `fn` on shard `there` and resumes here with its result, or the
/// exception that left it.
template <class F>
class [[nodiscard]] CallOn {
 public:
  using R = std::invoke_result_t<F&>;
  CallOn(Reactor& here, ShardId there, F fn) : here_(here), there_(there), fn_(std::move(fn)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    Reactor* here = &here_;
    const ShardId home = here_.shard();
    Mailboxes* boxes = here_.mailboxes();
    here_.send_to(there_, [this, here, home, boxes, waiting] { carry_out(here, home, boxes, waiting); });
  }
  R await_resume() {
    if (failure_) std::rethrow_exception(failure_);
    if constexpr (!std::is_void_v<R>) return std::move(*result_);
  }

 private:
  void carry_out(Reactor* here, ShardId home, Mailboxes* boxes, std::coroutine_handle<> waiting);
  struct Nothing {};
  Reactor& here_;
  ShardId there_;
  F fn_;
  std::exception_ptr failure_;
  std::optional<std::conditional_t<std::is_void_v<R>, Nothing, R>> result_;
};

/// The reactor that runs on `shard` of `boxes`. Thread: that shard's.
[[nodiscard]] Reactor& reactor_at(Mailboxes& boxes, ShardId shard);

template <class F>
void CallOn<F>::carry_out(Reactor* here, ShardId home, Mailboxes* boxes, std::coroutine_handle<> waiting) {
  try {
    if constexpr (std::is_void_v<R>) {
      fn_();
    } else {
      result_.emplace(fn_());
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
  reactor_at(*boxes, there_).send_to(home, [here, waiting] { here->post(waiting); });
}

template <class F>
[[nodiscard]] CallOn<F> call_on(Reactor& here, ShardId there, F fn) {
  return CallOn<F>(here, there, std::move(fn));
}

namespace detail {
template <class T>
struct RemoteRun {
  std::optional<T> result;
  std::exception_ptr failure;
  std::coroutine_handle<> waiting;
  Reactor* here = nullptr;
};

template <class T>
Detached run_there(Mailboxes* boxes, ShardId there, std::move_only_function<Task<T>()> make,
                   RemoteRun<T>* run) {
  try {
    run->result.emplace(co_await make());
  } catch (...) {
    run->failure = std::current_exception();
  }
  Reactor* const here = run->here;
  const std::coroutine_handle<> waiting = run->waiting;
  reactor_at(*boxes, there).send_to(here->shard(), [here, waiting] { here->post(waiting); });
}
}  // namespace detail

/// co_await run_on<T>(here, there, make): starts the task `make()` answers with on shard `there`, waits for
/// its end and resumes here with its result, or the exception that ended it. `make` is called on `there` and
/// lives until the end.
template <class T>
class [[nodiscard]] RunOn {
 public:
  RunOn(Reactor& here, ShardId there, std::move_only_function<Task<T>()> make)
      : there_(there), make_(std::move(make)) {
    run_.here = &here;
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    run_.waiting = waiting;
    Mailboxes* const boxes = run_.here->mailboxes();
    // Copied out first: once sent, the other shard may finish and this object end at any moment.
    run_.here->send_to(there_, [boxes, there = there_, make = std::move(make_), run = &run_]() mutable {
      detail::run_there<T>(boxes, there, std::move(make), run);
    });
  }
  T await_resume() {
    if (run_.failure) std::rethrow_exception(run_.failure);
    return std::move(*run_.result);
  }

 private:
  ShardId there_;
  std::move_only_function<Task<T>()> make_;
  detail::RemoteRun<T> run_;
};
template <class T>
[[nodiscard]] RunOn<T> run_on(Reactor& here, ShardId there, std::move_only_function<Task<T>()> make) {
  return RunOn<T>(here, there, std::move(make));
}

}  // namespace sluice::runtime
