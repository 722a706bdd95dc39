#include "engine/runtime/program.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "engine/runtime/mailbox.h"

namespace sluice::runtime {

Task<Result<ProgramOutcome>> Program::run(std::vector<std::string> arguments,
                                          std::span<const std::byte> input, ProgramLimits limits) {
  if (const Status started = co_await start(std::move(arguments), limits); !started)
    co_return std::unexpected(started.error());
  static_cast<void>(co_await write(input));
  co_return co_await finish();
}

Task<Status> Program::start(std::vector<std::string> arguments, ProgramLimits limits) {
  if (stopping_) co_return fail(Errc::Cancelled, "start program");
  Result<StartedProgram> started = fail(Errc::Cancelled, "start program");
  if (starter_ == reactor_.shard()) {
    started = reactor_.start_program(arguments);
  } else {
    Mailboxes* const boxes = reactor_.mailboxes();
    const ShardId starter = starter_;
    started = co_await call_on(reactor_, starter, [&arguments, boxes, starter] {
      return reactor_at(*boxes, starter).start_program(arguments);
    });
  }
  if (!started) co_return std::unexpected(started.error());
  program_ = *started;
  limits_ = limits;
  std::optional<MonoTime> deadline;
  if (limits.run_time) deadline = reactor_.now() + *limits.run_time;
  parts_.spawn(drain());
  parts_.spawn(wait_for_end(deadline));
  co_return Status();
}

void Program::end_input() {
  if (program_.input >= 0) reactor_.close_now(std::exchange(program_.input, -1));
}

Task<ProgramOutcome> Program::finish() {
  end_input();
  co_await parts_.join();
  reactor_.close_now(program_.process);
  co_return std::move(outcome_);
}

void Program::stop() {
  stopping_ = true;
  outcome_.stopped = true;
  hurry();
}

void Program::hurry() {
  too_late_ = true;
  if (process_op_.in_flight) reactor_.cancel(process_op_);
}

Task<std::size_t> Program::write(std::span<const std::byte> input) {
  std::size_t taken = 0;
  while (taken < input.size() && !ended_) {
    const std::span<const std::byte> rest = input.subspan(taken);
    input_op_.kind = OpKind::Write;
    input_op_.fd = program_.input;
    input_op_.data = const_cast<std::byte*>(rest.data());  // Write only reads
    input_op_.size = std::min(rest.size(), kPipeBytes);
    input_op_.timeout = limits_.input_stall;
    const std::int32_t result = co_await perform(reactor_, input_op_);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result == -ETIMEDOUT && !ended_) {
      outcome_.timed_out = true;
      hurry();
    }
    if (result <= 0) break;  // EPIPE: it has read what it wanted
    taken += static_cast<std::size_t>(result);
  }
  co_return taken;
}

Task<void> Program::drain() {
  std::array<std::byte, 4096> buffer;
  for (;;) {
    output_op_.kind = OpKind::Read;
    output_op_.fd = program_.output;
    output_op_.data = buffer.data();
    output_op_.size = buffer.size();
    output_op_.timeout = ended_ ? limits_.output_grace : Duration{0};
    const std::int32_t result = co_await perform(reactor_, output_op_);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result == -ECANCELED && ended_ && output_op_.timeout == Duration{0})
      continue;  // from now on with a limit
    if (result <= 0) break;
    try {
      outcome_.output.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(result));
    } catch (...) {  // words for the log only; the program goes on
      reactor_.count_contained();
    }
    if (outcome_.output.size() > limits_.output_kept)
      outcome_.output.erase(0, outcome_.output.size() - limits_.output_kept);
  }
  reactor_.close_now(program_.output);
}

Task<void> Program::wait_for_end(std::optional<MonoTime> deadline) {
  bool asked = false;
  bool killed = false;
  for (;;) {
    if (too_late_ && !asked) {
      asked = true;
      reactor_.signal_program(program_, SIGTERM);
      deadline = reactor_.now() + limits_.kill_after;
    }
    process_op_.kind = OpKind::Poll;
    process_op_.fd = program_.process;
    process_op_.poll_events = POLLIN;
    process_op_.timeout =
        killed || !deadline ? Duration{0} : std::max<Duration>(*deadline - reactor_.now(), 1ms);
    const std::int32_t result = co_await perform(reactor_, process_op_);
    if (result > 0) {
      if (const auto end = reactor_.reap_program(program_)) {
        outcome_.end = *end;
        break;
      }
    }
    if (result != -ETIMEDOUT) continue;
    if (!asked) {
      outcome_.timed_out = true;
      too_late_ = true;
    } else {
      killed = true;
      reactor_.signal_program(program_, SIGKILL);
    }
  }
  ended_ = true;
  // What it left unread, or others still hold open, is nobody's concern any more.
  if (input_op_.in_flight) reactor_.cancel(input_op_);
  if (output_op_.in_flight) reactor_.cancel(output_op_);
  if (on_end_ != nullptr) on_end_->set();
}

}  // namespace sluice::runtime
