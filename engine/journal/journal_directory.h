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

/// One shard directory's journal as others see it.
/// Thread: `durable` and `reader_waits` by any shard; the rest as said.
struct JournalTrack {
  std::uint32_t directory_shard = 0;
  std::string path;                ///< of the directory; constant
  bool has_writer = false;         ///< false: left by a shard that no longer exists; constant
  ShardId owner;                   ///< the shard that writes or has adopted it; constant
  std::uint32_t first_segment = 1; ///< oldest on disk at start; constant
  /// Segment number << 32 | offset behind the last durable group.
  std::atomic<std::uint64_t> durable{0};
};

/// The table of all tracks, plus wake-ups for readers and what they have acknowledged.
/// Thread:   constructed before the shards run. publish() on the owner's shard; add_reader(), remove_reader(),
///           acknowledge() on the readers' shard, which is one and the same for all readers.
/// Lifetime: outlives journals, readers and checkpointers.
class JournalDirectory {
 public:
  explicit JournalDirectory(std::vector<std::unique_ptr<JournalTrack>> tracks);
  JournalDirectory(const JournalDirectory&) = delete;
  JournalDirectory& operator=(const JournalDirectory&) = delete;
  ~JournalDirectory();

  [[nodiscard]] std::span<const std::unique_ptr<JournalTrack>> tracks() const { return tracks_; }
  [[nodiscard]] JournalTrack* find(std::uint32_t directory_shard) const;

  /// Owner's shard: `end` is durable now; wakes the readers' shard when it waits.
  void publish(runtime::Reactor& from, JournalTrack& track, JournalPosition end);

  // --- Readers' shard.
  class Reader;
  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::vector<std::unique_ptr<JournalTrack>> tracks_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::journal
