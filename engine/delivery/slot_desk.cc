#include "engine/delivery/slot_desk.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include "policy/base/assert.h"

namespace sluice::delivery {

std::size_t SlotDesk::KeyHash::operator()(const Key& key) const noexcept {
  std::size_t hash = key.size();
  for (const queue::SharedBudget* one : key)
    hash = (hash ^ std::hash<const void*>{}(one)) * 0x9e3779b97f4a7c15u;
  return hash;
}

queue::Queue& SlotDesk::Group::next() {
  const Entry& first = *entries.begin();
  if (!both_ends || !std::exchange(last_next, !last_next)) return *first.queue;
  Entry beyond = first;
  beyond.rank = std::numeric_limits<std::uint64_t>::max();
  return *std::prev(entries.upper_bound(beyond))->queue;
}

// --- Units.

std::expected<Slots, const queue::SharedBudget*> SlotDesk::take(queue::Queue& queue,
                                                                const std::vector<Budget>& budgets,
                                                                const Manner& manner) {
  Slots slots;
  const bool in_turn = offered_ == &queue;
  for (const Budget& one : budgets) {
    if (in_turn ? one->take_in_turn() : one->try_take()) {
      slots.held.push_back({.budget = one});
      continue;
    }
    // In line first: what goes back now is for others.
    if (!closed_) stand(queue, budgets, one, manner);
    give_back(slots);
    return std::unexpected(one.get());
  }
  if (in_turn) offered_ = nullptr;
  leave(queue);
  return slots;
}

void SlotDesk::take_back(const Slots::Held& one) {
  if (one.yielding) one.budget->end_yield();
  if (one.stalled) one.budget->end_stall();
  if (one.ending) {
    one.budget->give_back_ended();
  } else {
    one.budget->give_back();
  }
  pass_on(one.budget);
}

void SlotDesk::give_back(Slots& slots) {
  for (const Slots::Held& one : slots.held) take_back(one);
  slots.held.clear();
}

void SlotDesk::give_back(Slots& slots, const queue::SharedBudget& budget) {
  const auto found = std::find_if(slots.held.begin(), slots.held.end(),
                                  [&budget](const Slots::Held& one) { return one.budget.get() == &budget; });
  if (found == slots.held.end()) return;
  take_back(*found);
  slots.held.erase(found);
}

bool SlotDesk::holds(const Slots& slots, const queue::SharedBudget& budget) {
  return std::any_of(slots.held.begin(), slots.held.end(),
                     [&budget](const Slots::Held& one) { return one.budget.get() == &budget; });
}

void SlotDesk::pass_on(const Budget& budget) {
  while (const auto shard = budget->serve()) links_.tell(*shard, budget);
}

void SlotDesk::turn_has_come(const Budget& budget) {
  bool taken = false;
  for (std::size_t looks = 0; !taken && budget->used() < budget->limit(); ++looks) {
    const auto line = lines_.find(budget.get());
    if (line == lines_.end()) break;
    if (looks == kLooksMax) return links_.tell(shard_, budget);  // the rest of the line in a moment
    Group& group = *line->second.groups.begin()->group;
    rise(group);
    offered_turn_ = std::exchange(group.turn, ++turns_);
    sit(group, line->second);
    queue::Queue& next = group.next();
    const auto place = places_.find(&next);
    offered_ = &next;
    offered_ticket_ = place->second.entry.ticket;
    remove(place);
    show_moved();
    links_.offer(next);
    taken = std::exchange(offered_, nullptr) == nullptr;
  }
  budget->settled(shard_);
  pass_on(budget);
}

bool SlotDesk::must_yield(Slots& slots, const queue::SharedBudget::Holder& holder) {
  for (Slots::Held& one : slots.held) {
    one.yielding = one.yielding || one.budget->must_yield(holder);
    if (one.yielding) return true;
  }
  return false;
}

bool SlotDesk::must_stop_waiting(Slots& slots, const queue::SharedBudget::Holder& holder) {
  for (Slots::Held& one : slots.held) {
    one.stalled = one.stalled || one.budget->may_stall();
    if (one.stalled) continue;
    one.yielding = one.yielding || one.budget->must_yield(holder);
    if (one.yielding) return true;
  }
  return false;
}

void SlotDesk::goes_on(Slots& slots) {
  for (Slots::Held& one : slots.held) {
    if (std::exchange(one.stalled, false)) one.budget->end_stall();
  }
}

bool SlotDesk::is_wanted(const Slots& slots) {
  return std::ranges::any_of(slots.held, [](const Slots::Held& one) { return one.budget->is_awaited(); });
}

// --- The line.

void SlotDesk::stand(queue::Queue& queue, const std::vector<Budget>& budgets, const Budget& full,
                     const Manner& manner) {
  Entry entry{.priority = queue.settings->queue_priority, .holds = queue.connections, .queue = &queue};
  Group& group = group_for(budgets, manner);
  if (const auto place = places_.find(&queue); place != places_.end()) {
    entry.ticket = place->second.entry.ticket;
    if (place->second.group == &group) {
      erase_entry(place);
    } else {
      remove(place);
    }
  } else if (offered_ == &queue) {
    entry.ticket = offered_ticket_;
    rise(group);
    group.turn = std::min(group.turn, offered_turn_);
  } else {
    entry.ticket = ++tickets_;
  }
  entry.rank = entry.ticket + manner.lag;
  rise(group);
  group.entries.insert(entry);
  group.empty_handed += entry.holds == 0 ? 1 : 0;
  places_.emplace(&queue, Place{&group, entry});
  Line& line = lines_[full.get()];
  line.budget = full;
  sit(group, line);
  show_moved();
  pass_on(full);
}

SlotDesk::Group& SlotDesk::group_for(const std::vector<Budget>& budgets, const Manner& manner) {
  Key key;
  key.reserve(budgets.size());
  for (const Budget& one : budgets) key.push_back(one.get());
  std::unique_ptr<Group>& group = groups_[key];
  if (!group) {
    group = std::make_unique<Group>();
    group->key = std::move(key);
    group->turn = ++turns_;
    group->both_ends = manner.both_ends;
  }
  return *group;
}

void SlotDesk::leave(const queue::Queue& queue) {
  const auto place = places_.find(&queue);
  if (place == places_.end()) return;
  remove(place);
  show_moved();
}

void SlotDesk::remove(Places::iterator place) {
  Group& group = *place->second.group;
  Line* const line = group.line;
  erase_entry(place);
  if (group.entries.empty()) {
    groups_.erase(Key(group.key));
  } else if (line != nullptr) {
    sit(group, *line);
  }
}

/// Leaves the group without a line, and perhaps empty.
void SlotDesk::erase_entry(Places::iterator place) {
  Group& group = *place->second.group;
  rise(group);
  group.entries.erase(place->second.entry);
  group.empty_handed -= place->second.entry.holds == 0 ? 1 : 0;
  places_.erase(place);
}

void SlotDesk::sit(Group& group, Line& line) {
  SLUICE_ASSERT(group.line == nullptr);
  group.line = &line;
  line.groups.insert(group.seat());
  line.waiting += group.entries.size();
  line.empty_handed += group.empty_handed;
  moved_.push_back(line.budget.get());
}

/// Takes the group out of its line, if it stands in one: before anything its seat depends on changes.
void SlotDesk::rise(Group& group) {
  if (group.line == nullptr) return;
  Line& line = *std::exchange(group.line, nullptr);
  line.groups.erase(group.seat());
  line.waiting -= group.entries.size();
  line.empty_handed -= group.empty_handed;
  moved_.push_back(line.budget.get());
}

/// Tells the counts what their lines look like now, and ends empty lines.
void SlotDesk::show_moved() {
  for (const queue::SharedBudget* const key : std::exchange(moved_, {})) {
    const auto line = lines_.find(key);
    if (line != lines_.end()) show(line->second);
  }
}

void SlotDesk::show(Line& line) {
  queue::SharedBudget::Front front;
  if (!line.groups.empty()) {
    const Seat& first = *line.groups.begin();
    front.priority = first.priority;
    front.holds = first.holds;
    front.alike = static_cast<std::uint32_t>(first.holds == 0 ? line.empty_handed : 1);
    front.waiting = static_cast<std::uint32_t>(line.waiting);
  }
  if (!(std::exchange(line.shown, front) == front)) line.budget->stand(shard_, front);
  if (line.groups.empty()) lines_.erase(line.budget.get());
}

const queue::SharedBudget* SlotDesk::waits_for(const queue::Queue& queue) const {
  const auto place = places_.find(&queue);
  return place == places_.end() ? nullptr : place->second.group->line->budget.get();
}

std::size_t SlotDesk::waiting_for(const queue::SharedBudget& budget) const {
  const auto line = lines_.find(&budget);
  return line == lines_.end() ? 0 : line->second.waiting;
}

std::vector<queue::Queue*> SlotDesk::first_for(const Slots& slots, std::size_t most) const {
  std::vector<queue::Queue*> out;
  for (const Slots::Held& one : slots.held) {
    const auto line = lines_.find(one.budget.get());
    if (line == lines_.end()) continue;
    for (const Seat& seat : line->second.groups) {
      for (const Entry& entry : seat.group->entries) {
        if (out.size() >= most) return out;
        out.push_back(entry.queue);
      }
    }
  }
  return out;
}

std::vector<queue::Queue*> SlotDesk::clear() {
  std::vector<Entry> all;
  all.reserve(places_.size());
  for (const auto& [queue, place] : places_) all.push_back(place.entry);
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return a.ticket < b.ticket; });
  for (auto& [key, line] : lines_) line.budget->stand(shard_, {});
  places_.clear();
  groups_.clear();
  lines_.clear();
  std::vector<queue::Queue*> out;
  out.reserve(all.size());
  for (const Entry& one : all) out.push_back(one.queue);
  return out;
}

void SlotDesk::close() {
  closed_ = true;
  std::ignore = clear();
}

}  // namespace sluice::delivery
