// The system calls that are made directly: socket set-up, directory look-ups.
#include "engine/runtime/uring/system_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "engine/runtime/uring/uring_reactor.h"
#include "policy/base/assert.h"

namespace sluice::runtime {
namespace {

/// A descriptor that closes itself unless released.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/// Asked each time: it may be changed while the process runs.
std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int>::max()));
}

int family_of(bool is_v4) { return is_v4 ? AF_INET : AF_INET6; }

FileState state_from(const struct stat& found) {
  const auto since_epoch =
      std::chrono::seconds(found.st_mtim.tv_sec) + std::chrono::nanoseconds(found.st_mtim.tv_nsec);
  return {.is_plain = S_ISREG(found.st_mode),
          .is_directory = S_ISDIR(found.st_mode),
          .size_bytes = static_cast<std::uint64_t>(found.st_size),
          .modified = WallTime(std::chrono::floor<WallTime::duration>(since_epoch)),
          .identity = {found.st_dev, found.st_ino}};
}

class Cursor final : public DirectoryCursor {
 public:
  explicit Cursor(DIR* directory) : directory_(directory) {}
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor() override { ::closedir(directory_); }

  Result<std::vector<Entry>> next(std::size_t most) override {
    std::vector<Entry> out;
    while (out.size() < most) {
      errno = 0;
      const dirent* entry = ::readdir(directory_);
      if (entry == nullptr && errno != 0) return fail_errno(errno, "readdir");
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat found{};
      if (::fstatat(::dirfd(directory_), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        continue;  // removed in between
      out.push_back({std::string(name), state_from(found)});
    }
    return out;
  }

 private:
  DIR* directory_;
};

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Errc::BadInput, "unix socket: path longer than 107 bytes");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

/// Removes a socket that nobody listens on: a killed process has left it behind.
Status make_way(const std::string& path, const sockaddr_un& address) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "look for a unix socket");
  }
  if (S_ISLNK(found.st_mode)) return fail(Errc::Exists, "a symbolic link is in its place");
  if (S_ISDIR(found.st_mode)) return fail(Errc::Exists, "a directory is in its place");
  if (!S_ISSOCK(found.st_mode)) return fail(Errc::Exists, "a file is in its place");
  // Without waiting: a listener with a full line answers EAGAIN, and lives.
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return fail_errno(errno, "socket");
  const bool lives =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN || errno == EPROTOTYPE;
  if (lives) return fail_errno(EADDRINUSE, "bind unix socket");
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED) return fail_errno(errno, "connect to unix socket");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "remove unix socket");
  return {};
}

}  // namespace

std::int32_t perform_now(const Op& op) {
  SLUICE_ASSERT(op.kind == OpKind::Truncate);
  return ::ftruncate(op.fd, static_cast<off_t>(op.size)) == 0 ? 0 : -errno;
}

// Sockets stay in blocking mode: io_uring waits by itself, and would answer EAGAIN on O_NONBLOCK descriptors
// instead.

Result<int> UringReactor::tcp_listener(const Endpoint& at, ListenOptions options) {
  Descriptor fd(::socket(family_of(at.address.is_v4()), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1))
    return fail_errno(errno, "SO_REUSEPORT");
  if (!at.address.is_v4()) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);  // accepted sockets inherit it
  const RawEndpoint raw(at);
  if (::bind(fd.get(), raw.get(), raw.length) != 0) return fail_errno(errno, "bind");
  if (::listen(fd.get(), options.backlog) != 0) return fail_errno(errno, "listen");
  return fd.release();
}

// Bound as a listener that shares with nobody, but never made one: no client can get into its line. Connections of a
// process that has ended do not hinder it.
Status UringReactor::is_free(const Endpoint& at) {
  const Descriptor fd(::socket(family_of(at.address.is_v4()), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (!at.address.is_v4()) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const RawEndpoint raw(at);
  if (::bind(fd.get(), raw.get(), raw.length) != 0) return fail_errno(errno, "bind");
  return {};
}

Result<int> UringReactor::unix_listener(const std::string& path, std::uint32_t mode) {
  const Result<sockaddr_un> address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  if (const Status free = make_way(path, *address); !free) return std::unexpected(free.error());
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return fail_errno(errno, "bind unix socket");
  }
  if (::chmod(path.c_str(), mode) == 0 && ::listen(fd.get(), 64) == 0) return fd.release();
  const int failure = errno;
  ::unlink(path.c_str());
  return fail_errno(failure, "listen on unix socket");
}

Result<int> UringReactor::tcp_socket(bool is_v4, const IpAddress* source) {
  Descriptor fd(::socket(family_of(is_v4), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  if (descriptors_left(fd.get()) < descriptor_reserve()) return fail_errno(EMFILE, "socket");
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (source != nullptr) {
    // The local port is chosen at connect, by the whole four-tuple: 28,000 connections to each peer, not in
    // all.
    set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const RawEndpoint raw(Endpoint{*source, 0});
    if (::bind(fd.get(), raw.get(), raw.length) != 0) return fail_errno(errno, "bind to source address");
  }
  return fd.release();
}

Result<int> UringReactor::unix_socket() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_errno(errno, "socket");
  return fd;
}

Status UringReactor::connect_unix(int fd, const std::string& path) {
  const Result<sockaddr_un> address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  // A listener with a full line makes others wait; nobody else's time may be spent on that here.
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int failure =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 ? 0 : errno;
  ::fcntl(fd, F_SETFL, flags);
  if (failure != 0) return fail_errno(failure, "connect to unix socket");
  return {};
}

Result<int> UringReactor::udp_socket(bool is_v4, const Endpoint* bind_to) {
  Descriptor fd(::socket(family_of(is_v4), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_errno(errno, "socket");
  if (bind_to != nullptr) {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    const RawEndpoint raw(*bind_to);
    if (::bind(fd.get(), raw.get(), raw.length) != 0) return fail_errno(errno, "bind");
  }
  return fd.release();
}

Result<std::size_t> UringReactor::send_datagram(int fd, std::span<const std::byte> bytes,
                                                const Endpoint* to) {
  const RawEndpoint raw = to != nullptr ? RawEndpoint(*to) : RawEndpoint();
  const ssize_t sent = ::sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                to != nullptr ? raw.get() : nullptr, to != nullptr ? raw.length : 0);
  if (sent < 0)
    return errno == EAGAIN ? Result<std::size_t>(fail(Errc::Timeout, "sendto")) : fail_errno(errno, "sendto");
  return static_cast<std::size_t>(sent);
}

Result<Reactor::Datagram> UringReactor::receive_datagram(int fd, std::span<std::byte> into) {
  RawEndpoint raw;
  socklen_t length = sizeof raw.storage;
  const ssize_t got = ::recvfrom(fd, into.data(), into.size(), MSG_DONTWAIT, raw.get(), &length);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return fail(Errc::Timeout, "recvfrom");
    return fail_errno(errno, "recvfrom");
  }
  raw.length = length;
  return Datagram{static_cast<std::size_t>(got), raw.endpoint()};
}

Result<Endpoint> UringReactor::local_endpoint(int fd) {
  RawEndpoint raw;
  socklen_t length = sizeof raw.storage;
  if (::getsockname(fd, raw.get(), &length) != 0) return fail_errno(errno, "getsockname");
  return raw.endpoint();
}

Result<Endpoint> UringReactor::peer_endpoint(int fd) {
  RawEndpoint raw;
  socklen_t length = sizeof raw.storage;
  if (::getpeername(fd, raw.get(), &length) != 0) return fail_errno(errno, "getpeername");
  return raw.endpoint();
}

void UringReactor::shutdown_socket(int fd) { ::shutdown(fd, SHUT_RDWR); }
void UringReactor::end_output(int fd) { ::shutdown(fd, SHUT_WR); }

std::vector<IpAddress> UringReactor::local_addresses() {
  std::vector<IpAddress> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    RawEndpoint raw;
    std::memcpy(raw.storage.data(), one->ifa_addr,
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    out.push_back(raw.endpoint().address);
  }
  ::freeifaddrs(list);
  return out;
}

std::size_t UringReactor::descriptors_left(int newest) {
  // The system gives the lowest number that is free.
  const std::size_t limit = descriptor_limit();
  const auto taken = static_cast<std::size_t>(newest) + 1;
  return limit > taken ? limit - taken : 0;
}

std::size_t UringReactor::descriptor_reserve() {
  static constexpr std::size_t kReserve = 256;
  return std::min(kReserve, descriptor_limit() / 4);
}

void UringReactor::close_now(int fd) { ::close(fd); }

Result<std::vector<DirectoryEntry>> UringReactor::list_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return fail_errno(errno, "opendir");
  std::vector<DirectoryEntry> out;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat found{};
    if (::stat((path + '/' + name).c_str(), &found) != 0) continue;  // removed in between
    out.push_back({name, S_ISDIR(found.st_mode), static_cast<std::uint64_t>(found.st_size)});
  }
  ::closedir(directory);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

Result<std::unique_ptr<DirectoryCursor>> UringReactor::open_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return fail_errno(errno, "opendir");
  return std::make_unique<Cursor>(directory);
}

Result<FileSystemSpace> UringReactor::space_of(const std::string& path) {
  struct statvfs found{};
  if (::statvfs(path.c_str(), &found) != 0) return fail_errno(errno, "statvfs");
  return FileSystemSpace{std::uint64_t{found.f_bavail} * found.f_frsize,
                         std::uint64_t{found.f_blocks} * found.f_frsize};
}

Result<std::uint64_t> UringReactor::size_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return fail_errno(errno, "stat");
  return static_cast<std::uint64_t>(found.st_size);
}

Result<std::uint64_t> UringReactor::size_of(int fd) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return fail_errno(errno, "fstat");
  return static_cast<std::uint64_t>(found.st_size);
}

Result<FileState> UringReactor::state_of(int fd) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return fail_errno(errno, "fstat");
  return state_from(found);
}

Status UringReactor::expect_plain(int fd) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return fail_errno(errno, "fstat");
  if (!S_ISREG(found.st_mode)) return fail(Errc::BadInput, "open: not a plain file");
  // An operation of the ring on a descriptor that does not wait may answer EAGAIN where others wait.
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) return fail_errno(errno, "fcntl");
  return {};
}

Result<bool> UringReactor::try_lock(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return false;
    return fail_errno(errno, "flock");
  }
  // Programs that lock with fcntl() (Java and others) do not see those of flock(), nor are they seen by it.
  struct flock other{};
  other.l_type = F_WRLCK;
  other.l_whence = SEEK_SET;
  if (::fcntl(fd, F_OFD_GETLK, &other) != 0 || other.l_type == F_UNLCK) return true;
  ::flock(fd, LOCK_UN);
  return false;
}

Status UringReactor::make_directories(const std::string& path, std::uint32_t mode) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (!part.empty() && ::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
      return fail_errno(errno, "mkdir");
    if (slash == std::string::npos) return {};
  }
}

}  // namespace sluice::runtime
