#include "policy/backoff/queue_mode.h"

#include <algorithm>

#include "policy/backoff/state_text.h"

namespace sluice {
namespace {

constexpr std::string_view kCauses[] = {"reply", "command", "all-sources-disabled", "time", "delivery"};

}  // namespace

std::string_view name_of(ModeCause cause) { return kCauses[static_cast<std::size_t>(cause)]; }

bool ModeState::enter_backoff(Entry entry, const ModeRules& rules, MonoTime now) {
  const auto end_of = [now](const std::optional<Duration>& time) {
    return time ? std::optional(now + *time) : std::nullopt;
  };
  if (in_backoff()) {
    if (entry.to_normal_after && ends_at_) ends_at_ = std::max(*ends_at_, now + *entry.to_normal_after);
    return false;
  }
  mode_ = config::QueueMode::Backoff;
  cause_ = entry.cause;
  reason_ = std::move(entry.reason);
  if (reason_.size() > kReasonBytesMax) reason_.resize(kReasonBytesMax);
  ends_at_ = end_of(entry.to_normal_after ? entry.to_normal_after : rules.to_normal_after);
  return true;
}

bool ModeState::leave_backoff(ModeCause cause, std::string_view reason) {
  if (!in_backoff()) return false;
  mode_ = config::QueueMode::Normal;
  cause_ = cause;
  reason_ = reason.substr(0, kReasonBytesMax);
  ends_at_.reset();
  return true;
}

bool ModeState::on_delivery(const ModeRules& rules) {
  return rules.to_normal_after_delivery &&
         leave_backoff(ModeCause::Delivery, "backoff-to-normal-after-delivery");
}

bool ModeState::on_time(MonoTime now) {
  return ends_at_ && now >= *ends_at_ && leave_backoff(ModeCause::Time, "backoff-to-normal-after");
}

std::string ModeState::encode(MonoTime now, WallTime wall_now) const {
  if (!in_backoff()) return {};
  std::string out(name_of(cause_));
  out += ' ';
  out += encode_time(ends_at_, now, wall_now);
  out += ' ';
  out += reason_;
  return out;
}

ModeState ModeState::decode(std::string_view text, MonoTime now, WallTime wall_now) {
  ModeState out;
  const std::string_view cause = take_word(text);
  const std::string_view ends = take_word(text);
  const auto* found = std::find(std::begin(kCauses), std::end(kCauses), cause);
  const auto time = decode_time(ends, now, wall_now);
  if (found == std::end(kCauses) || !time) return out;
  out.mode_ = config::QueueMode::Backoff;
  out.cause_ = static_cast<ModeCause>(found - std::begin(kCauses));
  out.reason_ = text.substr(0, kReasonBytesMax);
  out.ends_at_ = *time;
  return out;
}

}  // namespace sluice
