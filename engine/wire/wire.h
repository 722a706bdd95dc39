#pragma once
// One conversation's bytes, whether they go as they are or through a layer (TLS).

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/runtime/send_progress.h"
#include "engine/runtime/stream.h"
#include "engine/wire/layer.h"

namespace sluice::wire {

/// How long the other side may take, in two parts: to do anything at all, and to do the whole of it. So neither one
/// that says nothing nor one that drips holds a conversation.
struct Allowance {
  Duration silence{};
  Duration whole{};
};

/// A connection as a conversation sees it. Plain: every call is the stream's, at its cost. With a layer: the same
/// calls, and the same bytes at both ends.
/// Thread:   its reactor's shard. One receiver and one sender at a time.
/// Lifetime: as runtime::Stream; a wire that moves while something is awaited on it moves under the waiter's feet:
///           don't.
/// Limits:   with a layer, kSealedAtOnce bytes are sealed at a time; one receive buffer is opened at a time. What
///           nobody reads stays with the kernel (runtime::Stream).
/// Errors:   as runtime::Stream. Also BadInput: the peer broke the layer's rules; nothing more comes. A socket that
///           ends before its layer has said so answers PeerClosed, not an end: somebody may have cut the conversation.
class Wire {
 public:
  static constexpr std::size_t kSealedAtOnce = 64 * 1024;

  Wire() = default;  ///< no connection
  Wire(runtime::Reactor& reactor, runtime::Stream stream)
      : reactor_(&reactor),
        progress_(dynamic_cast<runtime::SendProgress*>(&reactor)),
        stream_(std::move(stream)) {}

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(stream_); }
  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] runtime::Reactor& reactor() const { return *reactor_; }
  /// The stream's plain bytes so far are not the conversation's (a proxy's header): sent_bytes() and
  /// acknowledged_bytes() count from here.
  void begin_here() { before_ = stream_.sent_bytes(); }

  // --- In.
  /// The next bytes; empty bytes are the end of the conversation.
  [[nodiscard]] runtime::Task<Result<runtime::ReceivedBytes>> receive();
  /// Only what is there already; nullopt: nothing yet, notify()'s wakeup will be set.
  [[nodiscard]] std::optional<Result<runtime::ReceivedBytes>> try_receive() {
    return layer_ ? try_open() : heard(stream_.try_receive());
  }
  void pause() { stream_.pause(); }
  void notify(runtime::Wakeup* wakeup) { stream_.notify(wakeup); }

  // --- Out.
  [[nodiscard]] runtime::Task<Status> send(Bytes bytes) {
    return is_plain_and_untimed() ? stream_.send(bytes) : send_part(bytes);
  }
  [[nodiscard]] runtime::Task<Status> send(std::string_view text) {
    return send(std::as_bytes(std::span(text)));
  }
  /// All of a list; `parts` is changed.
  [[nodiscard]] runtime::Task<Status> send(std::span<iovec> parts) {
    return is_plain_and_untimed() ? stream_.send(parts) : send_parts(parts);
  }
  /// As Stream::send_zero_copy(). With a layer nothing can be spared: Unsupported.
  [[nodiscard]] runtime::Task<Result<runtime::Stream::ZeroCopy>> send_zero_copy(Bytes bytes);
  /// Bytes of the conversation that have left. Those of a send under way count in plain as far as the kernel has taken
  /// them, with a layer when their piece has left as a whole.
  [[nodiscard]] std::uint64_t sent_bytes() const { return plain_of(stream_.sent_bytes()); }
  /// Of these, what had left when `input` arrived.
  [[nodiscard]] std::uint64_t sent_before(const runtime::ReceivedBytes& input) const {
    return layer_ ? input.sent_before() : input.sent_before() - std::min(before_, input.sent_before());
  }
  /// Of these, what the peer's side has acknowledged; nothing where the kernel does not say.
  [[nodiscard]] std::optional<std::uint64_t> acknowledged_bytes() const;

  // --- Under it.
  /// Puts `layer` under the conversation and waits until it stands, under the deadline in force. Nothing else is under
  /// way on the wire. What the peer said in plain before it could know that the layer begins is none of the
  /// conversation's (RFC 3207 4.2): BadInput. For the one that speaks first in the layer's handshake that is anything
  /// at all, for the other what arrived before its own last word had left.
  [[nodiscard]] runtime::Task<Status> upgrade(std::unique_ptr<Layer> layer);
  [[nodiscard]] bool has_layer() const { return layer_ != nullptr; }
  [[nodiscard]] const Layer* layer() const { return layer_.get(); }

  // --- How long.
  /// From here on: ends what is under way, and all that comes later, with Timeout when either part is used up. Every
  /// byte that comes, and every send that ends, begins the silence anew.
  void allow(const Allowance& allowance);
  /// One moment instead of two parts, for who keeps the parts himself.
  void set_deadline(MonoTime time) {
    allowance_.reset();
    stream_.set_deadline(time);
  }
  void clear_deadline() {
    allowance_.reset();
    stream_.clear_deadline();
  }
  /// Ends operations under way and later ones with Cancelled.
  void abort() { stream_.abort(); }
  /// Tells the layer's peer that nothing more comes; nothing in plain.
  [[nodiscard]] runtime::Task<Status> end();
  /// As Stream::close().
  void close() { stream_.close(); }

 private:
  /// Up to here bytes of the socket are up to there of the conversation.
  struct Mark {
    std::uint64_t socket;
    std::uint64_t plain;
  };
  static constexpr std::size_t kMarksMax = 256;
  struct Until {
    Duration silence;
    MonoTime whole;
  };

  [[nodiscard]] std::optional<Result<runtime::ReceivedBytes>> heard(
      std::optional<Result<runtime::ReceivedBytes>> input) {
    if (allowance_ && input && *input) note_progress();
    return input;
  }
  void note_progress();
  [[nodiscard]] std::optional<Result<runtime::ReceivedBytes>> try_open();
  /// What a receive means; nullopt: nothing for the conversation yet.
  [[nodiscard]] std::optional<Result<runtime::ReceivedBytes>> opened(Result<runtime::ReceivedBytes> input);
  [[nodiscard]] bool is_plain_and_untimed() const { return !layer_ && !allowance_; }
  [[nodiscard]] runtime::Task<Status> send_part(Bytes bytes);
  [[nodiscard]] runtime::Task<Status> send_parts(std::span<iovec> parts);
  [[nodiscard]] runtime::Task<Status> seal(Bytes plain);
  [[nodiscard]] runtime::Task<Status> send_sealed();
  [[nodiscard]] Status open_early();
  [[nodiscard]] runtime::Task<void> shake_hands();
  [[nodiscard]] runtime::ReceivedBytes took_plain(std::uint64_t sent_before);
  void take(const Status& opened);
  void mark();
  [[nodiscard]] std::uint64_t plain_of(std::uint64_t socket_bytes) const;

  runtime::Reactor* reactor_ = nullptr;
  runtime::SendProgress* progress_ = nullptr;
  runtime::Stream stream_;
  std::uint64_t before_ = 0;
  std::optional<Until> allowance_;
  // With a layer.
  std::unique_ptr<Layer> layer_;
  std::optional<Error> broken_;
  Buffer plain_;   // opened, and read by nobody yet: only what came with the end of the handshake stays
  Buffer sealed_;  // on its way
  Buffer owed_;    // the layer's own words; they go in front of what is sealed next
  std::deque<Mark> marks_;
  std::uint64_t plain_sent_ = 0;
  std::uint64_t plain_at_upgrade_ = 0;
};

}  // namespace sluice::wire
