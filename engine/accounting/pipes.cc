// The pipes of an accounting writer: which there are, and that their cursors are stored.
#include <algorithm>

#include "engine/accounting/accounting_writer.h"
#include "engine/accounting/file_specs.h"

namespace sluice::accounting {

using runtime::Task;

void AccountingWriter::start_pipes(const std::vector<config::AcctFile>& specs, const AcctState* state) {
  for (const config::AcctFile& spec : specs) {
    if (!spec.is_pipe() || spec.is_webhook()) continue;
    const bool is_there =
        std::ranges::any_of(pipes_, [&spec](const auto& one) { return one->command() == spec.command; });
    if (is_there) continue;
    const AcctPipeState* stored = state == nullptr ? nullptr : state->find_pipe(spec.command);
    // A new one begins where the files stand.
    const journal::JournalCursor from = stored != nullptr ? stored->cursor : stored_cursor_;
    AcctPipe::Wiring wiring;
    wiring.is_disabled = options_.is_disabled;
    wiring.note = [this](std::string text) { note(std::move(text)); };
    wiring.on_progress = [this] {
      if (dirty_since_) return;
      dirty_since_ = reactor_.now();
      wakeup_.set();
    };
    wiring.lag_bytes_max = options_.pipe_lag_bytes_max;
    AcctPipe& pipe =
        *pipes_.emplace_back(std::make_unique<AcctPipe>(reactor_, spec, options_.zone, std::move(wiring)));
    pipe.start(make_source_('|' + spec.command, from), from);
  }
}

void AccountingWriter::reconfigure_pipes(const std::vector<config::AcctFile>& specs) {
  for (auto at = pipes_.begin(); at != pipes_.end();) {
    if (const config::AcctFile* spec = find_pipe(specs, (*at)->command())) {
      (*at)->restart(*spec);
      ++at;
    } else {
      group_.spawn(end_pipe(std::move(*at)));
      at = pipes_.erase(at);
    }
  }
  start_pipes(specs, nullptr);
}

Task<void> AccountingWriter::end_pipe(std::unique_ptr<AcctPipe> pipe) { co_await pipe->stop(); }

Task<void> AccountingWriter::stop_pipes() {
  runtime::TaskGroup all;
  for (const auto& pipe : pipes_) all.spawn(pipe->stop());
  co_await all.join();
}

std::vector<AcctPipeState> AccountingWriter::pipe_states() const {
  std::vector<AcctPipeState> out;
  for (const auto& pipe : pipes_) out.push_back({pipe->command(), pipe->cursor()});
  return out;
}

void AccountingWriter::pipes_stored(const std::vector<AcctPipeState>& states) {
  for (const auto& pipe : pipes_) {
    const auto found =
        std::ranges::find(states, pipe->command(), [](const AcctPipeState& one) { return one.command; });
    if (found != states.end()) pipe->stored(found->cursor);
  }
  stored_pipes_ = states;
}

}  // namespace sluice::accounting
