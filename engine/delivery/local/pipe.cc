#include "engine/delivery/local/pipe.h"

#include <cstring>

#include "net/mime/local_form.h"
#include "policy/local/exit_code.h"

namespace sluice::delivery {

PipeWorker::PipeWorker(Dispatcher& dispatcher, queue::Queue& queue)
    : LocalWorker(dispatcher, queue), command_(local::Command::parse(settings_->command)) {}

void PipeWorker::interrupt() {
  if (program_) program_->stop();
}

runtime::Task<LocalWorker::Step> PipeWorker::deliver(queue::Batch& items, const spool::MessageView& message) {
  if (!command_) {
    trouble_.failure = {{4, 3, 5}, "type pipe: " + command_.error()};
    co_return Step::QueueFailed;
  }
  co_await dispatcher_.programs().take(1);
  const struct Slot {
    runtime::Semaphore& programs;
    ~Slot() { programs.give(1); }
  } slot{dispatcher_.programs()};
  if (cut_) co_return Step::Interrupted;
  co_return co_await start(items.front(), message);
}

runtime::Task<LocalWorker::Step> PipeWorker::start(queue::Item*& item, const spool::MessageView& message) {
  const Sent sent = sent_to(*item, message);
  auto arguments = command_->arguments(macros_for(*item, message, sent.sender));
  if (!arguments) {
    const Failure refused{{5, 1, 3}, "x-unix;" + arguments.error()};
    bounced(item, message, refused);
    co_return Step::Done;
  }
  std::string text;
  net::append_local_message(text, sent.sender, sent.text);
  program_.emplace(reactor_, dispatcher_.starter());
  const runtime::ProgramLimits limits{.input_stall = settings_->data_send_timeout,
                                      .run_time = settings_->smtp_data_termination_timeout,
                                      .output_kept = kOutputKept};
  const auto outcome = co_await program_->run(std::move(*arguments), std::as_bytes(std::span(text)), limits);
  program_.reset();
  if (outcome) {
    judge(item, message, *outcome);
    co_return Step::Done;
  }
  if (outcome.error().code == Errc::Cancelled) co_return Step::Interrupted;
  const Errc code = outcome.error().code;
  const bool misconfigured = code == Errc::NotFound || code == Errc::Permission;
  trouble_.failure = {misconfigured ? EnhancedStatus{4, 3, 5} : EnhancedStatus{4, 3, 0},
                      outcome.error().text() + ": " + one_line(command_->program(), 300)};
  co_return Step::QueueFailed;
}

void PipeWorker::judge(queue::Item*& item, const spool::MessageView& message,
                       const runtime::ProgramOutcome& outcome) {
  std::string said = one_line(outcome.output, kOutputKept);
  if (!said.empty()) said.insert(0, ": ");
  if (outcome.end.signal != 0) {
    // Not the program's verdict, whoever killed it: it may have done its work or not.
    const char* const why = outcome.stopped     ? "ended by shutdown"
                            : outcome.timed_out ? "ended after its time was over"
                                                : "killed by signal ";
    std::string diag = std::string("x-unix;command ") + why;
    if (!outcome.stopped && !outcome.timed_out) diag += std::to_string(outcome.end.signal);
    deferred(item, message, {{4, 3, 0}, diag + said, !said.empty()});
    return;
  }
  const local::ExitVerdict verdict = local::verdict_of_exit(outcome.end.exit_code);
  std::string diag = "x-unix;exit status " + std::to_string(outcome.end.exit_code);
  if (!verdict.name.empty()) diag += " (" + std::string(verdict.name) + ')';
  diag += said;
  Failure failure{verdict.status, std::move(diag), !said.empty()};
  switch (verdict.kind) {
    case local::ExitVerdict::Kind::Delivered:
      dispatcher_.settler().count_message();
      delivered(item, message, std::move(failure.diag));
      return;
    case local::ExitVerdict::Kind::Retry: deferred(item, message, failure); return;
    case local::ExitVerdict::Kind::Bounce: bounced(item, message, failure); return;
  }
}

}  // namespace sluice::delivery
