// What the kernel knows of the other end of a connection. Apart, because <linux/tcp.h> and <netinet/tcp.h> cannot be
// included together.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::runtime {

std::uint64_t UringReactor::acknowledged(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return size >= offsetof(tcp_info, tcpi_bytes_received) ? info.tcpi_bytes_acked : 0;
}

}  // namespace sluice::runtime
