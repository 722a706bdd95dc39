#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::queue {

/// A count with a limit that several shards draw from: connections of a VMTA, connections of the daemon.
/// Thread: any; waits for another only while somebody stands in line. Exact: never above the limit at the moment of
/// try_take(). When the limit is lowered, as many holders as are too many are told to end, by must_end().
///
/// The line: a shard whose queues wait for a unit says so by stand(). From then on try_take() refuses newcomers,
/// and whoever has given a unit back, called stand() or settled(), or raised the limit calls serve() until it has
/// no answer, and tells each shard it names, which then lets its first queue take_in_turn(). So nobody waits beside
/// a free unit, and nobody looks in vain while none is free.
class SharedBudget {
 public:
  /// What a shard says about its queues in line.
  struct Front {
    std::uint32_t priority = 0;  ///< of the one that is next: the highest
    std::uint32_t holds = 0;     ///< connections that one has
    std::uint32_t alike = 0;     ///< how many are as far behind as that one
    std::uint32_t waiting = 0;   ///< all; 0: nobody any more
    friend bool operator==(const Front&, const Front&) = default;
  };
  /// Whose connection holds a unit.
  struct Holder {
    std::uint32_t priority = 0;
    std::uint32_t holds = 0;   ///< connections its queue has
    bool has_had_turn = true;  ///< false: gives way to higher priorities only
    bool rests = false;        ///< has no use for the unit now
  };

  [[nodiscard]] bool try_take() { return awaited_.load() <= 0 && take_in_turn(); }
  /// Also past those in line, for one who has stood there. Never above the limit.
  [[nodiscard]] bool take_in_turn() {
    std::uint32_t used = used_.load();
    do {
      if (used >= limit_.load()) return false;
    } while (!used_.compare_exchange_weak(used, used + 1));
    std::uint32_t top = top_.load(std::memory_order_relaxed);
    while (used + 1 > top && !top_.compare_exchange_weak(top, used + 1, std::memory_order_relaxed)) {
    }
    return true;
  }
  void give_back() { used_.fetch_sub(1); }
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
  void set_limit(std::uint32_t limit) { limit_.store(limit); }
  void clear_limit() { set_limit(~std::uint32_t{0}); }
  [[nodiscard]] std::uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t top() const { return top_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }

  // --- The line.
  /// More wait than have been told that it is their turn.
  [[nodiscard]] bool is_awaited() const { return awaited_.load() > 0; }
  /// What `shard` says now; replaces what it said before.
  void stand(std::uint32_t shard, const Front& front) {
    const Hold hold(busy_);
    entry_of(shard).front = front;
    count_awaited();
  }
  /// The shard whose turn a free unit is; none: no unit is free, or nobody waits. The highest priority first,
  /// then who has the fewest connections; shards take turns.
  [[nodiscard]] std::optional<std::uint32_t> serve() {
    if (!is_awaited()) return std::nullopt;
    const Hold hold(busy_);
    std::int64_t free = std::int64_t{limit_.load()} - used_.load();
    for (const Entry& one : line_) free -= one.under_way;
    if (free <= 0) return std::nullopt;
    const auto next = std::min_element(line_.begin(), line_.end(), [](const Entry& a, const Entry& b) {
      if (a.is_served() != b.is_served()) return b.is_served();
      if (a.front.priority != b.front.priority) return a.front.priority > b.front.priority;
      return a.front.holds < b.front.holds;
    });
    if (next == line_.end() || next->is_served()) return std::nullopt;
    ++next->under_way;
    const std::uint32_t shard = next->shard;
    std::rotate(next, next + 1, line_.end());
    count_awaited();
    return shard;
  }
  /// `shard` has heard that it was its turn, and whoever could has taken.
  void settled(std::uint32_t shard) {
    const Hold hold(busy_);
    --entry_of(shard).under_way;
    count_awaited();
  }
  /// True for a holder that ends soon for the sake of somebody in line: one of higher priority, or of the same
  /// with none or at least two connections fewer; for one that rests, anybody. end_yield() comes with the unit
  /// it gives back. Exact: no more than such wait are told so.
  [[nodiscard]] bool must_yield(const Holder& holder) {
    if (!is_awaited()) return false;
    const Hold hold(busy_);
    std::uint32_t wanted = 0;
    for (const Entry& one : line_) {
      if (one.is_served()) continue;
      const Front& front = one.front;
      const bool above = front.priority > holder.priority;
      const bool behind = front.priority == holder.priority && holder.has_had_turn &&
                          (front.holds == 0 || front.holds + 2 <= holder.holds);
      if (above || behind || holder.rests) wanted += std::min(front.alike, front.waiting - one.under_way);
    }
    if (yielding_ >= wanted) return false;
    ++yielding_;
    return true;
  }
  void end_yield() {
    const Hold hold(busy_);
    --yielding_;
  }
  /// One that has long heard nothing keeps its unit while others stand in line: a quarter of the limit may. True
  /// comes with an end_stall().
  [[nodiscard]] bool may_stall() {
    std::uint32_t stalled = stalled_.load(std::memory_order_relaxed);
    do {
      if (stalled >= limit() / 4) return false;
    } while (!stalled_.compare_exchange_weak(stalled, stalled + 1, std::memory_order_relaxed));
    return true;
  }
  void end_stall() { stalled_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  /// For the few instructions that read or change the line, which is more than one number.
  class Hold {
   public:
    explicit Hold(std::atomic_flag& busy) : busy_(busy) {
      while (busy_.test_and_set(std::memory_order_acquire)) busy_.wait(true);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      busy_.clear(std::memory_order_release);
      busy_.notify_one();
    }

   private:
    std::atomic_flag& busy_;
  };
  struct Entry {
    std::uint32_t shard = 0;
    std::uint32_t under_way = 0;  // turns it was told of and has not settled
    Front front;
    [[nodiscard]] bool is_served() const { return under_way >= front.waiting; }
  };
  Entry& entry_of(std::uint32_t shard) {
    for (Entry& one : line_) {
      if (one.shard == shard) return one;
    }
    return line_.emplace_back(Entry{.shard = shard, .under_way = 0, .front = {}});
  }
  // Sequentially consistent, as `used_`: of one who begins to wait and one who gives back at the same moment
  // one sees the other.
  void count_awaited() {
    std::erase_if(line_, [](const Entry& one) { return one.front.waiting == 0 && one.under_way == 0; });
    std::int64_t sum = 0;
    for (const Entry& one : line_)
      sum += one.is_served() ? 0 : std::int64_t{one.front.waiting} - one.under_way;
    awaited_.store(sum);
  }

  std::atomic<std::uint32_t> used_{0};
  std::atomic<std::uint32_t> ending_{0};  // of these; a moment of too many only keeps somebody for longer
  std::atomic<std::uint32_t> stalled_{0};
  std::atomic<std::uint32_t> top_{0};
  std::atomic<std::uint32_t> limit_{~std::uint32_t{0}};
  std::atomic<std::int64_t> awaited_{0};
  std::atomic_flag busy_;
  std::vector<Entry> line_;     // of shards; who was served last is last
  std::uint32_t yielding_ = 0;  // holders must_yield() has told
};

}  // namespace sluice::queue
