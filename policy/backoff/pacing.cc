#include "policy/backoff/pacing.h"

#include <algorithm>
#include <cmath>

#include "policy/backoff/state_text.h"

namespace sluice {
namespace {

// Rates slower than one in ten days mean nothing, faster ones than this no bucket keeps.
constexpr double kSlowestPerSecond = 1e-6;
constexpr double kFastestPerSecond = 1e6;
constexpr double kStoredScale = 1e6;  // stored as millionths per second

double per_second(const Rate& rate) {
  return static_cast<double>(rate.events) * 1e9 / static_cast<double>(rate.per.count());
}

/// Never above `value`: both forms round towards slower.
Rate to_rate(double value) {
  const double per_minute = std::floor(std::min(value, kFastestPerSecond) * 60);
  if (per_minute >= 1) return {static_cast<std::uint64_t>(per_minute), 60s};
  return {1, Duration{static_cast<std::int64_t>(std::ceil(1e9 / std::max(value, kSlowestPerSecond)))}};
}

}  // namespace

void Pacing::roll(MonoTime now) {
  const Duration passed = now - window_start_;
  if (passed < kMeterWindow) return;
  window_before_ = passed < 2 * kMeterWindow ? window_count_ : 0;
  window_count_ = 0;
  // Windows begin at the first count behind the one before: an idle queue needs no timer for this.
  window_start_ = passed < 2 * kMeterWindow ? window_start_ + kMeterWindow : now;
}

void Pacing::count(MonoTime now, std::uint32_t recipients) {
  roll(now);
  window_count_ += recipients;
  interval_count_ += recipients;
}

double Pacing::measured(MonoTime now) const {
  const Duration passed = now - window_start_;
  if (passed >= 2 * kMeterWindow) return 0;
  const std::uint32_t most = passed >= kMeterWindow ? window_count_ : std::max(window_count_, window_before_);
  return most / std::chrono::duration<double>(kMeterWindow).count();
}

bool Pacing::on_push_back(MonoTime now, const PacingRules& rules, const std::optional<Rate>& ceiling) {
  if (limit_ > 0) next_step_ = now + rules.interval;  // not calm
  if (cut_pause_until_ && now < *cut_pause_until_) return false;
  double base = limit_;
  if (ceiling && (base == 0 || per_second(*ceiling) < base)) base = per_second(*ceiling);
  const double sent = measured(now);
  if (base == 0 || (sent > 0 && sent < base)) base = sent;
  const double kept = (100.0 - rules.cut_percent) / 100;
  double floor = per_second(rules.floor);
  if (ceiling) floor = std::min(floor, per_second(*ceiling));
  const double before = limit_;
  limit_ = std::max({base * kept, floor, kSlowestPerSecond});
  if (before > 0) limit_ = std::min(limit_, before);
  if (last_good_ == 0 || base <= last_good_) last_good_ = std::max(limit_, (limit_ + base) / 2);
  interval_count_ = 0;
  next_step_ = now + rules.interval;
  cut_pause_until_ = now + std::max(kCutPauseMin, Duration{static_cast<std::int64_t>(2e9 / limit_)});
  on_ceiling(ceiling);
  return limit_ != before;
}

bool Pacing::on_time(MonoTime now, const PacingRules& rules, const std::optional<Rate>& ceiling) {
  if (limit_ == 0 || !next_step_ || now < *next_step_) return false;
  const double before = limit_;
  const double good = last_good_;
  last_good_ = std::max(last_good_, limit_);
  const double whole = ceiling ? per_second(*ceiling) : limit_;
  const double step = whole * rules.step_percent / 100;
  // Up to the last good rate in full steps, beyond it carefully.
  const double to_good = std::clamp(good - limit_, 0.0, step);
  limit_ += to_good > 0 ? to_good : step / 4;
  const double allowed = before * std::chrono::duration<double>(rules.interval).count();
  if (!ceiling && static_cast<double>(interval_count_) * 2 < allowed) limit_ = 0;
  interval_count_ = 0;
  next_step_ = now + rules.interval;
  on_ceiling(ceiling);
  return limit_ != before;
}

bool Pacing::on_ceiling(const std::optional<Rate>& ceiling) {
  if (limit_ == 0 || !ceiling || limit_ < per_second(*ceiling)) return false;
  limit_ = 0;
  next_step_.reset();
  return true;
}

std::optional<Rate> Pacing::limit() const {
  return limit_ > 0 ? std::optional(to_rate(limit_)) : std::nullopt;
}
std::optional<Rate> Pacing::last_good() const {
  return last_good_ > 0 ? std::optional(to_rate(last_good_)) : std::nullopt;
}

std::string Pacing::encode(MonoTime now, WallTime wall_now) const {
  if (limit_ == 0 && last_good_ == 0) return {};
  const auto number = [](double rate) { return std::to_string(std::llround(rate * kStoredScale)); };
  return number(limit_) + ' ' + number(last_good_) + ' ' + encode_time(next_time(), now, wall_now);
}

Pacing Pacing::decode(std::string_view text, MonoTime now, WallTime wall_now) {
  Pacing out;
  const auto limit = parse_integer(take_word(text));
  const auto good = parse_integer(take_word(text));
  const auto next = decode_time(take_word(text), now, wall_now);
  const auto valid = [](const std::optional<std::int64_t>& rate) {
    return rate && *rate >= 0 && static_cast<double>(*rate) <= kFastestPerSecond * kStoredScale;
  };
  if (!valid(limit) || !valid(good) || !next || (*limit > 0 && !*next)) return out;
  out.limit_ = static_cast<double>(*limit) / kStoredScale;
  out.last_good_ = static_cast<double>(*good) / kStoredScale;
  out.next_step_ = *next;
  return out;
}

std::string rate_text(const Rate& rate) {
  static constexpr std::pair<Duration, std::string_view> kUnits[] = {
      {24h, "d"}, {1h, "h"}, {1min, "min"}, {1s, "s"}};
  for (const auto& [unit, name] : kUnits) {
    if (rate.per.count() % unit.count() != 0) continue;
    const auto times = rate.per.count() / unit.count();
    return std::to_string(rate.events) + '/' + (times == 1 ? std::string() : std::to_string(times)) +
           std::string(name);
  }
  const double per_hour = per_second(rate) * 3600;
  if (per_hour >= 1) return std::to_string(static_cast<std::uint64_t>(std::llround(per_hour))) + "/h";
  return std::to_string(static_cast<std::uint64_t>(std::max<long long>(1, std::llround(per_hour * 24)))) +
         "/d";
}

}  // namespace sluice
