#include "engine/runtime/file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "policy/base/assert.h"

namespace sluice::runtime {
namespace {

// One call moves at most this much, so that a huge request does not hold the ring's worker for long.
constexpr std::size_t kBytesPerCallMax = 64 * kMiB;

Status status_of(std::int32_t result, const char* where) {
  if (result < 0) return fail_errno(-result, where);
  return {};
}

}  // namespace

File& File::operator=(File&& other) noexcept {
  std::swap(reactor_, other.reactor_);
  std::swap(fd_, other.fd_);
  std::swap(direct_, other.direct_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) reactor_->close_now(fd_);
}

Task<Result<File>> File::open(Reactor& reactor, std::string path, OpenOptions options) {
  Op op;
  op.kind = OpKind::Open;
  op.path = path.c_str();
  op.mode = options.mode;
  op.open_flags = O_CLOEXEC | (options.read_only ? O_RDONLY : options.write_only ? O_WRONLY : O_RDWR);
  if (options.create) op.open_flags |= O_CREAT;
  if (options.exclusive) op.open_flags |= O_EXCL;
  if (options.truncate) op.open_flags |= O_TRUNC;
  if (options.append) op.open_flags |= O_APPEND;
  if (options.direct) op.open_flags |= O_DIRECT;
  if (options.no_follow) op.open_flags |= O_NOFOLLOW;
  if (options.plain_only) op.open_flags |= O_NONBLOCK;
  bool direct = options.direct;
  std::int32_t result = co_await perform(reactor, op);
  if (result == -EINVAL && direct) {
    direct = false;
    op.open_flags &= ~(O_DIRECT | O_EXCL);  // the refused call may have created the file already
    result = co_await perform(reactor, op);
  }
  if (result < 0) co_return fail_errno(-result, "open");
  File file(reactor, result, direct);
  if (options.plain_only) {
    if (const Status plain = reactor.expect_plain(result); !plain) co_return std::unexpected(plain.error());
  }
  co_return file;
}

Task<Result<std::size_t>> File::read(std::span<std::byte> into, std::uint64_t offset,
                                     std::uint16_t fixed_buffer) {
  std::size_t done = 0;
  while (done < into.size()) {
    Op op;
    op.kind = OpKind::Read;
    op.fd = fd_;
    op.data = into.data() + done;
    op.size = std::min(into.size() - done, kBytesPerCallMax);
    op.offset = offset + done;
    op.fixed_buffer = fixed_buffer;
    const std::int32_t result = co_await perform(*reactor_, op);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result < 0) co_return fail_errno(-result, "read");
    if (result == 0) break;
    done += static_cast<std::size_t>(result);
    // A direct read that ends off the grid has met the end of the file.
    if (direct_ && static_cast<std::size_t>(result) % kDirectAlign != 0) break;
  }
  co_return done;
}

Task<Status> File::write(std::span<const std::byte> bytes, std::uint64_t offset, bool durable,
                         std::uint16_t fixed_buffer) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    Op op;
    op.kind = OpKind::Write;
    op.durable = durable;
    op.fd = fd_;
    op.data = const_cast<std::byte*>(bytes.data()) + done;  // Write only reads
    op.size = std::min(bytes.size() - done, kBytesPerCallMax);
    op.offset = offset + done;
    op.fixed_buffer = fixed_buffer;
    const std::int32_t result = co_await perform(*reactor_, op);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result < 0) co_return fail_errno(-result, "write");
    // A nearly full file system first writes short, then answers ENOSPC; nothing at all is taken for full.
    if (result == 0) co_return fail(Errc::NoSpace, "write", ENOSPC);
    done += static_cast<std::size_t>(result);
    if (direct_ && done < bytes.size()) done -= done % kDirectAlign;
  }
  co_return Status();
}

Task<Status> File::sync() {
  Op op;
  op.kind = OpKind::Sync;
  op.fd = fd_;
  co_return status_of(co_await perform(*reactor_, op), "fdatasync");
}

Task<Status> File::allocate(std::uint64_t size) {
  Op op;
  op.kind = OpKind::Allocate;
  op.fd = fd_;
  op.offset = 0;
  op.size = size;
  co_return status_of(co_await perform(*reactor_, op), "fallocate");
}

Task<Status> File::truncate(std::uint64_t size) {
  Op op;
  op.kind = OpKind::Truncate;
  op.fd = fd_;
  op.size = size;
  co_return status_of(co_await perform(*reactor_, op), "ftruncate");
}

Task<Status> File::lock(Duration at_most) {
  const MonoTime end = reactor_->now() + at_most;
  for (;;) {
    const Result<bool> locked = reactor_->try_lock(fd_);
    if (!locked) co_return std::unexpected(locked.error());
    if (*locked) co_return Status();
    if (reactor_->now() >= end) co_return fail(Errc::Timeout, "flock");
    co_await sleep_for(*reactor_, kLockRetry);
  }
}

Task<Status> rename_file(Reactor& reactor, std::string from, std::string to) {
  Op op;
  op.kind = OpKind::Rename;
  op.path = from.c_str();
  op.path2 = to.c_str();
  co_return status_of(co_await perform(reactor, op), "rename");
}

Task<Status> unlink_file(Reactor& reactor, std::string path) {
  Op op;
  op.kind = OpKind::Unlink;
  op.path = path.c_str();
  co_return status_of(co_await perform(reactor, op), "unlink");
}

Task<Status> sync_directory(Reactor& reactor, std::string directory) {
  Op op;
  op.kind = OpKind::Open;
  op.path = directory.c_str();
  op.open_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const std::int32_t fd = co_await perform(reactor, op);
  if (fd < 0) co_return fail_errno(-fd, "open directory");
  const File opened(reactor, fd, false);
  Op sync;
  sync.kind = OpKind::Sync;
  sync.durable = true;
  sync.fd = fd;
  co_return status_of(co_await perform(reactor, sync), "sync directory");
}

Task<Result<std::string>> read_small_file(Reactor& reactor, std::string path, std::size_t max) {
  Result<File> file = co_await File::open(reactor, std::move(path), {.read_only = true});
  if (!file) co_return std::unexpected(file.error());
  std::string content(max + 1, '\0');
  const Result<std::size_t> size = co_await file->read(std::as_writable_bytes(std::span(content)), 0);
  if (!size) co_return std::unexpected(size.error());
  if (*size > max) co_return fail(Errc::NoSpace, "read: file larger than allowed");
  content.resize(*size);
  co_return content;
}

Task<Status> replace_file(Reactor& reactor, std::string path, std::string content) {
  const std::string temporary = path + ".new";
  {
    Result<File> file = co_await File::open(reactor, temporary, {.create = true, .truncate = true});
    if (!file) co_return std::unexpected(file.error());
    Status status = co_await file->write(std::as_bytes(std::span(content)), 0);
    if (status) status = co_await file->sync();
    if (!status) co_return status;
  }
  const Status renamed = co_await rename_file(reactor, temporary, path);
  if (!renamed) co_return renamed;
  const std::size_t slash = path.rfind('/');
  // Named, not a temporary of the co_await: g++ 12 destroys those twice.
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  co_return co_await sync_directory(reactor, std::move(directory));
}

}  // namespace sluice::runtime
