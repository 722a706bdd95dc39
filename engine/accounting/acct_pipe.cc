#include "engine/accounting/acct_pipe.h"

#include <algorithm>

#include "engine/accounting/file_specs.h"
#include "engine/accounting/record_of_event.h"
#include "policy/base/assert.h"

namespace sluice::accounting {

using runtime::Task;

namespace {

std::string_view last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  return text.substr(text.rfind('\n') + 1);  // programs say there what they died of
}

std::string words_of(const runtime::ProgramEnd& end, std::string_view output) {
  std::string out = end.signal != 0 ? "killed by signal " + std::to_string(end.signal)
                                    : "ended with exit status " + std::to_string(end.exit_code);
  std::string said(last_line(output));
  std::ranges::replace_if(
      said, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '_');
  if (!said.empty()) out += ": " + said;
  return out;
}

}  // namespace

AcctPipe::LookTimer::LookTimer(AcctPipe& pipe)
    : Timer([](Timer& timer) { static_cast<LookTimer&>(timer).owner.wakeup_.set(); }), owner(pipe) {}

AcctPipe::AcctPipe(runtime::Reactor& reactor, config::AcctFile spec, const TimeZone& zone, Wiring wiring)
    : reactor_(reactor),
      spec_(std::move(spec)),
      zone_(zone),
      wiring_(std::move(wiring)),
      wakeup_(reactor),
      look_(*this) {
  auto layout = layout_of(spec_);
  SLUICE_ASSERT(layout);  // check_files() has said so
  maker_ = std::make_unique<RowMaker>(spec_, std::move(*layout), zone_);
}

AcctPipe::~AcctPipe() { SLUICE_ASSERT(!running_); }

void AcctPipe::start(std::unique_ptr<EventSource> source, journal::JournalCursor from) {
  source_ = std::move(source);
  cursor_ = std::move(from);
  running_ = true;
  group_.spawn(run());
}

void AcctPipe::restart(config::AcctFile spec) {
  next_spec_ = std::move(spec);
  wakeup_.set();
}

Task<void> AcctPipe::stop() {
  stopping_ = true;
  stop_by_ = reactor_.now() + kStopPatience;
  wakeup_.set();
  group_.spawn(guard_stop());
  co_await group_.join();
}

Task<void> AcctPipe::guard_stop() {
  while (running_ && reactor_.now() < stop_by_) co_await runtime::sleep_for(reactor_, 20ms);
  if (program_) program_->stop();
}

bool AcctPipe::is_done() const {
  if (!stopping_) return false;
  if (!program_ || reactor_.now() >= stop_by_) return true;
  return !batch_ && (!fetching_ || source_->lag_bytes() == 0);
}

Task<void> AcctPipe::run() {
  for (;;) {
    std::string broke;
    bool has_rows = false;
    try {
      co_await look_after_program();
      has_rows = batch_ || co_await take_batch();
    } catch (...) {
      reactor_.count_contained();
      broke = runtime::current_exception_text();
    }
    if (is_done()) break;
    if (!broke.empty()) {
      failed("feeding", "internal error: " + broke);
      co_await runtime::sleep_for(reactor_, kLookGap);
      continue;
    }
    // Also for a program that lives but is slower than the mail.
    if (has_rows && source_->lag_bytes() > wiring_.lag_bytes_max) {
      drop_batch();
      continue;
    }
    if (has_rows && program_ && !short_write_) {
      co_await give_rows();
      continue;
    }
    if (short_write_) continue;
    if (!program_)
      reactor_.arm(look_, std::min(std::max(next_start_, reactor_.now() + 1ms), reactor_.now() + kLookGap));
    co_await wakeup_.wait();
  }
  reactor_.disarm(look_);
  source_->stop();
  co_await end_program(true);
  running_ = false;
}

Task<void> AcctPipe::look_after_program() {
  if (next_spec_) {
    co_await end_program(true);
    spec_ = std::move(*next_spec_);
    next_spec_.reset();
    auto layout = layout_of(spec_);
    SLUICE_ASSERT(layout);
    maker_ = std::make_unique<RowMaker>(spec_, std::move(*layout), zone_);
    format_rest();
    next_start_ = reactor_.now();
  }
  if (program_ && (program_->has_ended() || short_write_)) co_await end_program(stopping_);
  if (!program_ && !stopping_ && reactor_.now() >= next_start_) co_await start_program();
}

Task<void> AcctPipe::start_program() {
  next_start_ = reactor_.now() + std::max(spec_.retry_interval, kRetryMin);
  auto program = std::make_unique<runtime::Program>(reactor_, reactor_.shard());
  program->notify(&wakeup_);
  const runtime::ProgramLimits limits{.input_stall = spec_.write_timeout, .run_time = std::nullopt};
  const Status started = co_await program->start(arguments_of(spec_.command), limits);
  if (!started) {
    failed("starting", started.error().text());
    co_return;
  }
  program_ = std::move(program);
  const std::string header = maker_->header_row();
  short_write_ = co_await program_->write(std::as_bytes(std::span(header))) != header.size();
}

Task<void> AcctPipe::end_program(bool expected) {
  if (!program_) co_return;
  runtime::Program& program = *program_;
  if (expected || short_write_) {
    // Orderly: the program sees the end of its input. One that does not care is ended.
    const MonoTime until = reactor_.now() + (expected ? kEndGrace : 1s);
    if (expected) program.end_input();
    while (!program.has_ended() && reactor_.now() < until) co_await runtime::sleep_for(reactor_, 10ms);
    if (!program.has_ended()) program.stop();
  }
  const runtime::ProgramOutcome outcome = co_await program.finish();
  program_.reset();
  const bool short_write = std::exchange(short_write_, false);
  if (expected) co_return;
  next_start_ = reactor_.now() + std::max(spec_.retry_interval, kRetryMin);
  if (outcome.timed_out) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(spec_.write_timeout).count();
    failed("writing to", "it took nothing for " + std::to_string(seconds) + "s and was ended");
  } else if (short_write && outcome.stopped) {
    failed("writing to", "it has closed its input and was ended");
  } else {
    failed("executing", words_of(outcome.end, outcome.output));
  }
}

void AcctPipe::failed(std::string_view type, std::string details) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::max(spec_.retry_interval, kRetryMin)).count();
  std::string text = "Error ";
  text += type;
  text += " \"" + spec_.command + "\": " + details;
  wiring_.note(text + "; it is started again in " + std::to_string(seconds) + "s");
  trouble_ = Trouble{std::move(text), trouble_ ? trouble_->since : reactor_.wall_now()};
}

Task<bool> AcctPipe::take_batch() {
  if (batch_) co_return true;  // fetch() was faster
  if (fetching_) co_return false;
  auto read = co_await source_->next_if_any();
  if (read && *read) {
    batch_ = std::move(**read);
    format_rest();
    co_return true;
  }
  if (!stopping_) {
    fetching_ = true;
    group_.spawn(fetch());
  }
  co_return false;
}

Task<void> AcctPipe::fetch() {
  auto next = co_await source_->next();
  if (next) {
    batch_ = std::move(*next);
    format_rest();
  } else if (next.error().code != Errc::Cancelled) {
    wiring_.note("the journals cannot be read for \"" + spec_.command + "\": " + next.error().text());
    co_await runtime::sleep_for(reactor_, kLookGap);
  }
  fetching_ = false;
  wakeup_.set();
}

void AcctPipe::format_rest() {
  text_.clear();
  row_ends_.clear();
  if (!batch_) return;
  for (std::size_t i = next_event_; i < batch_->events.size(); ++i) {
    if (batch_->events[i].ending == journal::Ending::Removed) continue;  // `delete --no-accounting`
    const AcctRecord record = record_of(batch_->events[i]);
    if (wiring_.is_disabled && wiring_.is_disabled(record)) continue;
    if (maker_->append(text_, record)) row_ends_.push_back({i, text_.size()});
  }
}

Task<void> AcctPipe::give_rows() {
  const std::size_t taken = co_await program_->write(std::as_bytes(std::span(text_)));
  const bool all = taken == text_.size();
  std::uint64_t given = 0;
  for (const Row& row : row_ends_) {
    if (row.end > taken) break;
    next_event_ = row.event + 1;
    ++given;
  }
  rows_given_ += given;
  if (given > 0 && trouble_) {
    wiring_.note("no longer: " + trouble_->text);
    trouble_.reset();
  }
  if (rows_dropped_ > 0 && source_->lag_bytes() <= wiring_.lag_bytes_max / 2) {
    wiring_.note("\"" + spec_.command + "\" takes rows again; " + std::to_string(rows_dropped_) +
                 " older ones were dropped");
    rows_dropped_ = 0;
  }
  if (all) {
    pass_batch();
    co_return;
  }
  short_write_ = true;
  format_rest();
}

void AcctPipe::drop_batch() {
  if (rows_dropped_ == 0) {
    wiring_.note("Error writing to \"" + spec_.command + "\": it is behind by more than " +
                 std::to_string(wiring_.lag_bytes_max / kMiB) +
                 " MiB of journal; its oldest rows are dropped from now on");
  }
  rows_dropped_ += row_ends_.size();
  pass_batch();
}

void AcctPipe::pass_batch() {
  cursor_.set(batch_->directory_shard, batch_->after);
  batch_.reset();
  next_event_ = 0;
  format_rest();
  wiring_.on_progress();
}

}  // namespace sluice::accounting
