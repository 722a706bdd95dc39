#pragma once
// Memory for direct reads and writes.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "engine/log/format.h"

namespace sluice::log {

/// A zeroed stretch that begins on a block boundary. Movable. Thread: any.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  /// `bytes`: a multiple of kBlockBytes.
  [[nodiscard]] static AlignedMemory make(std::size_t bytes) {
    AlignedMemory out;
    // calloc knows that fresh pages are zero: room for a record of 60 MB is gone through once, not twice.
    std::size_t space = bytes + kBlockBytes;
    void* at = std::calloc(space, 1);
    if (at == nullptr) throw std::bad_alloc();
    out.memory_.reset(at);
    out.bytes_ = {static_cast<std::byte*>(std::align(kBlockBytes, bytes, at, space)), bytes};
    return out;
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::span<std::byte> bytes_;
};

}  // namespace sluice::log
