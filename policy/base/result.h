#pragma once
// Operating errors: they happen in production (disk full, peer gone, bad configuration) and the caller
// handles them. A 4xx or 5xx reply of a remote host is NOT an error: it is data for policy/. A bug is
// SLUICE_ASSERT.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace sluice {

enum class Errc : std::uint8_t {
  Timeout,        ///< the deadline passed
  Cancelled,      ///< the operation was asked to stop
  PeerClosed,     ///< orderly end or reset by the other side
  Refused,        ///< connection refused
  Unreachable,    ///< no route, host or network unreachable
  NoSpace,        ///< disk full, quota, or a named limit of ours was reached
  NoMemory,       ///< memory budget used up
  NoDescriptors,  ///< out of file descriptors or local ports
  NotFound,       ///< no such file, name or object
  Exists,         ///< already there
  Permission,     ///< not allowed by the system
  Corrupt,        ///< stored bytes fail their check
  Unsupported,    ///< the kernel or the peer lacks it
  BadInput,       ///< text or bytes that do not parse
  Io,             ///< any other failure of a system call; see sys_errno
};

/// Lower-case words for logs ("timeout", "peer closed").
[[nodiscard]] std::string_view name_of(Errc code);

/// Holds no heap memory, so it can be made when memory is short.
struct Error {
  Errc code = Errc::Io;
  int sys_errno = 0;       ///< errno of the failed call; 0 when no system call was involved
  const char* where = "";  ///< string literal naming the operation, for example "spool.append"
  /// "spool.append: no space (No space left on device)".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Error& a, const Error& b) {
    return a.code == b.code && a.sys_errno == b.sys_errno;
  }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// The Errc an errno stands for.
[[nodiscard]] Errc errc_from_errno(int sys_errno);
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, const char* where, int sys_errno = 0) {
  return std::unexpected(Error{code, sys_errno, where});
}
/// `sys_errno` > 0.
[[nodiscard]] inline std::unexpected<Error> fail_errno(int sys_errno, const char* where) {
  return std::unexpected(Error{errc_from_errno(sys_errno), sys_errno, where});
}

}  // namespace sluice
