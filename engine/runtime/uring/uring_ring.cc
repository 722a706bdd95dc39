// The ring and its buffers: how they are made, and what the kernel can do with them.
#include "engine/runtime/uring/uring_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "policy/base/assert.h"

namespace sluice::runtime {

UringReactor::Impl::~Impl() {
  if (ring_made) io_uring_queue_exit(&ring);
  if (buffer_ring != nullptr) ::munmap(buffer_ring, mapping_bytes);
  if (event_fd >= 0) ::close(event_fd);
}

Result<void> UringReactor::Impl::make_ring() {
  // Newest first. DEFER_TASKRUN (6.1) needs SINGLE_ISSUER (6.0); COOP_TASKRUN is 5.19.
  // Not SQPOLL: no gain on two cores, and it costs a third (docs/decisions/runtime.md).
  static constexpr std::array<unsigned, 3> kFlags{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                                  IORING_SETUP_COOP_TASKRUN, 0};
  int result = 0;
  for (const unsigned flags : kFlags) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE;
    params.cq_entries = options.completion_entries;
    result = io_uring_queue_init_params(options.submission_entries, &ring, &params);
    if (result == 0) {
      ring_made = true;
      features.single_issuer = (flags & IORING_SETUP_SINGLE_ISSUER) != 0;
      features.defer_taskrun = (flags & IORING_SETUP_DEFER_TASKRUN) != 0;
      features.coop_taskrun = (flags & IORING_SETUP_COOP_TASKRUN) != 0;
      if ((params.features & IORING_FEAT_NODROP) == 0)
        return fail(Errc::Unsupported, "io_uring: NODROP (kernel 5.5)");
      if ((params.features & IORING_FEAT_EXT_ARG) == 0) {
        return fail(Errc::Unsupported, "io_uring: EXT_ARG (kernel 5.11)");
      }
      return {};
    }
    if (result != -EINVAL) break;
  }
  return fail_errno(-result, "io_uring_setup");
}

Result<void> UringReactor::Impl::make_buffers() {
  const std::size_t ring_bytes =
      (std::size_t{options.buffer_count} * sizeof(io_uring_buf) + 4095) / 4096 * 4096;
  mapping_bytes = ring_bytes + std::size_t{options.buffer_count} * options.buffer_bytes;
  void* memory = ::mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "mmap of receive buffers");
  buffer_ring = static_cast<io_uring_buf_ring*>(memory);
  buffers = static_cast<std::byte*>(memory) + ring_bytes;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(buffer_ring);
  registration.ring_entries = options.buffer_count;
  registration.bgid = kBufferGroup;
  const int result = io_uring_register_buf_ring(&ring, &registration, 0);
  if (result == -EINVAL)
    return fail(Errc::Unsupported, "io_uring: provided-buffer rings (kernel 5.19)", EINVAL);
  if (result < 0) return fail_errno(-result, "io_uring: register receive buffers");
  io_uring_buf_ring_init(buffer_ring);
  for (std::uint32_t id = 0; id < options.buffer_count; ++id) add_buffer(static_cast<std::uint16_t>(id));
  return {};
}

void UringReactor::Impl::probe() {
  io_uring_probe* found = io_uring_get_probe_ring(&ring);
  if (found != nullptr) {
    features.msg_ring = io_uring_opcode_supported(found, IORING_OP_MSG_RING) != 0;
    features.send_zc = io_uring_opcode_supported(found, IORING_OP_SEND_ZC) != 0;
    io_uring_free_probe(found);
  }
  if (options.wake_by_eventfd) features.msg_ring = false;
  features.fixed_files = io_uring_register_files_sparse(&ring, kFixedFilesMax) == 0;
  if (features.fixed_files) {
    for (std::int32_t slot = kFixedFilesMax; slot-- > 0;) free_files.push_back(slot);
  }
  features.fixed_buffers = io_uring_register_buffers_sparse(&ring, kFixedBuffersMax) == 0;
}

io_uring_sqe* UringReactor::Impl::sqe(Counters& counters) {
  io_uring_sqe* free = io_uring_get_sqe(&ring);
  while (free == nullptr) {  // the queue is full: hand over what is there and take the next
    ++counters.system_calls;
    const int result = io_uring_submit(&ring);
    SLUICE_ASSERT(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
    free = io_uring_get_sqe(&ring);
  }
  return free;
}

}  // namespace sluice::runtime
