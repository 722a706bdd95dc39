#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::control {

/// The main log (`log-file`): "YYYY-MM-DD HH:MM:SS text", local time, one line an entry.
/// Thread:   write() from the control shard; other shards go through ShardLog.
/// Lifetime: stop() before destruction (asserted).
/// Limits:   kBacklogBytesMax wait to be written; more lines are counted and the count is logged when there
/// is room, so
///           that a storm of errors costs neither memory nor the disk's time.
/// Errors:   a log that cannot be written goes to standard error instead; mail goes on.
class Log {
 public:
  static constexpr std::size_t kBacklogBytesMax = 4 * kMiB;
  static constexpr std::size_t kLineBytesMax = 4096;

  explicit Log(runtime::Reactor& reactor);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  /// Opens `path` for appending; "" is standard error. Also reopens after the file was moved away.
  [[nodiscard]] runtime::Task<Status> open(std::string path, bool world_readable);
  /// Adds a line; control bytes in it become '?'.
  void write(std::string_view text);
  [[nodiscard]] runtime::Task<void> stop();

 private:
  runtime::Task<void> write_all();
  runtime::Reactor& reactor_;
  runtime::File file_;
  runtime::File next_file_;
  bool has_next_ = false;
  std::string backlog_;
  std::uint64_t dropped_ = 0;
  runtime::Wakeup wakeup_;
  runtime::TaskGroup tasks_;
  bool stopping_ = false;
};

/// Another shard's way to the log. Thread: its shard. Lifetime: `log` outlives the world.
class ShardLog {
 public:
  ShardLog(runtime::Reactor& reactor, ShardId control, Log& log)
      : reactor_(reactor), control_(control), log_(log) {}
  void write(std::string text) {
    reactor_.send_to(control_, [log = &log_, line = std::move(text)] { log->write(line); });
  }

 private:
  runtime::Reactor& reactor_;
  ShardId control_;
  Log& log_;
};

}  // namespace sluice::control
