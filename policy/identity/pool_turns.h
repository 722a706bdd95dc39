#pragma once
// Whose turn it is in a `<virtual-mta-pool>`.

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::identity {

/// The order in which members with these weights take turns: smooth weighted round robin, so that over any
/// whole number of rounds each has exactly its share, and no member comes twice in a row while a fair order
/// without that exists. Equal weights: plain round robin in the order given. One entry per turn of a round;
/// weights are divided by what they have in common. Above kTurnsMax turns a round, weights are scaled down to
/// it.
inline constexpr std::size_t kTurnsMax = 20'000;
[[nodiscard]] std::vector<std::uint32_t> smooth_turns(std::span<const std::uint32_t> weights);

/// Turns of one pool, with members that cannot be used left out. Turn numbers come from outside, so that all
/// shards can draw from one count. Thread: one. Limits: remembers the order for the last set of usable
/// members.
class PoolTurns {
 public:
  explicit PoolTurns(std::vector<std::uint32_t> weights);

  /// The member whose turn `turn` is, among those for which `usable(member)` holds; among all when it holds
  /// for none: mail then waits in the queue of that member.
  template <class Usable>
  [[nodiscard]] std::uint32_t member(std::uint64_t turn, Usable&& usable) {
    const std::uint32_t usual = order_[turn % order_.size()];
    if (usable(usual)) return usual;
    scratch_.assign(weights_.size(), false);
    bool any = false;
    for (std::uint32_t i = 0; i < weights_.size(); ++i) {
      scratch_[i] = usable(i);
      any = any || scratch_[i];
    }
    return any ? stand_in() : usual;
  }
  [[nodiscard]] std::size_t members() const { return weights_.size(); }

 private:
  /// For a turn that falls to a member left out: the others share it in their own proportion.
  [[nodiscard]] std::uint32_t stand_in();
  std::vector<std::uint32_t> weights_;
  std::vector<std::uint32_t> order_;
  std::vector<bool> scratch_;
  std::vector<bool> usable_;  // the set `others_` was made for
  std::vector<std::uint32_t> others_;
  std::uint64_t others_turn_ = 0;
};

}  // namespace sluice::identity
