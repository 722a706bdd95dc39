#pragma once
// What descriptors of a simulated machine name. Thread: the world's only one, for everything here.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/runtime/op.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sim/disk.h"
#include "engine/runtime/sim/event_queue.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::runtime::sim {

class Network;
class SimReactor;

/// The way between two addresses. Times are one way.
struct LinkOptions {
  Duration latency = 150us;
  Duration jitter = 50us;  ///< added at random, up to this much; TCP keeps its order
  std::optional<std::uint64_t> bytes_per_second = {};  ///< nullopt: no limit
  std::size_t window_bytes = 256 * 1024;               ///< sent and not yet read by the other side, at most
  std::size_t segment_max = 65536;                     ///< bytes that travel together
  std::size_t read_max = 1 << 20;  ///< bytes one receive gets at most; 1 splits everything
  double read_cut = 0.1;           ///< chance that a receive gets only a random part
  double datagram_lost = 0;
  double datagram_doubled = 0;
};

/// A byte queue that gives its front away in any portions.
class ByteQueue {
 public:
  [[nodiscard]] std::size_t size() const { return bytes_.size() - head_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  void push(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void pop(std::span<std::byte> into) {
    std::memcpy(into.data(), bytes_.data() + head_, into.size());
    head_ += into.size();
    if (head_ == bytes_.size()) {
      bytes_.clear();
      head_ = 0;
    } else if (head_ >= kCompactAt && head_ * 2 >= bytes_.size()) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

 private:
  static constexpr std::size_t kCompactAt = 65536;
  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
};

struct InFlight;

/// Common to all sockets. Held by its descriptor, by operations and by bytes on their way (shared_ptr for
/// that reason: a kernel counts the same references).
struct Socket {
  virtual ~Socket() = default;
  std::uint64_t id = 0;
  std::size_t machine = 0;
  bool is_v4 = true;
  bool closed = false;  ///< its last descriptor and operation are gone
  Endpoint local;
  Endpoint remote;
  std::deque<InFlight*> polls;
  [[nodiscard]] virtual std::uint32_t ready_events() const = 0;
  void forget(const InFlight* one) {
    drop(polls, one);
    forget_more(one);
  }

 protected:
  virtual void forget_more(const InFlight* one) = 0;
  static void drop(std::deque<InFlight*>& list, const InFlight* one) { std::erase(list, one); }
};

/// One end of a TCP or Unix connection.
///   Fresh -> Connecting -> Open -> Gone;  Connecting -> Fresh when the attempt fails or is cancelled.
struct StreamSocket final : Socket, std::enable_shared_from_this<StreamSocket> {
  enum class State : std::uint8_t { Fresh, Connecting, Open, Gone };
  State state = State::Fresh;
  bool is_unix = false;
  bool bound = false;         ///< `local` has the source address asked for
  bool has_port = false;      ///< holds an ephemeral port
  bool end_received = false;  ///< the peer's FIN has come
  bool read_shut = false;
  bool write_shut = false;     ///< our FIN has been sent
  bool peer_vanished = false;  ///< the peer lost its power: nothing answers until its machine is up again
  bool retrying = false;       ///< `stalled` is tried again from time to time
  std::size_t peer_machine = 0;
  int error = 0;              ///< told to the first operation that asks, as SO_ERROR
  std::uint64_t attempt = 0;  ///< number of the current connection attempt
  std::weak_ptr<StreamSocket> peer;
  ByteQueue readable;
  std::uint64_t sent = 0;
  std::size_t unread_by_peer = 0;  ///< bytes sent that the peer has not taken yet
  MonoTime link_free{};            ///< when the bandwidth allows the next byte
  MonoTime last_arrival{};         ///< at the other end, of what was sent so far
  LinkOptions link;
  InFlight* connecting = nullptr;
  std::deque<InFlight*> receivers;
  std::deque<InFlight*> senders;
  std::deque<EventQueue::Job> stalled;  ///< what a silent path holds back, in order
  MonoTime stalled_since{};

  [[nodiscard]] std::size_t room() const {
    return unread_by_peer >= link.window_bytes ? 0 : link.window_bytes - unread_by_peer;
  }
  [[nodiscard]] std::uint32_t ready_events() const override;

 protected:
  void forget_more(const InFlight* one) override {
    drop(receivers, one);
    drop(senders, one);
    if (connecting == one) {
      connecting = nullptr;
      state = State::Fresh;
      ++attempt;
    }
  }
};

struct ListenSocket final : Socket {
  bool reuse_port = false;
  bool listening = true;
  std::size_t backlog = 0;
  std::string unix_path;  ///< empty for TCP
  std::deque<std::shared_ptr<StreamSocket>> queue;
  std::deque<InFlight*> acceptors;
  [[nodiscard]] std::uint32_t ready_events() const override;

 protected:
  void forget_more(const InFlight* one) override { drop(acceptors, one); }
};

struct DatagramSocket final : Socket, std::enable_shared_from_this<DatagramSocket> {
  static constexpr std::size_t kQueueMax = 256;
  struct Datagram {
    std::vector<std::byte> bytes;
    Endpoint from;
  };
  bool connected = false;
  bool shut = false;
  int error = 0;  ///< an ICMP answer, told once to a connected socket
  std::deque<Datagram> queue;
  [[nodiscard]] std::uint32_t ready_events() const override;

 protected:
  void forget_more(const InFlight*) override {}
};

/// A program that a machine runs, as its starter sees it (a pidfd).
struct ProgramSocket final : Socket {
  std::optional<ProgramEnd> end;
  [[nodiscard]] std::uint32_t ready_events() const override;

 protected:
  void forget_more(const InFlight*) override {}
};

/// What a descriptor stands for; copies of the pointer are the kernel's references to an open file.
struct OpenFile {
  std::size_t machine = 0;
  Network* network = nullptr;
  Disk* disk = nullptr;
  std::shared_ptr<Socket> socket;
  NodePtr node;
  bool holds_lock = false;  ///< flock() on `node`
  std::string path;
  int flags = 0;
  OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();  ///< closes for the other side too, unless the machine is dead (network and disk null)
};

/// One operation under way.
struct InFlight {
  InFlight(Op& the_op, SimReactor& the_reactor, std::uint64_t serial)
      : op(the_op), reactor(the_reactor), id(serial) {}
  Op& op;
  SimReactor& reactor;
  std::uint64_t id;
  std::shared_ptr<OpenFile> file;
  std::size_t progress = 0;        ///< Send: bytes taken
  bool answered = false;           ///< its last completion is on the way
  bool on_disk = false;            ///< a file operation that has begun
  bool first_answered = false;     ///< SendZeroCopy: only the notification is missing
  std::uint64_t memory_check = 0;  ///< SendZeroCopy: fingerprint of the bytes
  std::optional<EventQueue::Id> timeout;
  std::optional<EventQueue::Id> event;  ///< a delayed start, or the end of an operation on the disk
  std::optional<FileImage::SyncPoint> sync;
  std::uint64_t names_mark = 0;
  std::optional<std::size_t> short_size;  ///< Write: a fault allows only this much
  int failing = 0;                        ///< disk: errno to end with
};

}  // namespace sluice::runtime::sim
