#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::queue {

/// A count with a limit that several shards draw from: connections of a VMTA, connections of the daemon.
/// Thread: any. Exact: never above the limit at the moment of try_take(). Lowering the limit ends nothing by
/// itself.
class SharedBudget {
 public:
  [[nodiscard]] bool try_take() {
    std::uint32_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used >= limit_.load(std::memory_order_relaxed)) return false;
    } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_relaxed));
    std::uint32_t top = top_.load(std::memory_order_relaxed);
    while (used + 1 > top && !top_.compare_exchange_weak(top, used + 1, std::memory_order_relaxed)) {
    }
    return true;
  }
  void give_back() { used_.fetch_sub(1, std::memory_order_relaxed); }
  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  void clear_limit() { set_limit(~std::uint32_t{0}); }
  [[nodiscard]] std::uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t top() const { return top_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> used_{0};
  std::atomic<std::uint32_t> top_{0};
  std::atomic<std::uint32_t> limit_{~std::uint32_t{0}};
};

}  // namespace sluice::queue
