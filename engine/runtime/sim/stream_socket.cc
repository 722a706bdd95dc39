// Bytes on connections: sending, receiving, ending, resetting.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/runtime/sim/network.h"
#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {
namespace {

std::size_t bytes_of(const Op& op) {
  if (op.kind != OpKind::SendVector) return op.size;
  std::size_t total = 0;
  for (std::uint32_t i = 0; i < op.vector_count; ++i) total += op.vectors[i].iov_len;
  return total;
}

/// `count` bytes of what `op` sends, from `skip` on.
std::vector<std::byte> copy_of(const Op& op, std::size_t skip, std::size_t count) {
  if (op.kind != OpKind::SendVector) return {op.data + skip, op.data + skip + count};
  std::vector<std::byte> out;
  out.reserve(count);
  for (std::uint32_t i = 0; i < op.vector_count && out.size() < count; ++i) {
    const iovec& part = op.vectors[i];
    const std::size_t from = std::min(skip, part.iov_len);
    skip -= from;
    const std::size_t take = std::min(part.iov_len - from, count - out.size());
    const auto* begin = static_cast<const std::byte*>(part.iov_base) + from;
    out.insert(out.end(), begin, begin + take);
  }
  return out;
}

int take_error(StreamSocket& socket, int otherwise) {
  const int error = std::exchange(socket.error, 0);
  return error == 0 ? otherwise : error;
}

}  // namespace

std::uint32_t StreamSocket::ready_events() const {
  std::uint32_t events = 0;
  if (!readable.empty() || end_received || read_shut) events |= POLLIN;
  if (end_received) events |= POLLRDHUP;
  switch (state) {
    case State::Fresh: return events | POLLOUT | POLLHUP;
    case State::Connecting: return events;
    case State::Open: break;
    case State::Gone: events |= POLLIN | POLLHUP; break;
  }
  if (room() != 0 || state == State::Gone) events |= POLLOUT;
  if (error != 0) events |= POLLERR;
  if (end_received && write_shut) events |= POLLHUP;
  return events;
}

std::uint32_t ListenSocket::ready_events() const {
  if (!listening) return POLLIN | POLLHUP;
  return queue.empty() ? 0 : POLLIN;
}

OpenFile::~OpenFile() {
  if (holds_lock) node->locked = false;
  if (network != nullptr && socket != nullptr) network->close(*socket);
  if (disk != nullptr && node != nullptr) disk->closed(node);
}

void Network::wake_polls(Socket& socket) {
  if (socket.polls.empty()) return;
  const std::uint32_t ready = socket.ready_events();
  std::deque<InFlight*> waiting;
  for (InFlight* op : std::exchange(socket.polls, {})) {
    const std::uint32_t seen = ready & (op->op.poll_events | POLLERR | POLLHUP);
    if (seen == 0) {
      waiting.push_back(op);
    } else {
      op->reactor.answer(*op, {.result = static_cast<std::int32_t>(seen)});
    }
  }
  socket.polls = std::move(waiting);
}

void Network::poll(InFlight& op, Socket& socket) {
  socket.polls.push_back(&op);
  wake_polls(socket);
}

// --- The way between two ends.

void Network::transmit(StreamSocket& from, std::size_t bytes, EventQueue::Job arrival) {
  MonoTime leaves = now();
  if (from.link.bytes_per_second) {
    const auto takes =
        Duration{static_cast<std::int64_t>(bytes * 1'000'000'000 / *from.link.bytes_per_second)};
    leaves = from.link_free = std::max(from.link_free, now()) + takes;
  }
  from.last_arrival = std::max(from.last_arrival, leaves + delay_of(from.link));
  world_.events().at(from.last_arrival,
                     [this, sender = from.shared_from_this(), job = std::move(arrival)]() mutable {
                       pass_or_stall(sender, std::move(job));
                     });
}

void Network::pass_or_stall(const StreamPtr& from, EventQueue::Job arrival) {
  if (from->stalled.empty() && !is_silent(*from)) return arrival();
  if (from->stalled.empty()) from->stalled_since = now();
  from->stalled.push_back(std::move(arrival));
  if (std::exchange(from->retrying, true)) return;
  world_.events().at(now() + kStallRetry, [this, from] { retry_stalled(from); });
}

void Network::retry_stalled(const StreamPtr& from) {
  static constexpr Duration kRetryMax = 10s;
  from->retrying = false;
  if (from->stalled.empty()) return;
  const Duration waited = now() - from->stalled_since;
  if (!is_silent(*from)) {
    for (EventQueue::Job& job : std::exchange(from->stalled, {})) job();
    return;
  }
  if (waited >= kStallMax) {
    from->stalled.clear();
    reset_arrives(*from, ETIMEDOUT);
    return;
  }
  from->retrying = true;
  world_.events().at(now() + std::clamp(waited, Duration{kStallRetry}, kRetryMax),
                     [this, from] { retry_stalled(from); });
}

/// What `from` sent meets no socket.
void Network::nobody_there(StreamSocket& from) {
  const bool answers = !from.peer_vanished || world_.machine(from.peer_machine).is_up();
  const Duration after = answers ? delay_of(from.link) * 2 : Duration{kStallMax};
  world_.events().at(now() + after, [this, socket = from.shared_from_this(), answers] {
    if (!answers && !socket->peer_vanished) return;
    reset_arrives(*socket, answers ? 0 : ETIMEDOUT);
  });
}

// --- Sending.

void Network::send(InFlight& op, StreamSocket& socket) {
  socket.senders.push_back(&op);
  pump_senders(socket);
}

void Network::pump_senders(StreamSocket& socket) {
  while (!socket.senders.empty()) {
    InFlight& op = *socket.senders.front();
    if (socket.state != StreamSocket::State::Open || socket.write_shut) {
      socket.senders.pop_front();
      finish_send(op, socket, -take_error(socket, EPIPE));
      continue;
    }
    const std::size_t total = bytes_of(op.op);
    const std::size_t count = std::min({total - op.progress, socket.room(), socket.link.segment_max});
    if (count == 0 && op.progress != total) break;
    if (count != 0) {
      std::vector<std::byte> bytes = copy_of(op.op, op.progress, count);
      op.progress += count;
      socket.sent += count;
      socket.unread_by_peer += count;
      if (const StreamPtr peer = socket.peer.lock()) {
        transmit(socket, count, [this, peer, moved = std::move(bytes)] { bytes_arrive(peer, moved); });
      } else {
        nobody_there(socket);
      }
    }
    if (op.progress != total) continue;
    socket.senders.pop_front();
    finish_send(op, socket, static_cast<std::int32_t>(total));
  }
}

void Network::finish_send(InFlight& op, StreamSocket& socket, std::int32_t result) {
  if (op.op.kind != OpKind::SendZeroCopy) {
    op.reactor.answer(op, {.result = result});
    return;
  }
  const MonoTime acknowledged = std::max(now(), socket.last_arrival) + delay_of(socket.link);
  op.reactor.answer_zero_copy(op, result, acknowledged);
}

// --- Arriving.

void Network::bytes_arrive(const StreamPtr& to, std::span<const std::byte> bytes) {
  if (to->closed || to->read_shut) {
    // Data for a socket nobody reads: the kernel resets the connection.
    send_reset(*to);
    return;
  }
  if (to->state != StreamSocket::State::Open) return;
  to->readable.push(bytes);
  pump_receivers(*to);
}

void Network::end_arrives(StreamSocket& to) {
  if (to.state != StreamSocket::State::Open) return;
  to.end_received = true;
  pump_receivers(to);
}

void Network::reset_arrives(StreamSocket& to, int sys_errno) {
  if (to.state != StreamSocket::State::Open) return;
  // tcp_reset(): EPIPE when the peer had already ended its side.
  to.error = sys_errno != 0 ? sys_errno : (to.end_received ? EPIPE : ECONNRESET);
  to.state = StreamSocket::State::Gone;
  to.unread_by_peer = 0;
  to.stalled.clear();
  free_port(to, false);
  fail_all(to);
}

void Network::fail_all(StreamSocket& socket) {
  pump_senders(socket);
  pump_receivers(socket);
}

std::size_t Network::cut(const StreamSocket& socket, std::size_t bytes) {
  bytes = std::min(bytes, socket.link.read_max);
  if (bytes > 1 && random_.chance(socket.link.read_cut)) bytes = 1 + random_.below(bytes);
  return bytes;
}

void Network::receive(InFlight& op, StreamSocket& socket) {
  socket.receivers.push_back(&op);
  pump_receivers(socket);
}

void Network::pump_receivers(StreamSocket& socket) {
  while (!socket.receivers.empty()) {
    InFlight& op = *socket.receivers.front();
    const bool multi = op.op.kind == OpKind::RecvMulti;
    if (socket.readable.empty()) {
      // The order of tcp_recvmsg(): an end already seen hides a later error, an error is told once.
      std::int32_t result = 0;
      if (!socket.end_received) {
        if (socket.error != 0) {
          result = -take_error(socket, 0);
        } else if (socket.state == StreamSocket::State::Open && !socket.read_shut) {
          break;
        } else if (socket.state == StreamSocket::State::Fresh ||
                   socket.state == StreamSocket::State::Connecting) {
          result = -ENOTCONN;
        }
      }
      socket.receivers.pop_front();
      op.reactor.answer(op, {.result = result});
      continue;
    }
    Completion completion{.result = 0, .more = multi, .has_buffer = multi};
    std::span<std::byte> into(op.op.data, op.op.size);
    if (multi) {
      const auto buffer = op.reactor.take_buffer(op);
      if (!buffer) break;  // the reactor pumps again when one has come back
      completion.buffer_id = *buffer;
      into = op.reactor.provided_buffer(*buffer);
    } else {
      socket.receivers.pop_front();
    }
    const std::size_t count = cut(socket, std::min(into.size(), socket.readable.size()));
    socket.readable.pop(into.first(count));
    completion.result = static_cast<std::int32_t>(count);
    op.reactor.answer(op, completion);
    bytes_taken(socket, count);
  }
  wake_polls(socket);
}

void Network::bytes_taken(StreamSocket& socket, std::size_t bytes) {
  const StreamPtr peer = socket.peer.lock();
  if (peer == nullptr) return;
  peer->unread_by_peer -= std::min(bytes, peer->unread_by_peer);
  if (peer->senders.empty() && peer->polls.empty()) return;
  // The news that the window is open travels back.
  world_.events().at(now() + delay_of(socket.link), [this, peer] {
    pump_senders(*peer);
    wake_polls(*peer);
  });
}

// --- Ending.

void Network::send_end(StreamSocket& from) {
  from.write_shut = true;
  if (const StreamPtr peer = from.peer.lock()) {
    transmit(from, 0, [this, peer] { end_arrives(*peer); });
  }
}

void Network::send_reset(StreamSocket& from) {
  if (from.state != StreamSocket::State::Open) return;
  if (const StreamPtr peer = from.peer.lock()) {
    transmit(from, 0, [this, peer] { reset_arrives(*peer, 0); });
  }
  from.state = StreamSocket::State::Gone;
  free_port(from, false);
  fail_all(from);
}

void Network::reset(StreamSocket& socket) {
  socket.error = ECONNRESET;
  send_reset(socket);
}

void Network::shutdown(Socket& socket) {
  if (auto* listener = dynamic_cast<ListenSocket*>(&socket)) return stop_listening(*listener);
  if (auto* datagram = dynamic_cast<DatagramSocket*>(&socket)) {
    datagram->shut = true;
    return wake_polls(socket);
  }
  if (dynamic_cast<ProgramSocket*>(&socket) != nullptr) return;
  auto& stream = static_cast<StreamSocket&>(socket);
  if (stream.state == StreamSocket::State::Connecting) {
    InFlight* op = std::exchange(stream.connecting, nullptr);
    stream.state = StreamSocket::State::Fresh;
    ++stream.attempt;
    free_port(stream, false);
    op->reactor.answer(*op, {.result = -ECONNRESET});
    return;
  }
  if (stream.state != StreamSocket::State::Open) return;
  stream.read_shut = true;
  if (!stream.write_shut) send_end(stream);
  fail_all(stream);
}

void Network::shutdown_write(StreamSocket& socket) {
  if (socket.state != StreamSocket::State::Open || socket.write_shut) return;
  send_end(socket);
  pump_senders(socket);
}

void Network::close(Socket& socket) {
  if (std::exchange(socket.closed, true)) return;
  if (auto* listener = dynamic_cast<ListenSocket*>(&socket)) {
    stop_listening(*listener);
  } else if (auto* stream = dynamic_cast<StreamSocket*>(&socket)) {
    if (stream->state != StreamSocket::State::Open) {
      ++stream->attempt;
      stream->state = StreamSocket::State::Gone;
      free_port(*stream, false);
    } else if (!stream->readable.empty()) {
      send_reset(*stream);  // RFC 2525 section 2.17: unread data must not be taken for received
    } else {
      // Who ends first keeps the port for a while.
      free_port(*stream, !stream->end_received);
      if (!stream->write_shut) send_end(*stream);
    }
  } else if (auto* datagram = dynamic_cast<DatagramSocket*>(&socket)) {
    close_datagram(*datagram);
  }
  sockets_.erase(socket.id);
}

}  // namespace sluice::runtime::sim
