#include "policy/identity/pool_turns.h"

#include <algorithm>
#include <numeric>

#include "policy/base/assert.h"

namespace sluice::identity {

std::vector<std::uint32_t> smooth_turns(std::span<const std::uint32_t> weights) {
  std::uint64_t common = 0;
  std::uint64_t total = 0;
  for (const std::uint32_t weight : weights) {
    common = std::gcd(common, std::uint64_t{weight});
    total += weight;
  }
  if (total == 0) return {};
  std::vector<std::int64_t> shares;
  const std::uint64_t wanted = total / common;
  total = 0;
  for (const std::uint32_t weight : weights) {
    std::uint64_t share = weight / common;
    if (wanted > kTurnsMax && share > 0) share = std::max<std::uint64_t>(1, share * kTurnsMax / wanted);
    shares.push_back(static_cast<std::int64_t>(share));
    total += share;
  }
  std::vector<std::uint32_t> out;
  out.reserve(total);
  std::vector<std::int64_t> credit(shares.size(), 0);
  for (std::uint64_t turn = 0; turn < total; ++turn) {
    for (std::size_t i = 0; i < shares.size(); ++i) credit[i] += shares[i];
    const auto next = std::max_element(credit.begin(), credit.end());  // the first of equals
    *next -= static_cast<std::int64_t>(total);
    out.push_back(static_cast<std::uint32_t>(next - credit.begin()));
  }
  return out;
}

PoolTurns::PoolTurns(std::vector<std::uint32_t> weights)
    : weights_(std::move(weights)), order_(smooth_turns(weights_)) {
  SLUICE_ASSERT(!order_.empty());
}

std::uint32_t PoolTurns::stand_in() {
  if (scratch_ != usable_) {
    usable_ = scratch_;
    std::vector<std::uint32_t> left(weights_);
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!usable_[i]) left[i] = 0;
    }
    others_ = smooth_turns(left);
    others_turn_ = 0;
  }
  return others_[others_turn_++ % others_.size()];
}

}  // namespace sluice::identity
