#include "engine/injection/chooser.h"

#include "policy/base/assert.h"

namespace sluice::injection {

void Chooser::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  turns_.clear();
  for (const config::Pool& pool : snapshot_->config->pools) {
    std::vector<std::uint32_t> weights;
    for (const config::PoolMember& member : pool.settings.members) weights.push_back(member.weight);
    std::optional<identity::PoolTurns>& turns = turns_.emplace_back();
    if (!weights.empty()) turns.emplace(std::move(weights));
  }
}

std::expected<Chooser::Target, Verdict> Chooser::target_of(const Submission& submission,
                                                           std::optional<std::string_view> merge_variable) {
  const ClientRules& rules = *submission.rules;
  const HeaderFacts& headers = submission.work.headers;
  std::optional<std::uint8_t> priority;
  identity::Bids bids{.merge_variable = merge_variable,
                      .header = headers.virtual_mta,
                      .pattern = {},
                      .listener = rules.listener_virtual_mta,
                      .source = rules.settings.default_virtual_mta};
  if (rules.patterns) {
    recipients_.clear();
    for (std::size_t i = 0; i < submission.recipient_count; ++i) {
      recipients_.push_back(submission.recipients[i].address);
    }
    const auto result = rules.snapshot->rules->patterns().decide(
        *rules.patterns,
        {.mail_from = submission.sender, .recipients = recipients_, .headers = headers.for_patterns});
    if (result) {
      bids.pattern = result->virtual_mta;
      priority = result->priority;
    }
  }
  // The session's rules may be of an older configuration; what they name has to exist in this one.
  const auto target = identity::select(identity::strongest(bids),
                                       {.reject_invalid = rules.settings.reject_invalid_virtual_mta,
                                        .allow_empty = rules.settings.allow_empty_x_virtual_mta,
                                        .fallback = snapshot_->config->globals.invalid_virtual_mta_fallback},
                                       snapshot_->rules->directory());
  if (!target) return std::unexpected(Verdict{target.error().code, target.error().text});
  return Target{*target, priority};
}

std::optional<Verdict> Chooser::fault_of(const Submission& submission) {
  auto found = target_of(submission, {});
  if (found) return std::nullopt;
  return std::move(found.error());
}

std::expected<Chooser::Chosen, Verdict> Chooser::choose(const Submission& submission,
                                                        std::optional<std::string_view> merge_variable) {
  const auto found = target_of(submission, merge_variable);
  if (!found) return std::unexpected(found.error());
  Chosen out;
  out.priority = found->priority;
  if (const auto* vmta = std::get_if<config::VmtaId>(&found->target)) {
    out.vmta = *vmta;
  } else if (const auto* pool = std::get_if<config::PoolId>(&found->target)) {
    out.pool = *pool;
    out.vmta = next_member(*pool, submission.recipients.front().domain);
  } else {
    const auto owner = snapshot_->owners.find(submission.client->local_address.address);
    out.vmta = owner == snapshot_->owners.end() ? config::kDefaultVmta : owner->second;
  }
  return out;
}

config::VmtaId Chooser::next_member(config::PoolId pool, std::string_view domain) {
  const auto& members = snapshot_->config->pool(pool).settings.members;
  std::optional<identity::PoolTurns>& turns = turns_[pool.raw()];
  SLUICE_ASSERT(turns.has_value());  // the directory does not know pools without members
  const std::uint64_t turn = snapshot_->pools[pool.raw()]->turn.fetch_add(1, std::memory_order_relaxed);
  const auto usable = [&](std::uint32_t member) {
    const queue::IdentityState& state = *snapshot_->identity(members[member].id).state;
    if (state.blocked.empty()) return true;
    return !state.blocked.holds(domain, snapshot_->joined->find(&state, domain));
  };
  return members[turns->member(turn, usable)].id;
}

}  // namespace sluice::injection
