#pragma once
// The simulated world's reactor: what engine/runtime/uring does with a kernel, done with a World.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/send_progress.h"
#include "engine/runtime/sim/socket.h"

namespace sluice::runtime::sim {

class Machine;

/// One shard of a simulated machine. Made by Machine; contracts as in reactor.h and op.h.
/// Thread:   the world's only one.
/// Lifetime: until its machine crashes or the world ends. After a crash the object stays (coroutines of the
///           dead incarnation point to it) but does nothing any more.
/// Misuse that a kernel would not notice is asserted: memory of a zero-copy send changed too early, buffers
/// returned twice, descriptors closed with an operation in flight, direct I/O off the grid, fixed buffers and
/// files that do not belong to the operation.
class SimReactor final : public Reactor, public SendProgress {
 public:
  static constexpr std::size_t kCompletionsPerPollMax = 256;

  SimReactor(Machine& machine, ShardId shard, std::uint64_t seed);
  ~SimReactor() override;

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] bool is_dead() const { return dead_; }
  /// Nothing under way: no operation, no timer, nothing ready.
  [[nodiscard]] bool is_quiet() const;
  [[nodiscard]] std::size_t operations_in_flight() const { return in_flight_.size(); }
  [[nodiscard]] std::size_t buffers_free() const { return free_buffers_.size(); }

  MonoTime read_clock() override;
  std::uint64_t random() override { return random_.next(); }
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

  // --- For peers in tests: what a socket can do beyond the Reactor's calls.
  /// RST: both sides learn of it. Requires an open connection's descriptor.
  void reset_connection(int fd);

  // --- For the world and the network.
  /// Queues a completion for the next poll. Requires that the last one has not been queued.
  void answer(InFlight& op, Completion completion);
  /// SendZeroCopy: the result now, the notification at `released`.
  void answer_zero_copy(InFlight& op, std::int32_t result, MonoTime released);
  /// A free provided buffer, or nullopt after noting that `waiter` needs one.
  [[nodiscard]] std::optional<std::uint16_t> take_buffer(InFlight& waiter);
  /// True when a turn would do something at `now`.
  [[nodiscard]] bool has_work(MonoTime now);
  [[nodiscard]] std::optional<MonoTime> next_timer() const { return timers().next(); }
  void take_turn();
  void refresh_clock() override;
  /// Writes under way, for the disk to tear. Oldest first.
  [[nodiscard]] std::vector<const InFlight*> writes_in_flight() const;
  /// The machine is gone: drops everything without answering. `silent`: the other sides do not notice.
  void die(bool silent);

 protected:
  std::size_t poll(bool may_wait, std::optional<MonoTime> until) override;

 private:
  struct Finished {
    InFlight* op;
    Completion completion;
  };
  struct Request {
    std::uint64_t id;  // not a pointer: the operation may have ended before its cancel is carried out
    bool is_cancel;
  };
  void start_requests();
  void begin(InFlight& op);
  void begin_now(InFlight& op);
  void begin_on_socket(InFlight& op);
  void begin_on_disk(InFlight& op);
  void finish_on_disk(InFlight& op);
  [[nodiscard]] std::int32_t carry_out(InFlight& op);
  [[nodiscard]] std::int32_t carry_out_write(InFlight& op);
  [[nodiscard]] std::int32_t carry_out_open(InFlight& op);
  [[nodiscard]] std::optional<std::size_t> shorter_size(const InFlight& op);
  [[nodiscard]] bool strike(InFlight& op);
  [[nodiscard]] bool is_disk(const InFlight& op) const;
  [[nodiscard]] std::int32_t check_file_op(const InFlight& op) const;
  void abandon(InFlight& op, int sys_errno);
  [[nodiscard]] InFlight* find(std::uint64_t id);
  std::size_t give_out();
  [[nodiscard]] Result<int> descriptor_for(std::shared_ptr<Socket> socket);
  [[nodiscard]] Result<int> connection_for(std::shared_ptr<Socket> socket);
  void serve_starved();

  Machine& machine_;
  Random random_;
  bool dead_ = false;
  bool woken_ = false;
  std::uint64_t ops_made_ = 0;
  std::map<std::uint64_t, std::unique_ptr<InFlight>> in_flight_;  // by age
  std::vector<Request> requests_;
  std::deque<Finished> finished_;
  std::size_t buffer_bytes_;  // kept here: the machine may be gone when a buried reactor is asked
  std::unique_ptr<std::byte[]> buffer_memory_;  // not cleared: most of it is never touched
  std::vector<std::uint16_t> free_buffers_;
  std::vector<bool> buffer_out_;
  std::deque<std::uint64_t> starved_;
  std::vector<std::span<std::byte>> fixed_buffers_;
  std::vector<std::shared_ptr<OpenFile>> fixed_files_;
};

}  // namespace sluice::runtime::sim
