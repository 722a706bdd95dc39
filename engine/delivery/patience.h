#pragma once
// How long a receiver may keep a connection waiting. Each time has two parts: silence, and the whole.

#include <cstdint>
#include <optional>

#include "net/smtp/client.h"
#include "policy/base/units.h"
#include "policy/settings/domain_settings.h"

namespace sluice::delivery {

/// Times one connection's waits. Pure: no clock, no timer.
/// Thread:   one shard, that of the connection.
///
///   a reply    silence: the phase's time-out (smtp-greeting-timeout, smtp-data-termination-timeout,
///              else smtp-multiple-line-response-timeout), from when it was waited for, or its last byte;
///              the whole: smtp-multiple-line-response-timeout, from its first byte to its last
///   a message  silence: data-send-timeout without the receiver taking a byte;
///              the whole: data-send-timeout for each begun kPieceBytes of it
///
/// What the receiver has taken is what its side has acknowledged, so a slow reader behind large buffers counts
/// as the reader it is. The time for the reply to a message begins when all of it was taken.
class Patience {
 public:
  /// Slower than this in a data-send-timeout is not reading: 364 bytes a second at the default of 3 minutes.
  static constexpr std::uint64_t kPieceBytes = 64 * kKiB;
  /// A silence while sending is noticed this much of it late at most.
  static constexpr int kLooksPerSilence = 8;

  /// A message, or commands, of so many bytes begin to be sent; `taken`: bytes acknowledged so far.
  void sends(std::uint64_t bytes, std::uint64_t taken, Duration timeout, MonoTime now);
  /// False: it is time to give up. Asked now and then while a send is under way.
  [[nodiscard]] bool still_sends(std::uint64_t taken, MonoTime now);
  /// When to ask that again.
  [[nodiscard]] MonoTime next_look(MonoTime now) const { return now + send_timeout_ / kLooksPerSilence; }

  /// Bytes came: `replies` complete ones so far, `in_reply` when another has begun.
  void hears(std::uint64_t replies, bool in_reply, MonoTime now);
  /// Until when the reply that is waited for in `phase` is waited for.
  [[nodiscard]] MonoTime reply_due(net::ClientPhase phase, std::uint64_t replies,
                                   const config::DomainSettings& settings, MonoTime now);
  /// How long the receiver has neither taken a byte nor said one, as far as these looks can tell.
  [[nodiscard]] Duration silent_for(std::uint64_t taken, MonoTime now);
  /// The reply to a message is due; true: the receiver was still taking its bytes, so the time begins anew.
  [[nodiscard]] bool was_still_reading(std::uint64_t taken, MonoTime now);

 private:
  // Looks from outside.
  std::uint64_t looked_taken_ = 0;
  MonoTime looked_{};
  // Sending.
  Duration send_timeout_{};
  MonoTime send_until_{};  // the whole
  MonoTime last_progress_{};
  std::uint64_t taken_ = 0;
  // Replies.
  net::ClientPhase phase_ = net::ClientPhase::Greeting;
  std::uint64_t replies_ = 0;
  MonoTime waits_since_{};
  MonoTime last_heard_{};
  std::optional<MonoTime> reply_began_;
};

}  // namespace sluice::delivery
