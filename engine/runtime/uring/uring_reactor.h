#pragma once
// The real world: one io_uring for each shard.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/send_progress.h"

struct io_uring_cqe;
struct io_uring_sqe;

namespace sluice::runtime {

/// Sizes of one ring. The defaults suit a data shard; tools and the control shard take small().
struct UringOptions {
  std::uint32_t submission_entries = 4096;
  std::uint32_t completion_entries = 32768;
  std::uint32_t buffer_count = 1024;  ///< provided buffers for receiving; a power of two, at most 32768
  std::uint32_t buffer_bytes = 16384;
  bool wake_by_eventfd = false;  ///< as on a kernel without MSG_RING; for tests
  static UringOptions small() { return {256, 4096, 128, 16384, false}; }
};

/// What this kernel offers, found by trying; for `sluice doctor` and the log.
struct UringFeatures {
  bool single_issuer = false;  ///< 6.0
  bool defer_taskrun = false;  ///< 6.1
  bool coop_taskrun = false;   ///< 5.19
  bool msg_ring = false;       ///< 5.18; else wakes go through an eventfd
  bool send_zc = false;        ///< 6.0
  bool fixed_files = false;
  bool fixed_buffers = false;
  /// "single-issuer defer-taskrun msg-ring send-zc ...".
  [[nodiscard]] std::string text() const;
};

/// Thread: created, run and destroyed on one thread.
class UringReactor final : public Reactor, public SendProgress {
 public:
  static constexpr std::uint32_t kFixedFilesMax = 1024;
  static constexpr std::uint32_t kFixedBuffersMax = 1024;

  /// Errors: Unsupported names the missing kernel feature and the version that brought it; NoMemory and
  /// Permission come with the limit or setting to change (see explain()).
  [[nodiscard]] static Result<std::unique_ptr<UringReactor>> create(ShardId shard,
                                                                    const UringOptions& options);
  /// What an operator should do about an error of create().
  [[nodiscard]] static std::string explain(const Error& error);
  ~UringReactor() override;

  [[nodiscard]] const UringFeatures& features() const;

  MonoTime read_clock() override;
  std::uint64_t random() override;
  void submit(Op& op) override;
  void cancel(Op& op) override;
  std::span<std::byte> provided_buffer(std::uint16_t id) override;
  void return_buffer(std::uint16_t id) override;
  Result<std::uint16_t> register_buffer(std::span<std::byte> memory) override;
  std::int32_t register_file(int fd) override;
  void unregister_file(std::int32_t slot) override;
  Result<int> tcp_listener(const Endpoint& at, ListenOptions options) override;
  Status is_free(const Endpoint& at) override;
  Result<int> unix_listener(const std::string& path, std::uint32_t mode) override;
  Result<int> tcp_socket(bool is_v4, const IpAddress* source) override;
  Result<int> unix_socket() override;
  Status connect_unix(int fd, const std::string& path) override;
  Result<int> udp_socket(bool is_v4, const Endpoint* bind_to) override;
  Result<std::size_t> send_datagram(int fd, std::span<const std::byte> bytes, const Endpoint* to) override;
  Result<Datagram> receive_datagram(int fd, std::span<std::byte> into) override;
  Result<Endpoint> local_endpoint(int fd) override;
  std::uint64_t acknowledged(int fd) override;
  Result<Endpoint> peer_endpoint(int fd) override;
  void shutdown_socket(int fd) override;
  void end_output(int fd) override;
  std::vector<IpAddress> local_addresses() override;
  std::size_t descriptors_left(int newest) override;
  std::size_t descriptor_reserve() override;
  void close_now(int fd) override;
  Result<std::vector<DirectoryEntry>> list_directory(const std::string& path) override;
  Result<std::unique_ptr<DirectoryCursor>> open_directory(const std::string& path) override;
  Result<FileSystemSpace> space_of(const std::string& path) override;
  Result<std::uint64_t> size_of(const std::string& path) override;
  Result<std::uint64_t> size_of(int fd) override;
  Result<FileState> state_of(int fd) override;
  Status expect_plain(int fd) override;
  Result<bool> try_lock(int fd) override;
  Status make_directories(const std::string& path, std::uint32_t mode) override;
  Result<StartedProgram> start_program(const std::vector<std::string>& arguments) override;
  void signal_program(const StartedProgram& program, int number) override;
  std::optional<ProgramEnd> reap_program(const StartedProgram& program) override;
  void wake_from(Reactor& waker) override;

 protected:
  std::size_t poll(bool may_wait, std::optional<MonoTime> until) override;
  void refresh_clock() override;

 private:
  struct Impl;
  explicit UringReactor(ShardId shard, std::unique_ptr<Impl> impl);
  void prepare(Op& op, std::uint64_t already_sent);
  void on_completion(const io_uring_cqe& cqe);
  void prepare_send(Op& op, std::uint64_t already_sent, io_uring_sqe* sqe);
  void finish(Op& op, Completion completion);
  [[nodiscard]] bool goes_on(Op& op, const io_uring_cqe& cqe, Completion& completion);
  void serve_starved();
  std::unique_ptr<Impl> impl_;
  std::vector<std::pair<Op*, Completion>>
      late_;  // completions not from the kernel, given out by the next poll
};

/// Threads that each run one shard. The only place where the engine makes threads.
class ShardThreads {
 public:
  ShardThreads();
  ~ShardThreads();  ///< joins
  /// Starts a thread named `name` that makes a reactor for `shard` and calls `body` with it, or with the
  /// error. `body` runs the reactor and returns when the shard has ended. `cpu`: pinned to it when given.
  void start(std::string name, ShardId shard, UringOptions options, std::optional<unsigned> cpu,
             std::move_only_function<void(Result<std::unique_ptr<UringReactor>>)> body);
  void join();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Processors this process may run on.
[[nodiscard]] std::vector<unsigned> usable_cpus();

}  // namespace sluice::runtime
