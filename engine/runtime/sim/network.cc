// Addresses, hosts, listening and connecting. Bytes on connections: stream_socket.cc; datagrams: datagram.cc.
#include "engine/runtime/sim/network.h"

#include <algorithm>
#include <cerrno>

#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {
namespace {

Endpoint any_at(const Endpoint& at) {
  const IpAddress any = at.address.is_v4() ? IpAddress() : IpAddress::from_v6({});
  return {any, at.port};
}

constexpr Duration kUnixLatency = 5us;

}  // namespace

template <class S, class F>
void Network::for_each(F&& visit) const {
  // A copy: visiting may close sockets. In order of age, so that a seed repeats.
  std::vector<std::shared_ptr<S>> found;
  for (const auto& [id, weak] : sockets_) {
    if (auto socket = std::dynamic_pointer_cast<S>(weak.lock())) found.push_back(std::move(socket));
  }
  for (const auto& socket : found) visit(socket);
}

Network::Network(World& world, Random random) : world_(world), random_(random) {}

MonoTime Network::now() const { return world_.now(); }

Duration Network::delay_of(const LinkOptions& link) {
  return link.latency + random_.between(0ns, link.jitter);
}

void Network::set_link(const Cidr& block, LinkOptions options) { links_.emplace_back(block, options); }

void Network::set_host(const Cidr& block, HostState state) { hosts_.emplace_back(block, state); }

HostState Network::host_state(const IpAddress& address) const {
  const auto found = std::find_if(hosts_.rbegin(), hosts_.rend(),
                                  [&](const auto& one) { return one.first.contains(address); });
  return found == hosts_.rend() ? HostState::Up : found->second;
}

const LinkOptions& Network::link_between(const IpAddress& a, const IpAddress& b) const {
  const auto found = std::find_if(links_.rbegin(), links_.rend(), [&](const auto& one) {
    return one.first.contains(a) || one.first.contains(b);
  });
  return found == links_.rend() ? default_link : found->second;
}

bool Network::is_silent(const StreamSocket& socket) const {
  if (socket.is_unix || hosts_.empty()) return false;
  return host_state(socket.remote.address) == HostState::Silent ||
         host_state(socket.local.address) == HostState::Silent;
}

std::size_t Network::reset_connections(const Cidr& block) {
  std::size_t count = 0;
  for_each<StreamSocket>([&](const StreamPtr& socket) {
    if (socket->is_unix || socket->closed || socket->state != StreamSocket::State::Open) return;
    if (!block.contains(socket->local.address) && !block.contains(socket->remote.address)) return;
    reset_arrives(*socket, ECONNRESET);
    ++count;
  });
  return (count + 1) / 2;
}

std::size_t Network::open_connections(const Cidr& block) const {
  std::size_t count = 0;
  for_each<StreamSocket>([&](const StreamPtr& socket) {
    if (socket->is_unix || socket->closed || socket->state != StreamSocket::State::Open) return;
    if (block.contains(socket->remote.address)) ++count;
  });
  return count;
}

// --- Ports.

IpAddress Network::own_address(const Machine& machine, const IpAddress& peer) const {
  if (!peer.is_loopback()) return peer.is_v4() ? machine.options.address_v4 : machine.options.address_v6;
  if (peer.is_v4()) return IpAddress::from_v4({127, 0, 0, 1});
  return IpAddress::from_v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

bool Network::take_port(StreamSocket& socket, const Machine& machine) {
  Ports& ports = ports_[{socket.local.address, socket.remote}];
  while (!ports.waiting.empty() && ports.waiting.front().first <= now()) {
    ports.used.erase(ports.waiting.front().second);
    ports.waiting.pop_front();
  }
  const std::uint16_t first = machine.options.ports_first;
  const std::size_t count = std::size_t{machine.options.ports_last} - first + 1;
  if (ports.used.size() >= count) return false;
  std::size_t at = random_.below(count);
  while (!ports.used.insert(static_cast<std::uint16_t>(first + at)).second) at = (at + 1) % count;
  socket.local.port = static_cast<std::uint16_t>(first + at);
  socket.has_port = true;
  return true;
}

void Network::free_port(StreamSocket& socket, bool time_wait) {
  if (!std::exchange(socket.has_port, false)) return;
  const auto ports = ports_.find({socket.local.address, socket.remote});
  if (time_wait) {
    ports->second.waiting.emplace_back(now() + kTimeWait, socket.local.port);
  } else {
    ports->second.used.erase(socket.local.port);
    if (ports->second.used.empty() && ports->second.waiting.empty()) ports_.erase(ports);
  }
}

std::uint16_t Network::free_listen_port(const IpAddress& address) {
  static constexpr std::uint16_t kFirst = 32768;
  static constexpr std::uint16_t kCount = 28232;
  for (;;) {
    const auto port = static_cast<std::uint16_t>(kFirst + random_.below(kCount));
    const Endpoint at{address, port};
    if (!listeners_.contains(at) && !datagram_sockets_.contains(at)) return port;
  }
}

// --- Listening.

Result<std::shared_ptr<ListenSocket>> Network::listen(Machine& machine, const Endpoint& at, bool reuse_port,
                                                      std::size_t backlog) {
  if (!at.address.is_any() && !machine.owns(at.address)) return fail_errno(EADDRNOTAVAIL, "bind");
  Endpoint bound = at;
  if (bound.port == 0) bound.port = free_listen_port(at.address);
  for (const auto& [other, sockets] : listeners_) {
    const bool overlap =
        other == bound || (other.port == bound.port && other.address.is_v4() == bound.address.is_v4() &&
                           (other.address.is_any() || bound.address.is_any()));
    if (!overlap) continue;
    for (const auto& weak : sockets) {
      const auto socket = weak.lock();
      if (socket == nullptr || socket->machine != machine.index() || !socket->listening) continue;
      if (other != bound || !reuse_port || !socket->reuse_port) return fail_errno(EADDRINUSE, "bind");
    }
  }
  auto socket = make<ListenSocket>(machine.index(), at.address.is_v4());
  socket->local = bound;
  socket->reuse_port = reuse_port;
  socket->backlog = backlog;
  listeners_[bound].push_back(socket);
  return socket;
}

Result<std::shared_ptr<ListenSocket>> Network::listen_unix(Machine& machine, const std::string& path) {
  // As the real world does: a socket left behind is replaced, a living one is not.
  const auto found = unix_listeners_.find({machine.index(), path});
  const auto living = found == unix_listeners_.end() ? nullptr : found->second.lock();
  if (living != nullptr && living->listening) return fail_errno(EADDRINUSE, "bind unix socket");
  auto socket = make<ListenSocket>(machine.index(), true);
  socket->unix_path = path;
  socket->backlog = 64;
  unix_listeners_[{machine.index(), path}] = socket;
  return socket;
}

std::shared_ptr<ListenSocket> Network::find_listener(const Endpoint& at) {
  for (const Endpoint& candidate : {at, any_at(at)}) {
    const auto found = listeners_.find(candidate);
    if (found == listeners_.end()) continue;
    std::vector<std::shared_ptr<ListenSocket>> alive;
    for (const auto& weak : found->second) {
      const auto socket = weak.lock();
      if (socket != nullptr && socket->listening && world_.machine(socket->machine).owns(at.address))
        alive.push_back(socket);
    }
    if (!alive.empty()) return alive[random_.below(alive.size())];
  }
  return nullptr;
}

void Network::accept(InFlight& op, ListenSocket& socket) {
  if (!socket.listening) {
    op.reactor.answer(op, {.result = -EINVAL});
    return;
  }
  socket.acceptors.push_back(&op);
  pump_acceptors(socket);
}

void Network::pump_acceptors(ListenSocket& socket) {
  while (!socket.queue.empty() && !socket.acceptors.empty()) {
    InFlight& op = *socket.acceptors.front();
    const StreamPtr& stream = socket.queue.front();
    Machine& machine = world_.machine(socket.machine);
    int error = 0;
    const FaultSite site{
        .kind = OpKind::Accept, .machine = socket.machine, .peer = &stream->remote, .path = {}};
    if (const auto fault = world_.faults().judge(site, random_)) {
      if (fault->strike == Strike::Reset) reset(*stream);
      if (fault->strike == Strike::Error) error = fault->sys_errno;
    }
    Result<int> fd = fail_errno(error == 0 ? EMFILE : error, "accept");
    if (error == 0) {
      auto file = std::make_shared<OpenFile>();
      file->machine = socket.machine;
      file->network = this;
      file->socket = stream;
      fd = machine.add_descriptor(std::move(file));
    }
    if (!fd) {
      // As accept4(): the connection stays in the queue, and the multishot ends.
      socket.acceptors.pop_front();
      op.reactor.answer(op, {.result = -fd.error().sys_errno});
      continue;
    }
    socket.queue.pop_front();
    op.op.tries = 0;
    if (op.op.once) socket.acceptors.pop_front();
    op.reactor.answer(op, {.result = *fd, .more = !op.op.once});
  }
  wake_polls(socket);
}

void Network::stop_listening(ListenSocket& socket) {
  if (!std::exchange(socket.listening, false)) return;
  if (const auto found = listeners_.find(socket.local); found != listeners_.end()) {
    std::erase_if(found->second, [&](const auto& weak) {
      const auto other = weak.lock();
      return other == nullptr || other.get() == &socket;
    });
    if (found->second.empty()) listeners_.erase(found);
  }
  for (InFlight* op : std::exchange(socket.acceptors, {})) op->reactor.answer(*op, {.result = -EINVAL});
  for (const StreamPtr& stream : std::exchange(socket.queue, {})) {
    send_reset(*stream);
    close(*stream);
  }
  wake_polls(socket);
}

// --- Connecting.

Result<std::shared_ptr<StreamSocket>> Network::make_stream(Machine& machine, bool is_v4,
                                                           const IpAddress* source, bool is_unix) {
  if (source != nullptr && !source->is_any() && !machine.owns(*source)) {
    return fail_errno(EADDRNOTAVAIL, "bind to source address");
  }
  auto socket = make<StreamSocket>(machine.index(), is_v4);
  socket->is_unix = is_unix;
  if (source != nullptr && !source->is_any()) {
    if (source->is_v4() != is_v4) return fail_errno(EINVAL, "bind to source address");
    socket->local.address = *source;
    socket->bound = true;
  }
  return socket;
}

void Network::connect(InFlight& op, const StreamPtr& socket, bool silent) {
  const Endpoint target = op.op.peer.endpoint();
  const auto refuse = [&](int sys_errno) { op.reactor.answer(op, {.result = -sys_errno}); };
  if (socket->state == StreamSocket::State::Connecting) return refuse(EALREADY);
  if (socket->state != StreamSocket::State::Fresh) return refuse(EISCONN);
  if (target.address.is_v4() != socket->is_v4) return refuse(EAFNOSUPPORT);
  const Machine& machine = world_.machine(socket->machine);
  free_port(*socket, false);
  if (!socket->bound) socket->local.address = own_address(machine, target.address);
  socket->remote = target;
  if (!take_port(*socket, machine)) return refuse(EADDRNOTAVAIL);
  socket->link = link_between(socket->local.address, target.address);
  socket->state = StreamSocket::State::Connecting;
  socket->connecting = &op;
  const std::uint64_t attempt = ++socket->attempt;
  const Duration there = delay_of(socket->link);
  if (silent || host_state(socket->local.address) == HostState::Silent) {
    return fail_connect(socket, attempt, ETIMEDOUT, kSynTimeout);
  }
  switch (host_state(target.address)) {
    case HostState::Silent: return fail_connect(socket, attempt, ETIMEDOUT, kSynTimeout);
    case HostState::Unreachable: return fail_connect(socket, attempt, EHOSTUNREACH, there * 2);
    case HostState::Refusing: return fail_connect(socket, attempt, ECONNREFUSED, there * 2);
    case HostState::Up: break;
  }
  world_.events().at(now() + there, [this, socket, attempt, give_up = now() + kSynTimeout] {
    syn_arrives(socket, attempt, give_up);
  });
}

void Network::fail_connect(const StreamPtr& client, std::uint64_t attempt, int sys_errno, Duration after) {
  world_.events().at(now() + after, [this, client, attempt, sys_errno] {
    if (client->attempt != attempt || client->state != StreamSocket::State::Connecting) return;
    InFlight* op = std::exchange(client->connecting, nullptr);
    client->state = StreamSocket::State::Fresh;
    free_port(*client, false);
    op->reactor.answer(*op, {.result = -sys_errno});
    wake_polls(*client);
  });
}

void Network::syn_arrives(const StreamPtr& client, std::uint64_t attempt, MonoTime give_up) {
  if (client->attempt != attempt || client->state != StreamSocket::State::Connecting) return;
  const auto listener = find_listener(client->remote);
  const bool dark =
      listener == nullptr && (dark_.contains(client->remote) || dark_.contains(any_at(client->remote)));
  if (dark || (listener != nullptr && listener->queue.size() >= listener->backlog)) {
    // The SYN is dropped; the client's kernel repeats it.
    if (now() + kSynRetry >= give_up) return fail_connect(client, attempt, ETIMEDOUT, give_up - now());
    world_.events().at(now() + kSynRetry,
                       [this, client, attempt, give_up] { syn_arrives(client, attempt, give_up); });
    return;
  }
  if (listener == nullptr) return fail_connect(client, attempt, ECONNREFUSED, delay_of(client->link));
  const StreamPtr server = make<StreamSocket>(listener->machine, client->is_v4);
  server->state = StreamSocket::State::Open;
  server->local = client->remote;
  server->remote = client->local;
  server->link = client->link;
  server->peer = client;
  server->peer_machine = client->machine;
  const MonoTime back = now() + delay_of(client->link);
  server->last_arrival = back;
  world_.events().at(back, [this, client, server, attempt] { established(client, server, attempt); });
  listener->queue.push_back(server);
  pump_acceptors(*listener);
}

void Network::established(const StreamPtr& client, const StreamPtr& server, std::uint64_t attempt) {
  if (client->attempt != attempt || client->state != StreamSocket::State::Connecting) {
    // Given up meanwhile: the client's kernel answers the SYN-ACK with a reset.
    reset_arrives(*server, ECONNRESET);
    return;
  }
  InFlight* op = std::exchange(client->connecting, nullptr);
  client->state = StreamSocket::State::Open;
  client->peer = server;
  client->peer_machine = server->machine;
  client->last_arrival = now();
  op->reactor.answer(*op, {.result = 0});
  wake_polls(*client);
}

void Network::join(const StreamPtr& client, const StreamPtr& server) {
  LinkOptions link;
  link.latency = kUnixLatency;
  link.jitter = kUnixLatency;
  for (const StreamPtr& one : {client, server}) {
    one->is_unix = true;
    one->state = StreamSocket::State::Open;
    one->link = link;
    one->last_arrival = now();
  }
  server->peer = client;
  client->peer = server;
  server->peer_machine = client->peer_machine = client->machine;
}

Status Network::connect_unix(const StreamPtr& socket, const std::string& path) {
  if (socket->state != StreamSocket::State::Fresh) return fail_errno(EISCONN, "connect to unix socket");
  const auto found = unix_listeners_.find({socket->machine, path});
  const auto listener = found == unix_listeners_.end() ? nullptr : found->second.lock();
  if (listener == nullptr) return fail_errno(ENOENT, "connect to unix socket");
  if (!listener->listening) return fail_errno(ECONNREFUSED, "connect to unix socket");
  if (listener->queue.size() >= listener->backlog) return fail_errno(EAGAIN, "connect to unix socket");
  const StreamPtr server = make<StreamSocket>(listener->machine, true);
  join(socket, server);
  listener->queue.push_back(server);
  pump_acceptors(*listener);
  return {};
}

// --- Machines that stop and start.

void Network::machine_down(std::size_t machine, bool silent) {
  std::erase_if(sockets_, [](const auto& one) { return one.second.expired(); });
  for_each<ListenSocket>([&](const std::shared_ptr<ListenSocket>& socket) {
    if (socket->machine != machine) return;
    socket->acceptors.clear();
    socket->polls.clear();
    if (silent && socket->listening && socket->unix_path.empty()) dark_[socket->local] = machine;
    if (silent) socket->queue.clear();
    close(*socket);
  });
  for_each<StreamSocket>([&](const StreamPtr& socket) {
    if (socket->machine != machine) return;
    socket->receivers.clear();
    socket->senders.clear();
    socket->polls.clear();
    socket->connecting = nullptr;
    if (!silent) return close(*socket);
    socket->closed = true;
    socket->state = StreamSocket::State::Gone;
    socket->stalled.clear();
    ++socket->attempt;
    free_port(*socket, false);
    if (const StreamPtr peer = socket->peer.lock()) peer->peer_vanished = true;
    socket->peer.reset();
  });
  for_each<DatagramSocket>([&](const std::shared_ptr<DatagramSocket>& socket) {
    if (socket->machine != machine) return;
    socket->polls.clear();
    close(*socket);
  });
}

void Network::machine_up(std::size_t machine) {
  std::erase_if(dark_, [&](const auto& one) { return one.second == machine; });
  for_each<StreamSocket>([&](const StreamPtr& socket) {
    if (socket->peer_vanished && socket->peer_machine == machine && socket->unread_by_peer != 0)
      nobody_there(*socket);
  });
}

}  // namespace sluice::runtime::sim
