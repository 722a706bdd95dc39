#pragma once
// `<bounce-actions>` and `<bounce-handling>`: what is done about a failure by its category or its words.

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/smtp_reply.h"
#include "policy/classify/pattern_set.h"
#include "policy/settings/values.h"

namespace sluice {

/// The compiled actions of one block.
/// Thread: immutable once made; find() from any shard, for failures only (see PatternSet).
class BounceActions {
 public:
  struct ActionError {
    std::size_t action = 0;  ///< index in `actions`
    std::string message;
  };
  /// Errors: the first pattern that neither engine accepts.
  [[nodiscard]] static std::expected<BounceActions, ActionError> make(
      std::span<const config::BounceAction> actions);

  /// The first entry that names `category` or whose pattern meets "STATUS;DIAG" ("4.2.2;smtp;452 4.2.2
  /// full"); null when none does. Valid as long as this.
  [[nodiscard]] const config::BounceAction* find(std::string_view category, const EnhancedStatus& status,
                                                 std::string_view diag) const;

 private:
  BounceActions() = default;
  std::vector<config::BounceAction> actions_;
  std::vector<std::size_t> action_of_pattern_;  // ascending
  PatternSet patterns_;
};

/// What becomes of a recipient that failed.
enum class AfterFailure : std::uint8_t {
  AsUsual,  ///< a 5xx bounces, a 4xx waits
  Retry,    ///< waits for the action's interval, also after a 5xx
  Drop,     ///< bounces, also after a 4xx
};
/// `action` null: as usual. Suppression by category is about what is final; words that are asked for are
/// taken at theirs, whatever the class of the reply. `log_only` and action=log change nothing.
[[nodiscard]] AfterFailure decide_after_failure(const config::BounceAction* action);
/// "suppress", "retry": for the line that says what a log-only action would have done.
[[nodiscard]] std::string_view name_of(config::BounceActionKind kind);

}  // namespace sluice
