#pragma once
// Byte streams (TCP and Unix sockets) of one shard.

#include <deque>
#include <memory>
#include <span>
#include <utility>

#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::runtime {

/// Bytes in a provided buffer, or in memory of their own when nobody read them for a while; gives the buffer
/// back when destroyed. Movable. Buffers are few and shared by all connections of a shard: use the bytes and
/// let go before waiting for anything.
class ReceivedBytes {
 public:
  ReceivedBytes() = default;
  ReceivedBytes(Reactor& reactor, std::uint16_t buffer, std::size_t size, std::uint64_t sent_before)
      : reactor_(&reactor), sent_before_(sent_before), buffer_(buffer), size_(size) {}
  /// Bytes that came through something else than a receive buffer.
  ReceivedBytes(std::span<const std::byte> bytes, std::uint64_t sent_before);
  ReceivedBytes(ReceivedBytes&& other) noexcept
      : reactor_(std::exchange(other.reactor_, nullptr)),
        own_(std::move(other.own_)),
        sent_before_(other.sent_before_),
        buffer_(other.buffer_),
        size_(other.size_) {}
  ReceivedBytes& operator=(ReceivedBytes&& other) noexcept {
    std::swap(reactor_, other.reactor_);
    std::swap(own_, other.own_);
    std::swap(sent_before_, other.sent_before_);
    std::swap(buffer_, other.buffer_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ReceivedBytes() {
    if (reactor_ != nullptr) reactor_->return_buffer(buffer_);
  }
  /// Empty: the peer has ended its direction.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    if (reactor_ != nullptr) return reactor_->provided_buffer(buffer_).first(size_);
    return own_ ? std::span<const std::byte>(own_.get(), size_) : std::span<const std::byte>();
  }
  /// Gives the buffer back and keeps a copy. Without memory for one everything stays as it is.
  void move_out() noexcept;
  /// Stream::sent_bytes() when they arrived.
  [[nodiscard]] std::uint64_t sent_before() const { return sent_before_; }

 private:
  Reactor* reactor_ = nullptr;
  std::unique_ptr<std::byte[]> own_;
  std::uint64_t sent_before_ = 0;
  std::uint16_t buffer_ = 0;
  std::size_t size_ = 0;
};

/// Ends a Stream::connect() early, because who asked is gone. Thread: the reactor's shard. Lifetime: outlives
/// the connects it is given to, one at a time.
class ConnectStop {
 public:
  /// The connect under way answers Cancelled soon, a later one at once.
  void stop() {
    stopped_ = true;
    if (op_ != nullptr) reactor_->cancel(*op_);
  }
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  friend class Stream;
  Reactor* reactor_ = nullptr;
  Op* op_ = nullptr;
  bool stopped_ = false;
};

/// A connected socket. Receives by multishot into provided buffers, sends what it is given in full.
/// Thread:   its reactor's shard.
/// Lifetime: closing or destroying never waits: what the kernel still holds stays alive behind the scenes
///           until it is released. But a send that is being awaited keeps its caller's memory: call abort()
///           and let it finish.
/// Limits:   at most kInputQueueMax buffers wait for a reader who asked for input; then receiving pauses, and
///           TCP tells the peer to. What comes while nobody reads (nothing was asked for since the last bytes
///           were taken) is moved out of its buffer at once, and receiving pauses behind it. So the pool is
///           never held by connections that nobody reads from, whoever they are and however many.
/// Errors:   after the deadline every operation answers Timeout; after abort() Cancelled; after the peer's
///           reset PeerClosed. One receiver and one sender at a time.
class Stream {
 public:
  static constexpr std::size_t kInputQueueMax = 4;

  Stream() = default;  ///< no socket; only assignment and destruction
  /// Takes the descriptor over.
  Stream(Reactor& reactor, int fd);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  /// `source` null: the kernel chooses. `stop` (may be null) ends it. Errors also: Refused, Unreachable,
  /// NoDescriptors (no local port left), Cancelled.
  [[nodiscard]] static Task<Result<Stream>> connect(Reactor& reactor, Endpoint peer, const IpAddress* source,
                                                    Duration timeout, ConnectStop* stop = nullptr);

  [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }
  [[nodiscard]] int fd() const;

  /// The next bytes; empty bytes are the end of the stream.
  [[nodiscard]] Task<Result<ReceivedBytes>> receive();
  /// As receive(), but only what is there already; nullopt: nothing yet (the wakeup of notify() will be set).
  [[nodiscard]] std::optional<Result<ReceivedBytes>> try_receive();
  /// Nothing is wanted before the next receive() or try_receive(): what comes stays with the kernel.
  void pause();
  /// Sets `wakeup` whenever try_receive() has something new to say. nullptr ends it.
  void notify(Wakeup* wakeup);

  /// All of `bytes`. They stay untouched until the answer.
  [[nodiscard]] Task<Status> send(std::span<const std::byte> bytes);
  [[nodiscard]] Task<Status> send(std::string_view text) { return send(std::as_bytes(std::span(text))); }
  /// All of a list, in calls of at most 1024 parts; `parts` is changed.
  [[nodiscard]] Task<Status> send(std::span<iovec> parts);

  /// As send(), without a copy in the kernel where the way out allows it; answers once the kernel has let go
  /// of `bytes`, with Copied when it copied after all (loopback, devices without scatter-gather): then plain
  /// send() is cheaper. Errors also: Unsupported (kernel before 6.0); nothing was sent then.
  enum class ZeroCopy : std::uint8_t { Spared, Copied };
  [[nodiscard]] Task<Result<ZeroCopy>> send_zero_copy(std::span<const std::byte> bytes);

  /// How much the kernel has taken of all sends so far. Of send_zero_copy() it counts as soon as it is on its
  /// way, while the answer still waits for the memory.
  [[nodiscard]] std::uint64_t sent_bytes() const;
  /// Ends operations under way and later ones with Timeout at `time`. Cheap to move forward for every
  /// message.
  void set_deadline(MonoTime time);
  void clear_deadline();
  /// Ends operations under way and later ones with Cancelled.
  void abort();
  /// Close after what was sent; drops the object's socket.
  void close();

 private:
  struct State;
  State* state_ = nullptr;
};

/// Accepts connections by multishot; one by one when fewer than kManyDescriptors are left, so that a full
/// backlog does not take the last of them.
/// Thread and lifetime as Stream. Errors: NoDescriptors is answered and accepting goes on at the next call.
class Listener {
 public:
  static constexpr std::size_t kManyDescriptors = 8192;
  Listener() = default;
  Listener(Reactor& reactor, int fd);
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();
  [[nodiscard]] static Result<Listener> open(Reactor& reactor, const Endpoint& at,
                                             ListenOptions options = {});
  [[nodiscard]] static Result<Listener> open_unix(Reactor& reactor, const std::string& path,
                                                  std::uint32_t mode);
  [[nodiscard]] Endpoint endpoint() const;  ///< with the port the system chose
  /// The next connection. Errors: Cancelled after stop().
  [[nodiscard]] Task<Result<Stream>> accept();
  void stop();
  [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }

 private:
  struct State;
  State* state_ = nullptr;
};

}  // namespace sluice::runtime
