#include "bench/provider/limits.h"

#include <algorithm>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {
constexpr std::size_t kProbesMax = 64;
constexpr std::size_t kGreylistNeighbours = 4;
}  // namespace

bool RateGate::take(const Rate& rate, MonoTime now) {
  const std::int64_t now_ns = now.time_since_epoch().count();
  const std::int64_t gap = rate.per.count() / static_cast<std::int64_t>(rate.events);
  std::int64_t seen = free_at_ns_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t from = std::max(seen, now_ns);
    if (from - now_ns > rate.per.count() - gap) return false;
    if (free_at_ns_.compare_exchange_weak(seen, from + gap, std::memory_order_relaxed)) return true;
  }
}

bool Gauge::enter(std::optional<std::uint64_t> max) {
  const std::uint64_t before = now_.fetch_add(1, std::memory_order_relaxed);
  if (max && before >= *max) {
    now_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  peak_.raise(before + 1);
  return true;
}

ProviderState::ProviderState(const Provider& provider) : provider_(provider), sources_(kSourcesMax) {
  std::size_t rules = 0;
  for (std::size_t phase = 0; phase < kPhases; ++phase) {
    rule_base_[phase] = rules;
    rules += provider.rules[phase].size();
  }
  rule_events_ = std::make_unique<std::atomic<std::uint64_t>[]>(rules + 1);
  if (provider.greylist) greylist_ = std::make_unique<std::atomic<std::uint64_t>[]>(kGreylistSlots);
}

SourceState& ProviderState::source(const IpAddress& address) {
  const std::uint64_t key = std::hash<IpAddress>{}(address) | 1;
  std::size_t at = mix(key) % kSourcesMax;
  for (std::size_t probe = 0; probe < kProbesMax; ++probe, at = (at + 1) % kSourcesMax) {
    std::uint64_t found = sources_[at].key.load(std::memory_order_acquire);
    if (found == key) return sources_[at];
    if (found == 0 && sources_[at].key.compare_exchange_strong(found, key, std::memory_order_acq_rel)) {
      return sources_[at];
    }
    if (found == key) return sources_[at];
  }
  overflows_.fetch_add(1, std::memory_order_relaxed);
  return sources_[at];
}

std::uint64_t ProviderState::source_peak() const {
  std::uint64_t peak = 0;
  for (const SourceState& source : sources_) peak = std::max(peak, source.connections.peak());
  return peak;
}

std::uint64_t ProviderState::sources_seen() const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(sources_, [](const SourceState& source) { return source.key.load() != 0; }));
}

bool ProviderState::greylist_passes(std::uint64_t triple, Duration wait, MonoTime now, MonoTime start) {
  const std::uint64_t tag = triple & 0xffffffff00000000ULL;
  const auto now_ms = static_cast<std::uint64_t>((now - start) / 1ms) + 1;
  const auto wait_ms = static_cast<std::uint64_t>(wait / 1ms);
  std::size_t at = triple % kGreylistSlots;
  std::size_t oldest = at;
  std::uint64_t oldest_ms = UINT64_MAX;
  for (std::size_t i = 0; i < kGreylistNeighbours; ++i, at = (at + 1) % kGreylistSlots) {
    const std::uint64_t slot = greylist_[at].load(std::memory_order_relaxed);
    const std::uint64_t first_ms = slot & 0xffffffffULL;
    if (slot != 0 && (slot & 0xffffffff00000000ULL) == tag) return now_ms >= first_ms + wait_ms;
    if (first_ms < oldest_ms) {
      oldest_ms = first_ms;
      oldest = at;
    }
  }
  // Two threads that race here for one slot forget one triple: it is greylisted once more, which real lists do too.
  greylist_[oldest].store(tag | (now_ms & 0xffffffffULL), std::memory_order_relaxed);
  return false;
}

}  // namespace sluice::bench
