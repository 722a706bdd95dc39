#include "engine/injection/client_clock.h"

#include <algorithm>

namespace sluice::injection {

std::optional<MonoTime> ClientClock::deadline(const net::Server& server, MonoTime now) {
  using Phase = net::Server::Phase;
  const Phase phase = server.phase();
  if (phase == Phase::Answer || phase == Phase::Closing) {
    if (!our_turn_since_) our_turn_since_ = now;
    command_since_.reset();
    return std::nullopt;
  }
  if (our_turn_since_ && message_since_) *message_since_ += now - *our_turn_since_;
  our_turn_since_.reset();
  // Between two chunks of a message its clock goes on.
  if (!server.in_message() && phase != Phase::Body) message_since_.reset();
  if (phase == Phase::Body) {
    command_since_.reset();
    return body_deadline(server, now);
  }
  const MonoTime command = command_deadline(server, now);
  if (!server.in_message()) return command;
  return std::min(command, body_deadline(server, now));
}

MonoTime ClientClock::command_deadline(const net::Server& server, MonoTime now) {
  if (!command_since_ || commands_ != server.commands()) command_since_ = now;
  commands_ = server.commands();
  return *command_since_ + limits_.command;
}

MonoTime ClientClock::body_deadline(const net::Server& server, MonoTime now) {
  const std::uint64_t bytes = server.body_bytes();
  if (!message_since_) {
    message_since_ = now;
    heard_ = now;
    body_before_ = body_seen_;
  }
  if (bytes != body_seen_) heard_ = now;
  body_seen_ = bytes;
  const auto earned = std::chrono::milliseconds((bytes - body_before_) * 1000 / kBodyBytesPerSecond);
  return std::min(heard_ + limits_.data, *message_since_ + limits_.data + earned);
}

}  // namespace sluice::injection
