#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/injection/submission.h"
#include "engine/queue/snapshot.h"
#include "policy/identity/pool_turns.h"
#include "policy/identity/selection.h"

namespace sluice::injection {

/// Names the sending identity of messages under the configuration in force.
/// Thread: one shard. A message keeps to the snapshot that was current when its submission began; turns of
/// pools are counted over all shards (queue::PoolState).
class Chooser {
 public:
  struct Chosen {
    config::VmtaId vmta;  ///< of the first recipient, when there is a pool
    std::optional<config::PoolId> pool;
    std::optional<std::uint8_t> priority;  ///< recipient-priority by pattern list
  };

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);

  /// The order of selection (identity::Bids) for `submission`, whose headers are read. `merge_variable`:
  /// `*vmta` of mail merge. Errors: a name that does not exist and must be refused.
  [[nodiscard]] std::expected<Chosen, Verdict> choose(const Submission& submission,
                                                      std::optional<std::string_view> merge_variable = {});
  /// Why choose() would refuse `submission`; nobody's turn is taken.
  [[nodiscard]] std::optional<Verdict> fault_of(const Submission& submission);
  /// The member of `pool` whose turn it is for mail to `domain`.
  [[nodiscard]] config::VmtaId next_member(config::PoolId pool, std::string_view domain);

 private:
  struct Target {
    identity::Target target;
    std::optional<std::uint8_t> priority;
  };
  [[nodiscard]] std::expected<Target, Verdict> target_of(const Submission& submission,
                                                         std::optional<std::string_view> merge_variable);

  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::vector<std::optional<identity::PoolTurns>> turns_;  // by PoolId; absent: a pool without members
  std::vector<std::string_view> recipients_;               // scratch
};

}  // namespace sluice::injection
