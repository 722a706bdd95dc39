#pragma once
// Programs of this host, run to their end without a thread or a blocked shard.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::runtime {

struct ProgramLimits {
  Duration input_stall = 3min;               ///< without a byte of the input taken
  std::optional<Duration> run_time = 10min;  ///< from the start to the end; nullopt: as long as it likes
  Duration kill_after = 5s;                  ///< between SIGTERM and SIGKILL
  Duration output_grace = 1s;                ///< for the end of the output, once the program has ended
  std::size_t output_kept = 512;             ///< of the end of its output
};

struct ProgramOutcome {
  ProgramEnd end;
  bool timed_out = false;  ///< one of the limits was reached, and the program was ended
  bool stopped = false;    ///< stop() ended it
  std::string output;      ///< the last bytes of standard output and standard error
};

/// One run of a program: started on the shard that may block, fed and waited for on this one.
/// Thread:   `reactor`'s shard. Lifetime: run() has ended before destruction.
/// Limits:   ProgramLimits. At a limit: SIGTERM to the program's group, kKillAfter later SIGKILL. A program
///           that has ended while others hold its output open is left output_grace to say the rest.
class Program {
 public:
  static constexpr std::size_t kPipeBytes = 65536;  ///< written at a time: the size of a pipe

  /// `starter`: the shard that calls start_program(); this one or another.
  Program(Reactor& reactor, ShardId starter) : reactor_(reactor), starter_(starter) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// `input` goes to its standard input and stays untouched until the answer. A program that does not read it
  /// all and ends is judged by its end alone. Errors: those of start_program(); Cancelled when stop() came
  /// first.
  [[nodiscard]] Task<Result<ProgramOutcome>> run(std::vector<std::string> arguments,
                                                 std::span<const std::byte> input, ProgramLimits limits);
  /// Ends it as at a limit.
  void stop();

  // --- The parts of run(), for a program that is fed as long as it lives: once start(), then any number of
  // write(), one at a time, and once finish().
  /// Errors: those of run().
  [[nodiscard]] Task<Status> start(std::vector<std::string> arguments, ProgramLimits limits);
  /// Answers how many bytes it took. Fewer than all: it has ended, has closed its input, or took nothing for
  /// input_stall and is being ended.
  [[nodiscard]] Task<std::size_t> write(std::span<const std::byte> input);
  /// The program sees the end of its input.
  void end_input();
  /// end_input(), then waits for its end.
  [[nodiscard]] Task<ProgramOutcome> finish();
  [[nodiscard]] bool has_ended() const { return ended_; }
  /// Set when the program has ended; outlives the run.
  void notify(Wakeup* wakeup) { on_end_ = wakeup; }

 private:
  Task<void> drain();
  Task<void> wait_for_end(std::optional<MonoTime> deadline);
  void hurry();

  Reactor& reactor_;
  ShardId starter_;
  StartedProgram program_;
  ProgramLimits limits_;
  ProgramOutcome outcome_;
  Op input_op_;
  Op output_op_;
  Op process_op_;
  TaskGroup parts_;
  Wakeup* on_end_ = nullptr;
  bool stopping_ = false;
  bool too_late_ = false;
  bool ended_ = false;
};

}  // namespace sluice::runtime
