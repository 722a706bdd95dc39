#include "policy/limits/token_bucket.h"

#include "policy/base/assert.h"

namespace sluice {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// TAT of a bucket that nobody took from: far in the past, and far enough from the end of the range for sums.
constexpr std::int64_t kLongAgo = INT64_MIN / 32;

struct Wanted {
  std::int64_t gap;
  std::int64_t tau;
};

Wanted shape_of(Rate rate) {
  SLUICE_ASSERT(rate.events >= 1 && rate.per.count() > 0);
  const std::int64_t per = rate.per.count();
  const std::int64_t tau = std::min(TokenBucket::kToleranceMax.count(), per / TokenBucket::kToleranceShare);
  const auto events = static_cast<std::int64_t>(std::min<std::uint64_t>(rate.events, INT64_MAX));
  return {(per + tau) / events + 1, tau};
}

}  // namespace

TokenBucket::TokenBucket(Rate rate) : word_(kLongAgo * (1 << kNumberBits)) {
  const Wanted wanted = shape_of(rate);
  shapes_[0].gap.store(wanted.gap, kRelaxed);
  shapes_[0].tau.store(wanted.tau, kRelaxed);
}

bool TokenBucket::replace(State& state, std::int64_t tat) {
  const std::int64_t next = tat * (1 << kNumberBits) | (state.word & kNumberMask);
  if (word_.compare_exchange_weak(state.word, next, kRelaxed, std::memory_order_acquire)) return true;
  state = at(state.word);
  return false;
}

std::expected<TokenBucket::Grant, MonoTime> TokenBucket::try_take(MonoTime now, std::uint32_t most) {
  SLUICE_ASSERT(most >= 1);
  const std::int64_t t = now.time_since_epoch().count();
  State state = read();
  for (;;) {
    const std::int64_t start = std::max(state.tat, t);
    const std::int64_t slack = t + state.tau - start;
    if (slack < 0) return std::unexpected(to_time(start - state.tau));
    // The division is paid only by those who ask for more than one.
    const std::int64_t count = most == 1 ? 1 : std::min<std::int64_t>(most, slack / state.gap + 1);
    const std::int64_t after = start + count * state.gap;
    const std::int64_t number = state.word & kNumberMask;
    if (replace(state, after))
      return Grant(static_cast<std::uint32_t>(count), after * (1 << kNumberBits) | number);
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
  const State then = at(grant.after_);
  const std::int64_t lower = (then.tat - static_cast<std::int64_t>(unused) * then.gap) * (1 << kNumberBits) |
                             (grant.after_ & kNumberMask);
  grant.count_ -= unused;
  std::int64_t expected = grant.after_;
  if (!word_.compare_exchange_strong(expected, lower, kRelaxed)) return false;
  grant.after_ = lower;
  return true;
}

void TokenBucket::charge(MonoTime when, std::uint32_t events) {
  const std::int64_t t = when.time_since_epoch().count();
  State state = read();
  while (!replace(state, std::max(state.tat, t) + static_cast<std::int64_t>(events) * state.gap)) {
  }
}

void TokenBucket::set_rate(Rate rate) {
  const Wanted wanted = shape_of(rate);
  State state = read();
  if (state.gap == wanted.gap && state.tau == wanted.tau) return;
  const std::int64_t number = (state.word + 1) & kNumberMask;
  Shape& next = shapes_[static_cast<std::size_t>(number)];
  next.gap.store(wanted.gap, kRelaxed);
  next.tau.store(wanted.tau, kRelaxed);
  // TAT - gap is when the last event was, or was due. Lowering TAT for a faster rate is right too: what is
  // owed is one gap behind the last event, and the gap has become shorter. But a queue of takes inside tau
  // stays owed.
  const std::int64_t change = wanted.gap - state.gap;
  std::int64_t word = state.word;
  while (!word_.compare_exchange_weak(word, ((word >> kNumberBits) + change) * (1 << kNumberBits) | number,
                                      std::memory_order_acq_rel, kRelaxed)) {
  }
}

void TokenBucket::count_with(const TokenBucket& other) {
  const State theirs = other.read();
  raise_to(theirs.tat - theirs.gap + read().gap);
}

Duration TokenBucket::debt(MonoTime now) const {
  return Duration{std::max<std::int64_t>(0, read().tat - now.time_since_epoch().count())};
}

void TokenBucket::restore(MonoTime now, Duration debt) {
  const State state = read();
  // TAT never runs further ahead than tau + gap.
  const std::int64_t owed = std::clamp<std::int64_t>(debt.count(), 0, state.gap + state.tau);
  if (owed > 0) raise_to(now.time_since_epoch().count() + owed);
}

void TokenBucket::raise_to(std::int64_t tat) {
  State state = read();
  while (state.tat < tat && !replace(state, tat)) {
  }
}

}  // namespace sluice
