#include "engine/runtime/sim/faults.h"

#include <cerrno>

namespace sluice::runtime::sim {
namespace {

OpKind family_of(OpKind kind) {
  switch (kind) {
    case OpKind::SendVector:
    case OpKind::SendZeroCopy: return OpKind::Send;
    case OpKind::RecvMulti: return OpKind::Recv;
    default: return kind;
  }
}

bool matches(const FaultRule& rule, const FaultSite& site) {
  if (family_of(rule.kind) != family_of(site.kind)) return false;
  if (rule.machine && *rule.machine != site.machine) return false;
  if (rule.peer && (site.peer == nullptr || !rule.peer->contains(site.peer->address))) return false;
  if (rule.peer_port && (site.peer == nullptr || *rule.peer_port != site.peer->port)) return false;
  return rule.path_contains.empty() || site.path.find(rule.path_contains) != std::string_view::npos;
}

}  // namespace

Faults::RuleId Faults::add(FaultRule rule) {
  rules_.push_back({.rule = std::move(rule)});
  return rules_.size() - 1;
}

void Faults::remove(RuleId id) {
  SLUICE_ASSERT(id < rules_.size());
  rules_[id].active = false;
}

std::uint64_t Faults::hits(RuleId id) const {
  SLUICE_ASSERT(id < rules_.size());
  return rules_[id].hits;
}

void Faults::clear() {
  plan = {};
  for (State& state : rules_) state.active = false;
}

std::optional<Fault> Faults::judge(const FaultSite& site, Random& random) {
  for (State& state : rules_) {
    const FaultRule& rule = state.rule;
    if (!state.active || !matches(rule, site)) continue;
    if (state.seen++ < rule.skip || state.hits >= rule.times) continue;
    if (rule.chance < 1 && !random.chance(rule.chance)) continue;
    ++state.hits;
    return Fault{rule.strike, rule.sys_errno, rule.delay};
  }
  return by_plan(site, random);
}

std::optional<Fault> Faults::by_plan(const FaultSite& site, Random& random) const {
  switch (family_of(site.kind)) {
    case OpKind::Connect:
      if (random.chance(plan.connect_refused)) return Fault{Strike::Error, ECONNREFUSED};
      if (random.chance(plan.connect_silent)) return Fault{Strike::Hang};
      break;
    case OpKind::Send:
      if (random.chance(plan.send_reset)) return Fault{Strike::Reset};
      break;
    case OpKind::Recv:
      if (random.chance(plan.receive_reset)) return Fault{Strike::Reset};
      if (random.chance(plan.receive_hang)) return Fault{Strike::Hang};
      break;
    case OpKind::Read:
      if (random.chance(plan.read_error)) return Fault{Strike::Error, EIO};
      break;
    case OpKind::Write:
      if (random.chance(plan.write_error)) return Fault{Strike::Error, EIO};
      if (random.chance(plan.write_short)) return Fault{Strike::Short};
      break;
    case OpKind::Sync:
      if (random.chance(plan.sync_error)) return Fault{Strike::Error, EIO};
      break;
    case OpKind::Accept:
    case OpKind::Open:
      if (random.chance(plan.no_descriptors)) return Fault{Strike::Error, EMFILE};
      break;
    default: break;
  }
  if (random.chance(plan.operation_delayed))
    return Fault{Strike::Delay, 0, random.between(0ns, plan.delay_max)};
  return std::nullopt;
}

}  // namespace sluice::runtime::sim
