#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/spool/message.h"
#include "policy/base/units.h"
#include "policy/schedule/windows.h"

namespace sluice::queue {

/// One queued recipient: all that memory keeps of it besides its StoredMessage. 32 bytes, so that a million
/// of them cost 32 MB.
struct Item {
  Item* next = nullptr;
  spool::StoredMessage* message = nullptr;
  MonoTime due{};               ///< meaningful while it waits for its retry
  std::uint32_t recipient = 0;  ///< index in the message's envelope
  std::uint16_t attempts = 0;   ///< made so far; stops counting at 65535
  std::uint8_t priority = 50;
  std::uint8_t shut_attempts = 0;  ///< of these, in a row while the queue was shut off; stops counting at 255
};
static_assert(sizeof(Item) == 32);

/// Memory for items in blocks, given back to the system only at the end: a queue that drained will fill
/// again. Thread: one shard. Lifetime: every item has been given back before destruction, or the process
/// ends.
class ItemPool {
 public:
  ItemPool() = default;
  ItemPool(const ItemPool&) = delete;
  ItemPool& operator=(const ItemPool&) = delete;

  [[nodiscard]] Item* make() {
    if (free_ == nullptr) grow();
    Item* item = free_;
    free_ = item->next;
    live_.store(live() + 1, std::memory_order_relaxed);
    return new (item) Item{};
  }
  void give_back(Item* item) {
    if (!schedules_.empty()) schedules_.erase(item);
    item->next = free_;
    free_ = item;
    live_.store(live() - 1, std::memory_order_relaxed);
  }
  /// Thread: any.
  [[nodiscard]] std::size_t live() const { return live_.load(std::memory_order_relaxed); }

  /// Delivery windows are rare, so they are kept beside the items: about 100 bytes for each that has some.
  void set_schedule(const Item& item, std::shared_ptr<const schedule::Windows> windows) {
    schedules_.insert_or_assign(&item, std::move(windows));
  }
  [[nodiscard]] bool has_schedules() const { return !schedules_.empty(); }
  /// Null: may go at any time.
  [[nodiscard]] std::shared_ptr<const schedule::Windows> schedule_of(const Item& item) const {
    if (schedules_.empty()) return nullptr;
    const auto found = schedules_.find(&item);
    return found == schedules_.end() ? nullptr : found->second;
  }

 private:
  static constexpr std::size_t kItemsPerBlock = 2048;  // 64 KiB
  void grow() {
    blocks_.push_back(std::make_unique<Item[]>(kItemsPerBlock));
    for (std::size_t i = kItemsPerBlock; i-- > 0;) {
      blocks_.back()[i].next = free_;
      free_ = &blocks_.back()[i];
    }
  }
  std::vector<std::unique_ptr<Item[]>> blocks_;
  std::unordered_map<const Item*, std::shared_ptr<const schedule::Windows>> schedules_;
  Item* free_ = nullptr;
  std::atomic<std::size_t> live_{0};  // written by the shard only
};

}  // namespace sluice::queue
