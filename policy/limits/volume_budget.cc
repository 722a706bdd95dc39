#include "policy/limits/volume_budget.h"

#include <algorithm>
#include <utility>

#include "policy/base/assert.h"

namespace sluice {
namespace {

constexpr unsigned kByteBits = 40;
constexpr std::uint64_t kByteMask = (std::uint64_t{1} << kByteBits) - 1;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << (64 - kByteBits)) - 1;
constexpr auto kRelaxed = std::memory_order_relaxed;
/// So many slots another shard's clock may be ahead.
constexpr std::int64_t kAheadMax = 1024;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr double kCostMax = 1e18;  // 31 years: what one message can owe at the pace of a limit

std::uint64_t tag_of(std::int64_t slot) { return static_cast<std::uint64_t>(slot) & kNumberMask; }
std::size_t index_of(std::int64_t slot) {
  const auto width = static_cast<std::int64_t>(VolumeBudget::kSlots + 2);
  return static_cast<std::size_t>(((slot % width) + width) % width);
}
std::int64_t ns(MonoTime time) { return time.time_since_epoch().count(); }
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

void raise(std::atomic<std::int64_t>& value, std::int64_t to) {
  std::int64_t old = value.load(kRelaxed);
  while (old < to && !value.compare_exchange_weak(old, to)) {
  }
}

/// The next value of VolumeBudget::reserved_.
std::uint64_t changed(std::uint64_t word, std::uint64_t bytes) {
  return ((word >> kByteBits) + 1) << kByteBits | (bytes & kByteMask);
}

void take_back(std::atomic<std::uint64_t>& reserved, std::uint64_t bytes) {
  std::uint64_t word = reserved.load();
  while (!reserved.compare_exchange_weak(word, changed(word, (word & kByteMask) - bytes))) {
  }
}

}  // namespace

VolumeBudget::Ledger::Ledger(std::uint64_t bytes, Duration length)
    : per(length.count()),
      width(per / static_cast<std::int64_t>(kSlots) + 1),
      limit(std::min(bytes, kBytesMax)) {
  SLUICE_ASSERT(bytes >= 1 && per > 0);
}

std::int64_t VolumeBudget::Ledger::slot_at(std::int64_t time) const { return floor_div(time, width); }

double VolumeBudget::Ledger::per_byte() const {
  return static_cast<double>(per) / static_cast<double>(limit.load(kRelaxed));
}

std::int64_t VolumeBudget::Ledger::cost(std::uint64_t bytes) const {
  return static_cast<std::int64_t>(std::min(kCostMax, static_cast<double>(bytes) * per_byte()));
}

void VolumeBudget::Ledger::add(std::int64_t slot, std::uint64_t bytes) {
  raise(ends, (slot + 1) * width);  // first: a slot nobody looks for counts for nobody
  std::atomic<std::uint64_t>& word = slots[index_of(slot)];
  std::uint64_t old = word.load();
  std::uint64_t next = 0;
  do {
    const std::uint64_t before = old >> kByteBits == tag_of(slot) ? old & kByteMask : 0;
    next = tag_of(slot) << kByteBits | std::min(before + bytes, kByteMask);
  } while (!word.compare_exchange_weak(old, next));
}

VolumeBudget::VolumeBudget(std::uint64_t bytes, Duration per)
    : owner_(std::make_unique<Ledger>(bytes, per)), newest_(owner_.get()), current_(owner_.get()) {}

template <class Visit>
void VolumeBudget::for_each_slot(std::int64_t now, std::int64_t begin, Visit visit) const {
  for (const Ledger* one = newest_.load(std::memory_order_acquire); one != nullptr; one = one->older.get()) {
    if (one->ends.load() <= begin) continue;
    const std::int64_t latest = one->slot_at(now) + kAheadMax;
    for (const std::atomic<std::uint64_t>& slot : one->slots) {
      const std::uint64_t word = slot.load();
      if ((word & kByteMask) == 0) continue;
      const auto age = static_cast<std::int64_t>((tag_of(latest) - (word >> kByteBits)) & kNumberMask);
      const std::int64_t ends = (latest - age + 1) * one->width;
      if (ends > begin) visit(word & kByteMask, ends);
    }
  }
}

/// What every ledger has in the window of `per` that ends at `now`.
VolumeBudget::Sum VolumeBudget::sum(std::int64_t now, std::int64_t per) const {
  Sum out;
  for_each_slot(now, now - per, [&out](std::uint64_t bytes, std::int64_t ends) {
    out.bytes += bytes;
    out.oldest_ends = std::min(out.oldest_ends, ends);
  });
  return out;
}

std::expected<void, VolumeBudget::Refusal> VolumeBudget::try_reserve(MonoTime now, std::uint64_t bytes) {
  const std::int64_t t = ns(now);
  if (const std::int64_t until = paced_until_.load(kRelaxed); until > t)
    return std::unexpected(Refusal{MonoTime{Duration{until}}, reserved() > 0});
  const Ledger& ledger = current();
  const std::uint64_t limit = ledger.limit.load(kRelaxed);
  std::uint64_t word = reserved_.load();
  for (;;) {
    // Read before the past, and delivered() writes the past first: nothing is out of sight in between.
    const std::uint64_t others = word & kByteMask;
    const Sum past = sum(t, ledger.per);
    if (past.bytes + others + bytes <= limit || (past.bytes == 0 && others == 0)) {
      if (reserved_.compare_exchange_weak(word, changed(word, others + bytes))) break;
      continue;
    }
    // What has ended meanwhile may have been counted twice.
    if (const std::uint64_t again = reserved_.load(); again != word) {
      word = again;
      continue;
    }
    // The oldest slot leaves the window first; what is under way will leave a window after it has ended.
    Refusal out;
    out.by_reserved = past.bytes == 0 || past.bytes + bytes <= limit;
    std::int64_t at = past.bytes == 0 ? t + ledger.per + ledger.width : past.oldest_ends + ledger.per;
    if (out.by_reserved) at = std::min(at, t + kReservedLookMax.count());
    out.again = MonoTime{Duration{std::max(at, t + kMillisecond)}};
    refused_until_.store(ns(out.again), kRelaxed);
    return std::unexpected(out);
  }
  // Pace: a late riser may catch up with one slot's worth, so that wake-ups a little late cost nothing.
  std::int64_t until = paced_until_.load(kRelaxed);
  const std::int64_t cost = ledger.cost(bytes);
  while (!paced_until_.compare_exchange_weak(until, std::max(until, t - ledger.width) + cost, kRelaxed)) {
  }
  return {};
}

void VolumeBudget::delivered(MonoTime now, std::uint64_t bytes) {
  std::uint64_t largest = largest_.load(kRelaxed);
  while (largest < bytes && !largest_.compare_exchange_weak(largest, bytes, kRelaxed)) {
  }
  Ledger& ledger = current();
  ledger.add(ledger.slot_at(ns(now)), bytes);
  take_back(reserved_, bytes);
}

void VolumeBudget::failed(std::uint64_t bytes) {
  paced_until_.fetch_sub(current().cost(bytes), kRelaxed);
  take_back(reserved_, bytes);
  refused_until_.store(INT64_MIN, kRelaxed);
}

std::uint64_t VolumeBudget::reserved() const { return reserved_.load(kRelaxed) & kByteMask; }

MonoTime VolumeBudget::next_time(MonoTime now) const {
  const std::int64_t t = ns(now);
  const std::int64_t until = std::max(paced_until_.load(kRelaxed), refused_until_.load(kRelaxed));
  return until > t ? MonoTime{Duration{until}} : now;
}

VolumeBudget::Past VolumeBudget::past(MonoTime now) const {
  return {sum(ns(now), current().per).bytes, largest_.load(kRelaxed)};
}

bool VolumeBudget::at_rest(MonoTime now) const {
  return reserved() == 0 && past(now).bytes == 0 && paced_until_.load(kRelaxed) <= ns(now);
}

void VolumeBudget::set_rate(MonoTime now, std::uint64_t bytes, Duration per) {
  SLUICE_ASSERT(bytes >= 1 && per.count() > 0);
  const std::uint64_t limit = std::min(bytes, kBytesMax);
  Ledger& before = current();
  if (before.per == per.count() && before.limit.load(kRelaxed) == limit) return;
  const double before_per_byte = before.per_byte();
  Ledger* next = owner_.get();
  while (next != nullptr && next->per != per.count()) next = next->older.get();
  if (next == nullptr) {
    auto made = std::make_unique<Ledger>(limit, per);
    next = made.get();
    made->older = std::move(owner_);
    owner_ = std::move(made);
    newest_.store(next, std::memory_order_release);
  }
  next->limit.store(limit, kRelaxed);
  current_.store(next, std::memory_order_release);
  // What is left to wait for the last message is reckoned by the new pace: a window at most, which is what the
  // past asks for by itself.
  const std::int64_t t = ns(now);
  const double scale = next->per_byte() / before_per_byte;
  std::int64_t until = paced_until_.load(kRelaxed);
  const auto rescaled = [&] {
    const auto wait = static_cast<double>(until - t);
    return t + static_cast<std::int64_t>(
                   std::min(wait * scale, std::max(wait, static_cast<double>(per.count()))));
  };
  while (until > t && !paced_until_.compare_exchange_weak(until, rescaled(), kRelaxed)) {
  }
  refused_until_.store(INT64_MIN, kRelaxed);
}

void VolumeBudget::count_with(MonoTime now, const VolumeBudget& other, MonoTime since) {
  Ledger& ledger = current();
  const std::int64_t begin = std::max(ns(since), ns(now) - ledger.per);
  // At the end of its slot: later than it can have been.
  other.for_each_slot(ns(now), begin, [&ledger](std::uint64_t bytes, std::int64_t ends) {
    ledger.add(ledger.slot_at(ends - 1), bytes);
  });
  if (const std::uint64_t under_way = other.reserved(); under_way > 0)
    ledger.add(ledger.slot_at(ns(now)), under_way);
}

void VolumeBudget::restore(MonoTime now, Past past, Duration ago) {
  Ledger& ledger = current();
  const std::int64_t last = ledger.slot_at(ns(now) - std::max<std::int64_t>(0, ago.count()));
  const std::int64_t first_counted = ledger.slot_at(ns(now)) - static_cast<std::int64_t>(kSlots);
  const std::uint64_t limit = ledger.limit.load(kRelaxed);
  const std::uint64_t each = (limit + kSlots - 1) / kSlots;
  std::uint64_t left = std::min(past.bytes, limit);
  // Pace allows one slot's worth and one message at once, and one more slot in the stretch around them.
  std::uint64_t here = 2 * each + past.largest;
  for (std::int64_t slot = last; slot >= first_counted && left > 0; --slot) {
    here = std::min(here, left);
    ledger.add(slot, here);
    left -= here;
    here = each;
  }
  largest_.store(past.largest, kRelaxed);
}

}  // namespace sluice
