#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::queue {

/// A count with a limit that several shards draw from: connections of a VMTA, connections of the daemon.
/// Thread: any. Exact: never above the limit at the moment of try_take(). When the limit is lowered, as many
/// holders as are too many are told to end, by must_end().
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
  /// For somebody who is there already when he begins to count: may go above the limit.
  void take_anyway() { used_.fetch_add(1, std::memory_order_relaxed); }
  /// True for a holder that is one too many: it ends soon, and gives its unit back by give_back_ended().
  /// Exact: no more than are too many are told so, whoever asks first.
  [[nodiscard]] bool must_end() {
    std::uint32_t ending = ending_.load(std::memory_order_relaxed);
    do {
      // Signed: whoever has just given back may not have counted himself off ending_ yet.
      const std::int64_t staying = std::int64_t{used_.load(std::memory_order_relaxed)} - ending;
      if (staying <= limit_.load(std::memory_order_relaxed)) return false;
    } while (!ending_.compare_exchange_weak(ending, ending + 1, std::memory_order_relaxed));
    return true;
  }
  void give_back_ended() {
    give_back();
    ending_.fetch_sub(1, std::memory_order_relaxed);
  }
  void set_limit(std::uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  void clear_limit() { set_limit(~std::uint32_t{0}); }
  [[nodiscard]] std::uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t top() const { return top_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> used_{0};
  std::atomic<std::uint32_t> ending_{0};  // of these; a moment of too many only keeps somebody for longer
  std::atomic<std::uint32_t> top_{0};
  std::atomic<std::uint32_t> limit_{~std::uint32_t{0}};
};

}  // namespace sluice::queue
