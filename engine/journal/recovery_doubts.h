#pragma once
// What the files of a spool know of each other, compared at a start. Included by recovery.cc alone.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/journal/checkpoint.h"
#include "engine/journal/clean_stop.h"
#include "engine/journal/recovery.h"
#include "engine/journal/recovery_files.h"
#include "engine/log/scan.h"

namespace sluice::journal {

/// Collects what cannot be right and would send or count twice. Thread: one. Pure.
class Doubts {
 public:
  explicit Doubts(RecoveryReport& report) : report_(report) {}

  /// `who` ("accounting") has seen a journal up to there. Of several, the farthest counts.
  void seen(std::uint32_t directory_shard, JournalPosition end, std::string_view who);
  void seen(const JournalCursor& ends, std::string_view who);
  /// Everything before it was durable once.
  [[nodiscard]] JournalPosition seen_end(std::uint32_t directory_shard) const;

  /// After the journal has been read, from the checkpoint's position on (segment 0: from its beginning).
  void check_end(const Found& found, JournalPosition from);
  /// Journals that were seen once and have no directory any more.
  void check_directories(const std::map<std::uint32_t, Found>& found);
  /// Holes that an earlier start has met, as holes() gave them: they are not doubted again.
  void know_holes(std::string_view list);
  /// All that this start has met.
  [[nodiscard]] std::string holes() const;
  /// A stretch of a journal that is not whole. `was_durable`: and had been.
  void hole(std::uint32_t directory_shard, std::uint32_t segment, const log::DamagedStretch& stretch,
            bool was_durable);
  /// The checkpoint is missing or not whole, or there is none and the journals begin in the middle of things.
  void lost_checkpoint(std::string why) { checkpoint_ = std::move(why); }

  /// When everything has been read. `stopped_cleanly`: every received event had been written, so all that were made
  /// again are among the lost ones.
  void conclude(bool stopped_cleanly);

 private:
  struct Seen {
    JournalPosition end;
    std::string who;
  };
  RecoveryReport& report_;
  std::map<std::uint32_t, Seen> seen_;
  std::set<std::string, std::less<>> known_holes_;
  std::set<std::string, std::less<>> holes_;
  std::uint64_t lost_records_ = 0;
  bool lost_unknown_ = false;
  std::string checkpoint_;
};

}  // namespace sluice::journal
