#pragma once
// Who gets a slot for a connection, and who is next when slots are short.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/queue/queue.h"
#include "engine/queue/shared_budget.h"

namespace sluice::delivery {

using Budget = std::shared_ptr<queue::SharedBudget>;
/// A count that lives as long as the node.
[[nodiscard]] inline Budget ours(queue::SharedBudget& one) { return {std::shared_ptr<void>(), &one}; }

/// The units one connection holds of the counts it is part of: daemon, virtual MTA, pools, shared domain.
struct Slots {
  struct Held {
    Budget budget;
    bool ending = false;    ///< SharedBudget::must_end() has said so
    bool yielding = false;  ///< SharedBudget::must_yield() has said so
    bool stalled = false;   ///< SharedBudget::may_stall() has said so
    bool fleeting = false;  ///< held for a part of the connection's life only: a reload leaves it alone
  };
  std::vector<Held> held;
};

/// The slots of one shard's queues, and the line in front of each full count.
///
///   take(queue) finds a count full -> the queue joins its group: all that draw from the same counts
///   a group stands in the line of the one count that was full last
///   a unit is given back, on whatever shard -> SharedBudget::serve() names a shard -> turn_has_come() there
///   the first queue of the line may take then, or the next, until one does
///
/// Order:    higher queue-priority first; then who has fewer connections; then groups in turns, and in a group
///           who has waited longer. So a long backlog gets no second slot while somebody has none, and virtual
///           MTAs and pools take turns however many queues each has.
/// Cost:     nothing while nothing moves; O(log queues) for joining, leaving and being served. Where the first
///           queues of a line have no use for a unit, no more than kLooksMax are looked at in one go.
/// Thread:   one shard. Lifetime: queues leave() before they end.
class SlotDesk {
 public:
  static constexpr std::size_t kLooksMax = 64;

  struct Links {
    /// The queue's turn: take() may be called for it, or not. May destroy it.
    std::function<void(queue::Queue&)> offer;
    /// Has turn_has_come(budget) called on the desk of `shard`, this one included: later, never from inside.
    std::function<void(std::uint32_t shard, Budget budget)> tell;
  };
  /// How a group stands in line.
  struct Manner {
    bool both_ends = false;  ///< who came last and who came first in turns
    std::uint64_t lag = 0;   ///< so many who come later go first
  };
  SlotDesk(std::uint32_t shard, Links links) : shard_(shard), links_(std::move(links)) {}
  SlotDesk(const SlotDesk&) = delete;
  SlotDesk& operator=(const SlotDesk&) = delete;

  /// One unit of each of `budgets`, which are in one order everywhere. Or none, and the count that is full: the
  /// queue stands in line for it, at the place it had before if it had one.
  [[nodiscard]] std::expected<Slots, const queue::SharedBudget*> take(queue::Queue& queue,
                                                                      const std::vector<Budget>& budgets,
                                                                      const Manner& manner);
  [[nodiscard]] std::expected<Slots, const queue::SharedBudget*> take(queue::Queue& queue,
                                                                      const std::vector<Budget>& budgets) {
    return take(queue, budgets, Manner());
  }
  void give_back(Slots& slots);
  /// Only what it holds of `budget`, if anything.
  void give_back(Slots& slots, const queue::SharedBudget& budget);
  /// SharedBudget::serve() has named this shard.
  void turn_has_come(const Budget& budget);

  /// The queue has no need of a slot any more, or goes away. Harmless for one that does not stand in line.
  void leave(const queue::Queue& queue);
  [[nodiscard]] bool stands(const queue::Queue& queue) const { return places_.contains(&queue); }
  /// The count `queue` waits for; null: it does not stand in line.
  [[nodiscard]] const queue::SharedBudget* waits_for(const queue::Queue& queue) const;
  [[nodiscard]] bool empty() const { return places_.empty(); }
  /// Queues of this shard in the line for `budget`.
  [[nodiscard]] std::size_t waiting_for(const queue::SharedBudget& budget) const;
  /// Up to `most` queues in line for what `slots` holds.
  [[nodiscard]] std::vector<queue::Queue*> first_for(const Slots& slots, std::size_t most) const;

  [[nodiscard]] static bool holds(const Slots& slots, const queue::SharedBudget& budget);
  /// True when the connection that holds `slots` ends soon, so that somebody in line can have them.
  [[nodiscard]] static bool must_yield(Slots& slots, const queue::SharedBudget::Holder& holder);
  /// The connection that holds `slots` hears nothing in the middle of its work. True when it is one too many of
  /// those and ends for somebody in line.
  [[nodiscard]] static bool must_stop_waiting(Slots& slots, const queue::SharedBudget::Holder& holder);
  /// It goes on.
  static void goes_on(Slots& slots);
  /// Somebody stands in line for what `slots` holds.
  [[nodiscard]] static bool is_wanted(const Slots& slots);

  /// Everybody leaves, in the order of joining: a reload changes what queues draw from.
  std::vector<queue::Queue*> clear();
  /// Everybody leaves, and nobody joins any more.
  void close();

 private:
  struct Group;
  struct Line;
  struct Entry {
    std::uint32_t priority = 0;
    std::uint32_t holds = 0;
    std::uint64_t rank = 0;    // the ticket and the lag
    std::uint64_t ticket = 0;  // counts arrivals: no two are the same
    queue::Queue* queue = nullptr;
    friend bool operator<(const Entry& a, const Entry& b) {
      if (a.priority != b.priority) return a.priority > b.priority;
      if (a.holds != b.holds) return a.holds < b.holds;
      if (a.rank != b.rank) return a.rank < b.rank;
      return a.ticket < b.ticket;
    }
  };
  struct Place {
    Group* group;
    Entry entry;
  };
  /// A group's place in its line: that of its first queue, but in turns.
  struct Seat {
    std::uint32_t priority;
    std::uint32_t holds;
    std::uint64_t turn;
    Group* group;
    friend bool operator<(const Seat& a, const Seat& b) {
      if (a.priority != b.priority) return a.priority > b.priority;
      if (a.holds != b.holds) return a.holds < b.holds;
      return a.turn < b.turn;
    }
  };
  using Key = std::vector<const queue::SharedBudget*>;
  struct KeyHash {
    [[nodiscard]] std::size_t operator()(const Key& key) const noexcept;
  };
  struct Group {
    Key key;
    Line* line = nullptr;
    std::uint64_t turn = 0;  // unique; the lowest was served longest ago
    std::size_t empty_handed = 0;
    std::set<Entry> entries;
    bool both_ends = false;
    bool last_next = false;
    [[nodiscard]] Seat seat() { return {entries.begin()->priority, entries.begin()->holds, turn, this}; }
    [[nodiscard]] queue::Queue& next();
  };
  struct Line {
    Budget budget;
    std::set<Seat> groups;
    std::size_t waiting = 0;
    std::size_t empty_handed = 0;  // of these, queues without a connection
    queue::SharedBudget::Front shown;
  };
  using Places = std::unordered_map<const queue::Queue*, Place>;

  void stand(queue::Queue& queue, const std::vector<Budget>& budgets, const Budget& full,
             const Manner& manner);
  Group& group_for(const std::vector<Budget>& budgets, const Manner& manner);
  void remove(Places::iterator place);
  void erase_entry(Places::iterator place);
  void sit(Group& group, Line& line);
  void rise(Group& group);
  void show(Line& line);
  void show_moved();
  void pass_on(const Budget& budget);
  void take_back(const Slots::Held& one);

  const std::uint32_t shard_;
  const Links links_;
  Places places_;
  std::unordered_map<Key, std::unique_ptr<Group>, KeyHash> groups_;  // none is empty
  std::unordered_map<const queue::SharedBudget*, Line> lines_;       // the same
  std::vector<const queue::SharedBudget*> moved_;                    // lines that are to be shown anew
  std::uint64_t tickets_ = 0;
  std::uint64_t turns_ = 0;
  const queue::Queue* offered_ = nullptr;  // whose turn it is, until it has taken
  std::uint64_t offered_ticket_ = 0;
  std::uint64_t offered_turn_ = 0;
  bool closed_ = false;
};

}  // namespace sluice::delivery
