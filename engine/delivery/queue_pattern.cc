#include "engine/delivery/queue_pattern.h"

#include "policy/base/ascii.h"

namespace sluice::delivery {

// Greedy matching with one point to come back to: linear in practice, never worse than pattern times text.
bool matches_glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t after_star = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = t;
    } else if (p < pattern.size() && to_lower(pattern[p]) == to_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool matches_queue(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  const std::size_t slash = pattern.find('/');
  const std::size_t name_slash = name.find('/');
  const std::string_view vmta = slash == std::string_view::npos ? "{default}" : pattern.substr(slash + 1);
  return matches_glob(pattern.substr(0, slash), name.substr(0, name_slash)) &&
         matches_glob(vmta, name.substr(name_slash + 1));
}

}  // namespace sluice::delivery
