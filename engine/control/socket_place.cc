#include "engine/control/socket_place.h"

#include <cerrno>

#include "engine/control/locked_file.h"

namespace sluice::control {
namespace {

using runtime::Task;

constexpr std::size_t kPathMax = 107;        // of sockaddr_un
constexpr std::uint32_t kSocketMode = 0660;  // owner and group give commands
constexpr std::uint32_t kLockMode = 0600;    // nobody else can hold it
constexpr Duration kAskAgain = 100ms;
constexpr Duration kAnswerTime = 1s;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "the working directory";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// What is wrong, and what to do about it.
std::string reason(const std::string& path, const Error& error) {
  const std::string elsewhere = "name another place with run-dir or control-socket";
  const std::string folder = folder_of(path);
  switch (error.sys_errno) {
    case EADDRINUSE:
      return "another sluiced is running with it; stop that one, or give each a run-dir of its own";
    case ENOENT: return folder + " does not exist; make it, or " + elsewhere;
    case ENOTDIR: return folder + " is not a directory; remove what is there, or " + elsewhere;
    case EROFS: return folder + " is on a read-only file system; mount it writable, or " + elsewhere;
    case EACCES:
    case EPERM:
      return "no permission to make files in " + folder + "; give it to the user sluiced runs as, or " +
             elsewhere;
    case EISDIR: return "a directory is in the place of " + path + ".lock; remove it, or " + elsewhere;
    case ELOOP: return "a symbolic link is in the place of " + path + ".lock; remove it, or " + elsewhere;
    default: break;
  }
  if (error.code == Errc::Exists) return std::string(error.where) + "; remove it, or " + elsewhere;
  return error.text() + "; mend that, or " + elsewhere;
}

/// Whether somebody takes an empty command there and answers it: a process that is being killed does not.
Task<bool> answers(runtime::Reactor& reactor, std::string path) {
  const Result<int> fd = reactor.unix_socket();
  if (!fd) co_return false;
  if (!reactor.connect_unix(*fd, path)) {
    reactor.close_now(*fd);
    co_return false;
  }
  runtime::Stream stream(reactor, *fd);
  stream.set_deadline(reactor.now() + kAnswerTime);
  reactor.end_output(*fd);
  const Result<runtime::ReceivedBytes> answer = co_await stream.receive();
  co_return answer && !answer->bytes().empty();
}

}  // namespace

Task<std::expected<runtime::Listener, std::string>> SocketPlace::take(runtime::Reactor& reactor,
                                                                      std::string path) {
  const std::string what = "cannot open the control socket " + path + ": ";
  if (path.size() > kPathMax) {
    co_return std::unexpected(what + "its path has " + std::to_string(path.size()) +
                              " bytes, a socket's at most " + std::to_string(kPathMax) +
                              "; set a shorter run-dir or control-socket");
  }
  path_ = std::move(path);
  const MonoTime end = reactor.now() + kWait;
  if (const Status locked = co_await lock(reactor, end); !locked)
    co_return std::unexpected(what + reason(path_, locked.error()));
  Result<runtime::Listener> opened = co_await listen(reactor, end);
  if (opened) co_return std::move(*opened);
  (void)co_await runtime::unlink_file(reactor, lock_path());
  lock_ = runtime::File();
  co_return std::unexpected(what + reason(path_, opened.error()));
}

Task<Status> SocketPlace::lock(runtime::Reactor& reactor, MonoTime end) {
  const runtime::OpenOptions how{.create = true, .no_follow = true, .plain_only = true, .mode = kLockMode};
  for (;;) {
    Result<runtime::File> file = co_await open_locked(reactor, lock_path(), how, kAskAgain);
    if (file) lock_ = std::move(*file);
    if (file) co_return Status();
    if (file.error().code != Errc::Timeout) co_return std::unexpected(file.error());
    const bool lives = co_await answers(reactor, path_);
    if (lives || reactor.now() >= end) co_return fail_errno(EADDRINUSE, "lock");
  }
}

Task<Result<runtime::Listener>> SocketPlace::listen(runtime::Reactor& reactor, MonoTime end) {
  for (;;) {
    Result<runtime::Listener> opened = runtime::Listener::open_unix(reactor, path_, kSocketMode);
    if (opened || opened.error().sys_errno != EADDRINUSE) co_return opened;
    // The lock is ours: who listens there is on its way out, or knows nothing of locks.
    const bool lives = co_await answers(reactor, path_);
    if (lives || reactor.now() >= end) co_return opened;
    co_await runtime::sleep_for(reactor, kAskAgain);
  }
}

Task<void> SocketPlace::leave(runtime::Reactor& reactor) {
  if (!lock_) co_return;
  (void)co_await runtime::unlink_file(reactor, path_);
  (void)co_await runtime::unlink_file(reactor, lock_path());
  lock_ = runtime::File();
}

}  // namespace sluice::control
