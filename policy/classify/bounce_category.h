#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/smtp_reply.h"
#include "policy/classify/pattern_set.h"

namespace sluice {

/// `/pattern/ category` of `<bounce-category-patterns>`. Case-insensitive unless it says (?-i); empty matches
/// all.
struct BounceRule {
  std::string pattern;
  std::string category;  ///< PowerMTA's or any other word
};

/// A rule that comes with Sluice. In the pattern, `{who}` stands for all words for a recipient or its
/// mailbox, `{code}` for the class digit of the status at the front.
struct ShippedBounceRule {
  std::string_view pattern;
  std::string_view category;
  /// Replies, one a line, whose first matching rule has to be this one. A line that begins with '=' is a
  /// whole subject.
  std::string_view samples;
};
/// What replies say, then what their codes say; the order of the two lists is the order of the rules.
[[nodiscard]] std::span<const ShippedBounceRule> shipped_word_rules();
[[nodiscard]] std::span<const ShippedBounceRule> shipped_code_rules();
/// Both, with the marks written out.
[[nodiscard]] std::vector<BounceRule> shipped_bounce_rules();

/// Sorts failures into bounce categories: the first rule that matches `STATUS;DIAG`, for example
/// "5.1.1;smtp;550 5.1.1 user unknown", gives its category; "other" when none does.
/// Thread:  immutable once made; classify() may be called from any shard (RE2 locks briefly when its
///          automaton grows, so call it for failures only, never for deliveries).
/// Limits:  kSubjectBytesMax of the subject are looked at. Time is linear in it for all rules together, and
///          memory is bounded: see PatternSet.
class BounceClassifier {
 public:
  static constexpr std::size_t kSubjectBytesMax = PatternSet::kTextBytesMax;
  static constexpr std::size_t kRulesMax = 10'000;

  struct RuleError {
    std::size_t rule = 0;  ///< index in `user_rules`
    std::string message;
  };
  /// The operator's rules come before the shipped ones. Errors: the first pattern that neither engine
  /// accepts.
  [[nodiscard]] static std::expected<BounceClassifier, RuleError> make(
      std::span<const BounceRule> user_rules);
  /// Without the shipped rules, for tests and for configurations that replace them.
  [[nodiscard]] static std::expected<BounceClassifier, RuleError> make_bare(
      std::span<const BounceRule> rules);
  BounceClassifier(BounceClassifier&&) noexcept;
  BounceClassifier& operator=(BounceClassifier&&) noexcept;
  ~BounceClassifier();

  struct Verdict {
    std::string_view category;        ///< valid as long as the classifier
    std::optional<std::size_t> rule;  ///< user rules count first, then the shipped ones; empty: none matched
  };
  /// `diag` is the value of `dsnDiag`: "smtp;550 5.1.1 user unknown", or empty.
  [[nodiscard]] Verdict classify(const EnhancedStatus& status, std::string_view diag) const;
  /// A cause of our own, whose text no rule for receivers' words should guess about: the operator's rules decide,
  /// else `category`, else what the status says alone.
  [[nodiscard]] Verdict classify_own(const EnhancedStatus& status, std::string_view diag,
                                     std::string_view category) const;
  [[nodiscard]] Verdict classify_subject(std::string_view subject) const;

 private:
  struct Rules;
  explicit BounceClassifier(std::unique_ptr<Rules> rules);
  std::unique_ptr<Rules> rules_;
};

}  // namespace sluice
