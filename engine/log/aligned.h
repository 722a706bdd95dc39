#pragma once
// Memory for direct reads and writes.

#include <cstddef>
#include <cstring>
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
    out.memory_.reset(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{kBlockBytes})));
    std::memset(out.memory_.get(), 0, bytes);
    out.size_ = bytes;
    return out;
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return {memory_.get(), size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{kBlockBytes}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace sluice::log
