#include "engine/runtime/op.h"

#include <cerrno>

namespace sluice::runtime {
namespace {

bool may_wait(OpKind kind) {
  switch (kind) {
    case OpKind::Accept:
    case OpKind::Recv:
    case OpKind::RecvMulti:
    case OpKind::Send:
    case OpKind::SendVector:
    case OpKind::SendZeroCopy:
    case OpKind::Poll:
    case OpKind::Read:
    case OpKind::Write: return true;
    default: return false;  // EAGAIN of Connect: no local port is left
  }
}

}  // namespace

bool try_again(Op& op, std::int32_t result) {
  // Close has closed the descriptor all the same; whoever has it by now must keep it.
  const bool again =
      (result == -EINTR && op.kind != OpKind::Close) || (result == -EAGAIN && may_wait(op.kind));
  if (!again || op.cancel_asked || op.tries == Op::kTriesMax) return false;
  ++op.tries;
  return true;
}

std::uint64_t send_size(const Op& op) {
  if (op.kind != OpKind::SendVector) return op.size;
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < op.vector_count; ++i) total += op.vectors[i].iov_len;
  return total;
}

SendRest rest_of_send(const Op& op, std::uint64_t sent) {
  if (op.kind != OpKind::SendVector) return {.piece = {op.data + sent, op.size - sent}, .parts = {}};
  std::span<const iovec> parts(op.vectors, op.vector_count);
  while (!parts.empty() && sent >= parts.front().iov_len) {
    sent -= parts.front().iov_len;
    parts = parts.subspan(1);
  }
  if (sent == 0) return {.piece = {}, .parts = parts};
  const auto* bytes = static_cast<const std::byte*>(parts.front().iov_base);
  return {.piece = {bytes + sent, parts.front().iov_len - sent}, .parts = parts.subspan(1)};
}

}  // namespace sluice::runtime
