#include "policy/classify/reply_rules.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sluice {

void add_actions(ReplyActions& into, const config::ReplyRule& rule) {
  if (rule.mode && !into.mode) {
    into.mode = rule.mode;
    into.backoff_to_normal_after = rule.backoff_to_normal_after;
    into.ends_by_itself = rule.literal_length > 0;
  }
  if (rule.skip_mx && !into.bounce_queue) into.skip_mx = true;
  if (rule.bounce_queue && !into.skip_mx) into.bounce_queue = true;
  into.bounce_recipient |= rule.bounce_recipient;
  into.defer_queue |= rule.defer_queue;
  if (rule.disable_source_ip && !into.disable_source_ip) {
    into.disable_source_ip = true;
    into.reenable_after = rule.reenable_after;
  }
  if (rule.retry_after && !into.retry_after) into.retry_after = rule.retry_after;
}

std::expected<ReplyRules, ReplyRules::RuleError> ReplyRules::make(std::span<const config::ReplyRule> rules) {
  std::vector<std::size_t> order(rules.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [rules](std::size_t a, std::size_t b) {
    const std::uint32_t left = rules[a].literal_length;
    const std::uint32_t right = rules[b].literal_length;
    return left != right ? left > right : a < b;
  });
  ReplyRules out;
  for (const std::size_t index : order) {
    const config::ReplyRule& rule = rules[index];
    if (auto added = out.patterns_.add(rule.pattern.text); !added) {
      return std::unexpected(RuleError{index, std::move(added.error())});
    }
    out.rules_.push_back(rule);
    out.has_normal_ |= rule.mode == config::QueueMode::Normal;
  }
  if (auto sealed = out.patterns_.seal(); !sealed) {
    return std::unexpected(RuleError{0, std::move(sealed.error())});
  }
  return out;
}

void ReplyRules::find(std::string_view text, ReplyActions& into) const {
  if (rules_.empty()) return;
  std::vector<std::size_t> matching;
  patterns_.find_all(text, matching);
  bool had_literal = false;
  for (const std::size_t index : matching) {
    const config::ReplyRule& rule = rules_[index];
    if (rule.literal_length > 0 && std::exchange(had_literal, true)) continue;
    add_actions(into, rule);
  }
}

bool ReplyRules::ends_backoff(std::string_view text) const {
  if (!has_normal_) return false;
  std::vector<std::size_t> matching;
  patterns_.find_all(text, matching);
  return std::any_of(matching.begin(), matching.end(), [this](std::size_t index) {
    config::ReplyRule rest = rules_[index];
    if (rest.mode != config::QueueMode::Normal) return false;
    rest.mode.reset();
    ReplyActions others;
    add_actions(others, rest);
    return !others.any();
  });
}

}  // namespace sluice
