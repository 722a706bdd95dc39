#pragma once

#include <cstdint>
#include <optional>

#include "net/smtp/server.h"
#include "policy/base/units.h"

namespace sluice::injection {

/// How long an injecting client may take, whether it falls silent or drips byte by byte:
///   a command     `command` for the whole line, however many bytes arrive in between;
///   a message     `data` without a byte, and kBodyBytesPerSecond on average over all of DATA or all chunks of
///                 BDAT, after the first `data`.
/// Time in which the client waits for us (a check of its sender, the disk) does not count.
/// Thread: one at a time. Pure: no timer, no clock.
class ClientClock {
 public:
  static constexpr std::uint64_t kBodyBytesPerSecond = 1000;
  struct Limits {
    Duration command;  ///< smtp-command-timeout
    Duration data;     ///< smtp-data-timeout
  };
  explicit ClientClock(Limits limits) : limits_(limits) {}

  /// When the client has taken too long; nullopt: it is our turn. To be asked whenever `server` has worked on
  /// something, before waiting for more.
  [[nodiscard]] std::optional<MonoTime> deadline(const net::Server& server, MonoTime now);

 private:
  [[nodiscard]] MonoTime command_deadline(const net::Server& server, MonoTime now);
  [[nodiscard]] MonoTime body_deadline(const net::Server& server, MonoTime now);

  Limits limits_;
  MonoTime heard_{};                        // of the body: the last byte
  std::optional<MonoTime> command_since_;   // the server waits for a whole command
  std::optional<MonoTime> message_since_;   // moved forward by the time in which the client waited for us
  std::optional<MonoTime> our_turn_since_;  // while it does
  std::uint64_t commands_ = 0;
  std::uint64_t body_before_ = 0;  // bytes of messages before this one
  std::uint64_t body_seen_ = 0;
};

}  // namespace sluice::injection
