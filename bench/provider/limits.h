#pragma once
// What the sink's threads share about a provider: connections, rates and greylisting. Lock-free; every field is an
// atomic, and a limit that two threads reach at once is kept exactly.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bench/provider/provider.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// A receiver's idea of a rate: up to `events` at once, then one for every `per / events` (GCRA with a full burst).
class RateGate {
 public:
  [[nodiscard]] bool take(const Rate& rate, MonoTime now);

 private:
  std::atomic<std::int64_t> free_at_ns_{INT64_MIN};  // theoretical arrival time
};

/// The highest of all values shown to it.
class Peak {
 public:
  void raise(std::uint64_t value) {
    std::uint64_t seen = value_.load(std::memory_order_relaxed);
    while (value > seen && !value_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A count with a ceiling and its highest value ever.
class Gauge {
 public:
  /// False, and not counted: `max` are in already. nullopt: no ceiling.
  [[nodiscard]] bool enter(std::optional<std::uint64_t> max);
  void leave() { now_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t now() const { return now_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t peak() const { return peak_.value(); }

 private:
  std::atomic<std::uint64_t> now_{0};
  Peak peak_;
};

/// Counters of one client address at one provider.
struct SourceState {
  std::atomic<std::uint64_t> key{0};  // hash of the address; 0 = free
  Gauge connections;
  RateGate connection_rate;
  RateGate message_rate;
};

/// Thread: any. Limits: kSourcesMax client addresses; further ones share the table's last places, which makes limits
/// for them too strict, and is counted.
class ProviderState {
 public:
  static constexpr std::size_t kSourcesMax = 4096;

  explicit ProviderState(const Provider& provider);
  [[nodiscard]] const Provider& provider() const { return provider_; }
  [[nodiscard]] SourceState& source(const IpAddress& address);
  [[nodiscard]] std::uint64_t source_overflows() const { return overflows_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t source_peak() const;  ///< most connections any one address ever had
  [[nodiscard]] std::uint64_t sources_seen() const;

  Gauge connections;
  RateGate connection_rate;
  RateGate message_rate;
  Peak messages_peak;  ///< taken over on one connection
  /// Number of events a rule saw; for "first N" and "every N".
  [[nodiscard]] std::uint64_t count_rule(Phase phase, std::size_t rule) {
    return rule_events_[rule_base_[static_cast<std::size_t>(phase)] + rule].fetch_add(
        1, std::memory_order_relaxed);
  }
  /// Greylisting: true when this triple was first seen at least `wait` ago. `seconds`: of the sink's run.
  /// Limits: kGreylistSlots triples; the oldest of a slot's neighbours is forgotten.
  [[nodiscard]] bool greylist_passes(std::uint64_t triple, Duration wait, MonoTime now, MonoTime start);
  static constexpr std::size_t kGreylistSlots = std::size_t{1} << 20;

 private:
  const Provider& provider_;
  std::vector<SourceState> sources_;
  std::atomic<std::uint64_t> overflows_{0};
  std::array<std::size_t, kPhases> rule_base_{};
  std::unique_ptr<std::atomic<std::uint64_t>[]> rule_events_;
  // Upper 32 bits: part of the triple; lower: milliseconds of the first try + 1 (49 days). 0 = free.
  std::unique_ptr<std::atomic<std::uint64_t>[]> greylist_;
};

}  // namespace sluice::bench
