#pragma once
// Reading whole segments: recovery, checkpoints.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/log/scan.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::log {

/// What the front of a file says.
struct SegmentHead {
  /// nullopt: neither the header nor the first group tells what this is.
  std::optional<SegmentHeader> header;
  bool salvaged = false;          ///< the header itself was lost
  bool front_lost = false;        ///< ... and the first group's with it: told from a later one
  bool blank = false;             ///< the first block is all zero
  std::uint64_t file_bytes = 0;
};
/// Where header and first group are lost, it looks for a later group among the first kHeadSearchBytes.
/// Errors: Unsupported (a newer format), Io and others of opening.
inline constexpr std::size_t kHeadSearchBytes = 256 * kKiB;
[[nodiscard]] runtime::Task<Result<SegmentHead>> read_segment_head(runtime::Reactor& reactor, std::string path,
                                                                   Role role);

/// Shows every group from offset `from` on to `visit` (whose views live during the call), yielding in between. The
/// scanner in the answer tells what was damaged, torn, and where the end is. `visit` outlives the task.
/// `sync_first`: what is shown is on stable storage. After a kill (not a power cut) a write that was under way may be
/// readable from a cache and still be lost later; whoever builds on what he reads has to settle that first.
[[nodiscard]] runtime::Task<Result<SegmentScanner>> scan_file(runtime::Reactor& reactor, std::string path,
                                                              SegmentHeader header, std::uint64_t from,
                                                              const std::function<void(const ScannedGroup&)>& visit,
                                                              bool sync_first = false,
                                                              std::uint64_t* bytes_read = nullptr);

/// Copies `bytes` at `offset` of `path` to a new file. Best effort: false when it could not be done.
[[nodiscard]] runtime::Task<bool> keep_aside(runtime::Reactor& reactor, std::string path, std::uint64_t offset,
                                             std::uint64_t bytes, std::string to);

}  // namespace sluice::log
