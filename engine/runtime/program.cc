#include "engine/runtime/program.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "engine/runtime/mailbox.h"

namespace sluice::runtime {

Task<Result<ProgramOutcome>> Program::run(std::vector<std::string> arguments,
                                          std::span<const std::byte> input, ProgramLimits limits) {
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
  {
    TaskGroup parts;
    parts.spawn(feed(input));
    parts.spawn(drain());
    parts.spawn(wait_for_end(reactor_.now() + limits.run_time));
    co_await parts.join();
  }
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

Task<void> Program::feed(std::span<const std::byte> input) {
  while (!input.empty() && !ended_) {
    input_op_.kind = OpKind::Write;
    input_op_.fd = program_.input;
    input_op_.data = const_cast<std::byte*>(input.data());  // Write only reads
    input_op_.size = std::min(input.size(), kPipeBytes);
    input_op_.timeout = limits_.input_stall;
    const std::int32_t result = co_await perform(reactor_, input_op_);
    if (result == -EINTR || result == -EAGAIN) continue;
    if (result == -ETIMEDOUT && !ended_) {
      outcome_.timed_out = true;
      hurry();
    }
    if (result <= 0) break;  // EPIPE: it has read what it wanted
    input = input.subspan(static_cast<std::size_t>(result));
  }
  reactor_.close_now(program_.input);
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
    outcome_.output.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(result));
    if (outcome_.output.size() > limits_.output_kept)
      outcome_.output.erase(0, outcome_.output.size() - limits_.output_kept);
  }
  reactor_.close_now(program_.output);
}

Task<void> Program::wait_for_end(MonoTime deadline) {
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
    process_op_.timeout = killed ? Duration{0} : std::max<Duration>(deadline - reactor_.now(), 1ms);
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
}

}  // namespace sluice::runtime
