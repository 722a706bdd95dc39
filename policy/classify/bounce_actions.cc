#include "policy/classify/bounce_actions.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice {

std::expected<BounceActions, BounceActions::ActionError> BounceActions::make(
    std::span<const config::BounceAction> actions) {
  BounceActions out;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (actions[i].reply) {
      if (auto added = out.patterns_.add(actions[i].reply->text); !added) {
        return std::unexpected(ActionError{i, std::move(added.error())});
      }
      out.action_of_pattern_.push_back(i);
    }
    out.actions_.push_back(actions[i]);
  }
  if (auto sealed = out.patterns_.seal(); !sealed) {
    return std::unexpected(ActionError{0, std::move(sealed.error())});
  }
  return out;
}

const config::BounceAction* BounceActions::find(std::string_view category, const EnhancedStatus& status,
                                                std::string_view diag) const {
  std::size_t first = actions_.size();
  for (std::size_t i = 0; i < actions_.size() && first == actions_.size(); ++i) {
    const auto& named = actions_[i].categories;
    if (std::any_of(named.begin(), named.end(),
                    [category](const std::string& one) { return iequals(one, category); })) {
      first = i;
    }
  }
  if (!action_of_pattern_.empty()) {
    std::string subject = status.text();
    subject += ';';
    subject += diag;
    if (const auto hit = patterns_.find_first(subject)) first = std::min(first, action_of_pattern_[*hit]);
  }
  return first == actions_.size() ? nullptr : &actions_[first];
}

AfterFailure decide_after_failure(const config::BounceAction* action) {
  if (action == nullptr || action->log_only) return AfterFailure::AsUsual;
  switch (action->action) {
    case config::BounceActionKind::Retry: return AfterFailure::Retry;
    case config::BounceActionKind::Suppress:
      return action->reply ? AfterFailure::Drop : AfterFailure::AsUsual;
    case config::BounceActionKind::Log: break;
  }
  return AfterFailure::AsUsual;
}

std::string_view name_of(config::BounceActionKind kind) {
  switch (kind) {
    case config::BounceActionKind::Suppress: return "suppress";
    case config::BounceActionKind::Retry: return "retry";
    case config::BounceActionKind::Log: break;
  }
  return "log";
}

}  // namespace sluice
