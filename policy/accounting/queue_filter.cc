#include "policy/accounting/queue_filter.h"

#include "policy/base/ascii.h"

namespace sluice::accounting {
namespace {

/// Linear in pattern times text: only the last star is ever tried again.
bool fits(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && to_lower(pattern[p]) == to_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool passes_filter(std::span<const config::QueueFilter> filter, std::string_view queue) {
  if (filter.empty()) return true;
  const std::size_t slash = std::min(queue.find('/'), queue.size());
  const std::string_view domain = queue.substr(0, slash);
  const std::string_view vmta = slash < queue.size() ? queue.substr(slash + 1) : std::string_view();
  for (const config::QueueFilter& entry : filter) {
    if (fits(entry.domain, domain) && fits(entry.vmta, vmta)) return !entry.negative;
  }
  return false;
}

}  // namespace sluice::accounting
