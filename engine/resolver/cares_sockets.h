#pragma once

#define CARES_NO_DEPRECATED  // newer releases deprecate what Debian 12's 1.18 has no successor for
#include <ares.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "policy/base/ip_address.h"

namespace sluice::resolver {

/// The UDP sockets of one c-ares channel, made and watched by the reactor (ares_set_socket_functions).
/// Thread:   one shard.
/// Lifetime: attach() before the channel's first query, detach() after its end; destroyed only when empty()
///           (asserted): a socket stays until its operations have come back, also after c-ares has closed it.
/// Limits:   one socket for each server. TCP is refused (ESOCKTNOSUPPORT): see CaresTransport.
class CaresSockets {
 public:
  static constexpr std::size_t kStrayDatagramsMax = 64;  ///< dropped in a row before other work gets its turn

  /// `emptied` is set when the last socket has gone.
  CaresSockets(runtime::Reactor& reactor, runtime::Wakeup& emptied) : reactor_(reactor), emptied_(emptied) {}
  CaresSockets(const CaresSockets&) = delete;
  CaresSockets& operator=(const CaresSockets&) = delete;
  ~CaresSockets();

  void attach(ares_channel channel);
  void detach() { channel_ = nullptr; }
  [[nodiscard]] bool empty() const { return sockets_.empty(); }
  /// Datagrams from somebody else than the server asked.
  [[nodiscard]] std::uint64_t stray_datagrams() const { return stray_datagrams_; }

 private:
  struct Socket {
    CaresSockets& owner;
    int fd = -1;
    Endpoint server;
    runtime::Op poll;
    runtime::Op connect;
    bool closed = false;  // by c-ares
  };
  void release(Socket& socket);
  static void on_polled(runtime::Op& op, runtime::Completion completion);
  static void on_connected(runtime::Op& op, runtime::Completion completion);

  // Called by c-ares. Errors are told by errno, as the system calls they stand for do.
  static ares_socket_t open(int family, int type, int protocol, void* user);
  static int close(ares_socket_t fd, void* user);
  static int connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void* user);
  static ares_ssize_t receive(ares_socket_t fd, void* into, size_t size, int flags, sockaddr* from,
                              ares_socklen_t* from_size, void* user);
  static ares_ssize_t send(ares_socket_t fd, const iovec* parts, int count, void* user);
  static const ares_socket_functions kFunctions;

  runtime::Reactor& reactor_;
  runtime::Wakeup& emptied_;
  ares_channel channel_ = nullptr;
  std::unordered_map<int, std::unique_ptr<Socket>> sockets_;
  std::uint64_t stray_datagrams_ = 0;
};

}  // namespace sluice::resolver
