#pragma once
// What a program of the real world does as a process: signals, limits, its supervisor.

#include <initializer_list>
#include <string_view>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::runtime {

/// Signals as events of a reactor. Construct before any thread starts: they are blocked in the whole process.
/// Thread: the reactor's. Lifetime: stop() and the pending next() answered before destruction.
class Signals {
 public:
  Signals(Reactor& reactor, std::initializer_list<int> numbers);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();
  /// The next signal's number. Errors: Cancelled after stop().
  [[nodiscard]] Task<Result<int>> next();
  void stop();

 private:
  Reactor& reactor_;
  int fd_ = -1;
  Op op_;
  bool stopped_ = false;
};

/// Tells systemd ("READY=1", "RELOADING=1", "STOPPING=1"); does nothing without NOTIFY_SOCKET.
void notify_supervisor(std::string_view state);

/// Raises the soft limit of descriptors to the hard one, and ignores SIGPIPE.
void prepare_process();

}  // namespace sluice::runtime
