#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/delivery/rollups.h"
#include "engine/injection/chooser.h"
#include "engine/injection/cold_book.h"
#include "engine/injection/submission.h"
#include "engine/runtime/task.h"

namespace sluice::injection {

/// Sends the first messages of a day to virtual MTAs that are being warmed up (`cold-virtual-mta`), recipient
/// by recipient. Thread: one shard. Lifetime: stop() has answered before destruction (asserted); what is
/// passed in outlives it. Cost: nothing for virtual MTAs without cold ones.
class ColdChooser {
 public:
  /// `books[i]` is shard i's; used on that shard only.
  ColdChooser(runtime::Reactor& reactor, resolver::Resolver& resolver, std::span<ColdBook* const> books);

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  /// Changes PlacedRecipient::vmta where a cold virtual MTA has something left for the queue the recipient
  /// goes to. A rollup that is not known without asking DNS is asked for and not waited for: meanwhile the
  /// recipient stays.
  [[nodiscard]] runtime::Task<void> apply(Submission& submission,
                                          std::shared_ptr<const queue::Snapshot> snapshot,
                                          std::optional<config::PoolId> pool);
  [[nodiscard]] runtime::Task<void> stop() { co_await asking_.join(); }

 private:
  struct Where {
    std::string domain;
    std::vector<std::uint32_t> limits;  ///< empty: nothing is to be warmed up there
  };
  [[nodiscard]] Where where(std::string_view domain, config::VmtaId vmta);
  [[nodiscard]] std::optional<std::string> rollup_of(const std::string& domain,
                                                     const config::DomainSettings& settings);
  runtime::Task<void> ask(std::string domain, delivery::Rollups::Wishes wishes,
                          std::shared_ptr<std::optional<delivery::Rollups::Answer>> answer);

  runtime::Reactor& reactor_;
  std::span<ColdBook* const> books_;
  delivery::Rollups rollups_;
  std::optional<config::DomainSettingsCache> settings_;
  runtime::TaskGroup asking_;
};

}  // namespace sluice::injection
