#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "engine/queue/identity.h"
#include "policy/settings/blocks.h"

namespace sluice::queue {

/// Connections of clients of one `<source-group>`.
struct SourceGroupSlots {
  SharedBudget all;       ///< max-smtp-in
  SharedBudget reserved;  ///< reserved-smtp-in
};

/// Connections from clients: `total-max-smtp-in`, of which groups may have some reserved that nobody else
/// gets. Thread: set_limits() and groups_of() on the control shard (shards find groups in their snapshot);
/// take() from any. Exact over all shards. Limits that shrink end no session.
class InboundSlots {
 public:
  /// What one connection holds; gives it back at its end.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), part_(other.part_), group_(std::move(other.group_)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(slots_, other.slots_);
      std::swap(part_, other.part_);
      std::swap(group_, other.group_);
      return *this;
    }
    ~Slot();

   private:
    friend class InboundSlots;
    Slot(InboundSlots& slots, SharedBudget& part, std::shared_ptr<SourceGroupSlots> group)
        : slots_(&slots), part_(&part), group_(std::move(group)) {}
    InboundSlots* slots_ = nullptr;
    SharedBudget* part_ = nullptr;  // the open one, or the group's reserved one
    std::shared_ptr<SourceGroupSlots> group_;
  };

  using Groups =
      std::map<std::string, std::shared_ptr<SourceGroupSlots>, std::less<>>;  ///< by name, lower case
  /// Those of a configuration, with what is counted for them already; new ones have no limit yet.
  [[nodiscard]] Groups groups_of(std::span<const config::SourceGroup> groups);
  /// Puts limits in force and forgets groups that are not named and have no connection.
  void set_limits(std::uint32_t total, std::span<const config::SourceGroup> groups);
  /// A slot for a client of `group` (null: of none). Nothing: the limit is reached.
  [[nodiscard]] std::optional<Slot> take(std::shared_ptr<SourceGroupSlots> group);

  [[nodiscard]] std::uint32_t used() const { return total_.used(); }
  [[nodiscard]] std::uint32_t top() const { return total_.top(); }
  [[nodiscard]] std::uint32_t limit() const { return total_.limit(); }

 private:
  SharedBudget total_;
  SharedBudget open_;  ///< what no group has reserved
  Groups groups_;
};

}  // namespace sluice::queue
