#pragma once
// Who has written how far, who has read how far: the one thing journals, readers and checkpoints share.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/journal/journal.h"
#include "engine/runtime/reactor.h"

namespace sluice::journal {

class JournalReader;

/// One shard directory's journal as others see it.
/// Thread: `durable` and `settled` by any shard; the rest is constant while the shards run.
struct JournalTrack {
  std::uint32_t directory_shard = 0;
  std::string path;                ///< of the directory
  bool has_writer = false;         ///< false: left by a shard that no longer exists
  ShardId owner;                   ///< the shard that writes or has adopted it
  std::uint32_t first_segment = 1; ///< oldest on disk at start
  std::uint32_t judged_segment =
      0;  ///< holes up to it are known to recovery, which has made good what can be
  /// What recovery has made good is durable; before, no checkpoint may pass the holes it found.
  std::atomic<bool> settled{true};
  /// Segment number << 32 | offset behind the last durable group.
  std::atomic<std::uint64_t> durable{0};

  [[nodiscard]] JournalPosition end() const {
    const std::uint64_t word = durable.load();
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint32_t>(word)};
  }
};

/// The table of all tracks, the wake-ups of readers and what readers have acknowledged.
/// Thread:   constructed before the shards run. publish() and attach(): the owner's shard. What concerns readers: their
///           shard, one and the same for all readers.
/// Lifetime: outlives journals, readers and checkpointers.
/// Keeping:  a segment of a journal goes when every reader that exists has acknowledged it, so readers are made before
///           the first acknowledgement. Without any reader nothing goes.
class JournalDirectory {
 public:
  explicit JournalDirectory(std::vector<std::unique_ptr<JournalTrack>> tracks);
  JournalDirectory(const JournalDirectory&) = delete;
  JournalDirectory& operator=(const JournalDirectory&) = delete;
  ~JournalDirectory();

  [[nodiscard]] std::span<const std::unique_ptr<JournalTrack>> tracks() const { return tracks_; }
  [[nodiscard]] JournalTrack* find(std::uint32_t directory_shard) const;

  /// The journal that trims `shard`'s segments and adopted ones; nullptr when it stops.
  void attach(ShardId shard, Journal* journal);
  /// `end` is durable now; wakes the readers' shard when a reader waits there.
  void publish(runtime::Reactor& from, JournalTrack& track, JournalPosition end);

  // --- Readers' shard.
  void add(JournalReader& reader, runtime::Reactor& reactor);
  void remove(JournalReader& reader);
  /// Looks at what all readers have acknowledged and tells the owners what may go.
  void trim();
  /// A reader is about to wait: the next publish() wakes it. It looks once more after this call.
  void announce_wait() { waiting_.store(true); }

 private:
  void wake_readers();
  std::vector<std::unique_ptr<JournalTrack>> tracks_;
  std::vector<std::uint32_t> told_;  // by track: first segment the owner was told to keep
  std::vector<std::atomic<Journal*>> journals_;
  std::vector<JournalReader*> readers_;
  runtime::Reactor* readers_reactor_ = nullptr;
  std::atomic<std::uint32_t> readers_shard_{0};
  std::atomic<bool> waiting_{false};
};

}  // namespace sluice::journal
