#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/runtime/op.h"
#include "engine/runtime/timer_wheel.h"
#include "policy/base/ip_address.h"
#include "policy/base/result.h"
#include "policy/base/units.h"

namespace sluice::runtime {

class Mailboxes;

/// Where the lasting line of time lies (Reactor::lasting_now). Kept for the next process by shard/clock_watch.h.
struct LastingClock {
  Duration base{0};                     ///< since 1970, at the zero of MonoTime
  std::chrono::milliseconds offset{0};  ///< the calendar clock is so far ahead: it has been set meanwhile
};

/// How a TCP listener is made.
struct ListenOptions {
  bool reuse_port =
      true;  ///< several shards listen on one endpoint and the kernel spreads connections over them
  int backlog = 4096;
};

/// What a directory holds; sorted by name, without "." and "..".
struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  std::uint64_t size_bytes = 0;
};

/// What a file is, whatever it is called.
struct FileState {
  bool is_plain = false;  ///< no directory, link, pipe, socket or device
  bool is_directory = false;
  std::uint64_t size_bytes = 0;
  WallTime modified{};  ///< last written
  /// Of the file, not of a name: two names of one file have the same.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t number = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  Identity identity;
};

/// A directory that is read a part at a time. Thread: any, one after the other.
class DirectoryCursor {
 public:
  struct Entry {
    std::string name;
    FileState state;  ///< of a link itself, not of what it leads to
  };
  virtual ~DirectoryCursor() = default;
  /// At most `most` names, in no order, without "." and ".."; none: the end. What comes or goes meanwhile may
  /// be seen or not. May block, as Reactor::list_directory.
  [[nodiscard]] virtual Result<std::vector<Entry>> next(std::size_t most) = 0;
};

struct FileSystemSpace {
  std::uint64_t free_bytes = 0;  ///< what this process may still write
  std::uint64_t total_bytes = 0;
};

/// A program this process has started. Descriptors belong to whoever asked; programs to the whole process, so
/// any shard may go on with one that another has started.
struct StartedProgram {
  int process = -1;     ///< Poll for POLLIN: it has ended and waits for reap_program()
  int input = -1;       ///< pipe to its standard input
  int output = -1;      ///< pipe from its standard output and standard error
  std::int64_t id = 0;  ///< the system's number of it
};

/// How a program ended.
struct ProgramEnd {
  int exit_code = 0;  ///< 0 .. 255, when `signal` is 0
  int signal = 0;     ///< it was killed by this one
};

class Reactor;

/// Somebody who keeps received bytes in provided buffers until a reader comes. When buffers run short the
/// reactor asks for them back, so that nobody's unread input can stop all the others.
/// Thread: the reactor's. Lifetime: not destroyed between keeps_buffers() and keeps_none().
class BufferKeeper {
 public:
  BufferKeeper(const BufferKeeper&) = delete;
  BufferKeeper& operator=(const BufferKeeper&) = delete;

 protected:
  BufferKeeper() = default;
  ~BufferKeeper() = default;
  void keeps_buffers(Reactor& reactor);
  void keeps_none();
  [[nodiscard]] bool is_keeper() const { return list_ != nullptr; }
  /// Gives all its buffers back. It counts as a keeper no more. Neither waits nor throws.
  virtual void give_buffers_back() noexcept = 0;

 private:
  friend class Reactor;
  BufferKeeper** list_ = nullptr;  // the link that points here
  BufferKeeper* next_ = nullptr;
};

/// One shard's event loop and its only way to the outside: time, chance, sockets, files, other shards.
/// Thread:   everything but wake() is called on the thread that runs run(), or before run() by the thread
/// that will. Lifetime: outlives every object that was given a reference to it. Order of a turn: mail from
/// other shards, timers, ready coroutines (at most kReadyPerTurnMax), then submission of
///           all I/O asked for in the turn with one system call, then completions. Nothing is ever run from
///           inside submit(), post() or arm().
class Reactor {
 public:
  using Job = std::move_only_function<void()>;
  static constexpr std::size_t kReadyPerTurnMax = 4096;

  explicit Reactor(ShardId shard, MonoTime start);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  virtual ~Reactor();

  [[nodiscard]] ShardId shard() const { return shard_; }
  /// Frozen for one turn.
  [[nodiscard]] MonoTime now() const { return now_; }
  /// The calendar clock, which somebody may set at any moment: for what people read.
  [[nodiscard]] WallTime wall_now() const { return wall_now_; }
  /// Calendar time that goes on with now() whatever is done to the clock, over restarts, too: for ages and for
  /// deadlines that are stored. Until keep_time() it is wall_now().
  [[nodiscard]] WallTime lasting_now() const {
    if (!lasting_) return wall_now_;
    return WallTime(std::chrono::floor<WallTime::duration>(now_.time_since_epoch() + lasting_->base));
  }
  /// What the calendar says of a moment on the lasting line.
  [[nodiscard]] WallTime on_calendar(WallTime lasting) const {
    return lasting_ ? lasting + lasting_->offset : lasting;
  }
  void keep_time(LastingClock clock) { lasting_ = clock; }
  /// Read from the clock again, for measuring inside a turn.
  [[nodiscard]] virtual MonoTime read_clock() = 0;
  /// Unpredictable to peers in the real world, from the seed in the simulated one.
  [[nodiscard]] virtual std::uint64_t random() = 0;

  /// Resumes `ready` in this turn or a later one, in order.
  void post(std::coroutine_handle<> ready) { ready_.push_back(ready); }
  void arm(Timer& timer, MonoTime due) { timers_.arm(timer, due); }
  void arm_in(Timer& timer, Duration delay) { timers_.arm(timer, now_ + delay); }
  void disarm(Timer& timer) { timers_.disarm(timer); }

  // --- I/O. Contract of the operations: op.h.
  virtual void submit(Op& op) = 0;
  /// Asks the world to end `op` soon; the completion (often -ECANCELED) still comes. No effect when not in
  /// flight.
  virtual void cancel(Op& op) = 0;
  /// The bytes of a provided buffer that a RecvMulti completion handed over.
  [[nodiscard]] virtual std::span<std::byte> provided_buffer(std::uint16_t id) = 0;
  virtual void return_buffer(std::uint16_t id) = 0;
  /// Makes `memory` usable as Op::fixed_buffer; it stays pinned for the reactor's life. A world without the
  /// feature answers kNoFixedBuffer, which is always valid to use. Errors: NoMemory (locked memory limit).
  [[nodiscard]] virtual Result<std::uint16_t> register_buffer(std::span<std::byte> memory) = 0;

  /// A slot for Op::fixed_file that saves the kernel a look-up; -1 (always valid to use) when there is none
  /// to have.
  [[nodiscard]] virtual std::int32_t register_file(int fd) = 0;
  virtual void unregister_file(std::int32_t slot) = 0;

  // --- Short calls that do not block: made directly, not through the ring.
  [[nodiscard]] virtual Result<int> tcp_listener(const Endpoint& at, ListenOptions options) = 0;
  /// Whether nobody listens where a connection to `at` would arrive: neither another process nor this one. By
  /// `reuse_port` two processes of one user share an address without a word. Errors: Exists: somebody does;
  /// Permission, NotFound, Io as tcp_listener().
  [[nodiscard]] virtual Status is_free(const Endpoint& at) = 0;
  [[nodiscard]] virtual Result<int> unix_listener(const std::string& path, std::uint32_t mode) = 0;
  /// A stream socket for `peer`'s family, bound to `source` when given (port 0: chosen at connect).
  [[nodiscard]] virtual Result<int> tcp_socket(bool is_v4, const IpAddress* source) = 0;
  [[nodiscard]] virtual Result<int>
  unix_socket() = 0;  ///< control shard and tools; connect with connect_unix()
  [[nodiscard]] virtual Status connect_unix(int fd, const std::string& path) = 0;
  [[nodiscard]] virtual Result<int> udp_socket(bool is_v4, const Endpoint* bind_to) = 0;
  /// Datagrams are small and never block: sent and received directly (receive after a Poll).
  [[nodiscard]] virtual Result<std::size_t> send_datagram(int fd, std::span<const std::byte> bytes,
                                                          const Endpoint* to) = 0;
  struct Datagram {
    std::size_t size = 0;
    Endpoint from;
  };
  /// Errors: Timeout = nothing there now.
  [[nodiscard]] virtual Result<Datagram> receive_datagram(int fd, std::span<std::byte> into) = 0;
  [[nodiscard]] virtual Result<Endpoint> local_endpoint(int fd) = 0;
  [[nodiscard]] virtual Result<Endpoint> peer_endpoint(int fd) = 0;
  /// Ends both directions so that pending operations finish.
  virtual void shutdown_socket(int fd) = 0;
  /// Ends our direction: the peer sees the end of the stream and may still answer.
  virtual void end_output(int fd) = 0;
  /// Addresses of this host's interfaces that are up, loopback included.
  [[nodiscard]] virtual std::vector<IpAddress> local_addresses() = 0;
  /// How many more descriptors this process may open, judged by the one that was opened last. May be too
  /// high while descriptors below it are free.
  [[nodiscard]] virtual std::size_t descriptors_left(int newest) = 0;
  /// The last descriptors are not for connections: files, the control socket and the 421 to a client need
  /// them. tcp_socket() answers EMFILE instead of taking one; who accepts says no to the client it got.
  [[nodiscard]] virtual std::size_t descriptor_reserve() = 0;
  /// Closes at once, without a completion. For descriptors with no operation in flight.
  virtual void close_now(int fd) = 0;

  // --- Files: calls that may block for a moment. At start, at rotation and on the control shard only.
  [[nodiscard]] virtual Result<std::vector<DirectoryEntry>> list_directory(const std::string& path) = 0;
  /// For directories that may be large.
  [[nodiscard]] virtual Result<std::unique_ptr<DirectoryCursor>> open_directory(const std::string& path) = 0;
  [[nodiscard]] virtual Result<FileSystemSpace> space_of(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size_of(const std::string& path) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> size_of(int fd) = 0;
  [[nodiscard]] virtual Result<FileState> state_of(int fd) = 0;
  /// Behind an open with O_NONBLOCK, which keeps a pipe from making it wait: takes that flag away again.
  /// Errors: BadInput: this is no plain file.
  [[nodiscard]] virtual Status expect_plain(int fd) = 0;
  /// An exclusive flock() on an open file, which closing gives back. False: somebody else has that, or a lock
  /// of fcntl(), now.
  [[nodiscard]] virtual Result<bool> try_lock(int fd) = 0;
  [[nodiscard]] virtual Status make_directories(const std::string& path, std::uint32_t mode) = 0;

  // --- Programs. runtime/program.h runs one to its end.
  /// Starts arguments[0] (looked up in PATH when it has no slash) in a process group of its own, without a
  /// shell, with no descriptors but the pipes, and with signals as a program expects them. Blocks until the
  /// program is loaded: control shard only. Errors: NotFound, Permission, NoDescriptors, NoMemory.
  [[nodiscard]] virtual Result<StartedProgram> start_program(const std::vector<std::string>& arguments) = 0;
  /// To the program and all it has started that stayed in its group. Before reap_program().
  virtual void signal_program(const StartedProgram& program, int number) = 0;
  /// nullopt: it still runs. Otherwise it is gone, and this is asked no more.
  [[nodiscard]] virtual std::optional<ProgramEnd> reap_program(const StartedProgram& program) = 0;

  // --- Other shards.
  /// Runs `job` on shard `to`, after everything sent there before by this shard. Never blocks.
  /// Requires join_world() before run().
  void send_to(ShardId to, Job job);
  /// Connects this reactor with its siblings. `boxes` outlives it.
  void join_world(Mailboxes& boxes);
  [[nodiscard]] Mailboxes* mailboxes() { return boxes_; }
  /// Ends this reactor's wait. Thread: any that runs a reactor of the same world.
  virtual void wake_from(Reactor& waker) = 0;

  /// Runs until stop(). The real world also returns when its ring fails beyond repair (asserted).
  void run();
  void stop() { stopping_ = true; }
  [[nodiscard]] bool stopping() const { return stopping_; }

  /// Counters for `sluice doctor`, status and tests.
  struct Counters {
    std::uint64_t turns = 0;
    std::uint64_t resumed = 0;
    std::uint64_t submitted = 0;     ///< operations
    std::uint64_t system_calls = 0;  ///< entries into the kernel for submission or waiting
    std::uint64_t completions = 0;
    std::uint64_t mails = 0;      ///< jobs that came from other shards
    std::uint64_t contained = 0;  ///< exceptions that ended one thing only; see boundary.h
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  /// A boundary has turned an exception into the failure of one thing. Who calls says it in the log; see
  /// note_contained().
  void count_contained() { ++counters_.contained; }

 protected:
  /// One turn without waiting; true when anything was done or is ready to be done. Worlds call it.
  bool turn();
  /// Submits what was asked for and takes completions; waits for the first until `until` (nullopt: for ever)
  /// when `may_wait`. Returns how many completions were handled.
  virtual std::size_t poll(bool may_wait, std::optional<MonoTime> until) = 0;
  virtual void refresh_clock() = 0;
  /// True when other shards have left mail since the sleep was announced.
  [[nodiscard]] bool announce_sleep();
  void end_sleep();

  void set_time(MonoTime now, WallTime wall) {
    now_ = now;
    wall_now_ = wall;
  }
  [[nodiscard]] bool has_ready() const { return !ready_.empty(); }
  [[nodiscard]] const TimerWheel& timers() const { return timers_; }
  [[nodiscard]] bool has_keepers() const { return keepers_ != nullptr; }
  /// Takes back all provided buffers with bytes that nobody has read yet.
  void reclaim_buffers();
  Counters counters_;

 private:
  friend class BufferKeeper;
  BufferKeeper* keepers_ = nullptr;
  ShardId shard_;
  MonoTime now_;
  WallTime wall_now_{};
  std::optional<LastingClock> lasting_;
  TimerWheel timers_;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> running_;
  Mailboxes* boxes_ = nullptr;
  bool stopping_ = false;
};

/// co_await perform(reactor, op): submits `op` and resumes with its only completion's result (>= 0, or
/// -errno). For single-shot operations. `op.done` and `op.user` are overwritten.
class [[nodiscard]] Perform {
 public:
  Perform(Reactor& reactor, Op& op) : reactor_(reactor), op_(op) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept;
  std::int32_t await_resume() const noexcept { return result_; }

 private:
  static void on_done(Op& op, Completion completion);
  Reactor& reactor_;
  Op& op_;
  std::coroutine_handle<> waiting_;
  std::int32_t result_ = 0;
};
[[nodiscard]] inline Perform perform(Reactor& reactor, Op& op) { return Perform(reactor, op); }

/// co_await sleep_until(reactor, time); co_await sleep_for(reactor, delay).
class [[nodiscard]] Sleep {
 public:
  Sleep(Reactor& reactor, MonoTime due) : reactor_(reactor), due_(due) {}
  bool await_ready() const noexcept { return due_ <= reactor_.now(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept;
  void await_resume() const noexcept {}

 private:
  struct Alarm : Timer {
    explicit Alarm(Sleep& owner);
    Sleep& owner;
  };
  Reactor& reactor_;
  MonoTime due_;
  std::coroutine_handle<> waiting_;
  std::optional<Alarm> alarm_;
};
[[nodiscard]] inline Sleep sleep_until(Reactor& reactor, MonoTime due) { return {reactor, due}; }
[[nodiscard]] inline Sleep sleep_for(Reactor& reactor, Duration delay) {
  return {reactor, reactor.now() + delay};
}

/// co_await yield(reactor): lets the other ready coroutines run first. For long loops.
struct [[nodiscard]] Yield {
  Reactor& reactor;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) const { reactor.post(waiting); }
  void await_resume() const noexcept {}
};
[[nodiscard]] inline Yield yield(Reactor& reactor) { return {reactor}; }

}  // namespace sluice::runtime
