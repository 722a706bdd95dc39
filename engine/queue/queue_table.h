#pragma once

#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/queue/queue.h"

namespace sluice::queue {

/// The queues of one shard by name. Thread: its shard. Cost: one hash probe; memory about 800 bytes a queue.
class QueueTable {
 public:
  struct Key {
    std::string_view domain;
    std::string_view vmta;
  };

  /// The queue, or null.
  [[nodiscard]] Queue* find(Key key) const;
  /// Adds a queue. Requires that there is none of that name.
  Queue& add(std::unique_ptr<Queue> queue);
  /// Removes an empty queue without connections (asserted by ~Queue's members).
  void remove(Queue& queue) { release(queue).reset(); }
  /// The same, and the queue goes to the caller.
  [[nodiscard]] std::unique_ptr<Queue> release(Queue& queue);
  [[nodiscard]] std::size_t size() const { return queues_.size(); }
  [[nodiscard]] const QueueTotals& totals() const { return totals_; }
  template <class F>
  void for_each(F&& visit) const {
    for (const auto& [name, queue] : queues_) visit(*queue);
  }
  /// Visits up to `most` queues in the order of their names, those behind `after`. Answers the name of the last; empty:
  /// there are no more. For those who look at all in slices: what comes and goes between two of them does no harm.
  template <class F>
  std::string visit_some(std::string_view after, std::size_t most, F&& visit) const {
    auto at = after.empty() ? in_order_.begin() : in_order_.upper_bound(after);
    for (std::size_t i = 0; i < most && at != in_order_.end(); ++i, ++at) visit(*at->second);
    return at == in_order_.end() ? std::string() : std::string(std::prev(at)->first);
  }

 private:
  // Looked up by its two parts without building "domain/vmta".
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept;
    std::size_t operator()(Key key) const noexcept;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept { return a == b; }
    bool operator()(Key a, std::string_view b) const noexcept {
      return b.size() == a.domain.size() + 1 + a.vmta.size() && b.starts_with(a.domain) &&
             b.ends_with(a.vmta) && b[a.domain.size()] == '/';
    }
    bool operator()(std::string_view a, Key b) const noexcept { return (*this)(b, a); }
  };
  QueueTotals totals_;
  std::unordered_map<std::string_view, std::unique_ptr<Queue>, Hash, Equal>
      queues_;  // keys view the queues' names
  std::map<std::string_view, Queue*> in_order_;
};

}  // namespace sluice::queue
