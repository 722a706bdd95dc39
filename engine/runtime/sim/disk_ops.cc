// Operations on files, with their latencies and faults.
#include <fcntl.h>

#include <cerrno>

#include "engine/runtime/sim/sim_reactor.h"
#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {
namespace {

bool is_direct(const InFlight& op) { return op.file != nullptr && (op.file->flags & O_DIRECT) != 0; }

bool on_grid(const Op& op) {
  const auto grid = std::uint64_t{Disk::kDirectAlign};
  return reinterpret_cast<std::uintptr_t>(op.data) % grid == 0 && op.size % grid == 0 &&
         op.offset % grid == 0;
}

Duration latency_of(const Op& op, const DiskOptions& options, Random& random) {
  switch (op.kind) {
    case OpKind::Read: return random.between(options.read_min, options.read_max);
    case OpKind::Sync: return random.between(options.durable_min, options.durable_max);
    case OpKind::Write:
      if (op.durable) return random.between(options.durable_min, options.durable_max);
      return random.between(options.write_min, options.write_max);
    default: return random.between(options.write_min, options.write_max);
  }
}

}  // namespace

std::optional<std::size_t> SimReactor::shorter_size(const InFlight& op) {
  // Direct writes come up short by whole blocks, buffered ones anywhere.
  const std::size_t unit = is_direct(op) ? Disk::kDirectAlign : 1;
  const std::size_t units = op.op.size / unit;
  if (units < 2) return std::nullopt;
  return unit * (1 + machine_.world().random().below(units - 1));
}

std::int32_t SimReactor::check_file_op(const InFlight& op) const {
  const bool moves_bytes = op.op.kind == OpKind::Read || op.op.kind == OpKind::Write;
  if (op.file == nullptr || !moves_bytes) return 0;
  if (op.file->node->is_directory) return op.op.kind == OpKind::Read ? -EISDIR : -EBADF;
  const int access = op.file->flags & O_ACCMODE;
  if (op.op.kind == OpKind::Write && access == O_RDONLY) return -EBADF;
  if (op.op.kind == OpKind::Read && access == O_WRONLY) return -EBADF;
  if (is_direct(op) && !on_grid(op.op)) return -EINVAL;
  if (op.op.fixed_buffer != Op::kNoFixedBuffer) {
    SLUICE_ASSERT(op.op.fixed_buffer < fixed_buffers_.size());
    const std::span<std::byte> memory = fixed_buffers_[op.op.fixed_buffer];
    if (op.op.data < memory.data() || op.op.data + op.op.size > memory.data() + memory.size()) return -EFAULT;
  }
  return 0;
}

void SimReactor::begin_on_disk(InFlight& op) {
  if (const std::int32_t wrong = check_file_op(op); wrong < 0) return answer(op, {.result = wrong});
  World& world = machine_.world();
  op.on_disk = true;
  if (op.op.kind == OpKind::Sync) {
    op.names_mark = machine_.disk().names_mark();
    if (!op.file->node->is_directory) op.sync = op.file->node->image.begin_sync();
  }
  const Duration takes = latency_of(op.op, machine_.disk().options, world.random());
  op.event = world.events().at(world.now() + takes, [this, id = op.id] {
    if (InFlight* done = find(id); !dead_ && done != nullptr) finish_on_disk(*done);
  });
}

void SimReactor::finish_on_disk(InFlight& op) {
  op.event.reset();
  if (op.failing == 0) return answer(op, {.result = carry_out(op)});
  // What a failed write or sync leaves behind is anybody's guess.
  if (op.sync) op.file->node->image.fail_sync(*op.sync);
  if (op.op.kind == OpKind::Write && op.failing != ENOSPC) {
    const std::size_t part =
        machine_.world().random().below(op.op.size + 1) / FileImage::kSectorBytes * FileImage::kSectorBytes;
    static_cast<void>(machine_.disk().write(*op.file->node, op.op.offset, {op.op.data, part}));
  }
  answer(op, {.result = -op.failing});
}

std::int32_t SimReactor::carry_out_write(InFlight& op) {
  Disk& disk = machine_.disk();
  FileImage& image = op.file->node->image;
  const std::uint64_t offset = (op.file->flags & O_APPEND) != 0 ? image.size() : op.op.offset;
  const std::int32_t written =
      disk.write(*op.file->node, offset, {op.op.data, op.short_size.value_or(op.op.size)});
  if (written > 0) op.file->node->modified = machine_.world().now();
  if (written > 0 && op.op.durable) image.make_durable(offset, static_cast<std::uint64_t>(written));
  return written;
}

std::int32_t SimReactor::carry_out(InFlight& op) {
  Disk& disk = machine_.disk();
  const MonoTime now = machine_.world().now();
  switch (op.op.kind) {
    case OpKind::Read:
      return static_cast<std::int32_t>(op.file->node->image.read(op.op.offset, {op.op.data, op.op.size}));
    case OpKind::Write: return carry_out_write(op);
    case OpKind::Sync:
      // A directory's fdatasync promises nothing about names.
      if (op.file->node->is_directory) return op.op.durable ? disk.sync_dir(op.file->node, op.names_mark) : 0;
      op.file->node->image.finish_sync(*op.sync);
      return 0;
    case OpKind::Allocate: return disk.allocate(*op.file->node, op.op.offset, op.op.size);
    case OpKind::Truncate: return disk.truncate(*op.file->node, op.op.size);
    case OpKind::Rename: return disk.rename(op.op.path, op.op.path2, now);
    case OpKind::Unlink: return disk.unlink(op.op.path, now);
    case OpKind::MakeDir: return disk.make_dir(op.op.path, now);
    case OpKind::Open: return carry_out_open(op);
    default: return -EINVAL;
  }
}

std::int32_t SimReactor::carry_out_open(InFlight& op) {
  Disk& disk = machine_.disk();
  Disk::Opened opened = disk.open(op.op.path, op.op.open_flags, machine_.world().now());
  if (opened.node == nullptr) return opened.error;
  disk.opened(opened.node);
  auto file = std::make_shared<OpenFile>();
  file->machine = machine_.index();
  file->disk = &disk;
  file->node = std::move(opened.node);
  file->path = op.op.path;
  file->flags = op.op.open_flags;
  const Result<int> fd = machine_.add_descriptor(std::move(file));
  return fd ? *fd : -fd.error().sys_errno;
}

}  // namespace sluice::runtime::sim
