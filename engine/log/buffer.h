#pragma once
// Memory that carries groups to the disk, and the states of its life.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/runtime/op.h"
#include "policy/base/assert.h"

namespace sluice::log {

struct Segment;

/// Memory that mirrors a stretch of a segment. Several groups lie in one, one behind the other.
/// Thread: its writer's shard, except what its source says (spool/commit_buffers.h).
struct Buffer {
  ///     take_buffer()   begin()      room for no more       all groups done
  ///   Free -----------> Open ------------------> Closed ----------------------> Free, or Resident until it is
  ///                                                                             evicted: Free
  enum class State : std::uint8_t {
    Free,      ///< holds nothing
    Open,      ///< the writer puts records in
    Closed,    ///< no record will be added; `groups_under_way` of its groups are not done
    Resident,  ///< written; readers may still look at it
  };
  std::span<std::byte> memory;  ///< block-aligned, a multiple of kBlockBytes
  std::uint16_t fixed_buffer = runtime::Op::kNoFixedBuffer;
  Segment* segment = nullptr;
  std::uint64_t file_offset = 0;  ///< of memory[0] in the segment
  std::size_t used = 0;
  std::uint32_t groups_under_way = 0;  ///< sealed, not yet done
  State state = State::Free;
  bool one_group =
      false;  ///< closed with its first group: memory that is needed for nothing else is freed early

  /// Every change of state passes here. Asserts that it is an edge of the drawing above.
  void become(State to) {
    switch (to) {
      case State::Open: SLUICE_ASSERT(state == State::Free && used == 0 && groups_under_way == 0); break;
      case State::Closed: SLUICE_ASSERT(state == State::Open); break;
      case State::Resident: SLUICE_ASSERT(state == State::Closed && groups_under_way == 0); break;
      case State::Free:
        SLUICE_ASSERT((state == State::Closed || state == State::Resident) && groups_under_way == 0);
        segment = nullptr;
        used = 0;
        break;
    }
    state = to;
  }
};

/// Who has the memory. Thread: the writer's shard.
class BufferSource {
 public:
  virtual ~BufferSource() = default;
  /// A Free buffer of at least `bytes_min`. nullptr: none now; one comes back from those that are under way.
  virtual Buffer* take_buffer(std::size_t bytes_min) = 0;
  /// `buffer` is Open: it has its place in a segment.
  virtual void buffer_opened(Buffer& buffer) { (void)buffer; }
  /// `buffer` is Closed and all its groups are done. It becomes Free or Resident here.
  virtual void buffer_done(Buffer& buffer) = 0;
};

}  // namespace sluice::log
