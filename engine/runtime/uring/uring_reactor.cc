#include "engine/runtime/uring/uring_reactor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>

#include "engine/runtime/mailbox.h"
#include "engine/runtime/uring/system_calls.h"
#include "engine/runtime/uring/uring_ring.h"
#include "policy/base/assert.h"

namespace sluice::runtime {
namespace {

// user_data of completions that belong to no Op. Ops are aligned pointers, so small odd numbers are free.
constexpr std::uint64_t kIgnore = 1;
constexpr std::uint64_t kWake = 3;

/// Also counts while the machine is suspended: what has come due meanwhile is due.
MonoTime monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return MonoTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

WallTime real_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return WallTime(std::chrono::seconds(now.tv_sec) + std::chrono::duration_cast<std::chrono::milliseconds>(
                                                         std::chrono::nanoseconds(now.tv_nsec)));
}

}  // namespace

Result<std::unique_ptr<UringReactor>> UringReactor::create(ShardId shard, const UringOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (auto made = impl->make_ring(); !made) return std::unexpected(made.error());
  if (auto made = impl->make_buffers(); !made) return std::unexpected(made.error());
  impl->probe();
  if (::getrandom(impl->random_state.data(), sizeof impl->random_state, 0) != sizeof impl->random_state) {
    return fail_errno(errno, "getrandom");
  }
  if (!impl->features.msg_ring) {
    impl->event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (impl->event_fd < 0) return fail_errno(errno, "eventfd");
  }
  std::unique_ptr<UringReactor> reactor(new UringReactor(shard, std::move(impl)));
  return reactor;
}

UringReactor::UringReactor(ShardId shard, std::unique_ptr<Impl> impl)
    : Reactor(shard, monotonic_now()), impl_(std::move(impl)) {
  set_time(monotonic_now(), real_now());
  if (impl_->event_fd >= 0) {
    Op& op = impl_->event_poll;
    op.kind = OpKind::Poll;
    op.fd = impl_->event_fd;
    op.poll_events = POLLIN;
    op.user = this;
    op.done = [](Op& done, Completion) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(done.fd, &count, sizeof count);
      static_cast<UringReactor*>(done.user)->submit(done);
    };
    submit(op);
  }
}

UringReactor::~UringReactor() {
  if (mailboxes() != nullptr) mailboxes()->detach(*this);
}

const UringFeatures& UringReactor::features() const { return impl_->features; }

MonoTime UringReactor::read_clock() { return monotonic_now(); }

void UringReactor::refresh_clock() { set_time(monotonic_now(), real_now()); }

std::uint64_t UringReactor::random() {
  // xoshiro256**, seeded by the kernel: for shuffles and jitter, not for secrets.
  auto& s = impl_->random_state;
  const auto rotate = [](std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  const std::uint64_t out = rotate(s[1] * 5, 7) * 9;
  const std::uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return out;
}

namespace {

void prepare_file_op(io_uring_sqe* sqe, const Op& op) {
  const bool fixed = op.fixed_buffer != Op::kNoFixedBuffer;
  const auto size = static_cast<unsigned>(op.size);
  const int fd = op.fixed_file >= 0 ? op.fixed_file : op.fd;
  if (op.kind == OpKind::Read) {
    if (fixed) {
      io_uring_prep_read_fixed(sqe, fd, op.data, size, op.offset, op.fixed_buffer);
    } else {
      io_uring_prep_read(sqe, fd, op.data, size, op.offset);
    }
  } else {
    if (fixed) {
      io_uring_prep_write_fixed(sqe, fd, op.data, size, op.offset, op.fixed_buffer);
    } else {
      io_uring_prep_write(sqe, fd, op.data, size, op.offset);
    }
    if (op.durable) sqe->rw_flags = RWF_DSYNC;
  }
  if (op.fixed_file >= 0) sqe->flags |= IOSQE_FIXED_FILE;
}

void reset_connection(int fd) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  ::connect(fd, &nobody, sizeof nobody);
}

}  // namespace

void UringReactor::submit(Op& op) {
  SLUICE_ASSERT(!op.in_flight && op.done != nullptr);
  op.in_flight = true;
  op.cancel_asked = false;
  op.tries = 0;
  op.world = nullptr;
  op.world_word = 0;
  ++impl_->in_flight;
  ++counters_.submitted;
  if (op.kind == OpKind::Truncate) {
    late_.push_back({&op, Completion{.result = perform_now(op)}});
    return;
  }
  prepare(op, 0);
}

/// WAITALL: the kernel itself continues a short send. Should it stop all the same (a signal, old kernels),
/// the rest follows: the part it stopped in first, then the list behind.
void UringReactor::prepare_send(Op& op, std::uint64_t already_sent, io_uring_sqe* sqe) {
  const SendRest rest = rest_of_send(op, already_sent);
  if (op.kind == OpKind::SendZeroCopy) {
    io_uring_prep_send_zc(sqe, op.fd, rest.piece.data(), rest.piece.size(), MSG_NOSIGNAL | MSG_WAITALL,
                          1u << 3 /* REPORT_USAGE, 6.2 */);
  } else if (op.kind == OpKind::Send || !rest.piece.empty()) {
    io_uring_prep_send(sqe, op.fd, rest.piece.data(), rest.piece.size(), MSG_NOSIGNAL | MSG_WAITALL);
  } else {
    static_assert(sizeof(msghdr) + sizeof(__kernel_timespec) <= sizeof op.world_bytes);
    auto* header = new (op.world_bytes + sizeof(__kernel_timespec)) msghdr{};
    header->msg_iov = const_cast<iovec*>(rest.parts.data());
    header->msg_iovlen = rest.parts.size();
    io_uring_prep_sendmsg(sqe, op.fd, header, MSG_NOSIGNAL | MSG_WAITALL);
  }
}

void UringReactor::prepare(Op& op, std::uint64_t already_sent) {
  Impl& impl = *impl_;
  if (op.timeout > Duration{0} && io_uring_sq_space_left(&impl.ring) < 2) {
    ++counters_.system_calls;
    io_uring_submit(&impl.ring);  // an operation and its linked timeout go in one batch
  }
  io_uring_sqe* sqe = impl.sqe(counters_);
  switch (op.kind) {
    case OpKind::Accept:
      if (op.once) {
        io_uring_prep_accept(sqe, op.fd, nullptr, nullptr, SOCK_CLOEXEC);
      } else {
        io_uring_prep_multishot_accept(sqe, op.fd, nullptr, nullptr, SOCK_CLOEXEC);
      }
      break;
    case OpKind::Connect: io_uring_prep_connect(sqe, op.fd, op.peer.get(), op.peer.length); break;
    case OpKind::Recv: io_uring_prep_recv(sqe, op.fd, op.data, op.size, 0); break;
    case OpKind::RecvMulti:
      io_uring_prep_recv_multishot(sqe, op.fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kBufferGroup;
      break;
    case OpKind::Send:
    case OpKind::SendVector:
    case OpKind::SendZeroCopy: prepare_send(op, already_sent, sqe); break;
    case OpKind::Poll: io_uring_prep_poll_add(sqe, op.fd, op.poll_events); break;
    case OpKind::Read:
    case OpKind::Write: prepare_file_op(sqe, op); break;
    case OpKind::Sync: io_uring_prep_fsync(sqe, op.fd, op.durable ? 0 : IORING_FSYNC_DATASYNC); break;
    case OpKind::Open: io_uring_prep_openat(sqe, AT_FDCWD, op.path, op.open_flags, op.mode); break;
    case OpKind::Close: io_uring_prep_close(sqe, op.fd); break;
    case OpKind::Allocate:
      // By hand: liburing 2.3 takes off_t here, 2.9 __u64.
      io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, op.fd, nullptr, 0, op.offset);
      sqe->addr = op.size;
      break;
    case OpKind::Rename: io_uring_prep_renameat(sqe, AT_FDCWD, op.path, AT_FDCWD, op.path2, 0); break;
    case OpKind::Unlink: io_uring_prep_unlinkat(sqe, AT_FDCWD, op.path, 0); break;
    case OpKind::MakeDir: io_uring_prep_mkdirat(sqe, AT_FDCWD, op.path, op.mode); break;
    case OpKind::Truncate: SLUICE_ASSERT(false); break;
  }
  io_uring_sqe_set_data64(sqe, reinterpret_cast<std::uintptr_t>(&op));
  if (op.timeout > Duration{0}) {
    sqe->flags |= IOSQE_IO_LINK;
    auto* duration = new (op.world_bytes) __kernel_timespec{op.timeout / 1s, (op.timeout % 1s) / 1ns};
    io_uring_sqe* limit = impl.sqe(counters_);
    io_uring_prep_link_timeout(limit, duration, 0);
    io_uring_sqe_set_data64(limit, kIgnore);
  }
}

void UringReactor::cancel(Op& op) {
  if (!op.in_flight || op.cancel_asked) return;
  op.cancel_asked = true;
  if (impl_->starved.holds(op)) {
    // Not in the kernel: answered by the loop like any other.
    impl_->starved.erase(op);
    late_.push_back({&op, Completion{.result = -ECANCELED}});
    return;
  }
  io_uring_sqe* sqe = impl_->sqe(counters_);
  io_uring_prep_cancel64(sqe, reinterpret_cast<std::uintptr_t>(&op), 0);
  io_uring_sqe_set_data64(sqe, kIgnore);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  // What the peer has not taken of a zero-copy send lies in the sender's memory, cancelled or not, for as long as
  // the peer likes. Only the end of the connection sets it free.
  if (op.kind == OpKind::SendZeroCopy) reset_connection(op.fd);
}

void UringReactor::finish(Op& op, Completion completion) {
  if (!completion.more) {
    op.in_flight = false;
    --impl_->in_flight;
    // The linked timeout ends an operation by cancelling it.
    if (completion.result == -ECANCELED && !op.cancel_asked && op.timeout > Duration{0})
      completion.result = -ETIMEDOUT;
  }
  op.done(op, completion);
}

/// True: the operation is not over, nor is there news of it. Puts right what the kernel answered otherwise.
bool UringReactor::goes_on(Op& op, const io_uring_cqe& cqe, Completion& completion) {
  const bool is_send =
      op.kind == OpKind::Send || op.kind == OpKind::SendVector || op.kind == OpKind::SendZeroCopy;
  if (op.kind == OpKind::SendZeroCopy && (cqe.flags & IORING_CQE_F_NOTIF) != 0) {
    completion.more = false;
    completion.result = (static_cast<std::uint32_t>(cqe.res) & (1u << 31)) != 0 ? Op::kCopied : 0;
    if (!op.sends_rest) return false;
    op.sends_rest = false;  // the kernel has let go of the first part
    prepare(op, op.world_word);
    return true;
  }
  if (op.kind == OpKind::SendZeroCopy && cqe.res == -EINVAL) completion.result = -EOPNOTSUPP;
  if (op.kind == OpKind::RecvMulti && cqe.res == -ENOBUFS && !op.cancel_asked) {
    impl_->starved.push_back(op);
    return true;
  }
  bool again = false;
  if (is_send && cqe.res > 0) {
    op.world_word += static_cast<std::uint64_t>(cqe.res);
    op.tries = 0;
    again = !op.cancel_asked && op.world_word < send_size(op);
    completion.result = static_cast<std::int32_t>(op.world_word);
  } else if (cqe.res < 0 && !completion.has_buffer) {
    again = try_again(op, cqe.res);
  }
  if (!again) return false;
  op.sends_rest = completion.more;  // zero copy: behind the notification
  if (!completion.more) prepare(op, op.world_word);
  return true;
}

/// Receives that found no buffer go on in their order, as many as there are buffers. Unread input in buffers
/// is moved out first when there is none.
void UringReactor::serve_starved() {
  Impl& impl = *impl_;
  if (impl.buffers_out == impl.options.buffer_count) reclaim_buffers();
  for (std::uint32_t free = impl.options.buffer_count - impl.buffers_out; free > 0 && !impl.starved.empty();
       --free) {
    prepare(impl.starved.pop_front(), 0);
  }
}

void UringReactor::on_completion(const io_uring_cqe& cqe) {
  ++counters_.completions;
  if (cqe.user_data == kIgnore || cqe.user_data == kWake) return;
  Op& op = *reinterpret_cast<Op*>(cqe.user_data);
  Completion completion{.result = cqe.res, .more = (cqe.flags & IORING_CQE_F_MORE) != 0};
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    completion.has_buffer = true;
    ++impl_->buffers_out;
    completion.buffer_id = static_cast<std::uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  if (!goes_on(op, cqe, completion)) finish(op, completion);
}

std::size_t UringReactor::poll(bool may_wait, std::optional<MonoTime> until) {
  io_uring* ring = &impl_->ring;
  if (!impl_->starved.empty()) serve_starved();
  // More of them than buffers: those that now wait for a peer leave theirs to the next.
  const bool starves = !impl_->starved.empty() && impl_->buffers_out < impl_->options.buffer_count;
  may_wait = may_wait && late_.empty() && !starves;
  int result = 0;
  io_uring_cqe* first = nullptr;
  if (may_wait) {
    ++counters_.system_calls;
    if (until) {
      const Duration left = std::max(Duration{0}, *until - monotonic_now());
      __kernel_timespec limit{left / 1s, (left % 1s) / 1ns};
      result = io_uring_submit_and_wait_timeout(ring, &first, 1, &limit, nullptr);
    } else {
      result = io_uring_submit_and_wait(ring, 1);
    }
  } else if (io_uring_sq_ready(ring) != 0 || impl_->features.defer_taskrun) {
    // With DEFER_TASKRUN completions appear only when this thread enters the kernel for them.
    ++counters_.system_calls;
    result = io_uring_submit_and_get_events(ring);
  }
  // EBUSY: completions have to be taken first. ETIME, EINTR, EAGAIN: nothing, or try again next turn.
  SLUICE_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN);
  std::size_t handled = 0;
  std::array<io_uring_cqe*, 256> batch{};
  while (const unsigned count = io_uring_peek_batch_cqe(ring, batch.data(), batch.size())) {
    for (unsigned i = 0; i < count; ++i) on_completion(*batch[i]);
    io_uring_cq_advance(ring, count);
    handled += count;
    if (handled >= kReadyPerTurnMax) break;
  }
  for (const auto& [op, completion] : std::exchange(late_, {})) {
    finish(*op, completion);
    ++handled;
  }
  return handled;
}

std::span<std::byte> UringReactor::provided_buffer(std::uint16_t id) {
  return {impl_->buffers + std::size_t{id} * impl_->options.buffer_bytes, impl_->options.buffer_bytes};
}

void UringReactor::return_buffer(std::uint16_t id) {
  impl_->add_buffer(id);
  --impl_->buffers_out;
}

Result<std::uint16_t> UringReactor::register_buffer(std::span<std::byte> memory) {
  Impl& impl = *impl_;
  if (!impl.features.fixed_buffers || impl.fixed_buffers_used == kFixedBuffersMax) return Op::kNoFixedBuffer;
  iovec vector{memory.data(), memory.size()};
  __u64 tag = 0;
  const int result =
      io_uring_register_buffers_update_tag(&impl.ring, impl.fixed_buffers_used, &vector, &tag, 1);
  if (result < 0) return fail_errno(-result, "io_uring: register buffer");
  return impl.fixed_buffers_used++;
}

std::int32_t UringReactor::register_file(int fd) {
  Impl& impl = *impl_;
  if (impl.free_files.empty()) return -1;
  const std::int32_t slot = impl.free_files.back();
  if (io_uring_register_files_update(&impl.ring, static_cast<unsigned>(slot), &fd, 1) != 1) return -1;
  impl.free_files.pop_back();
  return slot;
}

void UringReactor::unregister_file(std::int32_t slot) {
  if (slot < 0) return;
  const int none = -1;
  io_uring_register_files_update(&impl_->ring, static_cast<unsigned>(slot), &none, 1);
  impl_->free_files.push_back(slot);
}

void UringReactor::wake_from(Reactor& waker) {
  if (impl_->event_fd >= 0) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(impl_->event_fd, &one, sizeof one);
    return;
  }
  auto& from = static_cast<UringReactor&>(waker);
  io_uring_sqe* sqe = from.impl_->sqe(from.counters_);
  io_uring_prep_msg_ring(sqe, impl_->ring.ring_fd, 0, kWake, 0);
  io_uring_sqe_set_data64(sqe, kIgnore);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

}  // namespace sluice::runtime
