#pragma once
// Files through the ring.

#include <span>
#include <string>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::runtime {

/// What to do when opening. Reading and writing are both allowed.
struct OpenOptions {
  bool create = false;
  bool exclusive = false;  ///< with create: fails with Exists
  bool truncate = false;
  bool direct = false;  ///< O_DIRECT: memory, size and offset in multiples of kDirectAlign. Falls back to
                        ///< buffered where the file system refuses it (tmpfs), see is_direct()
  bool append = false;
  bool read_only = false;
  bool write_only = false;  ///< a device or a file of others may not be readable
  bool no_follow = false;   ///< a symbolic link in the last place is refused (ELOOP)
  bool plain_only = false;  ///< anything but a plain file is refused (BadInput), without waiting for a pipe
  std::uint32_t mode = 0640;
};

/// An open file. Offsets are explicit.
/// Thread: its reactor's shard. Lifetime: no operation is under way at destruction (asserted by the world).
class File {
 public:
  static constexpr std::size_t kDirectAlign = 4096;

  File() = default;
  File(Reactor& reactor, int fd, bool direct) : reactor_(&reactor), fd_(fd), direct_(direct) {}
  File(File&& other) noexcept { *this = std::move(other); }
  File& operator=(File&& other) noexcept;
  ~File();

  [[nodiscard]] static Task<Result<File>> open(Reactor& reactor, std::string path, OpenOptions options);
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_direct() const { return direct_; }

  /// Reads until `into` is full or the file ends; answers the bytes read.
  [[nodiscard]] Task<Result<std::size_t>> read(std::span<std::byte> into, std::uint64_t offset,
                                               std::uint16_t fixed_buffer = Op::kNoFixedBuffer);
  /// Writes everything (short writes are continued). `durable`: on stable storage when it answers.
  [[nodiscard]] Task<Status> write(std::span<const std::byte> bytes, std::uint64_t offset,
                                   bool durable = false, std::uint16_t fixed_buffer = Op::kNoFixedBuffer);
  [[nodiscard]] Task<Status> sync();
  [[nodiscard]] Task<Status> allocate(std::uint64_t size);
  [[nodiscard]] Task<Status> truncate(std::uint64_t size);
  /// An exclusive flock(), tried again every kLockRetry; the file's end gives it back. Errors: Timeout.
  [[nodiscard]] Task<Status> lock(Duration at_most);
  static constexpr Duration kLockRetry = 20ms;

 private:
  Reactor* reactor_ = nullptr;
  int fd_ = -1;
  bool direct_ = false;
};

[[nodiscard]] Task<Status> rename_file(Reactor& reactor, std::string from, std::string to);
[[nodiscard]] Task<Status> unlink_file(Reactor& reactor, std::string path);
/// Makes names created, renamed or removed in `directory` durable.
[[nodiscard]] Task<Status> sync_directory(Reactor& reactor, std::string directory);
/// Whole small file, at most `max` bytes (NoSpace beyond).
[[nodiscard]] Task<Result<std::string>> read_small_file(Reactor& reactor, std::string path, std::size_t max);
/// Replaces `path` as a whole and durably: temporary file, sync, rename, sync of the directory.
[[nodiscard]] Task<Status> replace_file(Reactor& reactor, std::string path, std::string content);

}  // namespace sluice::runtime
