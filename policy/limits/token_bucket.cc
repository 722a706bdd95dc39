#include "policy/limits/token_bucket.h"

#include "policy/base/assert.h"

namespace sluice {
namespace {

// Everything is relaxed: the bucket publishes no other memory, it only orders itself.
constexpr auto kOrder = std::memory_order_relaxed;

struct Shape {
  std::int64_t gap;
  std::int64_t tau;
};

Shape shape_of(Rate rate) {
  SLUICE_ASSERT(rate.events >= 1 && rate.per.count() > 0);
  const std::int64_t per = rate.per.count();
  const std::int64_t tau = std::min(TokenBucket::kToleranceMax.count(), per / TokenBucket::kToleranceShare);
  const auto events = static_cast<std::int64_t>(std::min<std::uint64_t>(rate.events, INT64_MAX));
  return {(per + tau) / events + 1, tau};
}

}  // namespace

TokenBucket::TokenBucket(Rate rate) : gap_(shape_of(rate).gap), tau_(shape_of(rate).tau) {}

std::expected<TokenBucket::Grant, MonoTime> TokenBucket::try_take(MonoTime now, std::uint32_t most) {
  SLUICE_ASSERT(most >= 1);
  const std::int64_t t = now.time_since_epoch().count();
  const std::int64_t gap = gap_.load(kOrder);
  const std::int64_t tau = tau_.load(kOrder);
  std::int64_t tat = tat_.load(kOrder);
  for (;;) {
    const std::int64_t start = std::max(tat, t);
    const std::int64_t slack = t + tau - start;
    if (slack < 0) return std::unexpected(to_time(start - tau));
    // The division is paid only by those who ask for more than one.
    const std::int64_t count = most == 1 ? 1 : std::min<std::int64_t>(most, slack / gap + 1);
    const std::int64_t after = start + count * gap;
    if (tat_.compare_exchange_weak(tat, after, kOrder))
      return Grant(static_cast<std::uint32_t>(count), after);
  }
}

// Why only an unchanged TAT may go back. Let k.after be the TAT right behind a grant k that still holds
// tokens. Then always TAT >= k.after + gap * (tokens still held behind k): takes add to both sides, clamping
// to the clock only adds to the left. So TAT == k.after says that nothing behind k is held any more, and
// lowering both by the unused tokens keeps the sum true for k and for every grant before it; the window proof
// in the header rests on that sum alone.
bool TokenBucket::give_back(Grant& grant, std::uint32_t unused) {
  SLUICE_ASSERT(unused <= grant.count_);
  if (unused == 0) return true;
  const std::int64_t lower = grant.after_ - static_cast<std::int64_t>(unused) * gap_.load(kOrder);
  grant.count_ -= unused;
  std::int64_t expected = grant.after_;
  if (!tat_.compare_exchange_strong(expected, lower, kOrder)) return false;
  grant.after_ = lower;
  return true;
}

void TokenBucket::charge(MonoTime when, std::uint32_t events) {
  const std::int64_t t = when.time_since_epoch().count();
  const std::int64_t cost = static_cast<std::int64_t>(events) * gap_.load(kOrder);
  std::int64_t tat = tat_.load(kOrder);
  while (!tat_.compare_exchange_weak(tat, std::max(tat, t) + cost, kOrder)) {
  }
}

void TokenBucket::set_rate(Rate rate) {
  const Shape shape = shape_of(rate);
  const std::int64_t change = shape.gap - gap_.exchange(shape.gap, kOrder);
  tau_.store(shape.tau, kOrder);
  // TAT - gap is when the last event was, or was due. Lowering TAT for a faster rate is right too: what is
  // owed is one gap behind the last event, and the gap has become shorter. But a queue of takes inside tau
  // stays owed.
  if (change != 0) tat_.fetch_add(change, kOrder);
}

Duration TokenBucket::debt(MonoTime now) const {
  return Duration{std::max<std::int64_t>(0, tat_.load(kOrder) - now.time_since_epoch().count())};
}

void TokenBucket::restore(MonoTime now, Duration debt) {
  // TAT never runs further ahead than tau + gap.
  const std::int64_t most = gap_.load(kOrder) + tau_.load(kOrder);
  const std::int64_t owed = std::clamp<std::int64_t>(debt.count(), 0, most);
  if (owed > 0) raise_to(now.time_since_epoch().count() + owed);
}

void TokenBucket::raise_to(std::int64_t tat) {
  std::int64_t current = tat_.load(kOrder);
  while (current < tat && !tat_.compare_exchange_weak(current, tat, kOrder)) {
  }
}

}  // namespace sluice
