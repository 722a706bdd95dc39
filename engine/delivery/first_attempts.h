#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "engine/queue/item.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// When the recipients of one shard that wait for another attempt were first attempted
/// (`track-time-first-attempt`). Empty, and free, while that is off.
/// Thread: one shard. Limits: an entry, about 60 bytes, for each of these recipients; gone with its item.
class FirstAttempts {
 public:
  [[nodiscard]] WallTime find(const queue::Item& item) const {
    const auto found = times_.find({item.message, item.recipient});
    return found == times_.end() ? WallTime{} : found->second;
  }
  /// The first one noted stays. The epoch is none.
  void note(const spool::StoredMessage* message, std::uint32_t recipient, WallTime time) {
    if (time != WallTime{}) times_.try_emplace({message, recipient}, time);
  }
  /// Answers what was noted and forgets it.
  WallTime take(const queue::Item& item) {
    if (times_.empty()) return {};
    const auto found = times_.extract({item.message, item.recipient});
    return found ? found.mapped() : WallTime{};
  }
  void clear() { times_.clear(); }
  [[nodiscard]] std::size_t size() const { return times_.size(); }

 private:
  using Key = std::pair<const spool::StoredMessage*, std::uint32_t>;
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return (reinterpret_cast<std::uintptr_t>(key.first) / sizeof(void*) + key.second) * 0x9e3779b97f4a7c15;
    }
  };
  std::unordered_map<Key, WallTime, Hash> times_;
};

}  // namespace sluice::delivery
