#pragma once
// Keeps recovery short: folds the oldest part of the journals into a checkpoint.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/journal/journal_directory.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

struct CheckpointerOptions {
  std::string root;                          ///< the spool directory
  /// A checkpoint is written when the journals have grown by the larger of this and the size of the last one.
  std::uint64_t growth_bytes_min = 64 * kMiB;
  std::uint64_t journal_segment_bytes = 16 * kMiB;  ///< as JournalOptions::segment_bytes; for estimating growth
  bool due_at_once = false;  ///< the first look writes one: holes in the journals are not to be met again
  std::function<void(std::string)> note;  ///< lines for the log; may be empty
};

/// Reads the last checkpoint and the durable events behind it, writes the next one, and lets the journals drop what it
/// covers. It asks nobody what is live: a checkpoint is a pure function of the logs, so it is exactly what recovery
/// would have computed, and needs no agreement between shards.
/// Thread:   one shard, the readers' (journal_directory.h). Works in slices and yields in between.
/// Lifetime: stop() before destruction (asserted).
/// Damage:   holes that recovery has found are passed, once what it made good is durable. Others are not: they have
///           come since, and only a start can compare them with the message logs. The journals are kept then.
/// Limits:   memory for all live recipients while it works, as at recovery (live_set.h); kLookEvery between looks.
class Checkpointer {
 public:
  static constexpr Duration kLookEvery = 5s;

  Checkpointer(runtime::Reactor& reactor, JournalDirectory& directory, CheckpointerOptions options);
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;
  ~Checkpointer();

  /// Works until stop().
  [[nodiscard]] runtime::Task<void> run();
  /// One checkpoint now, whatever has grown.
  [[nodiscard]] runtime::Task<Status> write_now();
  void stop();

  struct Stats {
    std::uint64_t written = 0;
    std::uint64_t failed = 0;
    std::uint64_t last_bytes = 0;
    std::uint64_t last_recipients = 0;
  };
  [[nodiscard]] const Stats& stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::journal
