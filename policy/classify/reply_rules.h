#pragma once
// `<smtp-pattern-list>`: what a reply of a remote host triggers.

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/classify/pattern_set.h"
#include "policy/settings/values.h"

namespace sluice {

/// The actions of all rules that match one reply, put together. Actions that exclude each other: the first
/// matching rule that has one of them decides. They are
///   mode=backoff | mode=normal    (backoff-to-normal-after comes from the rule that decided the mode)
///   skip-mx | bounce-queue
///   disable-source-ip             (reenable-after comes from the first rule that has the action)
///   retry-after
/// bounce-rcpt and defer-queue exclude nothing.
struct ReplyActions {
  std::optional<config::QueueMode> mode;
  std::optional<Duration> backoff_to_normal_after;
  /// The mode comes from a rule written as plain text ("smtp-pattern-list X "421 4.7.0""): such backoff ends
  /// by itself even where nothing says when.
  bool ends_by_itself = false;
  bool skip_mx = false;
  bool bounce_queue = false;
  bool bounce_recipient = false;
  bool defer_queue = false;
  bool disable_source_ip = false;
  std::optional<Duration> reenable_after;
  std::optional<Duration> retry_after;
  [[nodiscard]] bool any() const {
    return mode || skip_mx || bounce_queue || bounce_recipient || defer_queue || disable_source_ip ||
           retry_after;
  }
  friend bool operator==(const ReplyActions&, const ReplyActions&) = default;
};

/// Adds the actions of one more matching rule, weaker than all that were added before.
void add_actions(ReplyActions& into, const config::ReplyRule& rule);

/// The compiled rules of one list, or those written into one `<domain>` block.
/// Thread: immutable once made; find() from any shard, for refusals only (see PatternSet).
/// Order:  rules written as plain text come first, and of those that match only the longest counts; then the
///         rules written as /regex/, in file order.
class ReplyRules {
 public:
  struct RuleError {
    std::size_t rule = 0;  ///< index in `rules`
    std::string message;
  };
  /// Errors: the first pattern that neither engine accepts.
  [[nodiscard]] static std::expected<ReplyRules, RuleError> make(std::span<const config::ReplyRule> rules);

  /// Adds what the rules say about `text`, the full reply: "421 4.7.0 too many messages".
  void find(std::string_view text, ReplyActions& into) const;
  /// True when `text`, a reply that accepted a message, meets a rule whose only action is mode=normal. Rules
  /// with other actions are about refusals: `reply // mode=backoff` does not mean deliveries.
  [[nodiscard]] bool ends_backoff(std::string_view text) const;
  [[nodiscard]] bool can_end_backoff() const { return has_normal_; }
  [[nodiscard]] std::size_t size() const { return rules_.size(); }

 private:
  ReplyRules() = default;
  std::vector<config::ReplyRule> rules_;  // plain texts first, longest first
  PatternSet patterns_;
  bool has_normal_ = false;
};

}  // namespace sluice
