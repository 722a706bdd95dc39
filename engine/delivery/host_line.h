#pragma once
// Queues whose mail hosts have as many connections as `mx-connection-limit` or `ip-connection-limit` allows.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include "engine/queue/host_counts.h"
#include "engine/queue/queue.h"
#include "engine/runtime/reactor.h"

namespace sluice::delivery {

/// The queues of one shard that wait for room at a host, and how they hear of it.
///
///   a count is full -> stand() -> a unit of it is given back, on whatever shard -> given_back() there tells every
///   shard that has queues waiting -> turn_has_come() here -> as many queues look again as there are units
///
/// Cost:     nothing while all is full; a look for each unit that comes free. While there is room and queues wait (the
///           first had no use for it) the next ones look every kLookAgain.
/// Thread:   one shard. Lifetime: queues leave() before they end.
class HostLine {
 public:
  static constexpr Duration kLookAgain = 50ms;
  /// A queue that heard nothing for so long looks by itself: counts that meet each other in the table of
  /// queue::KeyedBudget may be refused with room left.
  static constexpr Duration kLookAnyway = 5min;

  struct Links {
    std::function<void(queue::Queue&)> look;  ///< may destroy it
    /// Has turn_has_come(place) called on the shards of `mask`: bit n is for all whose number is n modulo 64.
    std::function<void(std::uint64_t mask, std::uint32_t place)> tell;
  };
  HostLine(runtime::Reactor& reactor, queue::HostCounts& counts, Links links);
  HostLine(const HostLine&) = delete;
  HostLine& operator=(const HostLine&) = delete;
  ~HostLine();

  /// `queue` found no unit of `key` below `limit`. Answers when it has to look again by itself.
  [[nodiscard]] MonoTime stand(queue::Queue& queue, std::uint64_t key, std::uint32_t limit);
  void leave(const queue::Queue& queue);
  /// A connection of this shard has given a unit back.
  void given_back(std::uint64_t key);
  void turn_has_come(std::uint32_t place);
  /// Everybody leaves, and may look at once: limits are others now.
  void clear();

 private:
  struct Waiter {
    queue::Queue* queue = nullptr;
    std::uint64_t key = 0;
    std::uint32_t limit = 0;
  };
  struct LookTimer : runtime::Timer {
    explicit LookTimer(HostLine& line);
    HostLine& owner;
  };
  void look_again();
  void forget_empty(std::uint32_t place);
  [[nodiscard]] std::uint64_t bit() const { return std::uint64_t{1} << (reactor_.shard().raw() % 64); }

  runtime::Reactor& reactor_;
  queue::HostCounts& counts_;
  const Links links_;
  std::unordered_map<std::uint32_t, std::deque<Waiter>> lines_;  // by place; none is empty
  std::unordered_map<const queue::Queue*, std::vector<std::uint32_t>> places_;
  std::vector<std::uint32_t> with_room_;  // places where somebody waits and there was room
  LookTimer timer_;
};

}  // namespace sluice::delivery
