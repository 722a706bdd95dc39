#pragma once
// The inside of Recovered. Included by recovery.cc, storage.cc and checkpointer.cc only.

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/journal/checkpoint.h"
#include "engine/journal/inheritance.h"
#include "engine/journal/journal_directory.h"
#include "engine/journal/live_set.h"
#include "engine/journal/recovery.h"

namespace sluice::journal {

struct Recovered::Impl {
  std::uint32_t shards = 1;
  LiveSet live;
  RecoveryReport report;
  std::optional<CleanStop> clean_stop;
  std::uint32_t incarnation = 0;
  WallTime last_written{};                              // on the lasting line; epoch: nothing was found
  std::string holes;                                    // in journals, each "directory:segment:offset"
  std::vector<spool::SpoolInheritance> spools;          // by shard
  std::vector<JournalInheritance> journals;             // by shard
  std::vector<std::vector<std::uint32_t>> messages_of;  // by home shard: places in live.messages()
  std::vector<std::unique_ptr<JournalTrack>> tracks;
};

/// State that keeps Impl::holes for the next start, until a checkpoint lies behind them.
inline constexpr std::string_view kHolesKey = "holes";

/// The shard that looks after directory `directory_shard`.
[[nodiscard]] inline std::uint32_t home_of(std::uint32_t directory_shard, std::uint32_t shards) {
  return directory_shard < shards ? directory_shard : directory_shard % shards;
}
/// "shard-0003"
[[nodiscard]] std::string shard_directory_name(std::uint32_t directory_shard);

}  // namespace sluice::journal
