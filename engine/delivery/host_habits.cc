#include "engine/delivery/host_habits.h"

namespace sluice::delivery {

HostHabits::Habits HostHabits::of(const Endpoint& host, MonoTime now) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() || found->second.until < now ? Habits{} : found->second.habits;
}

void HostHabits::note(const Endpoint& host, Habits habits, MonoTime now) {
  const auto found = hosts_.find(host);
  if (found == hosts_.end() && hosts_.size() >= kHostsMax) {
    std::erase_if(hosts_, [now](const auto& one) { return one.second.until < now; });
    if (hosts_.size() >= kHostsMax) hosts_.erase(hosts_.begin());
  }
  Known& known = hosts_[host];
  if (known.until < now) known.habits = {};
  known.habits.no_chunking = known.habits.no_chunking || habits.no_chunking;
  known.habits.no_pipelining = known.habits.no_pipelining || habits.no_pipelining;
  known.until = now + kKept;
}

void HostHabits::go_on_with(std::string_view queue, std::optional<Endpoint> host) {
  if (!host) {
    if (!next_.empty()) next_.erase(std::string(queue));
    return;
  }
  std::string name(queue);
  if (next_.size() >= kHostsMax && !next_.contains(name)) next_.erase(next_.begin());
  next_.insert_or_assign(std::move(name), *host);
}

std::optional<Endpoint> HostHabits::next_of(std::string_view queue) const {
  if (next_.empty()) return std::nullopt;
  const auto found = next_.find(std::string(queue));
  if (found == next_.end()) return std::nullopt;
  return found->second;
}

}  // namespace sluice::delivery
