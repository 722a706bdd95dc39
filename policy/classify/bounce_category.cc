#include "policy/classify/bounce_category.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <array>

#include "policy/classify/limited_pcre.h"

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
    // The status, or the enhanced code of the reply when that one was not believed because its class disagreed.
    {"{code}", R"(^([45]\.0\.0;smtp; ?\d\d\d[ -])?[45])"},
};

RE2::Options options() {
  // Latin-1 makes RE2 look at bytes: replies need not be valid UTF-8.
  RE2::Options out(RE2::Latin1);
  out.set_case_sensitive(false);
  out.set_dot_nl(true);
  out.set_log_errors(false);
  out.set_max_mem(BounceClassifier::kAutomatonBytesMax);
  return out;
}

re2::StringPiece piece(std::string_view text) { return re2::StringPiece(text.data(), text.size()); }

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
  struct Perl {
    std::size_t rule;
    LimitedPcre pattern;
  };
  std::vector<std::string> categories;  // by rule
  RE2::Set set{options(), RE2::UNANCHORED};
  std::vector<std::size_t> rule_of_set;  // set index -> rule, ascending
  std::vector<Perl> perl;                // ascending by rule
  // What answers one rule at a time when the set's automaton outgrows its memory.
  std::vector<std::unique_ptr<RE2>> single;  // by set index

  std::optional<RuleError> add(const BounceRule& rule) {
    const std::size_t index = categories.size();
    categories.push_back(rule.category);
    auto compiled = std::make_unique<RE2>(piece(rule.pattern), options());
    if (compiled->ok() && set.Add(piece(rule.pattern), nullptr) >= 0) {
      rule_of_set.push_back(index);
      single.push_back(std::move(compiled));
      return std::nullopt;
    }
    auto pattern = LimitedPcre::compile(rule.pattern);
    if (!pattern) return RuleError{index, std::move(pattern.error())};
    perl.push_back({index, std::move(*pattern)});
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::size_t> first_in_set(std::string_view subject) const {
    std::vector<int> hits;
    RE2::Set::ErrorInfo error{RE2::Set::kNoError};
    if (set.Match(piece(subject), &hits, &error)) {
      return rule_of_set[static_cast<std::size_t>(*std::min_element(hits.begin(), hits.end()))];
    }
    if (error.kind == RE2::Set::kNoError) return std::nullopt;
    for (std::size_t i = 0; i < single.size(); ++i) {
      if (RE2::PartialMatch(piece(subject), *single[i])) return rule_of_set[i];
    }
    return std::nullopt;
  }
};

BounceClassifier::BounceClassifier(std::unique_ptr<Rules> rules) : rules_(std::move(rules)) {}
BounceClassifier::BounceClassifier(BounceClassifier&&) noexcept = default;
BounceClassifier& BounceClassifier::operator=(BounceClassifier&&) noexcept = default;
BounceClassifier::~BounceClassifier() = default;

std::expected<BounceClassifier, BounceClassifier::RuleError> BounceClassifier::make_bare(
    std::span<const BounceRule> rules) {
  auto out = std::make_unique<Rules>();
  for (const BounceRule& rule : rules) {
    if (out->categories.size() == kRulesMax) return std::unexpected(RuleError{kRulesMax, "too many rules"});
    if (auto error = out->add(rule)) return std::unexpected(std::move(*error));
  }
  if (!out->single.empty() && !out->set.Compile()) {
    return std::unexpected(RuleError{0, "the rules together are too large"});
  }
  return BounceClassifier(std::move(out));
}

std::expected<BounceClassifier, BounceClassifier::RuleError> BounceClassifier::make(
    std::span<const BounceRule> user_rules) {
  std::vector<BounceRule> all(user_rules.begin(), user_rules.end());
  for (BounceRule& rule : shipped_bounce_rules()) all.push_back(std::move(rule));
  return make_bare(all);
}

BounceClassifier::Verdict BounceClassifier::classify_subject(std::string_view subject) const {
  subject = subject.substr(0, kSubjectBytesMax);
  std::optional<std::size_t> first;
  if (!rules_->single.empty()) first = rules_->first_in_set(subject);
  for (const Rules::Perl& perl : rules_->perl) {
    if (first && *first < perl.rule) break;
    if (perl.pattern.matches(subject)) {
      first = perl.rule;
      break;
    }
  }
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

}  // namespace sluice
