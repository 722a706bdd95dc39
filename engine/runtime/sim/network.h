#pragma once
// The simulated network between all machines of a world: TCP, UDP and Unix sockets.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/runtime/sim/event_queue.h"
#include "engine/runtime/sim/random.h"
#include "engine/runtime/sim/socket.h"
#include "policy/base/ip_address.h"
#include "policy/base/result.h"

namespace sluice::runtime::sim {

class World;
class Machine;

/// Whether anybody answers at an address.
enum class HostState : std::uint8_t {
  Up,           ///< connects where somebody listens, refuses elsewhere
  Refusing,     ///< every port is closed
  Silent,       ///< packets vanish, in both directions; connections stall until it is Up again
  Unreachable,  ///< the way there answers "host unreachable"
};

/// Every address is a living host unless set_host() says otherwise; who answers there is decided by who
/// listens. TCP as Linux behaves: ordered bytes, a window, FIN, RST (also for data to a closed socket and for
/// closing with unread data), SO_REUSEPORT spreading, a backlog, ephemeral ports for each (source,
/// destination), TIME_WAIT. Thread: the world's only one. Lifetime: the world's.
class Network {
 public:
  static constexpr Duration kSynTimeout = 127s;  ///< tcp_syn_retries = 6
  static constexpr Duration kSynRetry = 1s;
  static constexpr Duration kStallRetry = 200ms;  ///< retransmission over a silent path
  static constexpr Duration kStallMax = 924s;     ///< tcp_retries2 = 15: then ETIMEDOUT
  static constexpr Duration kTimeWait = 60s;
  static constexpr std::size_t kDatagramMax = 65507;

  Network(World& world, Random random);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // --- For tests and scenarios.
  LinkOptions default_link;
  /// Of every way that has an end in `block`; the latest call that matches counts, for connections made after
  /// it.
  void set_link(const Cidr& block, LinkOptions options);
  /// The latest call that matches counts, at once and for connections that exist too.
  void set_host(const Cidr& block, HostState state);
  /// Resets every open connection with an end in `block`. Returns how many.
  std::size_t reset_connections(const Cidr& block);
  [[nodiscard]] std::size_t open_connections(const Cidr& block) const;
  [[nodiscard]] HostState host_state(const IpAddress& address) const;

  // --- What operations do. Completions go through the operation's reactor.
  [[nodiscard]] Result<std::shared_ptr<ListenSocket>> listen(Machine& machine, const Endpoint& at,
                                                             bool reuse_port, std::size_t backlog);
  [[nodiscard]] Result<std::shared_ptr<ListenSocket>> listen_unix(Machine& machine, const std::string& path);
  [[nodiscard]] Result<std::shared_ptr<StreamSocket>> make_stream(Machine& machine, bool is_v4,
                                                                  const IpAddress* source, bool is_unix);
  [[nodiscard]] Status connect_unix(const std::shared_ptr<StreamSocket>& socket, const std::string& path);
  /// Two ends of one connection: what stands for a pipe.
  [[nodiscard]] std::pair<std::shared_ptr<StreamSocket>, std::shared_ptr<StreamSocket>> make_pair(
      Machine& machine);
  /// A program of `machine`, running.
  [[nodiscard]] std::shared_ptr<ProgramSocket> make_program(Machine& machine);
  /// It has ended: whoever polls learns of it.
  void program_ended(ProgramSocket& program, ProgramEnd end);
  /// `silent`: the SYN is lost whatever the host's state is.
  void connect(InFlight& op, const std::shared_ptr<StreamSocket>& socket, bool silent);
  void accept(InFlight& op, ListenSocket& socket);
  void send(InFlight& op, StreamSocket& socket);
  void receive(InFlight& op, StreamSocket& socket);
  void poll(InFlight& op, Socket& socket);
  /// A buffer came back to `reactor`'s pool, or a waiting receiver may go on for another reason.
  void pump_receivers(StreamSocket& socket);
  void shutdown(Socket& socket);
  /// Half close, as a peer does that has said everything.
  void shutdown_write(StreamSocket& socket);
  void reset(StreamSocket& socket);
  /// The last reference of the user's side is gone.
  void close(Socket& socket);

  [[nodiscard]] Result<std::shared_ptr<DatagramSocket>> make_datagram(Machine& machine, bool is_v4,
                                                                      const Endpoint* bind_to);
  [[nodiscard]] Result<std::size_t> send_datagram(DatagramSocket& socket, std::span<const std::byte> bytes,
                                                  const Endpoint& to);

  /// The machine's sockets end: with `silent` as by a power cut (peers learn nothing until they speak to it
  /// after machine_up()), otherwise as a kernel closes what a killed process held.
  void machine_down(std::size_t machine, bool silent);
  void machine_up(std::size_t machine);

 private:
  using StreamPtr = std::shared_ptr<StreamSocket>;
  struct Ports {
    std::set<std::uint16_t> used;
    std::deque<std::pair<MonoTime, std::uint16_t>> waiting;  // TIME_WAIT, by end
  };

  [[nodiscard]] MonoTime now() const;
  [[nodiscard]] Duration delay_of(const LinkOptions& link);
  [[nodiscard]] const LinkOptions& link_between(const IpAddress& a, const IpAddress& b) const;
  [[nodiscard]] bool is_silent(const StreamSocket& socket) const;
  template <class S>
  [[nodiscard]] std::shared_ptr<S> make(std::size_t machine, bool is_v4) {
    auto socket = std::make_shared<S>();
    socket->id = ++sockets_made_;
    socket->machine = machine;
    socket->is_v4 = is_v4;
    sockets_.emplace(socket->id, socket);
    return socket;
  }
  template <class S, class F>
  void for_each(F&& visit) const;

  void join(const StreamPtr& client, const StreamPtr& server);
  [[nodiscard]] IpAddress own_address(const Machine& machine, const IpAddress& peer) const;
  [[nodiscard]] bool take_port(StreamSocket& socket, const Machine& machine);
  void free_port(StreamSocket& socket, bool time_wait);
  [[nodiscard]] std::uint16_t free_listen_port(const IpAddress& address);
  [[nodiscard]] std::shared_ptr<ListenSocket> find_listener(const Endpoint& at);

  void syn_arrives(const StreamPtr& client, std::uint64_t attempt, MonoTime give_up);
  void established(const StreamPtr& client, const StreamPtr& server, std::uint64_t attempt);
  void fail_connect(const StreamPtr& client, std::uint64_t attempt, int sys_errno, Duration after);
  void pump_acceptors(ListenSocket& socket);
  void stop_listening(ListenSocket& socket);

  void pump_senders(StreamSocket& socket);
  void finish_send(InFlight& op, StreamSocket& socket, std::int32_t result);
  /// Runs `arrival` at the peer after everything sent before; over a silent path, when it is back.
  void transmit(StreamSocket& from, std::size_t bytes, EventQueue::Job arrival);
  void pass_or_stall(const StreamPtr& from, EventQueue::Job arrival);
  void retry_stalled(const StreamPtr& from);
  void send_reset(StreamSocket& from);
  void nobody_there(StreamSocket& from);
  void bytes_arrive(const StreamPtr& to, std::span<const std::byte> bytes);
  void end_arrives(StreamSocket& to);
  void reset_arrives(StreamSocket& to, int sys_errno);
  void send_end(StreamSocket& from);
  void fail_all(StreamSocket& socket);
  void bytes_taken(StreamSocket& socket, std::size_t bytes);
  [[nodiscard]] std::size_t cut(const StreamSocket& socket, std::size_t bytes);
  void wake_polls(Socket& socket);
  void close_datagram(DatagramSocket& socket);
  void datagram_arrives(std::vector<std::byte> bytes, const Endpoint& from, const Endpoint& to,
                        const std::weak_ptr<DatagramSocket>& sender);

  World& world_;
  Random random_;
  std::uint64_t sockets_made_ = 0;
  std::vector<std::pair<Cidr, LinkOptions>> links_;
  std::vector<std::pair<Cidr, HostState>> hosts_;
  std::map<std::uint64_t, std::weak_ptr<Socket>> sockets_;
  std::map<Endpoint, std::vector<std::weak_ptr<ListenSocket>>> listeners_;
  std::map<std::pair<std::size_t, std::string>, std::weak_ptr<ListenSocket>> unix_listeners_;
  std::map<Endpoint, std::weak_ptr<DatagramSocket>> datagram_sockets_;
  std::map<std::pair<IpAddress, Endpoint>, Ports> ports_;
  std::map<Endpoint, std::size_t> dark_;  // listened on by a machine that is down
};

}  // namespace sluice::runtime::sim
