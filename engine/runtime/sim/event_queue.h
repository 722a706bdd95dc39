#pragma once
// What will happen in the simulated world, by virtual time.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "policy/base/units.h"

namespace sluice::runtime::sim {

/// Events of one time run in the order they were asked for.
/// Thread: the world's only one. Limits: none of its own; bounded by what is under way in the world.
class EventQueue {
 public:
  using Job = std::move_only_function<void()>;
  using Id = std::pair<MonoTime, std::uint64_t>;

  Id at(MonoTime time, Job job) {
    const Id id{time, ++serial_};
    events_.emplace(id, std::move(job));
    return id;
  }
  /// No effect when it has run.
  void cancel(const Id& id) { events_.erase(id); }
  [[nodiscard]] std::optional<MonoTime> next() const {
    if (events_.empty()) return std::nullopt;
    return events_.begin()->first.first;
  }
  /// Runs the first event due at `now`; false when there is none.
  bool run_one(MonoTime now) {
    if (events_.empty() || events_.begin()->first.first > now) return false;
    auto node = events_.extract(events_.begin());
    node.mapped()();
    return true;
  }
  [[nodiscard]] std::size_t size() const { return events_.size(); }

 private:
  std::map<Id, Job> events_;
  std::uint64_t serial_ = 0;
};

}  // namespace sluice::runtime::sim
