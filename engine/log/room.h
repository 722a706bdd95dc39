#pragma once
// Room for a record in the open group of a writer, and the line of those who wait for it.

#include <cstddef>
#include <cstdint>
#include <span>

#include "policy/base/assert.h"
#include "policy/base/result.h"

namespace sluice::log {

struct Buffer;
struct Segment;
class RoomLine;

/// Room for one record. Fill `payload`, then Writer::end() at once: nothing may come in between.
struct Room {
  std::span<std::byte> payload;
  Segment* segment = nullptr;
  Buffer* buffer = nullptr;
  std::uint32_t offset = 0;    ///< of the record in the segment
  std::uint64_t sequence = 0;  ///< of its group
};

/// Somebody with a record that finds no room now. Lives with the record (in a coroutine's frame, in a journal), so that
/// waiting allocates nothing.
/// Thread: the writer's shard. Lifetime: not destroyed while it waits (asserted); Writer::cancel() ends the wait.
class RoomWaiter {
 public:
  RoomWaiter() = default;
  RoomWaiter(const RoomWaiter&) = delete;
  RoomWaiter& operator=(const RoomWaiter&) = delete;
  [[nodiscard]] bool waits() const { return line_ != nullptr; }

 protected:
  ~RoomWaiter() { SLUICE_ASSERT(!waits()); }

 private:
  friend class RoomLine;
  friend class Writer;
  /// Called once, out of the line already: fill and end() the record now, or learn why there will be no room.
  virtual void on_room(Result<Room> room) = 0;
  RoomLine* line_ = nullptr;
  RoomWaiter* before_ = nullptr;
  RoomWaiter* behind_ = nullptr;
  std::size_t payload_bytes_ = 0;
  bool may_use_last_room_ = false;
};

/// First in, first out.
class RoomLine {
 public:
  RoomLine() = default;
  RoomLine(const RoomLine&) = delete;
  RoomLine& operator=(const RoomLine&) = delete;
  ~RoomLine() { SLUICE_ASSERT(empty()); }

  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] RoomWaiter* first() const { return first_; }
  void join(RoomWaiter& waiter) {
    SLUICE_ASSERT(!waiter.waits());
    waiter.line_ = this;
    waiter.before_ = last_;
    waiter.behind_ = nullptr;
    (last_ == nullptr ? first_ : last_->behind_) = &waiter;
    last_ = &waiter;
    ++size_;
  }
  void leave(RoomWaiter& waiter) {
    SLUICE_ASSERT(waiter.line_ == this);
    (waiter.before_ == nullptr ? first_ : waiter.before_->behind_) = waiter.behind_;
    (waiter.behind_ == nullptr ? last_ : waiter.behind_->before_) = waiter.before_;
    waiter.line_ = nullptr;
    waiter.before_ = waiter.behind_ = nullptr;
    --size_;
  }

 private:
  RoomWaiter* first_ = nullptr;
  RoomWaiter* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::log
