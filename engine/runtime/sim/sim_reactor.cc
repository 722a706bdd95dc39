// The reactor's own side: requests, completions, buffers, direct calls. Operations on files: disk_ops.cc.
#include "engine/runtime/sim/sim_reactor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {
namespace {

constexpr std::size_t kPoisonBytes = 512;  // enough to be noticed, little enough for long runs

std::uint64_t fingerprint(const Op& op) {
  Digest digest;
  for (std::size_t i = 0; i < op.size; ++i) digest.add(static_cast<std::uint64_t>(op.data[i]));
  return digest.value();
}

}  // namespace

SimReactor::SimReactor(Machine& machine, ShardId shard, std::uint64_t seed)
    : Reactor(shard, machine.world().now()),
      machine_(machine),
      random_(seed),
      buffer_bytes_(machine.options.buffer_bytes),
      buffer_memory_(
          std::make_unique_for_overwrite<std::byte[]>(machine.options.buffer_count * buffer_bytes_)),
      buffer_out_(machine.options.buffer_count, false) {
  SLUICE_ASSERT(machine.options.buffer_count <= 65536);
  for (std::size_t id = machine.options.buffer_count; id-- > 0;)
    free_buffers_.push_back(static_cast<std::uint16_t>(id));
  refresh_clock();
}

SimReactor::~SimReactor() = default;

bool SimReactor::is_quiet() const { return in_flight_.empty() && !has_ready() && timers().size() == 0; }

MonoTime SimReactor::read_clock() {
  // Reading takes a moment, so a loop that waits for the clock ends.
  machine_.world().advance_clock(20ns);
  return machine_.world().now();
}

void SimReactor::refresh_clock() { set_time(machine_.world().now(), machine_.world().wall_now()); }

// --- Requests.

void SimReactor::submit(Op& op) {
  SLUICE_ASSERT(!op.in_flight && op.done != nullptr);
  const bool is_send = op.kind == OpKind::Send || op.kind == OpKind::SendVector;
  if (is_send && !dead_ && machine_.world().random().chance(machine_.options.send_throws))
    throw std::bad_alloc();
  op.in_flight = true;
  op.cancel_asked = false;
  op.tries = 0;
  ++counters_.submitted;
  const std::uint64_t id = ++ops_made_;
  auto& made = in_flight_[id] = std::make_unique<InFlight>(op, *this, id);
  op.world = made.get();
  requests_.push_back({id, false});
}

void SimReactor::cancel(Op& op) {
  if (!op.in_flight || op.cancel_asked || dead_) return;
  op.cancel_asked = true;
  requests_.push_back({static_cast<InFlight*>(op.world)->id, true});
}

void SimReactor::start_requests() {
  serve_starved();
  for (const Request& request : std::exchange(requests_, {})) {
    InFlight* op = find(request.id);
    if (op == nullptr) continue;
    if (request.is_cancel && machine_.world().faults().plan.cancel_lost > 0 &&
        machine_.world().random().chance(machine_.world().faults().plan.cancel_lost)) {
      continue;
    }
    if (request.is_cancel) {
      abandon(*op, ECANCELED);
    } else {
      begin(*op);
    }
  }
}

InFlight* SimReactor::find(std::uint64_t id) {
  const auto found = in_flight_.find(id);
  return found == in_flight_.end() || found->second->answered ? nullptr : found->second.get();
}

bool SimReactor::is_disk(const InFlight& op) const {
  if (op.file != nullptr && op.file->socket != nullptr) return false;  // Read and Write on a pipe
  switch (op.op.kind) {
    case OpKind::Read:
    case OpKind::Write:
    case OpKind::Sync:
    case OpKind::Open:
    case OpKind::Allocate:
    case OpKind::Truncate:
    case OpKind::Rename:
    case OpKind::Unlink:
    case OpKind::MakeDir: return true;
    default: return false;
  }
}

void SimReactor::begin(InFlight& op) {
  const bool by_path = op.op.path != nullptr && is_disk(op) && op.op.fd < 0;
  if (op.op.kind == OpKind::Close) {
    answer(op, {.result = machine_.remove_descriptor(op.op.fd) ? 0 : -EBADF});
    return;
  }
  if (!by_path) {
    op.file = machine_.file(op.op.fd);
    if (op.op.fixed_file >= 0) {
      const auto slot = static_cast<std::size_t>(op.op.fixed_file);
      SLUICE_ASSERT(slot < fixed_files_.size() && fixed_files_[slot] != nullptr);
      SLUICE_ASSERT(fixed_files_[slot] == op.file);
    }
    if (op.file == nullptr) return answer(op, {.result = -EBADF});
    if (is_disk(op) != (op.file->node != nullptr)) {
      return answer(op, {.result = is_disk(op) ? -EINVAL : -ENOTSOCK});
    }
  }
  World& world = machine_.world();
  if (op.op.timeout > Duration{0} && !op.timeout) {
    op.timeout = world.events().at(world.now() + op.op.timeout, [this, id = op.id] {
      if (InFlight* late = find(id); !dead_ && late != nullptr) abandon(*late, ETIMEDOUT);
    });
  }
  if (!strike(op)) begin_now(op);
}

/// True when a fault has taken the operation over.
bool SimReactor::strike(InFlight& op) {
  if (op.op.kind == OpKind::Accept) return false;  // judged for every connection, by the network
  World& world = machine_.world();
  FaultSite site{.kind = op.op.kind, .machine = machine_.index(), .peer = nullptr, .path = {}};
  Endpoint peer;
  if (op.file != nullptr) {
    site.path = op.file->path;
    if (op.file->socket != nullptr)
      peer = op.op.kind == OpKind::Connect ? op.op.peer.endpoint() : op.file->socket->remote;
    if (op.file->socket != nullptr) site.peer = &peer;
  } else {
    site.path = op.op.path;
  }
  const auto fault = world.faults().judge(site, world.random());
  if (!fault) return false;
  world.note(0xfa017 + static_cast<std::uint64_t>(fault->strike));
  const auto stream = op.file == nullptr ? nullptr : std::dynamic_pointer_cast<StreamSocket>(op.file->socket);
  switch (fault->strike) {
    case Strike::Error:
      if (!is_disk(op)) {
        answer(op, {.result = -fault->sys_errno});
        return true;
      }
      op.failing = fault->sys_errno;
      return false;
    case Strike::Reset:
      if (op.op.kind == OpKind::Connect) {
        answer(op, {.result = -ECONNRESET});
        return true;
      }
      if (stream != nullptr) world.network().reset(*stream);
      return false;
    case Strike::Hang:
      if (op.op.kind == OpKind::Connect && stream != nullptr) world.network().connect(op, stream, true);
      return true;
    case Strike::Delay:
      op.event = world.events().at(world.now() + fault->delay, [this, id = op.id] {
        InFlight* delayed = find(id);
        if (dead_ || delayed == nullptr) return;
        delayed->event.reset();
        begin_now(*delayed);
      });
      return true;
    case Strike::Short:
      if (op.op.kind == OpKind::Write) op.short_size = shorter_size(op);
      return false;
  }
  return false;
}

void SimReactor::begin_now(InFlight& op) {
  if (is_disk(op)) {
    begin_on_disk(op);
  } else {
    begin_on_socket(op);
  }
}

void SimReactor::begin_on_socket(InFlight& op) {
  Network& network = machine_.world().network();
  const std::shared_ptr<Socket>& socket = op.file->socket;
  if (op.op.kind == OpKind::Poll) return network.poll(op, *socket);
  if (auto* datagram = dynamic_cast<DatagramSocket*>(socket.get())) {
    if (op.op.kind != OpKind::Connect) return answer(op, {.result = -EOPNOTSUPP});
    datagram->connected = true;
    datagram->remote = op.op.peer.endpoint();
    return answer(op, {.result = 0});
  }
  if (auto* listener = dynamic_cast<ListenSocket*>(socket.get())) {
    if (op.op.kind == OpKind::Accept) return network.accept(op, *listener);
    return answer(op, {.result = -ENOTCONN});
  }
  const auto stream = std::dynamic_pointer_cast<StreamSocket>(socket);
  if (stream == nullptr) return answer(op, {.result = -EINVAL});  // a program, which is only polled
  switch (op.op.kind) {
    case OpKind::Connect: return network.connect(op, stream, false);
    case OpKind::Recv:
    case OpKind::Read:
    case OpKind::RecvMulti: return network.receive(op, *stream);
    case OpKind::SendZeroCopy:
      if (!machine_.options.send_zero_copy) return answer(op, {.result = -EOPNOTSUPP});
      op.memory_check = fingerprint(op.op);
      return network.send(op, *stream);
    case OpKind::Send:
    case OpKind::Write:
    case OpKind::SendVector: return network.send(op, *stream);
    default: return answer(op, {.result = -EINVAL});
  }
}

void SimReactor::abandon(InFlight& op, int sys_errno) {
  if (op.answered || op.first_answered) return;
  // A file operation that has begun cannot be called back, as in a kernel.
  if (op.on_disk) return;
  if (op.event) machine_.world().events().cancel(*op.event);
  op.event.reset();
  if (op.file != nullptr && op.file->socket != nullptr) op.file->socket->forget(&op);
  answer(op, {.result = -sys_errno});
}

// --- Completions.

void SimReactor::answer(InFlight& op, Completion completion) {
  SLUICE_ASSERT(!op.answered);
  World& world = machine_.world();
  if (!op.first_answered && try_again(op.op, completion.result)) {
    op.on_disk = false;
    op.failing = 0;
    op.sync.reset();
    requests_.push_back({op.id, false});
    return;
  }
  world.note((static_cast<std::uint64_t>(op.op.kind) << 40) ^ (op.id << 8) ^
             static_cast<std::uint64_t>(completion.more));
  world.note(static_cast<std::uint64_t>(completion.result));
  if (!completion.more) {
    op.answered = true;
    if (op.timeout) world.events().cancel(*op.timeout);
    op.timeout.reset();
  }
  finished_.push_back({&op, completion});
}

void SimReactor::answer_zero_copy(InFlight& op, std::int32_t result, MonoTime released) {
  op.first_answered = true;
  answer(op, {.result = result, .more = true});
  machine_.world().events().at(released, [this, id = op.id] {
    InFlight* held = find(id);
    if (dead_ || held == nullptr) return;
    SLUICE_ASSERT(fingerprint(held->op) == held->memory_check);  // changed before the kernel let go of it
    answer(*held, {.result = random_.chance(0.5) ? Op::kCopied : 0});
  });
}

std::size_t SimReactor::give_out() {
  std::size_t count = std::min(finished_.size(), kCompletionsPerPollMax);
  // The kernel's task work also comes in portions.
  if (count > 1 && machine_.world().random().chance(0.1)) count = 1 + machine_.world().random().below(count);
  for (std::size_t i = 0; i < count && !dead_; ++i) {
    const Finished finished = finished_.front();
    finished_.pop_front();
    Op& op = finished.op->op;
    if (!finished.completion.more) {
      op.in_flight = false;
      op.world = nullptr;
      in_flight_.erase(finished.op->id);
    }
    ++counters_.completions;
    op.done(op, finished.completion);
  }
  return count;
}

std::size_t SimReactor::poll(bool may_wait, std::optional<MonoTime> until) {
  ++counters_.system_calls;
  start_requests();
  if (may_wait && finished_.empty()) {
    machine_.world().run_others(*this, until);
    refresh_clock();
  }
  return give_out();
}

bool SimReactor::has_work(MonoTime now) {
  if (dead_ || stopping()) return false;
  if (woken_ || has_ready() || !finished_.empty() || !requests_.empty()) return true;
  if (!starved_.empty() && (!free_buffers_.empty() || has_keepers())) return true;
  const auto timer = timers().next();
  if (timer && *timer <= now) return true;
  Mailboxes* const boxes = mailboxes();
  return boxes != nullptr && boxes->waiting_for(*this);
}

void SimReactor::take_turn() {
  woken_ = false;
  refresh_clock();
  turn();
  if (!dead_ && !stopping()) poll(false, std::nullopt);
}

void SimReactor::wake_from(Reactor&) { woken_ = true; }

std::vector<const InFlight*> SimReactor::writes_in_flight() const {
  std::vector<const InFlight*> out;
  for (const auto& [id, op] : in_flight_) {
    if (op->op.kind == OpKind::Write && op->on_disk && !op->answered) out.push_back(op.get());
  }
  return out;
}

void SimReactor::die(bool silent) {
  dead_ = true;
  const auto let_go = [&](std::shared_ptr<OpenFile>& file) {
    if (file != nullptr && silent) {
      file->network = nullptr;
      file->disk = nullptr;
    }
    file.reset();
  };
  for (auto& [id, op] : in_flight_) let_go(op->file);
  for (auto& file : fixed_files_) let_go(file);
  requests_.clear();
  finished_.clear();
  buffer_memory_.reset();  // a test that crashes a machine a thousand times should not keep a thousand pools
}

// --- Buffers.

std::optional<std::uint16_t> SimReactor::take_buffer(InFlight& waiter) {
  if (free_buffers_.empty()) {
    if (std::find(starved_.begin(), starved_.end(), waiter.id) == starved_.end())
      starved_.push_back(waiter.id);
    return std::nullopt;
  }
  const std::uint16_t id = free_buffers_.back();
  free_buffers_.pop_back();
  buffer_out_[id] = true;
  return id;
}

void SimReactor::serve_starved() {
  if (!starved_.empty() && free_buffers_.empty()) reclaim_buffers();
  // Who runs out again goes behind the others.
  while (!starved_.empty() && !free_buffers_.empty()) {
    InFlight* op = find(starved_.front());
    starved_.pop_front();
    if (op == nullptr || op->file == nullptr) continue;
    machine_.world().network().pump_receivers(static_cast<StreamSocket&>(*op->file->socket));
  }
}

std::span<std::byte> SimReactor::provided_buffer(std::uint16_t id) {
  SLUICE_ASSERT(id < buffer_out_.size() && buffer_out_[id]);
  return {buffer_memory_.get() + id * buffer_bytes_, buffer_bytes_};
}

void SimReactor::return_buffer(std::uint16_t id) {
  if (dead_) return;
  const std::span<std::byte> bytes = provided_buffer(id);
  std::memset(bytes.data(), 0xdd, std::min(bytes.size(), kPoisonBytes));
  buffer_out_[id] = false;
  free_buffers_.push_back(id);
}

Result<std::uint16_t> SimReactor::register_buffer(std::span<std::byte> memory) {
  if (!machine_.options.fixed_buffers) return Op::kNoFixedBuffer;
  fixed_buffers_.push_back(memory);
  return static_cast<std::uint16_t>(fixed_buffers_.size() - 1);
}

std::int32_t SimReactor::register_file(int fd) {
  const auto file = machine_.file(fd);
  if (!machine_.options.fixed_files || file == nullptr) return -1;
  const auto free = std::find(fixed_files_.begin(), fixed_files_.end(), nullptr);
  const auto slot = free - fixed_files_.begin();
  if (free == fixed_files_.end()) {
    fixed_files_.push_back(file);
  } else {
    *free = file;
  }
  return static_cast<std::int32_t>(slot);
}

void SimReactor::unregister_file(std::int32_t slot) {
  if (slot < 0 || dead_) return;
  SLUICE_ASSERT(static_cast<std::size_t>(slot) < fixed_files_.size() &&
                fixed_files_[static_cast<std::size_t>(slot)] != nullptr);
  fixed_files_[static_cast<std::size_t>(slot)].reset();
}

}  // namespace sluice::runtime::sim
