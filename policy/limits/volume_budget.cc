#include "policy/limits/volume_budget.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice {
namespace {

constexpr unsigned kByteBits = 40;
constexpr std::uint64_t kByteMask = (std::uint64_t{1} << kByteBits) - 1;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << (64 - kByteBits)) - 1;
constexpr auto kRelaxed = std::memory_order_relaxed;

std::uint64_t tag_of(std::int64_t slot) { return static_cast<std::uint64_t>(slot) & kNumberMask; }
std::size_t index_of(std::int64_t slot) {
  const auto width = static_cast<std::int64_t>(VolumeBudget::kSlots + 2);
  return static_cast<std::size_t>(((slot % width) + width) % width);
}
std::int64_t ns(MonoTime time) { return time.time_since_epoch().count(); }
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

VolumeBudget::VolumeBudget(std::uint64_t bytes, Duration per)
    : limit_(std::min(bytes, kBytesMax)), per_(per.count()) {
  SLUICE_ASSERT(bytes >= 1 && per.count() > 0);
}

std::int64_t VolumeBudget::slot_width() const {
  return per_.load(kRelaxed) / static_cast<std::int64_t>(kSlots) + 1;
}

std::int64_t VolumeBudget::cost(std::uint64_t bytes) const {
  const auto per_byte = static_cast<double>(per_.load(kRelaxed)) / static_cast<double>(limit_.load(kRelaxed));
  return static_cast<std::int64_t>(static_cast<double>(bytes) * per_byte);
}

/// Bytes of the slots that reach into the window; `oldest`: the number of the first of them that holds any.
std::uint64_t VolumeBudget::sum(std::int64_t slot_now, std::int64_t* oldest) const {
  std::uint64_t total = 0;
  for (std::int64_t slot = slot_now - static_cast<std::int64_t>(kSlots); slot <= slot_now + 1; ++slot) {
    const std::uint64_t word = slots_[index_of(slot)].load();
    if (word >> kByteBits != tag_of(slot) || (word & kByteMask) == 0) continue;
    if (total == 0 && oldest != nullptr) *oldest = slot;
    total += word & kByteMask;
  }
  return total;
}

void VolumeBudget::add(std::int64_t slot, std::uint64_t bytes) {
  std::atomic<std::uint64_t>& word = slots_[index_of(slot)];
  std::uint64_t old = word.load();
  std::uint64_t next = 0;
  do {
    const std::uint64_t before = old >> kByteBits == tag_of(slot) ? old & kByteMask : 0;
    next = tag_of(slot) << kByteBits | std::min(before + bytes, kByteMask);
  } while (!word.compare_exchange_weak(old, next));
}

std::expected<void, MonoTime> VolumeBudget::try_reserve(MonoTime now, std::uint64_t bytes) {
  const std::int64_t t = ns(now);
  if (const std::int64_t until = paced_until_.load(kRelaxed); until > t)
    return std::unexpected(MonoTime{Duration{until}});
  // Reserved before it is checked: of two shards that ask at once both may be refused, but never both let
  // through. delivered() writes the slot before it takes the reservation back, so nothing is out of sight in
  // between.
  const std::uint64_t others = reserved_.fetch_add(bytes);
  const std::int64_t width = slot_width();
  const std::int64_t slot = floor_div(t, width);
  std::int64_t oldest = slot;
  const std::uint64_t past = sum(slot, &oldest);
  const bool empty = past == 0 && others == 0;
  if (past + others + bytes > limit_.load(kRelaxed) && !empty) {
    reserved_.fetch_sub(bytes);
    // The oldest slot leaves the window first; what is under way may end or fail at any moment.
    const std::int64_t leaves = (oldest + static_cast<std::int64_t>(kSlots) + 1) * width;
    const std::int64_t soon = t + std::max<std::int64_t>(width, 1'000'000);
    const std::int64_t again = past == 0 ? soon : std::max(leaves, t + 1'000'000);
    refused_until_.store(again, kRelaxed);
    return std::unexpected(MonoTime{Duration{again}});
  }
  // Pace: a late riser may catch up with one slot's worth, so that wake-ups a little late cost nothing.
  std::int64_t until = paced_until_.load(kRelaxed);
  while (!paced_until_.compare_exchange_weak(until, std::max(until, t - width) + cost(bytes), kRelaxed)) {
  }
  return {};
}

void VolumeBudget::delivered(MonoTime now, std::uint64_t bytes) {
  std::uint64_t largest = largest_.load(kRelaxed);
  while (largest < bytes && !largest_.compare_exchange_weak(largest, bytes, kRelaxed)) {
  }
  add(floor_div(ns(now), slot_width()), bytes);
  reserved_.fetch_sub(bytes);
}

void VolumeBudget::failed(std::uint64_t bytes) {
  reserved_.fetch_sub(bytes);
  paced_until_.fetch_sub(cost(bytes), kRelaxed);
  refused_until_.store(INT64_MIN, kRelaxed);
}

MonoTime VolumeBudget::next_time(MonoTime now) const {
  const std::int64_t t = ns(now);
  const std::int64_t until = std::max(paced_until_.load(kRelaxed), refused_until_.load(kRelaxed));
  return until > t ? MonoTime{Duration{until}} : now;
}

VolumeBudget::Past VolumeBudget::past(MonoTime now) const {
  return {sum(floor_div(ns(now), slot_width()), nullptr), largest_.load(kRelaxed)};
}

void VolumeBudget::set_rate(MonoTime now, std::uint64_t bytes, Duration per) {
  SLUICE_ASSERT(bytes >= 1 && per.count() > 0);
  const bool same_window = per.count() == per_.load(kRelaxed);
  const Past before = past(now);
  refused_until_.store(INT64_MIN, kRelaxed);
  limit_.store(std::min(bytes, kBytesMax));
  if (same_window) return;
  for (auto& slot : slots_) slot.store(0);
  per_.store(per.count());
  restore(now, before, Duration{0});
}

void VolumeBudget::restore(MonoTime now, Past past, Duration ago) {
  const std::int64_t width = slot_width();
  const std::int64_t last = floor_div(ns(now) - std::max<std::int64_t>(0, ago.count()), width);
  const std::int64_t first_counted = floor_div(ns(now), width) - static_cast<std::int64_t>(kSlots);
  const std::uint64_t limit = limit_.load(kRelaxed);
  const std::uint64_t each = (limit + kSlots - 1) / kSlots;
  std::uint64_t left = std::min(past.bytes, limit);
  // Pace allows one slot's worth and one message at once, and one more slot in the stretch around them.
  std::uint64_t here = 2 * each + past.largest;
  for (std::int64_t slot = last; slot >= first_counted && left > 0; --slot) {
    here = std::min(here, left);
    add(slot, here);
    left -= here;
    here = each;
  }
  largest_.store(past.largest, kRelaxed);
}

}  // namespace sluice
