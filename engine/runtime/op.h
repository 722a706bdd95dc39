#pragma once
// The seam between the engine and the world. Everything the engine asks of a kernel is an Op; a Reactor
// carries it out. Two worlds do: runtime/uring (a real kernel) and runtime/sim (virtual clock, network and
// disk under one seed).

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::runtime {

enum class OpKind : std::uint8_t {
  Accept,      ///< fd: listener. Multishot: every completion is a new descriptor (close-on-exec) until !more.
               ///< With `once`, one descriptor and no more.
  Connect,     ///< fd, peer
  Recv,        ///< fd, data, size: one read of at most size bytes; 0 = orderly end
  RecvMulti,   ///< fd. Multishot into the reactor's provided buffers; result > 0 comes with a buffer id
  Send,        ///< fd, data, size: all bytes (short sends are continued); result = bytes sent
  SendVector,  ///< fd, vectors, vector_count: as Send for a list
  SendZeroCopy,  ///< as Send without a copy in the kernel where it can; two completions, the second (`more`
                 ///< unset, result = 0 or kCopied) says that the memory is free again. Unsupported: result
                 ///< -EOPNOTSUPP.
  Poll,          ///< fd, poll_events. One shot; result = events seen
  Read,   ///< fd, data, size, offset. Short only at the end of the file. From a pipe: what there is, 0 = end
  Write,  ///< fd, data, size, offset. May be short; `durable` asks for RWF_DSYNC. Into a pipe: as it drains
  Sync,   ///< fd: fdatasync; `durable` asks for fsync, which a directory needs for its names
  Open,   ///< path, open_flags, mode: result = descriptor
  Close,  ///< fd
  Allocate,  ///< fd, offset, size: fallocate, extends the file
  Truncate,  ///< fd, size
  Rename,    ///< path -> path2, replaces the target
  Unlink,    ///< path
  MakeDir,   ///< path, mode
};

struct Op;

/// What became of an Op. `result` follows the kernel: >= 0 is success, < 0 is -errno.
struct Completion {
  std::int32_t result = 0;
  bool more = false;  ///< a multishot Op is still armed, or a SendZeroCopy has its second completion to come
  bool has_buffer = false;  ///< RecvMulti: `buffer_id` now belongs to the receiver, who returns it
  std::uint16_t buffer_id = 0;
};

/// One request. Thread: the submitting reactor's. Lifetime: the Op and all memory it names belong to the
/// world from submit() to the completion with more == false, also after cancel(): cancelling asks, the
/// completion answers. An Op is neither copied nor moved while submitted. `done` is called from the loop,
/// never from inside submit().
/// Errors: EINTR does not reach the submitter, nor does EAGAIN of an operation on a socket or a pipe: the
/// reactor does the operation again, and goes on where a send stopped (try_again()).
struct Op {
  using Done = void (*)(Op&, Completion);
  static constexpr std::int32_t kCopied = 1;  ///< SendZeroCopy: the kernel copied after all
  static constexpr std::uint16_t kNoFixedBuffer = 0xffff;
  static constexpr std::uint8_t kTriesMax = 100;

  OpKind kind = OpKind::Poll;
  bool durable = false;       ///< Write: RWF_DSYNC. Sync: with everything about the file
  bool in_flight = false;     ///< kept by the reactor
  bool cancel_asked = false;  ///< kept by the reactor
  bool once = false;          ///< Accept: not multishot
  std::uint8_t tries = 0;     ///< kept by the reactor: in a row, without progress
  bool sends_rest = false;    ///< kept by the reactor: SendZeroCopy that stopped half-way
  std::uint16_t fixed_buffer =
      kNoFixedBuffer;  ///< Read, Write: index from register_buffer() that holds `data`
  int fd = -1;
  std::int32_t fixed_file = -1;  ///< Read, Write: from register_file(); -1: none
  std::byte* data = nullptr;     ///< Send never writes through it
  std::size_t size = 0;
  std::uint64_t offset = 0;
  const iovec* vectors = nullptr;
  std::uint32_t vector_count = 0;  ///< at most 1024 (IOV_MAX)
  std::uint32_t poll_events = 0;
  const char* path = nullptr;
  const char* path2 = nullptr;
  int open_flags = 0;
  std::uint32_t mode = 0;
  RawEndpoint peer;     ///< Connect
  Duration timeout{0};  ///< > 0: the world ends the Op with -ETIMEDOUT; not for multishot
  Done done = nullptr;
  void* user = nullptr;   ///< the submitter's, untouched by the world
  void* world = nullptr;  ///< the reactor's own notes on this Op, up to the end
  std::uint64_t world_word = 0;
  alignas(8) std::byte world_bytes[72] = {};
};

/// Whether a reactor does `op` again after `result` instead of answering it. Counts the tries: an operation
/// that is turned away kTriesMax times in a row gets its answer, so that nothing spins for ever.
[[nodiscard]] bool try_again(Op& op, std::int32_t result);

/// What is left of a send of which `sent` bytes are gone.
struct SendRest {
  std::span<const std::byte> piece;  ///< the rest of the part in which it stopped; empty: none
  std::span<const iovec> parts;      ///< SendVector: the whole parts behind it
};
[[nodiscard]] SendRest rest_of_send(const Op& op, std::uint64_t sent);
/// All that a Send, SendVector or SendZeroCopy is to send.
[[nodiscard]] std::uint64_t send_size(const Op& op);

}  // namespace sluice::runtime
