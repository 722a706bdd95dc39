#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "policy/accounting/row_formatter.h"
#include "policy/accounting/time_zone.h"

namespace sluice::control {

/// How the main log is kept.
struct LogOptions {
  std::string path;             ///< `log-file`; "": standard error
  bool world_readable = false;  ///< `log-file-world-readable`
  std::uint32_t kept = 8;       ///< `log-rotate`: files with the current one; 0: never rotated
  bool daily = true;            ///< `log-auto-rotation`: a new file at local midnight
};

/// Writes "YYYY-MM-DD HH:MM:SS text", local time; line ends as " | ", control bytes as '?'. Thread: one.
/// Lifetime: `zone` outlives it.
class LineWriter {
 public:
  static constexpr std::size_t kLineBytesMax = 4096;
  explicit LineWriter(const accounting::TimeZone& zone) : times_(zone, true) {}
  /// False: there was no memory, and `out` is as before.
  bool append(std::string& out, WallTime time, std::string_view text) noexcept;

 private:
  void append_line(std::string& out, WallTime time, std::string_view text);
  accounting::TimeText times_;
};

/// The main log (`log-file`), one line an entry, with rotation log -> log.1 -> log.2 and so on.
/// Thread:   the control shard's; other shards go through ShardLog.
/// Lifetime: stop() before destruction (asserted). `zone` outlives it and may be set until open().
/// Limits:   kBacklogBytesMax wait to be written; more lines are counted and the count is logged when there
///           is room, so that a storm of errors costs neither memory nor the disk's time.
/// Errors:   what cannot be written is lost, mail goes on; a rotation that fails is said in the log and the
///           old file goes on. A line that there is no memory for is counted as left out.
class Log {
 public:
  static constexpr std::size_t kBacklogBytesMax = 4 * kMiB;
  static constexpr std::uint32_t kKeptMax = 10'000;

  Log(runtime::Reactor& reactor, const accounting::TimeZone& zone);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  /// Opens the log for appending. Again at a reload: opens anew, so that a file moved away is let go. Errors also:
  /// Timeout: another process writes this file and has it locked.
  [[nodiscard]] runtime::Task<Status> open(LogOptions options);
  void write(std::string_view text) noexcept;
  /// Whole lines that have their times; `left_out` were dropped on their way here.
  void append(std::string_view lines, std::uint64_t left_out) noexcept;
  /// A new file now (`rotate log`). With `kept` 0 the file is only opened again.
  [[nodiscard]] runtime::Task<Status> rotate();
  [[nodiscard]] const LogOptions& options() const { return options_; }
  [[nodiscard]] runtime::Reactor& reactor() { return reactor_; }
  [[nodiscard]] runtime::Task<void> stop();

 private:
  static constexpr Duration kDayCheckMax = 1min;  // the wall clock may be set
  static constexpr Duration kLockWait = 1s;  // a process that was killed gives its files back a moment later

  struct DayTimer : runtime::Timer {
    DayTimer(Fire fire, Log& log) : Timer(fire), owner(log) {}
    Log& owner;
  };
  runtime::Task<void> write_all();
  runtime::Task<void> write_text(std::string_view text);
  runtime::Task<Status> rotate_held();
  /// No file: the one that is open is the one.
  [[nodiscard]] runtime::Task<Result<runtime::File>> open_own(LogOptions options);
  [[nodiscard]] bool rotates() const;
  void note_day();

  runtime::Reactor& reactor_;
  const accounting::TimeZone& zone_;
  LineWriter lines_;
  LogOptions options_;
  runtime::File file_;
  runtime::Semaphore file_use_;  // one at a time: a write, or whatever exchanges the file
  std::string backlog_;
  std::optional<std::size_t> day_ends_at_;  // in backlog_: what follows belongs into a new file
  WallTime next_midnight_{};
  DayTimer day_timer_;
  std::uint64_t dropped_ = 0;
  runtime::Wakeup wakeup_;
  runtime::TaskGroup tasks_;
  bool stopping_ = false;
};

/// Another shard's way to the log: lines travel in batches, one under way at a time.
/// Thread:   its shard's. Lifetime: `log` and `zone` outlive the world.
/// Limits:   kBacklogBytesMax wait for their turn; more lines, and those that there is no memory for, are counted and
///           said when there is room.
class ShardLog {
 public:
  static constexpr std::size_t kBacklogBytesMax = 1 * kMiB;

  ShardLog(runtime::Reactor& reactor, ShardId control, Log& log, const accounting::TimeZone& zone);
  void write(std::string_view text) noexcept;

 private:
  // Shared with the batch under way, which may come back after the owner is gone.
  struct State {
    runtime::Reactor& reactor;
    ShardId control;
    Log& log;
    LineWriter lines;
    std::string waiting;
    std::uint64_t dropped = 0;
    bool under_way = false;
  };
  static void send(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice::control
