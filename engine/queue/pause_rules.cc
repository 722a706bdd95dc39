#include "engine/queue/pause_rules.h"

#include <algorithm>
#include <charconv>

#include "policy/base/ascii.h"
#include "policy/base/wildcard.h"

namespace sluice::queue {
namespace {

bool is_wild(std::string_view pattern) { return pattern.find('*') != std::string_view::npos; }

/// Before the slash and behind it.
std::pair<std::string_view, std::string_view> halves(std::string_view pattern) {
  const std::size_t slash = pattern.find('/');
  return {pattern.substr(0, slash), pattern.substr(slash + 1)};
}

bool matches(std::string_view pattern, std::string_view name) {
  const auto [domain, vmta] = halves(pattern);
  const auto [its_domain, its_vmta] = halves(name);
  return matches_wildcard(domain, its_domain) && matches_wildcard(vmta, its_vmta);
}

/// As far as each begins and ends before its first and behind its last wildcard. True also for some that have no name
/// in common.
bool may_meet(std::string_view a, std::string_view b) {
  if (!is_wild(a)) return matches_wildcard(b, a);
  if (!is_wild(b)) return matches_wildcard(a, b);
  const std::size_t front = std::min(a.find('*'), b.find('*'));
  const std::size_t back = std::min(a.size() - 1 - a.rfind('*'), b.size() - 1 - b.rfind('*'));
  return a.substr(0, front) == b.substr(0, front) && a.substr(a.size() - back) == b.substr(b.size() - back);
}

}  // namespace

std::string PauseRules::whole_pattern(std::string_view pattern) {
  std::string out(pattern);
  if (out == "*") {
    out = "*/*";
  } else if (out.find('/') == std::string::npos) {
    out += "/{default}";
  }
  return to_lower(out);
}

bool PauseRules::covers(std::string_view wide, std::string_view narrow) {
  // Only a wildcard of `wide` matches one of `narrow`: that stands for characters nobody has thought of.
  return matches(wide, narrow);
}

bool PauseRules::overlaps(std::string_view a, std::string_view b) {
  const auto [a_domain, a_vmta] = halves(a);
  const auto [b_domain, b_vmta] = halves(b);
  return may_meet(a_domain, b_domain) && may_meet(a_vmta, b_vmta);
}

void PauseRules::restore(std::string_view pattern, std::string_view value) {
  // "1" alone: a pause by name of an older version. "NUMBER p", "NUMBER r".
  Rule rule;
  const char* const end = value.data() + value.size();
  const auto [behind, error] = std::from_chars(value.data(), end, rule.number);
  if (error != std::errc{}) return;
  const std::string_view rest(behind, static_cast<std::size_t>(end - behind));
  if (!rest.empty() && rest != " p" && rest != " r") return;
  rule.pauses = rest != " r";
  if (rest.empty()) rule.number = 0;
  const std::string whole = whole_pattern(pattern);
  last_number_ = std::max(last_number_, rule.number);
  if (is_wild(whole)) {
    wild_.insert_or_assign(rule.number, std::pair(whole, rule.pauses));
  } else {
    named_.insert_or_assign(whole, rule);
  }
}

std::vector<PauseRules::Change> PauseRules::set(const std::string& pattern, bool paused) {
  std::vector<Change> out = add(pattern, paused);
  if (!paused) drop_idle_exceptions(out);
  return out;
}

/// An older rule than `number` pauses something that `pattern` matches.
bool PauseRules::has_pause_below(std::string_view pattern, std::uint64_t number) const {
  for (const auto& [other, rule] : wild_) {
    if (other < number && rule.second && overlaps(rule.first, pattern)) return true;
  }
  return is_wild(pattern) && std::ranges::any_of(named_, [&](const auto& one) {
           return one.second.number < number && one.second.pauses && overlaps(one.first, pattern);
         });
}

/// Exceptions to pauses that are gone.
void PauseRules::drop_idle_exceptions(std::vector<Change>& out) {
  const auto is_idle = [&](bool pauses, const std::string& pattern, std::uint64_t number) {
    if (pauses || has_pause_below(pattern, number)) return false;
    out.push_back({pattern, {}});
    return true;
  };
  std::erase_if(wild_,
                [&](const auto& one) { return is_idle(one.second.second, one.second.first, one.first); });
  std::erase_if(named_,
                [&](const auto& one) { return is_idle(one.second.pauses, one.first, one.second.number); });
}

std::vector<PauseRules::Change> PauseRules::add(const std::string& pattern, bool paused) {
  std::vector<Change> out;
  const bool wild = is_wild(pattern);
  if (wild) {
    std::erase_if(wild_, [&](const auto& one) {
      if (!covers(pattern, one.second.first)) return false;
      out.push_back({one.second.first, {}});
      return true;
    });
    std::erase_if(named_, [&](const auto& one) {
      if (!covers(pattern, one.first)) return false;
      out.push_back({one.first, {}});
      return true;
    });
  } else if (named_.erase(pattern) != 0) {
    out.push_back({pattern, {}});
  }
  if (!paused && !has_pause_below(pattern, UINT64_MAX)) return out;
  const Rule rule{.number = ++last_number_, .pauses = paused};
  std::erase_if(out, [&](const Change& one) { return one.pattern == pattern; });
  out.push_back({pattern, std::to_string(rule.number) + (paused ? " p" : " r")});
  if (wild) {
    wild_.emplace(rule.number, std::pair(pattern, paused));
  } else {
    named_.emplace(pattern, rule);
  }
  return out;
}

bool PauseRules::is_paused(std::string_view queue) const {
  if (empty()) return false;
  Rule newest{.number = 0, .pauses = false};
  if (!named_.empty()) {
    const auto found = named_.find(to_lower(queue));
    if (found != named_.end()) newest = found->second;
  }
  for (auto one = wild_.rbegin(); one != wild_.rend() && one->first > newest.number; ++one) {
    if (matches(one->second.first, queue)) return one->second.second;
  }
  return newest.pauses;
}

std::vector<std::pair<std::string, bool>> PauseRules::all() const {
  std::vector<std::pair<std::uint64_t, std::pair<std::string, bool>>> sorted(wild_.begin(), wild_.end());
  for (const auto& [pattern, rule] : named_) sorted.push_back({rule.number, {pattern, rule.pauses}});
  std::ranges::sort(sorted);
  std::vector<std::pair<std::string, bool>> out;
  for (auto& [number, rule] : sorted) out.push_back(std::move(rule));
  return out;
}

}  // namespace sluice::queue
