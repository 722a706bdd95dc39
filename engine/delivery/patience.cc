#include "engine/delivery/patience.h"

#include <algorithm>
#include <utility>

namespace sluice::delivery {
namespace {

constexpr Duration kQuitTimeout = 2s;  // nothing depends on its answer, and others may want the slot

Duration silence_of(net::ClientPhase phase, const config::DomainSettings& settings) {
  switch (phase) {
    case net::ClientPhase::Greeting: return settings.smtp_greeting_timeout;
    case net::ClientPhase::BodyTransfer: return settings.data_send_timeout;
    case net::ClientPhase::FinalReply: return settings.smtp_data_termination_timeout;
    case net::ClientPhase::Quit: return kQuitTimeout;
    case net::ClientPhase::Ehlo:
    case net::ClientPhase::StartTls:
    case net::ClientPhase::Auth:
    case net::ClientPhase::Reset:
    case net::ClientPhase::Mail:
    case net::ClientPhase::Rcpt:
    case net::ClientPhase::Data:
    case net::ClientPhase::Idle:
    case net::ClientPhase::Closed: break;
  }
  return settings.smtp_multiple_line_response_timeout;
}

}  // namespace

void Patience::sends(std::uint64_t bytes, std::uint64_t taken, Duration timeout, MonoTime now) {
  send_timeout_ = timeout;
  last_progress_ = now;
  taken_ = taken;
  send_until_ = now + timeout * static_cast<std::int64_t>(1 + bytes / kPieceBytes);
}

bool Patience::still_sends(std::uint64_t taken, MonoTime now) {
  if (taken > taken_) {
    taken_ = taken;
    last_progress_ = now;
  }
  return now - last_progress_ < send_timeout_ && now < send_until_;
}

void Patience::hears(std::uint64_t replies, bool in_reply, MonoTime now) {
  last_heard_ = now;
  if (!in_reply) {
    reply_began_.reset();
  } else if (!reply_began_ || replies != replies_) {
    reply_began_ = now;
  }
}

MonoTime Patience::reply_due(net::ClientPhase phase, std::uint64_t replies,
                             const config::DomainSettings& settings, MonoTime now) {
  if (phase != phase_ || replies != replies_ || waits_since_ == MonoTime{}) {
    phase_ = phase;
    replies_ = replies;
    waits_since_ = now;
  }
  const Duration silence = silence_of(phase, settings);
  if (!reply_began_) return waits_since_ + silence;
  const Duration whole =
      phase == net::ClientPhase::Quit ? kQuitTimeout : settings.smtp_multiple_line_response_timeout;
  return std::min(std::max(last_heard_, waits_since_) + silence, *reply_began_ + whole);
}

Duration Patience::silent_for(std::uint64_t taken, MonoTime now) {
  if (std::exchange(looked_taken_, taken) != taken || looked_ == MonoTime{}) looked_ = now;
  return now - std::max({looked_, last_heard_, waits_since_, last_progress_});
}

bool Patience::was_still_reading(std::uint64_t taken, MonoTime now) {
  if (taken <= taken_ || now >= send_until_) return false;
  taken_ = taken;
  waits_since_ = now;
  return true;
}

}  // namespace sluice::delivery
