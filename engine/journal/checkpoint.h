#pragma once
// Checkpoint files: what is live, as of a place in every journal; FORMAT.md, "Checkpoint".

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/journal/journal.h"
#include "engine/journal/live_set.h"
#include "engine/log/scan.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

/// Where the journals go on from a checkpoint: directory shard -> place.
using JournalPositions = std::map<std::uint32_t, JournalPosition>;

/// "checkpoint-0000000007.ckp"
[[nodiscard]] std::string checkpoint_file_name(std::uint32_t number);
[[nodiscard]] std::optional<std::uint32_t> checkpoint_file_number(std::string_view name);

struct CheckpointFile {
  std::uint32_t number = 0;
  std::string path;
  std::uint64_t bytes = 0;
};
/// Those in `root`, oldest first.
[[nodiscard]] Result<std::vector<CheckpointFile>> list_checkpoints(runtime::Reactor& reactor,
                                                                   const std::string& root);

struct LoadedCheckpoint {
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;
  JournalPositions positions;
  WallTime written{};     ///< its last group, on the lasting line
  bool complete = false;  ///< every record was whole, the last one too
  std::vector<log::DamagedStretch> damaged;
};
/// Adds what is in `file` to `into`. Records that are whole count also when others are not. Errors: Unsupported, Io.
[[nodiscard]] runtime::Task<Result<LoadedCheckpoint>> load_checkpoint(runtime::Reactor& reactor,
                                                                      CheckpointFile file, LiveSet& into);

/// Writes `set` as checkpoint `number`, durably and as a whole, then removes the older ones. Yields in between; `set`
/// must not change meanwhile. Answers its size in bytes.
[[nodiscard]] runtime::Task<Result<std::uint64_t>> write_checkpoint(runtime::Reactor& reactor,
                                                                    std::string root, std::uint32_t number,
                                                                    const LiveSet& set,
                                                                    const JournalPositions& positions);

}  // namespace sluice::journal
