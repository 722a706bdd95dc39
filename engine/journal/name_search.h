#pragma once
// What names a recipient, when his stored message cannot be read any more.

#include <string>
#include <unordered_set>

#include "engine/journal/journal_directory.h"
#include "engine/journal/live_set.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

/// Looks for the received events of `wanted` in all journals, then in the newest checkpoint below `root`, and adds what
/// it finds to `into`; LiveSet::name() tells it from there. Endings are not looked at.
/// Thread:   any one shard; it reads with its own descriptors and yields in between.
/// Lifetime: all arguments outlive the task.
/// Cost:     reads the journals and a checkpoint once, whatever is wanted: gather before asking.
/// Errors:   Io, Unsupported. What is not found is not an error.
[[nodiscard]] runtime::Task<Status> find_names(runtime::Reactor& reactor, const JournalDirectory& directory,
                                               const std::string& root,
                                               const std::unordered_set<std::uint64_t>& wanted,
                                               LiveSet& into);

}  // namespace sluice::journal
