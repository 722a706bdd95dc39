// Lines that never decide, because one before them always does.
#include <map>

#include "policy/base/ascii.h"
#include "policy/config/covering.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

std::string above(const Regex& pattern, std::string_view effect) {
  if (pattern.text.empty()) return "the empty pattern above matches everything";
  return '/' + pattern.text + "/ above matches " + std::string(effect);
}

/// The networks of a list that were read so far.
class CoveringNetworks {
 public:
  void add(const Cidr& network, std::size_t number) {
    by_bits_[network.prefix_bits()].try_emplace(network.address(), number);
  }
  /// The lowest number of one that holds all of `network`.
  [[nodiscard]] std::optional<std::size_t> first(const Cidr& network) const {
    std::optional<std::size_t> found;
    for (const auto& [bits, numbers] : by_bits_) {
      if (bits > network.prefix_bits()) break;
      for (const IpAddress& address : {Cidr(network.address(), bits).address(), Cidr().address()}) {
        const auto hit = numbers.find(address);
        if (hit == numbers.end() || !Cidr(hit->first, bits).contains(network.address())) continue;
        if (!found || hit->second < *found) found = hit->second;
      }
    }
    return found;
  }

 private:
  std::map<unsigned, std::map<IpAddress, std::size_t>> by_bits_;
};

}  // namespace

void Finisher::check_message_patterns(const std::vector<MessagePattern>& patterns) {
  // Only lines that look at the same thing cover each other.
  std::map<std::pair<MessagePatternKind, std::string>, CoveringPatterns> seen;
  std::optional<std::size_t> any;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const MessagePattern& one = patterns[i];
    check_message_patterns(one.nested);
    CoveringPatterns& same_kind = seen[{one.kind, to_lower(one.header)}];
    const auto before = same_kind.first(one.pattern.text);
    if (any && (!before || *any < *before))
      return warn(one.origin, "never reached: the * above matches everything");
    if (before) warn(one.origin, "never reached: " + above(patterns[*before].pattern, "all of it"));
    if (one.kind == MessagePatternKind::Any) any = i;
    same_kind.add(one.pattern.text, i);
  }
}

/// The first entry that matches decides, so one behind a wider one never does.
void Finisher::check_shadowed_access() {
  const std::vector<HttpAccess>& access = config_.globals.http_access;
  CoveringNetworks seen;
  for (std::size_t i = 0; i < access.size(); ++i) {
    if (const auto wider = seen.first(access[i].client)) {
      warn(access[i].origin,
           "never reached: http-access " + access[*wider].client.text() + " above matches first");
    }
    seen.add(access[i].client, i);
  }
  const auto keys = [&](const std::vector<DomainKey>& list) {
    const auto all =
        std::find_if(list.begin(), list.end(), [](const DomainKey& key) { return key.domain == "*"; });
    if (all != list.end() && all + 1 != list.end() && (all + 1)->domain != "*")
      warn((all + 1)->origin, "never used: the domain-key for * above fits every domain",
           "put the one for * last");
  };
  keys(config_.globals.domain_key);
  for (const Vmta& vmta : config_.vmtas) keys(vmta.settings.domain_key);
}

void Finisher::check_pattern(const Regex& pattern, PatternSubject subject) {
  const std::string why = why_never_matches(pattern.text, subject);
  if (!why.empty()) warn(pattern.origin, "never matches: " + why);
}

void Finisher::check_bounce_patterns() {
  const std::vector<BounceCategoryRule>& rules = config_.bounce_categories;
  CoveringPatterns seen;
  bool covered = false;  // by one that matches everything: one warning for all that follow
  for (std::size_t i = 0; i < rules.size(); ++i) {
    check_pattern(rules[i].pattern, PatternSubject::StatusDiag);
    if (covered) continue;
    if (const auto before = seen.first(rules[i].pattern.text)) {
      warn(rules[i].pattern.origin, "never reached: " + above(rules[*before].pattern, "all of it"));
      covered = rules[*before].pattern.text.empty();
    }
    seen.add(rules[i].pattern.text, i);
  }
}

namespace {

/// What a rule does, without its amounts: a bit for each kind of action.
enum Does : unsigned {
  kMode = 1,
  kSkipMx = 2,
  kBounceQueue = 4,
  kBounceRecipient = 8,
  kDeferQueue = 16,
  kDisableSource = 32,
  kRetryAfter = 64
};

unsigned actions_of(const ReplyRule& rule) {
  return (rule.mode ? kMode : 0u) | (rule.skip_mx ? kSkipMx : 0u) | (rule.bounce_queue ? kBounceQueue : 0u) |
         (rule.bounce_recipient ? kBounceRecipient : 0u) | (rule.defer_queue ? kDeferQueue : 0u) |
         (rule.disable_source_ip ? kDisableSource : 0u) | (rule.retry_after ? kRetryAfter : 0u);
}

/// Of conflicting actions the first that matches counts, others add up: a rule is in vain when all it does is
/// decided by an earlier one that matches whenever it does.
bool decides(unsigned earlier, unsigned later) {
  // Trying the next host and giving the queue up exclude each other.
  if ((earlier & (kSkipMx | kBounceQueue)) != 0) earlier |= kSkipMx | kBounceQueue;
  return (later & ~earlier) == 0;
}

}  // namespace

void Finisher::check_reply_list(const ReplyList& list) {
  // Where a rule of it is wrong, that is said.
  if (list.rules.empty() && reporter_.error_count() == 0)
    warn(list.origin, "smtp-pattern-list \"" + list.name + "\" has no rules");
  std::map<unsigned, CoveringPatterns> seen;  // by what they do
  for (std::size_t i = 0; i < list.rules.size(); ++i) {
    const ReplyRule& rule = list.rules[i];
    check_pattern(rule.pattern, PatternSubject::Reply);
    const unsigned actions = actions_of(rule);
    std::optional<std::size_t> before;
    for (auto& [theirs, patterns] : seen) {
      if (!decides(theirs, actions)) continue;
      const auto found = patterns.first(rule.pattern.text);
      if (found && (!before || *found < *before)) before = found;
    }
    if (before) {
      const Regex& earlier = list.rules[*before].pattern;
      warn(rule.pattern.origin, earlier.text.empty()
                                    ? "never reached: " + above(earlier, {}) + " and sets the mode first"
                                    : "in vain: " + above(earlier, "first and does the same"));
    }
    seen[actions].add(rule.pattern.text, i);
  }
}

}  // namespace sluice::config
