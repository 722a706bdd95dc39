#include "policy/accounting/queue_filter.h"

#include "policy/base/wildcard.h"

namespace sluice::accounting {

bool passes_filter(std::span<const config::QueueFilter> filter, std::string_view queue) {
  if (filter.empty()) return true;
  const std::size_t slash = std::min(queue.find('/'), queue.size());
  const std::string_view domain = queue.substr(0, slash);
  const std::string_view vmta = slash < queue.size() ? queue.substr(slash + 1) : std::string_view();
  for (const config::QueueFilter& entry : filter) {
    if (matches_wildcard(entry.domain, domain) && matches_wildcard(entry.vmta, vmta)) return !entry.negative;
  }
  return false;
}

}  // namespace sluice::accounting
