#include "policy/base/result.h"

#include <cerrno>
#include <cstring>

namespace sluice {

std::string_view name_of(Errc code) {
  switch (code) {
    case Errc::Timeout: return "timeout";
    case Errc::Cancelled: return "cancelled";
    case Errc::PeerClosed: return "peer closed";
    case Errc::Refused: return "refused";
    case Errc::Unreachable: return "unreachable";
    case Errc::NoSpace: return "no space";
    case Errc::NoMemory: return "no memory";
    case Errc::NoDescriptors: return "no descriptors";
    case Errc::NotFound: return "not found";
    case Errc::Exists: return "exists";
    case Errc::Permission: return "permission";
    case Errc::Corrupt: return "corrupt";
    case Errc::Unsupported: return "unsupported";
    case Errc::BadInput: return "bad input";
    case Errc::Io: return "input/output error";
  }
  return "unknown";
}

std::string Error::text() const {
  std::string out(where);
  if (!out.empty()) out += ": ";
  out += name_of(code);
  if (sys_errno != 0) {
    char buffer[128];
    // GNU strerror_r: thread safe, may answer with a constant instead of filling the buffer.
    out += " (";
    out += ::strerror_r(sys_errno, buffer, sizeof buffer);
    out += ')';
  }
  return out;
}

Errc errc_from_errno(int sys_errno) {
  switch (sys_errno) {
    case ETIMEDOUT:
    case ETIME: return Errc::Timeout;
    case ECANCELED: return Errc::Cancelled;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ESHUTDOWN:
    case ENOTCONN: return Errc::PeerClosed;
    case ECONNREFUSED: return Errc::Refused;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTDOWN: return Errc::Unreachable;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::NoSpace;
    case ENOMEM:
    case ENOBUFS: return Errc::NoMemory;
    case EMFILE:
    case ENFILE:
    case EADDRNOTAVAIL: return Errc::NoDescriptors;
    case ENOENT: return Errc::NotFound;
    case EEXIST:
    case EADDRINUSE: return Errc::Exists;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::Permission;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: return Errc::Unsupported;
    case EINVAL: return Errc::BadInput;
    default: return Errc::Io;
  }
}

}  // namespace sluice
