#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <expected>

#include "policy/base/rate.h"
#include "policy/base/units.h"

namespace sluice {

/// One configured rate (`max-msg-rate`, `max-connect-rate`, `max-smtp-msg-rate`, ...), as a virtual
/// scheduling GCRA (ITU-T I.371): the only state is TAT, the theoretical arrival time of the next event. One
/// 64-bit atomic holds it together with the number of the rate it was reckoned by.
///
/// Never exceeded. In every window of length `per`, both ends included and wherever it begins, at most
/// `events` pass.
///   tau = min(5 ms, per / 200)                  tolerance: how early an event may come before its TAT
///   gap = floor((per + tau) / events) + 1 ns    what one event adds to TAT
///   an event at t passes when t >= TAT - tau;   then TAT := max(TAT, t) + gap
/// Let n events pass inside one window, the first of them in order of passing at a and the last at b. After
/// the first, TAT >= a + gap; the others but the last add at least gap each; so the last needed b >= a + (n -
/// 1) gap - tau. As b - a <= per, (n - 1) gap <= per + tau, and as events * gap > per + tau, n - 1 < events.
/// Only the times handed in occur in this, and their order does not: shards whose clocks stand up to a turn
/// apart cannot break it either.
///
/// Smooth. After any idle time at most 1 + tau / gap events pass at once: 5 ms worth, never a window's worth.
///
/// Accurate. A waiter asks to be woken at TAT - tau. If it comes late by up to tau, TAT is still ahead of the
/// clock and nothing of the lateness is carried on: the mean gap is `gap`, so at most 0.5 % below the
/// configured rate as long as timers are less than tau late (5 ms for every `per` of a second or longer).
///
/// A rate that changes while others take: each take is reckoned wholly by the old rate and then carried over,
/// or wholly by the new one. The number beside TAT makes a take that read the old rate begin anew.
///
/// Thread: every member may be called from any shard, without a lock. set_rate() is for one caller at a time,
///         the owner of the limit: the queue's shard, the control shard (virtual MTAs, pools), or the
///         shard that has the domain's book (queue::SharedGates).
/// Limits: rates above kAccurateRateMax per second stay safe but lose accuracy, as gap is counted in whole
/// ns.
class TokenBucket {
 public:
  static constexpr Duration kToleranceMax = 5ms;
  static constexpr std::int64_t kToleranceShare = 200;  ///< tau is at most per / kToleranceShare: 0.5 %
  static constexpr std::uint64_t kAccurateRateMax = 2'000'000;

  /// Tokens taken and not yet given back. Copying one and giving both back is a bug of the caller.
  class Grant {
   public:
    [[nodiscard]] std::uint32_t count() const { return count_; }

   private:
    friend class TokenBucket;
    Grant(std::uint32_t count, std::int64_t after) : count_(count), after_(after) {}
    std::uint32_t count_;
    std::int64_t after_;  // the state right behind these tokens
  };

  /// Requires rate.events >= 1 and rate.per > 0 (asserted).
  explicit TokenBucket(Rate rate);
  TokenBucket(const TokenBucket&) = delete;
  TokenBucket& operator=(const TokenBucket&) = delete;

  /// Takes between 1 and `most` tokens, as many as conform at `now`; or answers the earliest time at which
  /// one will, if nobody else takes it first. Requires most >= 1.
  [[nodiscard]] std::expected<Grant, MonoTime> try_take(MonoTime now, std::uint32_t most = 1);

  /// Returns `unused` (<= grant.count()) tokens of a grant that never became events. They are lost instead
  /// when anyone took in between, or the rate changed: without a record of every event, making room in the
  /// past could let a window overflow. Answers whether they came back.
  bool give_back(Grant& grant, std::uint32_t unused);
  bool give_back(Grant& grant) { return give_back(grant, grant.count()); }

  /// When the next token conforms: `now` or later. Asking takes nothing.
  [[nodiscard]] MonoTime next_time(MonoTime now) const {
    const State state = read();
    return std::max(now, to_time(state.tat - state.tau));
  }
  [[nodiscard]] bool ready(MonoTime now) const { return next_time(now) == now; }

  /// So many tokens a waiter may let come together without losing any of the rate: those of half the
  /// tolerance, the other half is for a late timer. 1 where the rate is too slow for that.
  [[nodiscard]] std::uint32_t together_max() const {
    const State state = read();
    return 1 + static_cast<std::uint32_t>(state.tau / 2 / state.gap);
  }
  /// When `together` (at most together_max() counts) tokens conform at once: `now` or later.
  [[nodiscard]] MonoTime next_time(MonoTime now, std::uint32_t together) const {
    const State state = read();
    const std::int64_t most = 1 + state.tau / 2 / state.gap;
    const std::int64_t more = std::min<std::int64_t>(together, most) - 1;
    return std::max(now, to_time(state.tat - state.tau + more * state.gap));
  }

  /// Counts `events` that happened anyway at `when` (recovery replays attempts by it). Never refuses.
  void charge(MonoTime when, std::uint32_t events = 1);

  /// A changed configuration. The last event stays remembered: the next one keeps the new gap from it.
  void set_rate(Rate rate);
  /// Takes over what `other` has counted: the next event keeps this rate's gap from the last event of both.
  /// For a limit that changes its scope (share-limits-over-vmtas). Nothing happens twice when called again.
  void count_with(const TokenBucket& other);

  /// What a restart has to remember: how far TAT is ahead of `now`; zero when the bucket is at rest.
  [[nodiscard]] Duration debt(MonoTime now) const;
  /// Takes up a remembered debt, from which the caller has taken off the time that has passed since. Never
  /// lowers TAT. A debt longer than takes at this rate can make (a changed clock, a changed rate) is cut to
  /// gap + tau.
  void restore(MonoTime now, Duration debt);

  [[nodiscard]] Duration gap() const { return Duration{read().gap}; }
  [[nodiscard]] Duration tolerance() const { return Duration{read().tau}; }

 private:
  // So many rates are kept. A take would have to sleep through as many changes, come back to the very same
  // TAT and find another gap there to mix two of them up; but every change of gap moves TAT.
  static constexpr int kNumberBits = 2;
  static constexpr std::int64_t kNumberMask = (1 << kNumberBits) - 1;
  struct Shape {
    std::atomic<std::int64_t> gap{0};
    std::atomic<std::int64_t> tau{0};
  };
  struct State {
    std::int64_t word;  // tat and number as they were read
    std::int64_t tat;
    std::int64_t gap;
    std::int64_t tau;
  };
  static MonoTime to_time(std::int64_t ns) { return MonoTime{Duration{ns}}; }
  [[nodiscard]] State at(std::int64_t word) const {
    const Shape& shape = shapes_[static_cast<std::size_t>(word & kNumberMask)];
    return {word, word >> kNumberBits, shape.gap.load(std::memory_order_relaxed),
            shape.tau.load(std::memory_order_relaxed)};
  }
  // Acquire: whoever sees a number sees the rate that was stored before it.
  [[nodiscard]] State read() const { return at(word_.load(std::memory_order_acquire)); }
  /// Puts `tat` in the place of what `state` was read from; else reads anew.
  [[nodiscard]] bool replace(State& state, std::int64_t tat);
  void raise_to(std::int64_t tat);

  // TAT in the upper 62 bits (73 years of nanoseconds either way), the number of its rate in the lower two.
  std::atomic<std::int64_t> word_;
  std::array<Shape, kNumberMask + 1> shapes_;
};

}  // namespace sluice
