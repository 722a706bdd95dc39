#include "policy/config/covering.h"

#include <algorithm>

namespace sluice::config {
namespace {

void take_lower(std::optional<std::size_t>& found, std::size_t number) {
  if (!found || number < *found) found = number;
}

}  // namespace

void CoveringPatterns::add(std::string_view pattern, std::size_t number) {
  same_.try_emplace(std::string(pattern), number);
  const auto plain = plain_text(pattern);
  if (!plain) return;
  if (plain->text.empty()) {
    if (!everything_) everything_ = number;
    return;
  }
  const auto [kept, fresh] = texts_.try_emplace(plain->text, number);
  auto& by_length = plain->from_start ? at_start_ : anywhere_;
  by_length[plain->text.size()].try_emplace(kept->first, number);
}

std::optional<std::size_t> CoveringPatterns::first(std::string_view pattern) {
  std::optional<std::size_t> found = everything_;
  if (const auto same = same_.find(std::string(pattern)); same != same_.end())
    take_lower(found, same->second);
  const auto plain = plain_text(pattern);
  if (!plain) return found;
  if (plain->from_start) look_at_start(plain->text, found);
  look_inside(plain->text, found);
  return found;
}

void CoveringPatterns::look_at_start(std::string_view text, std::optional<std::size_t>& found) const {
  for (const auto& [length, numbers] : at_start_) {
    if (length > text.size()) return;
    if (const auto hit = numbers.find(text.substr(0, length)); hit != numbers.end())
      take_lower(found, hit->second);
  }
}

void CoveringPatterns::look_inside(std::string_view text, std::optional<std::size_t>& found) {
  for (const auto& [length, numbers] : anywhere_) {
    if (length > text.size() || steps_ > kStepsMax) return;
    steps_ += (text.size() - length + 1) * length;
    for (std::size_t at = 0; at + length <= text.size(); ++at) {
      if (const auto hit = numbers.find(text.substr(at, length)); hit != numbers.end())
        take_lower(found, hit->second);
    }
  }
}

}  // namespace sluice::config
