#pragma once

#include <cstdint>

namespace sluice::runtime {

/// What a world can say about the other end of a connection. Both do; apart from Reactor because one caller asks,
/// and seldom. Thread: the reactor's.
class SendProgress {
 public:
  /// Bytes sent on the TCP connection `fd` that the other side's kernel has acknowledged, since it was opened. 0
  /// for other descriptors.
  [[nodiscard]] virtual std::uint64_t acknowledged(int fd) = 0;

 protected:
  ~SendProgress() = default;
};

}  // namespace sluice::runtime
