#pragma once
// Which `<spool>` is which: what keeps a disk that is not mounted from being taken for an empty spool.

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "engine/log/segment_store.h"
#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "policy/settings/blocks.h"

namespace sluice::shard {

/// What each `<spool>` of a configuration is there for.
struct SpoolPlaces {
  /// Holds journals, checkpoints and the state of accounting besides messages. The same one at every start,
  /// however the blocks are ordered.
  std::string main;
  std::vector<std::string> others;        ///< hold messages only
  std::vector<log::SegmentPlace> places;  ///< all of them, `directory` being the spool itself
  std::vector<std::string> notes;         ///< for the log
  std::vector<runtime::File>
      locks;  ///< one of each, held while the process lives: no second one writes there
};

/// Finds out and writes down which spool is which, before anything is read from them (files `spool-id` and
/// `spools`, spool/FORMAT.md), and locks them. A disk that is not mounted, a block taken out while mail lies
/// there, another server's spool, one directory under two names and one in use are errors. Thread: control
/// shard. Errors: in words for the operator; nothing was changed that the next start would mind.
[[nodiscard]] runtime::Task<std::expected<SpoolPlaces, std::string>> settle_spools(
    runtime::Reactor& reactor, std::vector<config::Spool> spools, std::uint64_t usual_min_free_bytes);

/// Why a running server must not get a configuration with the spools `next`: one that is left out holds mail.
/// nullopt: it may. Thread: control shard; looks into directories.
[[nodiscard]] std::optional<std::string> mail_left_behind(runtime::Reactor& reactor, const SpoolPlaces& now,
                                                          const std::vector<config::Spool>& next);

}  // namespace sluice::shard
