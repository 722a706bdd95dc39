// Goal: what runtime/program.h promises about programs holds in both worlds: they are fed, heard, waited for,
// ended in time, and leave nothing behind. How: small shell scripts in the real world; coroutines of the same
// names and behaviour in the simulated one.
#include "engine/runtime/program.h"

#include <csignal>
#include <string>
#include <vector>

#include "engine/runtime/file.h"
#include "engine/runtime/uring/process.h"
#include "tests/engine/runtime/either_world.h"

namespace sluice::runtime {
namespace {

using namespace std::string_literals;

INSTANTIATE_TEST_SUITE_P(Worlds, InEitherWorld,
                         ::testing::Values(Which::Sim, Which::SimInPieces, Which::Uring), world_name);

constexpr const char* kCount = "echo heard $(wc -c) bytes of $1 >&2; exit 75";
constexpr const char* kDeaf = "exec <&-; echo deaf; exit 3";
constexpr const char* kSleep = "exec sleep 1000";
constexpr const char* kStubborn = "trap '' TERM; exec </dev/null; while :; do sleep 0.05; done";
constexpr const char* kLitter = "(sleep 3 &) ; echo left; exit 4";
constexpr const char* kFlood = "i=0; while [ $i -lt 300 ]; do echo line$i; i=$((i+1)); done";
constexpr const char* kDescriptors = "set -- /proc/self/fd/*; echo $#";

Task<int> imitate(Reactor& reactor, sim::ProgramSide side) {
  EXPECT_EQ(side.arguments.size(), 5u);
  const std::string script = side.arguments.at(2);
  if (script == kCount) {
    std::size_t heard = 0;
    for (;;) {
      const Result<ReceivedBytes> got = co_await side.input.receive();
      if (!got || got->bytes().empty()) break;
      heard += got->bytes().size();
    }
    const std::string said = "heard " + std::to_string(heard) + " bytes of " + side.arguments.at(4) + "\n";
    (void)co_await side.output.send(said);
    co_return 75;
  }
  if (script == kDeaf) {
    side.input.close();
    (void)co_await side.output.send("deaf\n");
    co_return 3;
  }
  if (script == kFlood) {
    for (int i = 0; i < 300; ++i) {
      const std::string line = "line" + std::to_string(i) + "\n";
      (void)co_await side.output.send(line);
    }
    co_return 0;
  }
  co_await sleep_for(reactor, 5s);
  co_return 0;
}

class ProgramTest : public InEitherWorld {
 protected:
  ProgramTest() {
    prepare_process();  // as the daemon does: a broken pipe is an answer, not a signal
    if (env.is_simulated()) env.world().machine().programs["/bin/sh"] = imitate;
  }
};
INSTANTIATE_TEST_SUITE_P(Worlds, ProgramTest, ::testing::Values(Which::Sim, Which::SimInPieces, Which::Uring),
                         world_name);

std::vector<std::string> shell(const char* script) { return {"/bin/sh", "-c", script, "name", "first word"}; }

Task<void> fed_and_heard(Reactor& reactor) {
  const std::string input(1'000'000, 'x');
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kCount), std::as_bytes(std::span(input)), {});
  EXPECT_TRUE(end.has_value());
  if (!end) co_return;
  EXPECT_EQ(end->end.exit_code, 75);
  EXPECT_EQ(end->end.signal, 0);
  EXPECT_FALSE(end->timed_out);
  EXPECT_EQ(end->output, "heard 1000000 bytes of first word\n");
}
TEST_P(ProgramTest, IsFedAndHeard) { run(fed_and_heard(env.reactor())); }

Task<void> fed_in_turns(Reactor& reactor) {
  const std::string input(100'000, 'x');
  Wakeup ended(reactor);
  Program program(reactor, reactor.shard());
  program.notify(&ended);
  const Status started = co_await program.start(shell(kCount), {.input_stall = 5s, .run_time = std::nullopt});
  EXPECT_TRUE(started);
  for (int i = 0; i < 3; ++i) {
    const std::size_t taken = co_await program.write(std::as_bytes(std::span(input)));
    EXPECT_EQ(taken, input.size());
    co_await sleep_for(reactor, 20ms);
    EXPECT_FALSE(program.has_ended());
  }
  program.end_input();
  co_await ended.wait();
  EXPECT_TRUE(program.has_ended());
  const ProgramOutcome outcome = co_await program.finish();
  EXPECT_EQ(outcome.end.exit_code, 75);
  EXPECT_EQ(outcome.output, "heard 300000 bytes of first word\n");
}
TEST_P(ProgramTest, IsFedAsLongAsItLives) { run(fed_in_turns(env.reactor())); }

Task<void> stalls_in_a_write(Reactor& reactor) {
  const std::string input(1'000'000, 'x');
  Program program(reactor, reactor.shard());
  const Status started =
      co_await program.start(shell(kSleep), {.input_stall = 50ms, .run_time = std::nullopt});
  EXPECT_TRUE(started);
  const std::size_t taken = co_await program.write(std::as_bytes(std::span(input)));
  EXPECT_LT(taken, input.size());
  const ProgramOutcome outcome = co_await program.finish();
  EXPECT_TRUE(outcome.timed_out && outcome.end.signal == SIGTERM);
}
TEST_P(ProgramTest, AWriteThatStallsSaysHowMuchWasTaken) { run(stalls_in_a_write(env.reactor())); }

Task<void> deaf(Reactor& reactor) {
  const std::string input(1'000'000, 'x');
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kDeaf), std::as_bytes(std::span(input)), {});
  EXPECT_TRUE(end && end->end.exit_code == 3 && !end->timed_out && end->output == "deaf\n");
}
TEST_P(ProgramTest, MayLeaveItsInputUnread) { run(deaf(env.reactor())); }

Task<void> too_slow(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kSleep), {}, {.run_time = 50ms});
  EXPECT_TRUE(end && end->timed_out && end->end.signal == SIGTERM) << (end ? end->end.signal : -1);
}
TEST_P(ProgramTest, IsEndedWhenItTakesTooLong) { run(too_slow(env.reactor())); }

Task<void> stalled(Reactor& reactor) {
  const std::string input(1'000'000, 'x');
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kSleep), std::as_bytes(std::span(input)),
                                        {.input_stall = 50ms, .run_time = 1h});
  EXPECT_TRUE(end && end->timed_out && end->end.signal == SIGTERM);
}
TEST_P(ProgramTest, IsEndedWhenItStopsReading) { run(stalled(env.reactor())); }

Task<void> stop_soon(Reactor& reactor, Program& program) {
  co_await sleep_for(reactor, 50ms);
  program.stop();
}

Task<void> stopped(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  TaskGroup group;
  group.spawn(stop_soon(reactor, program));
  const auto end = co_await program.run(shell(kSleep), {}, {});
  EXPECT_TRUE(end && end->stopped && !end->timed_out && end->end.signal == SIGTERM);
  co_await group.join();
  Program never(reactor, reactor.shard());
  never.stop();
  const auto refused = co_await never.run(shell(kSleep), {}, {});
  EXPECT_TRUE(!refused && refused.error().code == Errc::Cancelled);
}
TEST_P(ProgramTest, EndsWhenAsked) { run(stopped(env.reactor())); }

Task<void> flood(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kFlood), {}, {.output_kept = 15});
  EXPECT_TRUE(end && end->end.exit_code == 0 && end->output == "line298\nline299\n"s.substr(1))
      << end->output;
}
TEST_P(ProgramTest, OnlyTheEndOfItsOutputIsKept) { run(flood(env.reactor())); }

Task<void> missing(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  const std::vector<std::string> words{"/no/such/program"};
  const auto end = co_await program.run(words, {}, {});
  EXPECT_TRUE(!end && end.error().code == Errc::NotFound);
}
TEST_P(ProgramTest, ThatDoesNotExist) { run(missing(env.reactor())); }

Task<void> stubborn(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kStubborn), {}, {.run_time = 100ms, .kill_after = 50ms});
  EXPECT_TRUE(end && end->timed_out && end->end.signal == SIGKILL);
}

Task<void> litter(Reactor& reactor) {
  const MonoTime began = reactor.now();
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kLitter), {}, {.output_grace = 50ms});
  EXPECT_TRUE(end && end->end.exit_code == 4 && end->output == "left\n");
  EXPECT_LT(reactor.now() - began, 2s);
}

Task<void> nothing_inherited(Reactor& reactor) {
  Program program(reactor, reactor.shard());
  const auto end = co_await program.run(shell(kDescriptors), {}, {});
  EXPECT_TRUE(end.has_value());
  // Standard input, output and error; one more is the shell's own look into the folder.
  if (end) EXPECT_LE(std::stoi(end->output), 4) << end->output;
}

class RealProgram : public InEitherWorld {};
INSTANTIATE_TEST_SUITE_P(Worlds, RealProgram, ::testing::Values(Which::Uring), world_name);
TEST_P(RealProgram, ThatIgnoresAskingIsKilled) { run(stubborn(env.reactor())); }
TEST_P(RealProgram, ItsChildrenDoNotHoldUpItsEnd) { run(litter(env.reactor())); }
TEST_P(RealProgram, InheritsNothing) { run(nothing_inherited(env.reactor())); }

Task<void> locks(Reactor& reactor, std::string path) {
  auto first = co_await File::open(reactor, path, {.create = true});
  auto second = co_await File::open(reactor, path, {});
  EXPECT_TRUE(first && second);
  if (!first || !second) co_return;
  EXPECT_TRUE((co_await first->lock(1s)).has_value());
  const Status busy = co_await second->lock(100ms);
  EXPECT_TRUE(!busy && busy.error().code == Errc::Timeout);
  {
    const File gone = std::move(*first);
  }
  EXPECT_TRUE((co_await second->lock(0s)).has_value());
  EXPECT_EQ(reactor.size_of(second->fd()), 0u);
}
TEST_P(InEitherWorld, AFileIsLockedByOneAtATime) { run(locks(env.reactor(), env.directory() + "/mbox")); }

}  // namespace
}  // namespace sluice::runtime
