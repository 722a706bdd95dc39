// What the provider file's "at" lines do to a conversation.
#include <algorithm>

#include "bench/lib/hash.h"
#include "bench/sink/sink_session.h"
#include "policy/base/ascii.h"

namespace sluice::bench {

bool SinkSession::applies(const Rule& rule, std::size_t index, std::string_view address, Moment now) {
  if (rule.source && !rule.source->contains(source_)) return false;
  if (rule.during) {
    const Duration age = now.mono - world_.start;
    if (age < rule.during->from || age > rule.during->to) return false;
  }
  if (rule.domain) {
    const std::size_t at = address.rfind('@');
    if (at == std::string_view::npos || !rule.domain->matches(to_lower(address.substr(at + 1)))) return false;
  }
  if (rule.first || rule.every) {
    const std::uint64_t count = world_.state.count_rule(rule.phase, index);
    if (rule.first && count >= *rule.first) return false;
    if (rule.every && (count + 1) % *rule.every != 0) return false;
  }
  if (rule.share.millionths == Share::kAll) return true;
  const std::uint64_t salt =
      mix(world_.directory.internet().seed, static_cast<std::uint64_t>(rule.phase) << 32 | index);
  const std::uint64_t draw =
      rule.by_address ? hash_of(to_lower(address), salt) : mix(salt, mix(number_, draws_++));
  return falls_into(draw, rule.share);
}

SinkSession::Verdict SinkSession::decide(Phase phase, std::string_view address, Moment now) {
  Verdict verdict;
  const std::vector<Rule>& rules = provider().rules[static_cast<std::size_t>(phase)];
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!applies(rules[i], i, address, now)) continue;
    const Action& action = rules[i].action;
    if (action.kind != Action::Kind::Delay) {
      verdict.action = &action;
      return verdict;
    }
    const auto spread = static_cast<std::uint64_t>((action.time.to - action.time.from).count());
    const std::uint64_t draw = mix(world_.directory.internet().seed, mix(number_, draws_++));
    verdict.delay += action.time.from + Duration{static_cast<std::int64_t>(scale_to(draw, spread + 1))};
  }
  return verdict;
}

void SinkSession::event(Phase phase, std::string_view address, Moment now) {
  const std::vector<Rule>& rules = provider().rules[static_cast<std::size_t>(phase)];
  if (rules.empty()) {
    usual(phase, now);
    return;
  }
  const Verdict verdict = decide(phase, address, now);
  const Event decided{phase, verdict.action};
  if (verdict.delay > 0s) {
    pending_ = decided;
    wait_ = verdict.delay;
    want_ = Want::Wait;
    return;
  }
  conclude(decided, now);
}

void SinkSession::conclude(const Event& decided, Moment now) {
  if (decided.action != nullptr) {
    perform(decided.phase, *decided.action, now);
  } else if (decided.phase != Phase::Body) {
    usual(decided.phase, now);
  }
}

void SinkSession::perform(Phase phase, const Action& action, Moment now) {
  using Kind = Action::Kind;
  switch (action.kind) {
    case Kind::Reply: effect(phase, action.text, now); break;
    case Kind::ReplyAndClose:
      effect(phase, action.text, now);
      close();
      break;
    case Kind::Raw: {
      // Whether the sender is answered well or badly is told by the first byte, as with a reply.
      const std::size_t keep = output_.size();
      effect(phase, action.parts.front().text, now);
      output_.resize(keep);
      for (const Action::Part& part : action.parts) {
        for (std::uint64_t i = 0; i < part.times; ++i) output_ += part.text;
      }
      break;
    }
    case Kind::Drop:
    case Kind::Reset:
      world_.counters.dropped.add();
      want_ = action.kind == Kind::Drop ? Want::Close : Want::Reset;
      break;
    case Kind::AcceptAndDrop:
      take_over("-", Certainty::Dropped, now);
      world_.counters.dropped.add();
      world_.counters.dropped_after_accept.add();
      close();
      break;
    case Kind::Stall: want_ = Want::Stall; break;
    case Kind::Delay:
    case Kind::Pause:
      wait_ = action.time.from;
      want_ = Want::Wait;
      break;
    case Kind::PauseUntil:
      wait_ = world_.start + action.time.from - now.mono;
      if (wait_ > 0s) want_ = Want::Wait;
      break;
    case Kind::Slow: read_speed_ = action.bytes_per_second; break;
  }
}

void SinkSession::start_body_rules(Moment now) {
  body_taken_ = 0;
  triggers_.clear();
  const std::vector<Rule>& rules = provider().rules[static_cast<std::size_t>(Phase::Body)];
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!applies(rules[i], i, last_recipient(), now)) continue;
    const auto behind = std::ranges::upper_bound(triggers_, rules[i].after_bytes, {}, &Rule::after_bytes);
    triggers_.insert(behind, &rules[i]);
  }
  pull_body_triggers(now);
}

std::size_t SinkSession::bytes_to_next_trigger() const {
  if (triggers_.empty()) return SIZE_MAX;
  return static_cast<std::size_t>(triggers_.front()->after_bytes - body_taken_);
}

// Carries out the body rules whose place is reached, up to the first that makes the session wait or end.
void SinkSession::pull_body_triggers(Moment now) {
  while (!triggers_.empty() && triggers_.front()->after_bytes <= body_taken_ && want_ == Want::Input) {
    const Rule* rule = triggers_.front();
    triggers_.erase(triggers_.begin());
    perform(Phase::Body, rule->action, now);
    if (want_ == Want::Wait) pending_ = Event{Phase::Body, nullptr};
  }
}

}  // namespace sluice::bench
