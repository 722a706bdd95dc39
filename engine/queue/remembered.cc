#include "engine/queue/remembered.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/log/bytes.h"

namespace sluice::queue {

void Remembered::restore(TokenBucket& bucket, const std::string& key, MonoTime now, WallTime wall_now) const {
  if (bucket.gap() < kStoredGapMin) {
    // Before the restart tokens came a gap apart; one gap of silence keeps every window that spans it whole.
    const Duration silent = now - start_;
    if (silent < bucket.gap()) bucket.restore(now, bucket.gap() + bucket.tolerance() - silent);
    return;
  }
  const auto found = values_.find(key);
  if (found == values_.end()) return;
  std::int64_t until_ms = 0;
  const std::string& text = found->second.text;
  if (std::from_chars(text.data(), text.data() + text.size(), until_ms).ec != std::errc{}) return;
  const Duration left = log::stored_time(until_ms) - wall_now;
  if (left > Duration{0}) bucket.restore(now, left);
}

std::optional<std::string> Remembered::value_of(const TokenBucket& bucket, MonoTime now, WallTime wall_now) {
  if (bucket.gap() < kStoredGapMin) return std::nullopt;
  const WallTime until = wall_now + std::chrono::ceil<std::chrono::milliseconds>(bucket.debt(now));
  return std::to_string(until.time_since_epoch().count());
}

void Remembered::restore(VolumeBudget& budget, const std::string& key, MonoTime now,
                         WallTime wall_now) const {
  if (budget.per() < kStoredVolumeMin) {
    const Duration since = now - start_;
    if (since < budget.per()) budget.restore(now, {budget.bytes(), 0}, since);
    return;
  }
  const auto found = values_.find(key);
  if (found == values_.end()) return;
  // "WALL-MS BYTES LARGEST"
  const char* at = found->second.text.data();
  const char* const end = at + found->second.text.size();
  std::array<std::uint64_t, 3> numbers{};
  for (std::uint64_t& number : numbers) {
    while (at != end && *at == ' ') ++at;
    const auto [next, code] = std::from_chars(at, end, number);
    if (code != std::errc{}) return;
    at = next;
  }
  const Duration ago = wall_now - log::stored_time(static_cast<std::int64_t>(numbers[0]));
  if (ago >= budget.per()) return;
  // Stored once in a slot: what the rest of that slot may have held comes on top.
  const std::uint64_t unseen = budget.bytes() / VolumeBudget::kSlots + 1 + numbers[2];
  budget.restore(now, {numbers[1] + unseen, numbers[2]}, std::max(ago, Duration{0}));
}

std::optional<std::string> Remembered::value_of(const VolumeBudget& budget, MonoTime now, WallTime wall_now) {
  if (budget.per() < kStoredVolumeMin) return std::nullopt;
  const VolumeBudget::Past past = budget.past(now);
  return std::to_string(wall_now.time_since_epoch().count()) + ' ' + std::to_string(past.bytes) + ' ' +
         std::to_string(past.largest);
}

}  // namespace sluice::queue
