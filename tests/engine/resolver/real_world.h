#pragma once
// One real ring for one task: a test's body is a coroutine.

#include <gtest/gtest.h>

#include <memory>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "policy/base/assert.h"

namespace sluice::test {

class RealWorld {
 public:
  /// Only a bug takes so long.
  static constexpr Duration kRunMax = 60s;

  RealWorld() {
    auto made = runtime::UringReactor::create(ShardId{0}, runtime::UringOptions::small());
    if (!made) {
      ADD_FAILURE() << runtime::UringReactor::explain(made.error());
      return;
    }
    reactor_ = std::move(*made);
  }
  [[nodiscard]] runtime::Reactor& reactor() { return *reactor_; }

  /// Once: a stopped reactor stays stopped.
  void run(runtime::Task<void> body) {
    runtime::TaskGroup group;
    bool done = false;
    group.spawn(finish_after(*this, std::move(body), done));
    Watchdog watchdog;
    if (!done) {
      reactor_->arm_in(watchdog, kRunMax);
      reactor_->run();
      reactor_->disarm(watchdog);
    }
    SLUICE_ASSERT(done);
  }

 private:
  struct Watchdog : runtime::Timer {
    Watchdog() : Timer([](Timer&) { assertion_failed("test task ends in time", __FILE__, __LINE__); }) {}
  };
  static runtime::Task<void> finish_after(RealWorld& self, runtime::Task<void> body, bool& done) {
    co_await body;
    done = true;
    self.reactor_->stop();
  }
  std::unique_ptr<runtime::UringReactor> reactor_;
};

}  // namespace sluice::test
