// UDP.
#include <poll.h>

#include <cerrno>

#include "engine/runtime/sim/network.h"
#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {

std::uint32_t DatagramSocket::ready_events() const {
  std::uint32_t events = POLLOUT;
  if (!queue.empty() || shut || error != 0) events |= POLLIN;
  if (shut) events |= POLLHUP;
  if (error != 0) events |= POLLERR;
  return events;
}

Result<std::shared_ptr<DatagramSocket>> Network::make_datagram(Machine& machine, bool is_v4,
                                                               const Endpoint* bind_to) {
  auto socket = make<DatagramSocket>(machine.index(), is_v4);
  if (bind_to == nullptr) return socket;
  if (!bind_to->address.is_any() && !machine.owns(bind_to->address)) return fail_errno(EADDRNOTAVAIL, "bind");
  Endpoint at = *bind_to;
  if (at.port == 0) at.port = free_listen_port(at.address);
  std::weak_ptr<DatagramSocket>& place = datagram_sockets_[at];
  if (!place.expired()) return fail_errno(EADDRINUSE, "bind");
  place = socket;
  socket->local = at;
  return socket;
}

Result<std::size_t> Network::send_datagram(DatagramSocket& socket, std::span<const std::byte> bytes,
                                           const Endpoint& to) {
  if (bytes.size() > kDatagramMax) return fail_errno(EMSGSIZE, "sendto");
  if (socket.error != 0) return fail_errno(std::exchange(socket.error, 0), "sendto");
  if (socket.local.port == 0) {
    // An unbound sender gets a port at its first datagram and answers at any address.
    socket.local = {to.address.is_v4() ? IpAddress() : IpAddress::from_v6({}), free_listen_port(IpAddress())};
    datagram_sockets_[socket.local] = socket.shared_from_this();
  }
  Endpoint from = socket.local;
  if (from.address.is_any()) from.address = own_address(world_.machine(socket.machine), to.address);
  if (host_state(to.address) == HostState::Unreachable) return fail_errno(EHOSTUNREACH, "sendto");
  if (host_state(to.address) == HostState::Silent || host_state(from.address) == HostState::Silent)
    return bytes.size();
  const LinkOptions& link = link_between(from.address, to.address);
  if (random_.chance(link.datagram_lost)) return bytes.size();
  const int copies = random_.chance(link.datagram_doubled) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    // Each copy has its own jitter, so datagrams overtake each other.
    world_.events().at(now() + delay_of(link),
                       [this, from, to, sender = socket.weak_from_this(),
                        copy = std::vector<std::byte>(bytes.begin(), bytes.end())]() mutable {
                         datagram_arrives(std::move(copy), from, to, sender);
                       });
  }
  return bytes.size();
}

void Network::datagram_arrives(std::vector<std::byte> bytes, const Endpoint& from, const Endpoint& to,
                               const std::weak_ptr<DatagramSocket>& sender) {
  const IpAddress any = to.address.is_v4() ? IpAddress() : IpAddress::from_v6({});
  for (const Endpoint& candidate : {to, Endpoint{any, to.port}}) {
    const auto found = datagram_sockets_.find(candidate);
    const auto socket = found == datagram_sockets_.end() ? nullptr : found->second.lock();
    if (socket == nullptr || socket->closed || host_state(to.address) == HostState::Refusing) continue;
    if (socket->connected && socket->remote != from) continue;
    if (socket->queue.size() < DatagramSocket::kQueueMax) socket->queue.push_back({std::move(bytes), from});
    wake_polls(*socket);
    return;
  }
  // "Port unreachable" reaches only a connected sender, as on Linux.
  const auto back = sender.lock();
  if (back == nullptr || !back->connected || back->closed) return;
  back->error = ECONNREFUSED;
  wake_polls(*back);
}

void Network::close_datagram(DatagramSocket& socket) {
  const auto found = datagram_sockets_.find(socket.local);
  if (found == datagram_sockets_.end()) return;
  const auto there = found->second.lock();
  if (there == nullptr || there.get() == &socket) datagram_sockets_.erase(found);
}

}  // namespace sluice::runtime::sim
