// What an operator is told about a kernel's features and refusals.
#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::runtime {

std::string UringFeatures::text() const {
  std::string out;
  const auto add = [&out](bool have, const char* name) {
    if (!have) return;
    if (!out.empty()) out += ' ';
    out += name;
  };
  add(single_issuer, "single-issuer");
  add(defer_taskrun, "defer-taskrun");
  add(coop_taskrun, "coop-taskrun");
  add(msg_ring, "msg-ring");
  add(send_zc, "send-zc");
  add(fixed_files, "fixed-files");
  add(fixed_buffers, "fixed-buffers");
  return out;
}

std::string UringReactor::explain(const Error& error) {
  switch (error.code) {
    case Errc::Unsupported:
      return "this kernel lacks a feature Sluice cannot do without; Linux 6.1 or newer is needed";
    case Errc::NoMemory:
      return "the system refuses memory: set LimitMEMLOCK=infinity (ulimit -l unlimited), raise the limit of "
             "the "
             "address space (ulimit -v) or of the container, or set `shards` to fewer";
    case Errc::Permission:
      return "io_uring is forbidden here: check the sysctl kernel.io_uring_disabled and the seccomp profile";
    case Errc::NoDescriptors: return "too few descriptors: set LimitNOFILE=1048576 (ulimit -n)";
    default: return "see the kernel log";
  }
}

}  // namespace sluice::runtime
