#pragma once
// Everything durable of a process, wired up: what a shard and the control shard start, use and stop.
//
//   control:  Recovered found = *co_await recover(reactor, {dir, shards});
//             StorageWorld world(dir, found);                                     before the shards run
//             JournalReader accounting(reactor, world.directory(), "accounting", cursor);
//             Checkpointer checkpointer(reactor, world.directory(), {dir});       spawn(checkpointer.run())
//   shard i:  Storage storage(reactor, world, options);
//             co_await storage.start(found, visitor);
//             ... storage.spool.append(), storage.reader.open(), storage.journal.append() ...
//             co_await storage.stop();

#include <memory>
#include <string>
#include <vector>

#include "engine/journal/journal.h"
#include "engine/journal/journal_directory.h"
#include "engine/journal/journal_reader.h"
#include "engine/journal/recovery.h"
#include "engine/spool/message_lease.h"
#include "engine/spool/spool.h"

namespace sluice::journal {

/// What the shards' storages share: who is whose home, and how far every journal is durable.
/// Thread:   constructed before the shards run; then each shard registers itself once.
/// Lifetime: outlives all Storages, readers and checkpointers.
class StorageWorld {
 public:
  /// `root`: the spool directory. `found` tells the shards and which directories exist.
  StorageWorld(std::string root, Recovered& found);
  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::uint32_t shards() const { return static_cast<std::uint32_t>(homes_.size()); }
  [[nodiscard]] JournalDirectory& directory() { return *directory_; }
  [[nodiscard]] std::span<spool::Spool* const> homes() const { return homes_; }
  [[nodiscard]] std::string shard_directory(ShardId shard) const;

 private:
  friend class Storage;
  std::string root_;
  std::vector<spool::Spool*> homes_;
  std::unique_ptr<JournalDirectory> directory_;
};

struct StorageOptions {
  spool::SpoolOptions spool;      ///< `directory` is filled in, `places` name the spools without the shard
  JournalOptions journal;         ///< `directory` is filled in
  spool::MessageReaderOptions reader;
};

/// One shard's spool, journal and reader of messages.
/// Thread: its shard. Lifetime: constructed on all shards before any start() (they take pointers to each other); no
///         shard's is destroyed before all shards' stop() have answered.
class Storage {
 public:
  Storage(runtime::Reactor& reactor, StorageWorld& world, StorageOptions options);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();

  /// Opens the logs, then hands every recovered message of this shard to `visitor`. New messages are accepted as soon
  /// as the logs are open. Received events that a crash left out are written first.
  /// `found` may be destroyed when all shards have started.
  [[nodiscard]] runtime::Task<Status> start(Recovered& found, RecoveredVisitor& visitor);
  /// Spool first, then the journal (its last group included).
  [[nodiscard]] runtime::Task<Status> stop();

  static constexpr std::size_t kAdoptedPerSliceMax = 4096;

  // In this order: the spool tells the journal.
  journal::Journal journal;
  spool::Spool spool;
  spool::MessageReader reader;

 private:
  runtime::Reactor& reactor_;
  StorageWorld& world_;
};

}  // namespace sluice::journal
