#include "engine/injection/cold_chooser.h"

#include <atomic>

#include "engine/runtime/mailbox.h"

namespace sluice::injection {
namespace {

constexpr int kQueueToMax = 8;  // queues that send on to each other

}  // namespace

ColdChooser::ColdChooser(runtime::Reactor& reactor, resolver::Resolver& resolver,
                         std::span<ColdBook* const> books)
    : reactor_(reactor), books_(books), rollups_(resolver) {}

void ColdChooser::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  settings_.emplace(snapshot->config);
  rollups_.set_snapshot(std::move(snapshot));
}

runtime::Task<void> ColdChooser::ask(std::string domain, delivery::Rollups::Wishes wishes,
                                     std::shared_ptr<std::optional<delivery::Rollups::Answer>> answer) {
  try {
    *answer = co_await rollups_.decide(std::move(domain), std::move(wishes));
  } catch (...) {  // as a domain that DNS does not know yet
    reactor_.count_contained();
  }
}

std::optional<std::string> ColdChooser::rollup_of(const std::string& domain,
                                                  const config::DomainSettings& settings) {
  if (!rollups_.active() || settings.disable_mx_rollup) return std::string();
  auto answer = std::make_shared<std::optional<delivery::Rollups::Answer>>();
  asking_.spawn(ask(domain, {.providers = settings.mx_rollup, .automatic = false}, answer));
  if (!*answer || !(*answer)->known) return std::nullopt;
  return (*answer)->joins;
}

ColdChooser::Where ColdChooser::where(std::string_view domain, config::VmtaId vmta) {
  Where out{std::string(domain), {}};
  const config::DomainSettings* settings = &settings_->settings_for(out.domain, vmta);
  for (int i = 0; i < kQueueToMax && !settings->queue_to.empty() && settings->queue_to != out.domain; ++i) {
    out.domain = settings->queue_to;
    settings = &settings_->settings_for(out.domain, vmta);
  }
  if (!routing::is_rollup_name(out.domain)) {
    const auto joins = rollup_of(out.domain, *settings);
    if (!joins) return out;
    if (!joins->empty()) {
      out.domain = *joins;
      settings = &settings_->settings_for(out.domain, vmta);
    }
  }
  out.limits = settings->max_cold_virtual_mta_msg;
  return out;
}

runtime::Task<void> ColdChooser::apply(Submission& submission,
                                       std::shared_ptr<const queue::Snapshot> snapshot,
                                       std::optional<config::PoolId> pool) {
  for (PlacedRecipient& one : submission.work.placed) {
    const auto cold = snapshot->rules->cold(one.vmta, pool);
    if (cold.empty() || !one.refusal.empty()) continue;
    // Made before the first wait: a reload meanwhile may replace the settings it comes from.
    const Where there = where(one.domain, one.vmta);
    if (there.limits.empty()) continue;
    const ShardId keeper = ColdBook::keeper(there.domain, snapshot->shards);
    ColdBook* book = books_[keeper.raw()];
    std::atomic<std::uint64_t>& turns = snapshot->identity(one.vmta).state->cold_turn;
    const std::uint64_t turn = turns.fetch_add(1, std::memory_order_relaxed);
    std::optional<std::size_t> which;
    if (keeper == reactor_.shard()) {
      which = book->take(cold, turn, there.domain, there.limits);
    } else {
      which = co_await runtime::call_on(reactor_, keeper, [book, cold, turn, &there] {
        return book->take(cold, turn, there.domain, there.limits);
      });
    }
    // A turn that nobody could take is given back: a domain that has had its messages moves nobody on.
    if (!which) turns.fetch_sub(1, std::memory_order_relaxed);
    if (which) one.vmta = snapshot->config->find_vmta(cold[*which]).value_or(one.vmta);
  }
}

}  // namespace sluice::injection
