#include "engine/runtime/sim/world.h"

#include <algorithm>
#include <cerrno>

namespace sluice::runtime::sim {
namespace {

// Labels of the independent streams of chance.
enum : std::uint64_t {
  kScheduleStream,
  kNetworkStream,
  kGeneralStream,
  kDiskStream,
  kReactorStream = 1'000'000
};

constexpr MonoTime kFirstMoment{1000s};

}  // namespace

std::string_view name_of(Ended ended) {
  switch (ended) {
    case Ended::Reached: return "reached";
    case Ended::OutOfTime: return "out of time";
    case Ended::Idle: return "idle";
    case Ended::OutOfSteps: return "out of steps";
  }
  return "unknown";
}

// --- World.

World::World(std::uint64_t seed, WorldOptions options)
    : seed_(seed),
      options_(std::move(options)),
      random_(Random(seed).branch(kGeneralStream)),
      schedule_(Random(seed).branch(kScheduleStream)),
      start_(kFirstMoment),
      now_(kFirstMoment),
      network_(*this, Random(seed).branch(kNetworkStream)) {
  add_machine(options_.machine);
}

World::~World() = default;

Machine& World::add_machine(MachineOptions options) {
  machines_.push_back(std::make_unique<Machine>(*this, machines_.size(), std::move(options)));
  machines_.back()->boot();
  return *machines_.back();
}

Machine& World::machine(std::size_t index) {
  SLUICE_ASSERT(index < machines_.size());
  return *machines_[index];
}

WallTime World::wall_now() const {
  return options_.start + std::chrono::duration_cast<std::chrono::milliseconds>(now_ - start_) + wall_offset_;
}

World::Stepped World::step(MonoTime limit, const SimReactor* waiting) {
  ++steps_;
  if (events_.run_one(now_)) return Stepped::Worked;
  runnable_.clear();
  std::optional<MonoTime> next = events_.next();
  for (const auto& machine : machines_) {
    for (const auto& reactor : machine->reactors_) {
      if (reactor.get() == waiting) continue;
      if (reactor->has_work(now_)) {
        runnable_.push_back(reactor.get());
      } else if (const auto timer = reactor->next_timer(); timer && !reactor->stopping()) {
        next = next ? std::min(*next, *timer) : *timer;
      }
    }
  }
  if (runnable_.empty()) {
    if (!next) return Stepped::Nothing;
    if (*next > limit) return Stepped::BeyondLimit;
    now_ = std::max(now_, *next);
    return Stepped::Worked;
  }
  const std::size_t drawn = runnable_.size() == 1 ? 0 : schedule_.below(runnable_.size());
  SimReactor& reactor = *runnable_[drawn];
  note((reactor.machine().index() << 16) + reactor.shard().raw());
  note(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  now_ += options_.turn_cost;
  reactor.take_turn();
  return Stepped::Worked;
}

Ended World::run_until(const std::function<bool()>& done, Duration at_most) {
  const MonoTime limit = now_ + at_most;
  const std::uint64_t steps_limit = steps_ + options_.steps_max;
  Ended ended = Ended::Reached;
  while (!done()) {
    if (steps_ >= steps_limit) {
      ended = Ended::OutOfSteps;
      break;
    }
    const Stepped stepped = now_ > limit ? Stepped::BeyondLimit : step(limit, nullptr);
    if (stepped == Stepped::Worked) continue;
    ended = stepped == Stepped::Nothing ? Ended::Idle : Ended::OutOfTime;
    break;
  }
  if (ended == Ended::OutOfTime) now_ = std::max(now_, limit);
  refresh_clocks();
  return ended;
}

Ended World::run_for(Duration time) {
  const MonoTime limit = now_ + time;
  const Ended ended = run_until([] { return false; }, time);
  if (ended == Ended::Idle) {
    now_ = std::max(now_, limit);
    refresh_clocks();
  }
  return ended;
}

Ended World::run_until_idle(Duration at_most) {
  return run_until([] { return false; }, at_most);
}

void World::run_others(SimReactor& waiting, std::optional<MonoTime> until) {
  while (!waiting.has_work(now_)) {
    if (until && now_ >= *until) return;
    const Stepped stepped = step(until.value_or(MonoTime::max()), &waiting);
    if (stepped == Stepped::Worked) continue;
    SLUICE_ASSERT(until.has_value());  // waits for ever in a world where nothing can happen any more
    now_ = std::max(now_, *until);
  }
}

void World::refresh_clocks() {
  for (const auto& machine : machines_) {
    for (const auto& reactor : machine->reactors_) reactor->refresh_clock();
  }
}

// --- Machine.

Machine::Machine(World& world, std::size_t index, MachineOptions machine_options)
    : options(std::move(machine_options)),
      world_(world),
      index_(index),
      disk_(options.disk, Random(world.seed()).branch(kDiskStream + (index << 8))) {}

Machine::~Machine() {
  const bool quiet =
      std::all_of(reactors_.begin(), reactors_.end(), [](const auto& one) { return one->is_quiet(); });
  stop_reactors(true);
  if (quiet) return;
  for (auto& reactor : reactors_) bury(std::move(reactor));
  bury(std::move(boxes_));
}

SimReactor& Machine::reactor(std::size_t shard) {
  SLUICE_ASSERT(shard < reactors_.size());
  return *reactors_[shard];
}

void Machine::boot() {
  SLUICE_ASSERT(!is_up() && options.reactors >= 1);
  ++boots_;
  boxes_ = std::make_unique<Mailboxes>(options.reactors);
  const Random seeds = Random(world_.seed()).branch(kReactorStream + (index_ << 32) + (boots_ << 8));
  for (std::size_t shard = 0; shard < options.reactors; ++shard) {
    const ShardId id{static_cast<std::uint32_t>(shard)};
    reactors_.push_back(std::make_unique<SimReactor>(*this, id, seeds.branch(shard).next()));
    reactors_.back()->join_world(*boxes_);
  }
  world_.network().machine_up(index_);
}

void Machine::stop_reactors(bool silent) {
  for (const auto& reactor : reactors_) reactor->die(silent);
  for (auto& [fd, file] : files_) {
    if (silent) {
      file->network = nullptr;
      file->disk = nullptr;
    }
  }
  files_.clear();
  free_descriptors_.clear();
  next_descriptor_ = kFirstDescriptor;
}

void Machine::crash(Crash how) {
  SLUICE_ASSERT(is_up());
  world_.note(0xdead00 + index_);
  const bool power_cut = how == Crash::PowerCut;
  struct Torn {
    NodePtr node;
    std::uint64_t offset;
    std::vector<std::byte> bytes;
  };
  std::vector<Torn> torn;
  for (const auto& reactor : reactors_) {
    for (const InFlight* op : reactor->writes_in_flight()) {
      torn.push_back({op->file->node, op->op.offset, {op->op.data, op->op.data + op->op.size}});
    }
  }
  world_.network().machine_down(index_, power_cut);
  if (power_cut) disk_.cut_power();
  for (const Torn& one : torn) {
    if (power_cut) {
      disk_.tear(*one.node, one.offset, one.bytes);
    } else if (const std::size_t done = world_.random().below(one.bytes.size() + 1); done != 0) {
      // The dying process's call stops at any byte.
      static_cast<void>(disk_.write(*one.node, one.offset, std::span(one.bytes).first(done)));
    }
  }
  stop_reactors(power_cut);
  for (auto& reactor : reactors_) bury(std::move(reactor));
  reactors_.clear();
  bury(std::move(boxes_));
}

void Machine::bury_memory(void* object) {
  // Never freed, always reachable.
  static auto* const graveyard = new std::vector<void*>;
  graveyard->push_back(object);
}

Result<int> Machine::add_descriptor(std::shared_ptr<OpenFile> file) {
  if (files_.size() >= options.descriptors_max) return fail_errno(EMFILE, "descriptor");
  int fd = next_descriptor_;
  if (free_descriptors_.empty()) {
    ++next_descriptor_;
  } else {
    fd =
        *free_descriptors_.begin();  // the lowest free one, as POSIX has it: stale numbers are met again soon
    free_descriptors_.erase(free_descriptors_.begin());
  }
  files_.emplace(fd, std::move(file));
  return fd;
}

std::shared_ptr<OpenFile> Machine::file(int fd) const {
  const auto found = files_.find(fd);
  return found == files_.end() ? nullptr : found->second;
}

bool Machine::remove_descriptor(int fd) {
  const auto found = files_.find(fd);
  if (found == files_.end()) return false;
  const std::shared_ptr<OpenFile> file = std::move(found->second);
  files_.erase(found);
  free_descriptors_.insert(fd);
  return true;
}

bool Machine::owns(const IpAddress& address) const {
  if (options.addresses.empty() || address.is_loopback()) return true;
  return std::any_of(options.addresses.begin(), options.addresses.end(),
                     [&](const Cidr& block) { return block.contains(address); });
}

}  // namespace sluice::runtime::sim
