#include "engine/queue/inbound_slots.h"

#include "policy/base/ascii.h"

namespace sluice::queue {

InboundSlots::Slot::~Slot() {
  if (slots_ == nullptr) return;
  part_->give_back();
  slots_->total_.give_back();
  if (group_) group_->all.give_back();
}

InboundSlots::Groups InboundSlots::groups_of(std::span<const config::SourceGroup> groups) {
  Groups out;
  for (const config::SourceGroup& group : groups) {
    auto& slots = groups_[to_lower(group.name)];
    if (!slots) slots = std::make_shared<SourceGroupSlots>();
    out[to_lower(group.name)] = slots;
  }
  return out;
}

void InboundSlots::set_limits(std::uint32_t total, std::span<const config::SourceGroup> groups) {
  std::uint64_t reserved = 0;
  std::erase_if(groups_, [](const auto& entry) { return entry.second.use_count() == 1; });
  const Groups named = groups_of(groups);
  for (const config::SourceGroup& group : groups) {
    const auto& slots = named.at(to_lower(group.name));
    if (group.max_smtp_in) {
      slots->all.set_limit(*group.max_smtp_in);
    } else {
      slots->all.clear_limit();
    }
    slots->reserved.set_limit(group.reserved_smtp_in.value_or(0));
    reserved += group.reserved_smtp_in.value_or(0);
  }
  total_.set_limit(total);
  open_.set_limit(reserved >= total ? 0 : total - static_cast<std::uint32_t>(reserved));
}

std::optional<InboundSlots::Slot> InboundSlots::take(std::shared_ptr<SourceGroupSlots> group) {
  if (!total_.try_take()) return std::nullopt;
  if (group && !group->all.try_take()) {
    total_.give_back();
    return std::nullopt;
  }
  // What is reserved first, so that the open slots stay for those who have nothing else.
  SharedBudget* part = nullptr;
  if (group && group->reserved.try_take()) {
    part = &group->reserved;
  } else if (open_.try_take()) {
    part = &open_;
  } else {
    if (group) group->all.give_back();
    total_.give_back();
    return std::nullopt;
  }
  return Slot(*this, *part, std::move(group));
}

}  // namespace sluice::queue
