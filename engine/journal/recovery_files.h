#pragma once
// What recovery finds on the disks before it reads any log: shard directories, segments, files that are none.
// Included by recovery.cc alone.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/journal/inheritance.h"
#include "engine/journal/journal_directory.h"
#include "engine/journal/live_set.h"
#include "engine/journal/recovery.h"
#include "engine/log/scan_file.h"
#include "engine/log/segment_store.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

inline constexpr std::uint32_t kDirectoryShardMax = 1023;

/// A segment with a header that is understood.
struct SegmentFile {
  std::string path;
  log::SegmentHeader header;
  std::uint64_t file_bytes = 0;  ///< what there is of it
};

/// The directories of one shard, in all spools, as found.
struct Found {
  std::uint32_t shard = 0;
  std::string path;
  std::map<std::uint32_t, SegmentFile> messages;
  std::map<std::uint32_t, SegmentFile> events;
  std::vector<log::Inheritance::Unused> unused_messages;
  std::vector<log::Inheritance::Unused> unused_events;
  std::uint32_t number_max_messages = 0;
  std::uint32_t number_max_events = 0;
  std::uint32_t incarnation_max = 0;
  std::uint64_t message_sequence = 1;
  std::uint64_t event_sequence = 1;
  JournalPosition events_end;
  ReceivedMark received;  // the last received event in its own journal, or in the checkpoint
  std::optional<ReceivedMark> rescan_from;  // received events behind it may be missing in the middle
  bool lost_beginning = false;              // what stood before the journals is lost
};

/// Looks through the directories and takes note of what is damaged, there and later.
/// Thread: the recovery's. Lifetime: what it is given outlives it.
class FileSearch {
 public:
  FileSearch(runtime::Reactor& reactor, const RecoveryOptions& options, std::map<std::uint32_t, Found>& found,
             RecoveryReport& report)
      : reactor_(reactor), options_(options), found_(found), report_(report) {}

  /// Makes what is missing of the directories, unless read_only; then fills `found`.
  [[nodiscard]] runtime::Task<Status> run();
  void add_damage(Damage damage);
  /// Moves away what run() has found to be no segment, unless read_only.
  [[nodiscard]] runtime::Task<void> set_aside();
  /// Copies the stretch aside, if it is to be kept, and adds it to the report.
  [[nodiscard]] runtime::Task<void> report(std::string path, log::DamagedStretch stretch);
  /// A write that was not completed, as far as anything tells.
  void add_torn(std::string path, const log::DamagedStretch& stretch);

 private:
  Status prepare_directories();
  runtime::Task<Status> look_at_spool(const std::string& root, bool is_main);
  runtime::Task<Status> look_at(Found& found, const std::string& root, bool is_main);
  runtime::Task<Status> look_at_segment(Found& found, const std::string& root, log::Role role,
                                        std::uint32_t number, const runtime::DirectoryEntry& entry);
  void mark_aside(const Found& found, const std::string& root, const runtime::DirectoryEntry& entry,
                  std::string path, std::uint64_t bytes);

  struct Aside {
    std::string path, folder, to;
  };
  std::vector<Aside> aside_;
  runtime::Reactor& reactor_;
  const RecoveryOptions& options_;
  std::map<std::uint32_t, Found>& found_;
  RecoveryReport& report_;
};

}  // namespace sluice::journal
