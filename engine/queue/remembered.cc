#include "engine/queue/remembered.h"

#include <charconv>

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
  const std::string& text = found->second;
  if (std::from_chars(text.data(), text.data() + text.size(), until_ms).ec != std::errc{}) return;
  const Duration left = WallTime(std::chrono::milliseconds(until_ms)) - wall_now;
  if (left > Duration{0}) bucket.restore(now, left);
}

std::optional<std::string> Remembered::value_of(const TokenBucket& bucket, MonoTime now, WallTime wall_now) {
  if (bucket.gap() < kStoredGapMin) return std::nullopt;
  const WallTime until = wall_now + std::chrono::ceil<std::chrono::milliseconds>(bucket.debt(now));
  return std::to_string(until.time_since_epoch().count());
}

}  // namespace sluice::queue
