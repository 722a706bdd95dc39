#pragma once

#include <expected>
#include <string>

#include "engine/runtime/file.h"
#include "engine/runtime/stream.h"

namespace sluice::control {

/// The path of a control socket, held by one daemon at a time: the file PATH.lock is locked while it lives, and a
/// socket that somebody answers at is never replaced. What a killed daemon has left behind is taken over.
/// Thread: the control shard. Lifetime: leave() before destruction, or both files stay behind (as after a kill).
class SocketPlace {
 public:
  /// How long a holder that answers nothing is waited for: a killed process gives its files back a moment later.
  static constexpr Duration kWait = 10s;

  /// Locks `path` and listens there. Errors: one line for the operator that says what, where and what to do;
  /// nothing is left behind then.
  [[nodiscard]] runtime::Task<std::expected<runtime::Listener, std::string>> take(runtime::Reactor& reactor,
                                                                                  std::string path);
  /// Removes socket and lock. No effect when nothing is held.
  [[nodiscard]] runtime::Task<void> leave(runtime::Reactor& reactor);

 private:
  runtime::Task<Status> lock(runtime::Reactor& reactor, MonoTime end);
  runtime::Task<Result<runtime::Listener>> listen(runtime::Reactor& reactor, MonoTime end);
  [[nodiscard]] std::string lock_path() const { return path_ + ".lock"; }

  std::string path_;
  runtime::File lock_;
};

}  // namespace sluice::control
