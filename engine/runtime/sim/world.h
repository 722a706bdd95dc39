#pragma once
// The simulated world: machines with reactors and disks, a network between them, one clock, one seed, one
// thread.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/runtime/mailbox.h"
#include "engine/runtime/sim/disk.h"
#include "engine/runtime/sim/event_queue.h"
#include "engine/runtime/sim/faults.h"
#include "engine/runtime/sim/network.h"
#include "engine/runtime/sim/programs.h"
#include "engine/runtime/sim/random.h"
#include "engine/runtime/sim/sim_reactor.h"

namespace sluice::runtime::sim {

class World;

struct MachineOptions {
  std::size_t reactors = 1;
  std::size_t descriptors_max = 65536;
  std::uint16_t ports_first = 32768;  ///< ephemeral ports, as ip_local_port_range
  std::uint16_t ports_last = 60999;
  std::size_t buffer_count = 256;  ///< provided buffers of each reactor
  std::size_t buffer_bytes = 16384;
  bool send_zero_copy = true;  ///< false: SendZeroCopy answers -EOPNOTSUPP
  bool fixed_buffers = true;   ///< false: register_buffer answers kNoFixedBuffer
  bool fixed_files = true;
  /// Chance that a send is met by bad_alloc when it is asked for: at every step of every conversation
  /// something may throw.
  double send_throws = 0;
  IpAddress address_v4 = IpAddress::from_v4({10, 255, 0, 1});  ///< source of connections that name none
  IpAddress address_v6 = IpAddress::from_v6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  std::vector<Cidr> addresses = {};  ///< what it may bind besides 127/8 and ::1; empty: everything
  DiskOptions disk = {};
};

/// How a machine stops.
enum class Crash : std::uint8_t {
  Kill,      ///< the process dies: the kernel closes its sockets and keeps the page cache
  PowerCut,  ///< the machine dies: unsynced data is lost, peers hear nothing until they speak to the rebooted
             ///< machine
};

/// A computer: one process of the engine, or the far side of its connections.
/// Thread: the world's only one. Lifetime: the world's; its reactors live from boot() to crash().
class Machine {
 public:
  static constexpr int kFirstDescriptor = 1'000'000;  ///< no descriptor of the test process looks like that

  Machine(World& world, std::size_t index, MachineOptions options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] std::size_t reactor_count() const { return reactors_.size(); }
  /// Requires that the machine is up.
  [[nodiscard]] SimReactor& reactor(std::size_t shard = 0);
  [[nodiscard]] Mailboxes& mailboxes() { return *boxes_; }
  [[nodiscard]] Disk& disk() { return disk_; }
  [[nodiscard]] bool is_up() const { return !reactors_.empty(); }
  [[nodiscard]] std::uint64_t boots() const { return boots_; }
  MachineOptions options;
  /// What start_program() finds, by the name it is called with; see programs.h.
  std::map<std::string, ProgramBody, std::less<>> programs;

  /// Stops everything at once. Objects of the dead incarnation (shards, servers, tasks, anything that waits
  /// or owns a stream) are never run again and must not be destroyed, because their destructors expect a
  /// living reactor: hand them to bury(). Requires that no code of this machine is on the stack.
  void crash(Crash how);
  /// New reactors, joined by new mailboxes. Requires that the machine is down.
  void boot();
  /// Keeps `object` for ever without running its destructor; reachable, so that leak checkers are content.
  template <class T>
  void bury(std::unique_ptr<T> object) {
    if (object) bury_memory(object.release());
  }

  // --- For reactors.
  [[nodiscard]] Result<int> add_descriptor(std::shared_ptr<OpenFile> file);
  [[nodiscard]] std::shared_ptr<OpenFile> file(int fd) const;  ///< null: EBADF
  /// False: no such descriptor.
  bool remove_descriptor(int fd);
  [[nodiscard]] std::size_t descriptors_open() const { return files_.size(); }
  [[nodiscard]] bool owns(const IpAddress& address) const;

 private:
  friend class World;
  static void bury_memory(void* object);
  void stop_reactors(bool silent);

  World& world_;
  std::size_t index_;
  Disk disk_;
  std::uint64_t boots_ = 0;
  std::unique_ptr<Mailboxes> boxes_;
  std::vector<std::unique_ptr<SimReactor>> reactors_;
  std::map<int, std::shared_ptr<OpenFile>> files_;
  std::set<int> free_descriptors_;
  int next_descriptor_ = kFirstDescriptor;
};

struct WorldOptions {
  MachineOptions machine = {};  ///< of the first machine
  /// 2026-01-05, a Monday, 00:00 UTC.
  WallTime start = std::chrono::sys_days(std::chrono::year(2026) / 1 / 5);
  Duration turn_cost = 1us;  ///< virtual time one turn of a reactor takes
  std::uint64_t steps_max =
      200'000'000;  ///< turns and events of one run_*() call; more is taken for a live-lock
};

/// Why a run_*() call came back.
enum class Ended : std::uint8_t {
  Reached,     ///< the condition holds
  OutOfTime,   ///< the time is over
  Idle,        ///< nothing is under way anywhere and nothing ever will be: a dead-lock if something was still
               ///< expected
  OutOfSteps,  ///< live-lock
};
[[nodiscard]] std::string_view name_of(Ended ended);

/// Thread: one; nothing in it is shared with other threads. Several worlds can exist one after another or
/// side by side. Order: at every step events that are due run first, then one machine's reactor with work,
/// drawn by the seed, takes a turn; with nothing to do the clock jumps to the next event or timer. Two runs
/// with one seed, one program and the same calls have the same digest().
class World {
 public:
  explicit World(std::uint64_t seed, WorldOptions options = {});
  /// Reactors with something under way are buried (see Machine::bury), quiet ones are destroyed.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  Machine& add_machine(MachineOptions options = {});
  [[nodiscard]] Machine& machine(std::size_t index = 0);
  [[nodiscard]] SimReactor& reactor(std::size_t shard = 0) { return machine().reactor(shard); }
  [[nodiscard]] Disk& disk() { return machine().disk(); }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] Faults& faults() { return faults_; }
  [[nodiscard]] EventQueue& events() { return events_; }
  [[nodiscard]] Random& random() { return random_; }

  [[nodiscard]] MonoTime now() const { return now_; }
  [[nodiscard]] WallTime wall_now() const;
  /// Steps the calendar clock; timers do not notice.
  void jump_wall_clock(std::chrono::milliseconds by) { wall_offset_ += by; }
  /// As a suspended process sees it: time passes and nothing runs.
  void freeze_for(Duration pause) { now_ += pause; }

  /// `done` is asked after every step.
  Ended run_until(const std::function<bool()>& done, Duration at_most = std::chrono::hours(24));
  Ended run_for(Duration time);
  /// Until nothing is under way or armed. For worlds without endless loops.
  Ended run_until_idle(Duration at_most = std::chrono::hours(24));
  /// The first machine; see Machine::crash().
  void crash(Crash how = Crash::PowerCut) { machine().crash(how); }

  /// Fingerprint of everything that has happened.
  [[nodiscard]] std::uint64_t digest() const { return digest_.value(); }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }

  // --- For reactors.
  void note(std::uint64_t word) { digest_.add(word); }
  void advance_clock(Duration by) { now_ += by; }
  /// A reactor waits inside Reactor::run(): lets the others go on until it has work or `until` has come.
  void run_others(SimReactor& waiting, std::optional<MonoTime> until);

 private:
  enum class Stepped : std::uint8_t { Worked, Nothing, BeyondLimit };
  [[nodiscard]] Stepped step(MonoTime limit, const SimReactor* waiting);
  void refresh_clocks();

  std::uint64_t seed_;
  WorldOptions options_;
  Random random_;
  Random schedule_;
  MonoTime start_;
  MonoTime now_;
  std::chrono::milliseconds wall_offset_{0};
  std::uint64_t steps_ = 0;
  Digest digest_;
  EventQueue events_;
  Faults faults_;
  Network network_;
  std::vector<SimReactor*> runnable_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace sluice::runtime::sim
