#include "engine/delivery/queue_pattern.h"

#include "policy/base/wildcard.h"

namespace sluice::delivery {

bool matches_queue(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  const std::size_t slash = pattern.find('/');
  const std::size_t name_slash = name.find('/');
  const std::string_view vmta = slash == std::string_view::npos ? "{default}" : pattern.substr(slash + 1);
  return matches_wildcard(pattern.substr(0, slash), name.substr(0, name_slash)) &&
         matches_wildcard(vmta, name.substr(name_slash + 1));
}

}  // namespace sluice::delivery
