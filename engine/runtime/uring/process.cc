#include "engine/runtime/uring/process.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "policy/base/assert.h"

namespace sluice::runtime {

Signals::Signals(Reactor& reactor, std::initializer_list<int> numbers) : reactor_(reactor) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  SLUICE_ASSERT(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  SLUICE_ASSERT(fd_ >= 0);
}

Signals::~Signals() {
  SLUICE_ASSERT(!op_.in_flight);
  ::close(fd_);
}

Task<Result<int>> Signals::next() {
  for (;;) {
    if (stopped_) co_return fail(Errc::Cancelled, "signals");
    signalfd_siginfo info{};
    if (::read(fd_, &info, sizeof info) == sizeof info) co_return static_cast<int>(info.ssi_signo);
    op_.kind = OpKind::Poll;
    op_.fd = fd_;
    op_.poll_events = POLLIN;
    const std::int32_t result = co_await perform(reactor_, op_);
    if (result < 0) co_return fail_errno(-result, "signals");
  }
}

void Signals::stop() {
  stopped_ = true;
  if (op_.in_flight) reactor_.cancel(op_);
}

void notify_supervisor(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  [[maybe_unused]] const auto sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                                              reinterpret_cast<const sockaddr*>(&address), length);
  ::close(fd);
}

void prepare_process() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace sluice::runtime
