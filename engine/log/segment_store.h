#pragma once
// The segment files of one log in its directories, and how they are made, used again and dropped.

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/log/format.h"
#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::log {

/// One of the directories that new segments may be made in (`<spool>`).
struct SegmentPlace {
  std::string directory;
  std::uint32_t priority = 1;             ///< the highest with room is used; equal ones take turns
  std::uint64_t min_free_disk_bytes = 0;  ///< no new file when less would stay free
  bool closed = false;                    ///< `deliver-only`: nothing new; what is unused is deleted
  bool keep_none = false;  ///< `delete-file-holders`: what is unused is deleted, not kept to be used again
};

/// One segment file and what it holds at the moment. Its address never changes while the store lives.
/// Thread: the store's shard; `readers`, `file.fd()`, `seed` and `header` also by whoever has counted itself
///         in `readers` and found afterwards that the message he looks for still lies here
///         (spool/message_reader.cc).
struct Segment {
  enum class State : std::uint8_t {
    Absent,  ///< no file
    Spare,   ///< blank and ready, has the number it will be used under
    Open,    ///< being written
    Sealed,  ///< complete, still needed
    Unused,  ///< complete, needed by nobody: becomes a spare or is deleted
  };
  SegmentHeader header;
  SegmentSeed seed;
  runtime::File file;
  std::string path;
  const SegmentPlace* place =
      nullptr;  ///< null: in a directory that nothing is written to; deleted when unused
  std::uint32_t slot = 0;
  State state = State::Absent;
  bool unmovable = false;          ///< the user's: emptying it was tried in vain
  bool foreign = false;            ///< in the directory of a shard that no longer exists: deleted when unused
  std::uint32_t live_records = 0;  ///< the user's count
  std::uint64_t live_bytes = 0;    ///< the user's count
  std::uint64_t end = 0;           ///< offset behind the last group
  std::atomic<std::uint32_t> readers{0};
};

/// "msg-0000000012.seg"
[[nodiscard]] std::string segment_file_name(Role role, std::uint32_t number);
/// The number in such a name; nullopt: not one of `role`.
[[nodiscard]] std::optional<std::uint32_t> segment_file_number(Role role, std::string_view name);

struct SegmentStoreOptions {
  std::vector<SegmentPlace> places;  ///< at least one
  Role role = Role::Messages;
  std::uint32_t shard = 0;
  std::uint64_t segment_bytes = 64 * kMiB;
  std::uint32_t spares_min = 1;      ///< kept ready
  std::uint32_t spares_max = 8;      ///< more unused segments than that are deleted
  std::uint64_t disk_bytes_max = 0;  ///< of all files; 0: no limit
  /// New files are written once with zeros: a write into allocated but never written space has to change the
  /// file system's own books at every sync, which costs several times the write (measured: limits of
  /// fdatasync on ext4).
  bool prefill = true;
};

/// Thread: one shard. Lifetime: stop() has answered before destruction (asserted).
/// Limits: kSegmentsMax files. Errors: when the disk is full or refuses, has_room() is false and the store
///         tries again every kRetryAfter and whenever a segment becomes unused.
class SegmentStore {
 public:
  static constexpr std::uint32_t kSegmentsMax = 65'535;
  static constexpr Duration kRetryAfter = 1s;

  /// `on_change` is called when a spare has become ready, and when none can be made.
  SegmentStore(runtime::Reactor& reactor, SegmentStoreOptions options, std::function<void()> on_change);
  SegmentStore(const SegmentStore&) = delete;
  SegmentStore& operator=(const SegmentStore&) = delete;
  ~SegmentStore();

  /// Before start(): a segment found on disk, still needed. nullptr: too many.
  [[nodiscard]] runtime::Task<Result<Segment*>> adopt(std::string path, SegmentHeader header, bool foreign);
  /// Before start(): a file found on disk that nobody needs.
  void adopt_unused(std::string path, std::uint64_t bytes, bool foreign);
  /// Prepares the first spare. `next_number`: above every number ever used here.
  [[nodiscard]] runtime::Task<Status> start(std::uint32_t next_number);
  [[nodiscard]] runtime::Task<void> stop();

  /// The next spare, now Open and to be written from its first block on; nullptr while there is none.
  [[nodiscard]] Segment* take();
  [[nodiscard]] bool has_spare() const { return !spares_.empty(); }
  /// False: no spare, and none can be made at present.
  [[nodiscard]] bool has_room() const { return !spares_.empty() || !stuck_; }
  /// What keeps the next segment from being made; empty: nothing does.
  [[nodiscard]] const std::optional<Error>& why_stuck() const { return stuck_; }
  /// `segment` is needed by nobody any more. Requires state Sealed and no readers.
  void retire(Segment& segment);

  [[nodiscard]] Segment& at(std::uint32_t slot) const { return *slots_[slot]; }
  [[nodiscard]] std::uint32_t slots() const { return used_slots_; }
  [[nodiscard]] std::uint64_t disk_bytes() const { return disk_bytes_; }
  [[nodiscard]] std::size_t spares() const { return spares_.size(); }
  [[nodiscard]] std::uint64_t recycled() const { return recycled_; }
  [[nodiscard]] const SegmentStoreOptions& options() const { return options_; }
  [[nodiscard]] std::uint32_t next_number() const { return next_number_; }

 private:
  struct RetryTimer : runtime::Timer {
    explicit RetryTimer(SegmentStore& owner);
    SegmentStore& owner;
  };
  [[nodiscard]] Segment* new_slot();
  [[nodiscard]] bool may_grow(const SegmentPlace& place);
  [[nodiscard]] const SegmentPlace* place_of(std::string_view path) const;
  /// The places for the next segment, the best first.
  [[nodiscard]] std::vector<const SegmentPlace*> places_in_order() const;
  runtime::Task<void> prepare_forever();
  runtime::Task<Status> prepare_one();
  runtime::Task<Status> prepare_in(const SegmentPlace& place);
  runtime::Task<Status> make_file(Segment& segment, const SegmentPlace& place);
  runtime::Task<Status> use_again(Segment& segment);
  runtime::Task<void> remove(Segment& segment);

  runtime::Reactor& reactor_;
  SegmentStoreOptions options_;
  std::function<void()> on_change_;
  // Allocated once at full size, so that other shards may index it while this one adds.
  std::unique_ptr<std::unique_ptr<Segment>[]> slots_;
  std::uint32_t used_slots_ = 0;
  std::vector<std::uint32_t> absent_;
  std::deque<Segment*> spares_;
  std::deque<Segment*> unused_;
  std::uint32_t next_number_ = 1;
  const SegmentPlace* last_ = nullptr;  // had the turn last, among those with equal priority
  std::uint64_t disk_bytes_ = 0;
  std::uint64_t recycled_ = 0;
  std::optional<Error> stuck_;
  bool stopping_ = false;
  bool started_ = false;
  runtime::Wakeup wakeup_;
  RetryTimer retry_;
  runtime::TaskGroup group_;
};

}  // namespace sluice::log
