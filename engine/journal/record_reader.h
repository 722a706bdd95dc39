#pragma once
// Reads the durable records of one directory's journal in order, across its segments.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/journal/journal.h"
#include "engine/log/aligned.h"
#include "engine/log/scan.h"
#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

/// Records of some consecutive groups. Views point into `bytes`.
struct RecordBatch {
  std::vector<log::RecordView> records;
  JournalPosition after;
  std::uint64_t damaged = 0;  ///< stretches that had been durable and are not whole
  std::uint64_t holes = 0;    ///< these, and those of which nothing proves that they had been
  log::AlignedMemory bytes;
};

/// Thread: one shard. Lifetime: no read under way at destruction.
/// Limits: one window of kWindowBytes, or one group when that is larger.
class RecordReader {
 public:
  static constexpr std::size_t kWindowBytes = 256 * kKiB;

  RecordReader(runtime::Reactor& reactor, std::string path, JournalPosition from);
  [[nodiscard]] const JournalPosition& position() const { return position_; }
  /// The segment the last batch is from.
  [[nodiscard]] std::uint32_t segment_read() const { return segment_read_; }
  /// What lies between position() and `end`, at most a window; an empty optional: nothing. A batch may hold no records
  /// and still move the position. Errors: Io.
  [[nodiscard]] runtime::Task<Result<std::optional<RecordBatch>>> next(JournalPosition end);

 private:
  runtime::Task<Result<bool>> open_segment(JournalPosition end);
  runtime::Reactor& reactor_;
  std::string path_;
  JournalPosition position_;
  std::uint32_t segment_read_ = 0;
  runtime::File file_;
  std::optional<log::SegmentHeader> header_;
};

}  // namespace sluice::journal
