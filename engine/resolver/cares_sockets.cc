#include "engine/resolver/cares_sockets.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "policy/base/assert.h"

namespace sluice::resolver {

using runtime::Op;

namespace {

constexpr std::uint32_t kReadable = 0x001;  // POLLIN
constexpr std::size_t kHeaderBytes = 12;    // RFC 1035 4.1.1

int errno_of(const Error& error) {
  if (error.code == Errc::Timeout) return EWOULDBLOCK;
  return error.sys_errno != 0 ? error.sys_errno : EIO;
}

}  // namespace

const ares_socket_functions CaresSockets::kFunctions = {&CaresSockets::open, &CaresSockets::close,
                                                        &CaresSockets::connect, &CaresSockets::receive,
                                                        &CaresSockets::send};

CaresSockets::~CaresSockets() { SLUICE_ASSERT(sockets_.empty() && channel_ == nullptr); }

void CaresSockets::attach(ares_channel channel) {
  channel_ = channel;
  ares_set_socket_functions(channel_, &kFunctions, this);
}

ares_socket_t CaresSockets::open(int family, int type, int /*protocol*/, void* user) {
  auto& self = *static_cast<CaresSockets*>(user);
  if (type != SOCK_DGRAM) {
    errno = ESOCKTNOSUPPORT;
    return ARES_SOCKET_BAD;
  }
  const auto fd = self.reactor_.udp_socket(family == AF_INET, nullptr);
  if (!fd) {
    errno = errno_of(fd.error());
    return ARES_SOCKET_BAD;
  }
  auto socket = std::make_unique<Socket>(Socket{self, *fd, {}, {}, {}, false});
  socket->poll.kind = runtime::OpKind::Poll;
  socket->poll.fd = *fd;
  socket->poll.poll_events = kReadable;
  socket->poll.done = &CaresSockets::on_polled;
  socket->poll.user = socket.get();
  self.reactor_.submit(socket->poll);
  self.sockets_.emplace(*fd, std::move(socket));
  return *fd;
}

int CaresSockets::close(ares_socket_t fd, void* user) {
  auto& self = *static_cast<CaresSockets*>(user);
  Socket& socket = *self.sockets_.at(fd);
  socket.closed = true;
  self.reactor_.cancel(socket.poll);
  self.reactor_.cancel(socket.connect);
  self.release(socket);
  return 0;
}

void CaresSockets::release(Socket& socket) {
  if (!socket.closed || socket.poll.in_flight || socket.connect.in_flight) return;
  reactor_.close_now(socket.fd);
  sockets_.erase(socket.fd);  // ends `socket`
  if (sockets_.empty()) emptied_.set();
}

int CaresSockets::connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void* user) {
  auto& self = *static_cast<CaresSockets*>(user);
  Socket& socket = *self.sockets_.at(fd);
  RawEndpoint raw;
  SLUICE_ASSERT(size <= raw.storage.size());
  std::memcpy(raw.storage.data(), address, size);
  raw.length = size;
  socket.server = raw.endpoint();
  // Sending names the server anyway. A connected socket also hears at once that a dead server's port is
  // closed, and its kernel drops other senders.
  socket.connect.kind = runtime::OpKind::Connect;
  socket.connect.fd = fd;
  socket.connect.peer = RawEndpoint(socket.server);
  socket.connect.done = &CaresSockets::on_connected;
  socket.connect.user = &socket;
  self.reactor_.submit(socket.connect);
  return 0;
}

void CaresSockets::on_connected(Op& op, runtime::Completion) {
  auto& socket = *static_cast<Socket*>(op.user);
  socket.owner.release(socket);
}

ares_ssize_t CaresSockets::send(ares_socket_t fd, const iovec* parts, int count, void* user) {
  auto& self = *static_cast<CaresSockets*>(user);
  const Socket& socket = *self.sockets_.at(fd);
  SLUICE_ASSERT(count == 1);  // c-ares gathers for TCP only
  const std::span bytes(static_cast<const std::byte*>(parts[0].iov_base), parts[0].iov_len);
  const auto sent = self.reactor_.send_datagram(fd, bytes, &socket.server);
  if (sent) return static_cast<ares_ssize_t>(*sent);
  errno = errno_of(sent.error());
  return -1;
}

ares_ssize_t CaresSockets::receive(ares_socket_t fd, void* into, size_t size, int /*flags*/, sockaddr* from,
                                   ares_socklen_t* from_size, void* user) {
  auto& self = *static_cast<CaresSockets*>(user);
  const Socket& socket = *self.sockets_.at(fd);
  for (std::size_t i = 0; i < kStrayDatagramsMax; ++i) {
    const auto got = self.reactor_.receive_datagram(fd, {static_cast<std::byte*>(into), size});
    if (!got) {
      errno = errno_of(got.error());
      return -1;
    }
    // A message without a whole header would end the query (c-ares 1.34) or be skipped (1.18): skip it
    // always.
    if (got->from != socket.server || got->size < kHeaderBytes) {
      ++self.stray_datagrams_;
      continue;
    }
    if (from != nullptr && from_size != nullptr) {
      const RawEndpoint raw(got->from);
      std::memcpy(from, raw.storage.data(), std::min<std::size_t>(raw.length, *from_size));
      *from_size = static_cast<ares_socklen_t>(raw.length);
    }
    return static_cast<ares_ssize_t>(got->size);
  }
  errno = EWOULDBLOCK;  // the next poll says at once that there is more
  return -1;
}

void CaresSockets::on_polled(Op& op, runtime::Completion) {
  auto& socket = *static_cast<Socket*>(op.user);
  CaresSockets& self = socket.owner;
  const int fd = socket.fd;
  if (!socket.closed && self.channel_ != nullptr) ares_process_fd(self.channel_, fd, ARES_SOCKET_BAD);
  // c-ares may have closed it just now, and release() may have ended it.
  const auto found = self.sockets_.find(fd);
  if (found == self.sockets_.end() || found->second.get() != &socket) return;
  if (socket.closed) {
    self.release(socket);
  } else if (!socket.poll.in_flight) {
    self.reactor_.submit(socket.poll);
  }
}

}  // namespace sluice::resolver
