#include "policy/classify/bounce_category.h"

#include <algorithm>
#include <array>

#include "policy/classify/pattern_set.h"

namespace sluice {
namespace {

constexpr std::string_view kOther = "other";
struct Mark {
  std::string_view name;
  std::string_view stands_for;
};
constexpr Mark kMarks[] = {
    {"{who}",
     "(user(name|id)?|mail ?-?box|recipients?|rcpt|account|address(ee)?|e-?mail address|inbox|subscriber|"
     "local ?-?part|alias|mail-?drop|login)"},
    // The status, or the enhanced code of the reply when that one was not believed because its class
    // disagreed.
    {"{code}", R"(^([45]\.0\.0;smtp; ?\d\d\d[ -])?[45])"},
};

std::string without_marks(std::string_view pattern) {
  std::string out(pattern);
  for (const Mark& mark : kMarks) {
    for (std::size_t at = 0; (at = out.find(mark.name, at)) != std::string::npos;
         at += mark.stands_for.size()) {
      out.replace(at, mark.name.size(), mark.stands_for);
    }
  }
  return out;
}

}  // namespace

std::vector<BounceRule> shipped_bounce_rules() {
  std::vector<BounceRule> out;
  for (const auto rules : {shipped_word_rules(), shipped_code_rules()}) {
    for (const ShippedBounceRule& rule : rules) {
      out.push_back({without_marks(rule.pattern), std::string(rule.category)});
    }
  }
  return out;
}

struct BounceClassifier::Rules {
  std::vector<std::string> categories;  // by rule
  std::size_t own_from = 0;             // the rules in front of it are the operator's
  PatternSet patterns;
};

BounceClassifier::BounceClassifier(std::unique_ptr<Rules> rules) : rules_(std::move(rules)) {}
BounceClassifier::BounceClassifier(BounceClassifier&&) noexcept = default;
BounceClassifier& BounceClassifier::operator=(BounceClassifier&&) noexcept = default;
BounceClassifier::~BounceClassifier() = default;

std::expected<BounceClassifier, BounceClassifier::RuleError> BounceClassifier::make_bare(
    std::span<const BounceRule> rules) {
  auto out = std::make_unique<Rules>();
  for (const BounceRule& rule : rules) {
    const std::size_t index = out->categories.size();
    if (index == kRulesMax) return std::unexpected(RuleError{kRulesMax, "too many rules"});
    if (auto added = out->patterns.add(rule.pattern); !added) {
      return std::unexpected(RuleError{index, std::move(added.error())});
    }
    out->categories.push_back(rule.category);
  }
  out->own_from = rules.size();
  if (auto sealed = out->patterns.seal(); !sealed) {
    return std::unexpected(RuleError{0, std::move(sealed.error())});
  }
  return BounceClassifier(std::move(out));
}

std::expected<BounceClassifier, BounceClassifier::RuleError> BounceClassifier::make(
    std::span<const BounceRule> user_rules) {
  std::vector<BounceRule> all(user_rules.begin(), user_rules.end());
  for (BounceRule& rule : shipped_bounce_rules()) all.push_back(std::move(rule));
  auto made = make_bare(all);
  if (made) made->rules_->own_from = user_rules.size();
  return made;
}

BounceClassifier::Verdict BounceClassifier::classify_subject(std::string_view subject) const {
  const auto first = rules_->patterns.find_first(subject.substr(0, kSubjectBytesMax));
  if (!first) return {kOther, std::nullopt};
  return {rules_->categories[*first], first};
}

BounceClassifier::Verdict BounceClassifier::classify(const EnhancedStatus& status,
                                                     std::string_view diag) const {
  std::string subject = status.text();
  subject += ';';
  subject += diag.substr(0, kSubjectBytesMax);
  return classify_subject(subject);
}

BounceClassifier::Verdict BounceClassifier::classify_own(const EnhancedStatus& status, std::string_view diag,
                                                         std::string_view category) const {
  const Verdict verdict = classify(status, diag);
  if (verdict.rule && *verdict.rule < rules_->own_from) return verdict;
  if (!category.empty()) return {category, std::nullopt};
  return classify(status, {});
}

}  // namespace sluice
