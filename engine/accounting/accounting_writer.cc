#include "engine/accounting/accounting_writer.h"

#include <algorithm>
#include <utility>

#include "engine/accounting/file_specs.h"
#include "engine/accounting/record_of_event.h"
#include "policy/base/assert.h"

namespace sluice::accounting {

using runtime::Task;

std::size_t AccountingWriter::weight_of(const journal::EventBatch& batch) {
  return batch.bytes.size() + batch.events.size() * sizeof(journal::Event);
}

AccountingWriter::LookTimer::LookTimer(AccountingWriter& writer)
    : Timer([](Timer& timer) { static_cast<LookTimer&>(timer).owner.wakeup_.set(); }), owner(writer) {}

AccountingWriter::AccountingWriter(runtime::Reactor& reactor, AccountingOptions options,
                                   MakeEventSource make_source)
    : reactor_(reactor),
      options_(std::move(options)),
      make_source_(std::move(make_source)),
      wakeup_(reactor),
      look_(*this) {}

AccountingWriter::~AccountingWriter() { SLUICE_ASSERT(!running_); }

void AccountingWriter::note(std::string text) const {
  if (options_.note) options_.note(std::move(text));
}

std::vector<std::unique_ptr<CsvFile>> AccountingWriter::make_files(
    const std::vector<config::AcctFile>& specs) const {
  std::vector<std::unique_ptr<CsvFile>> out;
  for (const config::AcctFile& spec : specs) {
    if (!is_file(spec)) continue;
    auto layout = layout_of(spec);
    SLUICE_ASSERT(layout);  // check_files() has said so
    out.push_back(std::make_unique<CsvFile>(reactor_, spec, std::move(*layout), options_.zone,
                                            [this](std::string text) { note(std::move(text)); }));
  }
  return out;
}

Task<std::expected<void, std::string>> AccountingWriter::start() {
  SLUICE_ASSERT(!running_);
  const auto warnings = check_files(options_.files);
  if (!warnings) co_return std::unexpected(warnings.error());
  for (const std::string& warning : *warnings) note(warning);
  auto taken_up = co_await take_up_state();
  if (!taken_up) co_return std::unexpected(taken_up.error());
  AcctState state = std::move(*taken_up);
  cursor_ = state.cursor;
  stored_cursor_ = state.cursor;
  files_ = make_files(options_.files);
  for (const auto& file : files_) {
    const Status taken = co_await file->recover(state.find(file->spec().path));
    if (!taken) {
      co_return std::unexpected("cannot take up the accounting file " + file->spec().path + ": " +
                                taken.error().text());
    }
  }
  for (AcctFileState& old : state.files) {
    const bool stays = is_configured(options_.files, old.path);
    if (!stays && !old.moves.empty()) co_await finish_moves(std::move(old));
  }
  source_ = make_source_("accounting", cursor_);
  running_ = true;
  start_pipes(options_.files, &state);
  group_.spawn(run());
  co_return std::expected<void, std::string>();
}

Task<void> AccountingWriter::finish_moves(AcctFileState left) {
  config::AcctFile spec;
  spec.path = left.path;
  const auto file = std::move(make_files({spec}).front());
  left.current.reset();
  static_cast<void>(co_await file->recover(&left));
  if (const Status moved = co_await file->carry_out_moves(); !moved) {
    note("cannot move an ended file of " + left.path + ": " + moved.error().text());
  }
}

Task<void> AccountingWriter::stop() {
  stopping_ = true;
  stop_asked_ = reactor_.now();
  wakeup_.set();
  co_await group_.join();
}

Task<void> AccountingWriter::run() {
  // Stores what recovery has decided before anything builds on it.
  bool well = co_await commit({});
  while (well) {
    co_await serve_requests();
    well = co_await take_events() && co_await rotate_what_is_due() && co_await commit_if_due();
    if (!well || (stopping_ && is_drained())) break;
    if (alarms_[static_cast<std::size_t>(Trouble::Moving)]) co_await move_what_has_ended();
    arm_look();
    co_await wakeup_.wait();
  }
  co_await stop_pipes();
  if (well) co_await commit({});
  reactor_.disarm(look_);
  source_->stop();
  running_ = false;
  co_await serve_requests();
}

bool AccountingWriter::is_drained() const {
  if (!requests_.empty() || !ahead_.empty()) return false;
  return !fetching_ || source_->lag_bytes() == 0 || reactor_.now() >= stop_asked_ + kStopPatience;
}

Task<bool> AccountingWriter::take_events() {
  if (has_tails() && !co_await replay()) co_return false;
  while (auto batch = co_await next_batch()) {
    if (!co_await handle(*batch)) co_return false;
    std::size_t unwritten = 0, pending = 0;
    for (const auto& file : files_) {
      unwritten = std::max(unwritten, file->unwritten_bytes());
      pending = std::max(pending, file->pending_bytes());
    }
    if (unwritten >= kWriteBytes && !co_await write_out()) co_return false;
    if (pending >= kCommitBytes && !co_await commit({})) co_return false;
    if (!co_await commit_if_due()) co_return false;
    if (!requests_.empty()) {
      wakeup_.set();
      co_return true;
    }
  }
  co_return co_await write_out();
}

Task<std::optional<journal::EventBatch>> AccountingWriter::next_batch() {
  if (ahead_.empty() && !co_await read_ahead()) co_return std::nullopt;
  std::optional<journal::EventBatch> out(std::move(ahead_.front().batch));
  ahead_.pop_front();
  ahead_bytes_ -= weight_of(*out);
  co_return out;
}

Task<bool> AccountingWriter::read_ahead() {
  if (fetching_) co_return false;
  Result<std::optional<journal::EventBatch>> read = co_await source_->next_if_any();
  if (read && *read) {
    ahead_bytes_ += weight_of(**read);
    ahead_.push_back({std::move(**read)});
    co_return true;
  }
  if (!stopping_) {
    fetching_ = true;
    group_.spawn(fetch());
  }
  co_return false;
}

Task<void> AccountingWriter::fetch() {
  Result<journal::EventBatch> next = co_await source_->next();
  if (next) {
    ahead_bytes_ += weight_of(*next);
    ahead_.push_back({std::move(*next)});
  } else if (next.error().code != Errc::Cancelled) {
    raise_alarm(Trouble::Reading, "accounting cannot read the journals: " + next.error().text());
    co_await runtime::sleep_for(reactor_, kRetryGap);
  }
  if (next) end_alarm(Trouble::Reading);
  fetching_ = false;
  wakeup_.set();
}

void AccountingWriter::format_rows(std::span<const journal::Event> events) {
  rows_.resize(files_.size());
  for (Rows& rows : rows_) {
    rows.text.clear();
    rows.count = 0;
  }
  for (const journal::Event& event : events) {
    if (event.ending == journal::Ending::Removed) continue;  // `delete --no-accounting`
    const AcctRecord record = record_of(event);
    if (options_.is_disabled && options_.is_disabled(record)) continue;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (files_[i]->format(rows_[i].text, record)) ++rows_[i].count;
    }
  }
}

Task<Status> AccountingWriter::format_all(const journal::EventBatch& batch) {
  format_rows(batch.events);
  co_return Status();
}

void AccountingWriter::append_rows() {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (!rows_[i].text.empty()) files_[i]->append(rows_[i].text, rows_[i].count);
  }
}

Task<bool> AccountingWriter::handle(const journal::EventBatch& batch) {
  // What a library throws at a row stops here: nothing is written yet, and the batch is tried again.
  if (!co_await patiently([this, &batch] { return format_all(batch); })) co_return false;
  std::vector<Change> changes;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    CsvFile& file = *files_[i];
    if (rows_[i].text.empty() || !file.needs_new_file(reactor_.wall_now(), rows_[i].text.size())) continue;
    changes.push_back({.file = &file, .ends = !file.current_path().empty(), .begins = true});
  }
  // The cursor still lies before this batch, and none of its rows is in the files that end.
  if (!changes.empty() && !co_await commit(std::move(changes))) co_return false;
  append_rows();
  cursor_.set(batch.directory_shard, batch.after);
  if (!dirty_since_) dirty_since_ = reactor_.now();
  counters_.events += batch.events.size();
  counters_.damaged += batch.damaged;
  co_return true;
}

Task<Status> AccountingWriter::write_all() {
  for (const auto& file : files_) {
    if (const Status written = co_await file->write_out(); !written) co_return written;
  }
  co_return Status();
}

Task<Status> AccountingWriter::sync_all() {
  for (const auto& file : files_) {
    if (const Status synced = co_await file->sync(); !synced) co_return synced;
  }
  co_return Status();
}

Task<Status> AccountingWriter::store() {
  AcctState state;
  state.cursor = cursor_;
  state.pipes = pipe_states();
  for (const auto& file : files_) state.files.push_back(file->state());
  const Status saved = co_await store_->save(state.text());
  if (saved) pipes_stored(state.pipes);
  co_return saved;
}

Task<Status> AccountingWriter::store_names() {
  AcctState state;
  state.cursor = stored_cursor_;
  state.pipes = stored_pipes_;
  for (const auto& file : files_) state.files.push_back(file->state_of_names());
  co_return co_await store_->save(state.text());
}

Task<bool> AccountingWriter::write_out() {
  return patiently([this] { return write_all(); });
}

Task<bool> AccountingWriter::commit(std::vector<Change> changes) {
  if (!co_await patiently([this] { return sync_all(); })) co_return false;
  // From here to the end the files hold what the state says, or, where one begins, nothing at all.
  if (!co_await store_synced()) co_return false;
  if (!changes.empty()) {
    for (const Change& change : changes) {
      CsvFile* file = change.file;
      if (change.ends) file->end_current();
      if (!change.begins) continue;
      if (!co_await patiently([this, file] { return file->begin_next(reactor_.wall_now()); }))
        co_return false;
    }
    if (!co_await store_synced()) co_return false;
  }
  co_await move_what_has_ended();
  co_return true;
}

Task<void> AccountingWriter::move_what_has_ended() {
  // Not repeated on the spot: a directory that cannot take files must not hold up the rows.
  bool well = true;
  for (const auto& file : files_) {
    const Status moved = co_await file->carry_out_moves();
    if (moved) continue;
    well = false;
    raise_alarm(Trouble::Moving,
                "cannot move an ended file of " + file->spec().path + ": " + moved.error().text());
  }
  if (well) end_alarm(Trouble::Moving);
}

Task<bool> AccountingWriter::store_synced() {
  if (!co_await patiently([this] { return store(); })) co_return false;
  for (const auto& file : files_) file->stored();
  stored_cursor_ = cursor_;
  source_->acknowledge(cursor_);
  dirty_since_.reset();
  ++counters_.commits;
  co_return true;
}

Duration AccountingWriter::commit_gap() const {
  const bool hurry = std::ranges::any_of(files_, [](const auto& file) { return file->spec().sync; });
  return hurry ? kCommitGap : kCommitGapLazy;
}

Task<bool> AccountingWriter::commit_if_due() {
  if (!dirty_since_ || reactor_.now() < *dirty_since_ + commit_gap()) co_return true;
  co_return co_await commit({});
}

Task<bool> AccountingWriter::rotate_what_is_due() {
  std::vector<Change> changes;
  for (const auto& file : files_) {
    if (file->is_due(reactor_.wall_now())) changes.push_back({.file = file.get(), .ends = true});
  }
  if (changes.empty()) co_return true;
  co_return co_await commit(std::move(changes));
}

void AccountingWriter::raise_alarm(Trouble trouble, std::string text) {
  std::optional<Alarm>& alarm = alarms_[static_cast<std::size_t>(trouble)];
  if (!alarm) note(text);
  alarm = Alarm{std::move(text), alarm ? alarm->since : reactor_.wall_now()};
}

void AccountingWriter::end_alarm(Trouble trouble) {
  std::optional<Alarm>& alarm = alarms_[static_cast<std::size_t>(trouble)];
  if (alarm) note("no longer: " + alarm->text);
  alarm.reset();
}

std::optional<AccountingWriter::Alarm> AccountingWriter::alarm() const {
  for (const auto& alarm : alarms_) {
    if (alarm) return alarm;
  }
  for (const auto& pipe : pipes_) {
    if (const auto& trouble = pipe->trouble()) return Alarm{trouble->text, trouble->since};
  }
  return std::nullopt;
}

Task<bool> AccountingWriter::patiently(Step step) {
  for (;;) {
    std::string why;
    try {
      const Status done = co_await step();
      if (done) break;
      why = done.error().text();
    } catch (...) {
      reactor_.count_contained();
      why = "internal error: " + runtime::current_exception_text();
    }
    raise_alarm(Trouble::Writing, "accounting cannot write: " + why);
    if (stopping_) co_return false;
    co_await runtime::sleep_for(reactor_, kRetryGap);
  }
  end_alarm(Trouble::Writing);
  co_return true;
}

void AccountingWriter::arm_look() {
  std::optional<MonoTime> due;
  const auto consider = [&due](MonoTime time) { due = due ? std::min(*due, time) : time; };
  const MonoTime now = reactor_.now();
  if (dirty_since_) consider(*dirty_since_ + commit_gap());
  if (stopping_) consider(now + kRetryGap);
  if (alarms_[static_cast<std::size_t>(Trouble::Moving)]) consider(now + kRotationLookMax);
  for (const auto& file : files_) {
    const auto check = file->next_check();
    if (!check) continue;
    const Duration wait = *check - reactor_.wall_now();
    consider(now + std::clamp<Duration>(wait, Duration{1ms}, kRotationLookMax));
  }
  if (due) reactor_.arm(look_, *due);
}

std::vector<AccountingWriter::FileStatus> AccountingWriter::files() const {
  std::vector<FileStatus> out;
  for (const auto& file : files_) out.push_back({file->spec().path, file->current_path(), file->rows()});
  for (const auto& pipe : pipes_) out.push_back({'|' + pipe->command(), "", pipe->rows()});
  return out;
}

AccountingWriter::Counters AccountingWriter::counters() const {
  Counters out = counters_;
  for (const auto& file : files_) out.bytes_found_again += file->bytes_found_again();
  return out;
}

}  // namespace sluice::accounting
