#include "engine/runtime/sim/programs.h"

#include <poll.h>

#include <cerrno>

#include "engine/runtime/sim/sim_reactor.h"
#include "engine/runtime/sim/world.h"

namespace sluice::runtime::sim {
namespace {

detail::Detached run_program(World& world, SimReactor& reactor, std::shared_ptr<ProgramSocket> program,
                             ProgramBody body, ProgramSide side) {
  const int exit_code = co_await body(reactor, std::move(side));
  if (!program->end) world.network().program_ended(*program, {.exit_code = exit_code, .signal = 0});
}

}  // namespace

std::uint32_t ProgramSocket::ready_events() const { return end ? POLLIN : 0; }

std::shared_ptr<ProgramSocket> Network::make_program(Machine& machine) {
  return make<ProgramSocket>(machine.index(), true);
}

void Network::program_ended(ProgramSocket& program, ProgramEnd end) {
  program.end = end;
  wake_polls(program);
}

std::pair<std::shared_ptr<StreamSocket>, std::shared_ptr<StreamSocket>> Network::make_pair(Machine& machine) {
  auto ours = make<StreamSocket>(machine.index(), true);
  auto theirs = make<StreamSocket>(machine.index(), true);
  join(ours, theirs);
  ours->link.window_bytes = theirs->link.window_bytes = 64 * kKiB;  // as Linux's pipes
  return {ours, theirs};
}

Result<StartedProgram> SimReactor::start_program(const std::vector<std::string>& arguments) {
  const auto found = machine_.programs.find(arguments.front());
  if (found == machine_.programs.end()) return fail_errno(ENOENT, "start program");
  Network& network = machine_.world().network();
  auto [to_input, input] = network.make_pair(machine_);
  auto [from_output, output] = network.make_pair(machine_);
  auto program = network.make_program(machine_);
  StartedProgram out;
  std::vector<int> fds;
  for (const std::shared_ptr<Socket>& socket :
       {std::shared_ptr<Socket>(program), std::shared_ptr<Socket>(to_input),
        std::shared_ptr<Socket>(from_output), std::shared_ptr<Socket>(input),
        std::shared_ptr<Socket>(output)}) {
    const Result<int> fd = descriptor_for(socket);
    if (!fd) {
      for (const int made : fds) close_now(made);
      return std::unexpected(fd.error());
    }
    fds.push_back(*fd);
  }
  out.process = fds[0];
  out.input = fds[1];
  out.output = fds[2];
  out.id = fds[0];
  ProgramSide side{arguments, Stream(*this, fds[3]), Stream(*this, fds[4])};
  run_program(machine_.world(), *this, std::move(program), found->second, std::move(side));
  return out;
}

void SimReactor::signal_program(const StartedProgram& program, int number) {
  const auto file = machine_.file(program.process);
  auto* socket = file == nullptr ? nullptr : dynamic_cast<ProgramSocket*>(file->socket.get());
  if (socket == nullptr || socket->end) return;
  machine_.world().network().program_ended(*socket, {.exit_code = 0, .signal = number});
}

std::optional<ProgramEnd> SimReactor::reap_program(const StartedProgram& program) {
  const auto file = machine_.file(program.process);
  auto* socket = file == nullptr ? nullptr : dynamic_cast<ProgramSocket*>(file->socket.get());
  SLUICE_ASSERT(socket != nullptr);
  return socket->end;
}

}  // namespace sluice::runtime::sim
