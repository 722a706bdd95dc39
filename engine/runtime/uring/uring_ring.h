#pragma once
// What a reactor of the real world has from its kernel: a ring, receive buffers and places for files.

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::runtime {

inline constexpr std::uint16_t kBufferGroup = 0;

/// Operations that are not with the kernel, first in, first out; the links are in world_bytes.
class OpList {
 public:
  [[nodiscard]] bool empty() const { return first_ == nullptr; }
  void push_back(Op& op) {
    new (op.world_bytes) Links{last_, nullptr};
    (last_ == nullptr ? first_ : links(*last_).next) = &op;
    last_ = &op;
    op.world = this;
  }
  [[nodiscard]] bool holds(const Op& op) const { return op.world == this; }
  Op& pop_front() {
    Op& op = *first_;
    erase(op);
    return op;
  }
  void erase(Op& op) {
    const Links at = links(op);
    (at.previous == nullptr ? first_ : links(*at.previous).next) = at.next;
    (at.next == nullptr ? last_ : links(*at.next).previous) = at.previous;
    op.world = nullptr;
  }

 private:
  struct Links {
    Op* previous;
    Op* next;
  };
  static Links& links(Op& op) { return *std::launder(reinterpret_cast<Links*>(op.world_bytes)); }
  Op* first_ = nullptr;
  Op* last_ = nullptr;
};

/// Made by create(), in the order of its functions; afterwards the reactor works with it.
/// Thread: the reactor's. Errors of the makers: as create().
struct UringReactor::Impl {
  io_uring ring{};
  bool ring_made = false;
  UringOptions options;
  UringFeatures features;
  // Provided buffers: the ring of descriptors and the memory they describe, one mapping.
  io_uring_buf_ring* buffer_ring = nullptr;
  std::byte* buffers = nullptr;
  std::size_t mapping_bytes = 0;
  std::uint32_t buffers_out = 0;  // handed over and not yet returned
  OpList starved;                 // RecvMulti that found no buffer, in the order they go on
  std::uint16_t fixed_buffers_used = 0;
  std::vector<std::int32_t> free_files;
  int event_fd = -1;
  Op event_poll;
  std::array<std::uint64_t, 4> random_state{};
  std::uint64_t in_flight = 0;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  [[nodiscard]] Result<void> make_ring();
  [[nodiscard]] Result<void> make_buffers();
  /// What else the kernel can do, by trying.
  void probe();
  /// A free place for an operation; what is there goes to the kernel first when there is none.
  [[nodiscard]] io_uring_sqe* sqe(Counters& counters);
  void add_buffer(std::uint16_t id) {
    io_uring_buf_ring_add(buffer_ring, buffers + std::size_t{id} * options.buffer_bytes, options.buffer_bytes,
                          id, io_uring_buf_ring_mask(options.buffer_count), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
  }
};

}  // namespace sluice::runtime
