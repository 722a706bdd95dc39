#pragma once
// Where StoredMessages live: blocks that are never given back, so that their addresses stay good.

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "engine/spool/message.h"

namespace sluice::spool {

/// Thread: home shard.
class MessageSlab {
 public:
  static constexpr std::size_t kBlockMessages = 1024;
  // Bits of StoredMessage::state_.
  static constexpr std::uint8_t kUsed = 1;      ///< not on the free list
  static constexpr std::uint8_t kPending = 2;   ///< its first copy is not durable yet
  static constexpr std::uint8_t kMoving = 4;    ///< a second copy is being made
  static constexpr std::uint8_t kEnded = 8;     ///< all recipients ended; freed when neither pending nor moving

  [[nodiscard]] StoredMessage* take() {
    if (free_ == nullptr) grow();
    StoredMessage* message = std::exchange(free_, free_->next_free_);
    message->next_free_ = nullptr;
    message->state_ = kUsed;
    ++used_;
    return message;
  }
  void give(StoredMessage& message) {
    message.state_ = 0;
    message.outstanding_ = 0;
    message.next_free_ = std::exchange(free_, &message);
    --used_;
  }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t capacity() const { return blocks_.size() * kBlockMessages; }
  /// The message at `index` < capacity(), or nullptr when that place is free.
  [[nodiscard]] StoredMessage* find(std::size_t index) {
    StoredMessage& message = (*blocks_[index / kBlockMessages])[index % kBlockMessages];
    return (message.state_ & kUsed) != 0 ? &message : nullptr;
  }

 private:
  using Block = std::array<StoredMessage, kBlockMessages>;
  void grow() {
    blocks_.push_back(std::make_unique<Block>());
    for (StoredMessage& message : *blocks_.back()) message.next_free_ = std::exchange(free_, &message);
  }
  std::vector<std::unique_ptr<Block>> blocks_;
  StoredMessage* free_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace sluice::spool
