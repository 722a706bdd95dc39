#pragma once
// What can stand between a conversation and its socket.

#include <cstddef>
#include <span>
#include <vector>

#include "policy/base/result.h"

namespace sluice::wire {

using Bytes = std::span<const std::byte>;
using Buffer = std::vector<std::byte>;

/// Turns the bytes of a conversation into those of its socket and back: TLS, or what a test puts there. A machine
/// without sockets, clocks and threads of its own.
/// Thread: one at a time. Errors: final, nothing more is asked of it; what it has put into `to_peer` by then (an
/// alert) is still sent.
class Layer {
 public:
  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  /// Begins: what it has to say before it hears anything, if anything.
  [[nodiscard]] virtual Status begin(Buffer& to_peer) = 0;
  /// The handshake is over: seal() may be called, and what arrives is the conversation's.
  [[nodiscard]] virtual bool is_established() const = 0;
  /// Takes all of `arrived`, in pieces as the network cuts them. Appends what it means to `plain`, and what has to be
  /// answered for the layer's own sake to `to_peer`.
  [[nodiscard]] virtual Status open(Bytes arrived, Buffer& plain, Buffer& to_peer) = 0;
  /// The peer has said that nothing more comes. When the socket ends before, the conversation was cut.
  [[nodiscard]] virtual bool has_ended() const = 0;
  /// Appends `plain` to `to_peer` as the peer's layer reads it.
  [[nodiscard]] virtual Status seal(Bytes plain, Buffer& to_peer) = 0;
  /// Appends what tells the peer that nothing more comes.
  virtual void end(Buffer& to_peer) = 0;
};

}  // namespace sluice::wire
