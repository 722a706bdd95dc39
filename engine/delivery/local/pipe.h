#pragma once

#include <expected>
#include <optional>
#include <string>

#include "engine/delivery/local/worker.h"
#include "engine/runtime/program.h"

namespace sluice::delivery {

/// Queue type pipe: `command` is started once for every recipient, gets the message on its standard input,
/// and its exit code is the outcome (policy/local/exit_code.h). No shell is started (policy/local/macros.h).
/// Thread:   one shard, as LocalWorker.
/// Limits:   a program that takes no input for `data-send-timeout`, or runs longer than
/// `smtp-data-termination-timeout`,
///           is ended; of its output the last kOutputKept bytes stand in the diagnosis. kProgramsMax at a
///           time on a shard, over all queues.
/// Errors:   a program that cannot be started fails the queue (`retry-after`).
class PipeWorker final : public LocalWorker {
 public:
  static constexpr std::size_t kOutputKept = 300;
  static constexpr std::uint64_t kProgramsMax = 256;

  PipeWorker(Dispatcher& dispatcher, queue::Queue& queue);

 private:
  runtime::Task<Step> deliver(queue::Batch& items, const spool::MessageView& message) override;
  runtime::Task<Step> start(queue::Item*& item, const spool::MessageView& message);
  void judge(queue::Item*& item, const spool::MessageView& message, const runtime::ProgramOutcome& outcome);
  void interrupt() override;

  std::expected<local::Command, std::string> command_;
  std::optional<runtime::Program> program_;
};

}  // namespace sluice::delivery
