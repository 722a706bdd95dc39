#include "engine/delivery/host_line.h"

#include <algorithm>
#include <utility>

namespace sluice::delivery {
namespace {

constexpr std::size_t kInVainMax = 256;

}  // namespace

HostLine::LookTimer::LookTimer(HostLine& line)
    : Timer([](runtime::Timer& timer) { static_cast<LookTimer&>(timer).owner.look_again(); }), owner(line) {}

HostLine::HostLine(runtime::Reactor& reactor, queue::HostCounts& counts, Links links)
    : reactor_(reactor), counts_(counts), links_(std::move(links)), timer_(*this) {}

HostLine::~HostLine() {
  reactor_.disarm(timer_);
  for (const auto& [place, line] : lines_) counts_.open.set_awaited(place, bit(), false);
}

MonoTime HostLine::stand(queue::Queue& queue, std::uint64_t key, std::uint32_t limit) {
  const std::uint32_t place = queue::KeyedBudget::place_of(key);
  std::vector<std::uint32_t>& places = places_[&queue];
  std::deque<Waiter>& line = lines_[place];
  const auto same = [&](const Waiter& one) { return one.queue == &queue && one.key == key; };
  if (const auto found = std::ranges::find_if(line, same); found != line.end()) {
    found->limit = limit;
  } else {
    line.push_back({&queue, key, limit});
    if (std::ranges::find(places, place) == places.end()) places.push_back(place);
  }
  // Said first, looked afterwards: whoever gives a unit back in between sees that somebody waits.
  counts_.open.set_awaited(place, bit(), true);
  const bool has_room = counts_.open.used(key) < limit;
  return reactor_.now() + (has_room ? kLookAgain : kLookAnyway);
}

void HostLine::leave(const queue::Queue& queue) {
  const auto found = places_.find(&queue);
  if (found == places_.end()) return;
  for (const std::uint32_t place : std::exchange(found->second, {})) {
    std::erase_if(lines_[place], [&queue](const Waiter& one) { return one.queue == &queue; });
    forget_empty(place);
  }
  places_.erase(found);
}

void HostLine::forget_empty(std::uint32_t place) {
  const auto line = lines_.find(place);
  if (line == lines_.end() || !line->second.empty()) return;
  lines_.erase(line);
  counts_.open.set_awaited(place, bit(), false);
}

void HostLine::given_back(std::uint64_t key) {
  const std::uint32_t place = queue::KeyedBudget::place_of(key);
  if (const std::uint64_t mask = counts_.open.awaited(place)) links_.tell(mask, place);
}

void HostLine::turn_has_come(std::uint32_t place) {
  const auto found = lines_.find(place);
  if (found == lines_.end()) return;
  // Those who wait longest, as many as there are units of what they wait for. Mostly all wait for the same, and of a
  // long line without room the rest need not be asked.
  std::size_t in_vain = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> given;
  std::vector<queue::Queue*> next;
  for (const Waiter& one : found->second) {
    if (std::ranges::find(next, one.queue) != next.end()) continue;
    std::uint32_t& count = given[one.key];
    if (counts_.open.used(one.key) + count >= one.limit) {
      if (++in_vain == kInVainMax) break;
      continue;
    }
    ++count;
    next.push_back(one.queue);
  }
  for (queue::Queue* queue : next) leave(*queue);
  for (queue::Queue* queue : next) links_.look(*queue);
  // Should they have no use for it, others have.
  if (next.empty() || !lines_.contains(place)) return;
  if (std::ranges::find(with_room_, place) == with_room_.end()) with_room_.push_back(place);
  if (!timer_.armed()) reactor_.arm_in(timer_, kLookAgain);
}

void HostLine::look_again() {
  for (const std::uint32_t place : std::exchange(with_room_, {})) turn_has_come(place);
}

void HostLine::clear() {
  for (const auto& [place, line] : std::exchange(lines_, {})) counts_.open.set_awaited(place, bit(), false);
  places_.clear();
  with_room_.clear();
}

}  // namespace sluice::delivery
