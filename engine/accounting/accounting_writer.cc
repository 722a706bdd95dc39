#include "engine/accounting/accounting_writer.h"

#include <algorithm>
#include <utility>

#include "engine/accounting/record_of_event.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

using runtime::Task;

std::expected<RecordLayout, std::string> layout_of(const config::AcctFile& spec) {
  const std::string& name = spec.path;
  // Writing addresses in the clear where the operator asked for the opposite would be worse than not
  // starting.
  if (spec.privacy_policy.kind != config::PrivacyKind::Retain) {
    return std::unexpected("<acct-file " + name + ">: privacy-policy is not supported yet");
  }
  if (spec.path.empty() || spec.path.ends_with('/') || spec.path.find('\n') != std::string::npos) {
    return std::unexpected("<acct-file " + name + ">: not the name of a file");
  }
  auto layout = RecordLayout::make(spec);
  if (!layout) return std::unexpected("<acct-file " + name + ">: " + layout.error().message);
  return std::move(*layout);
}

/// Pipes and webhooks are not written yet. They are passed over with a warning, so that a configuration which
/// has them beside its files, as PowerMTA's manual advises, runs.
bool is_file(const config::AcctFile& spec) { return !spec.is_pipe() && !spec.is_webhook(); }

bool is_configured(const std::vector<config::AcctFile>& specs, std::string_view path) {
  return std::any_of(specs.begin(), specs.end(),
                     [path](const config::AcctFile& spec) { return is_file(spec) && spec.path == path; });
}

std::size_t weight_of(const journal::EventBatch& batch) {
  return batch.bytes.size() + batch.events.size() * sizeof(journal::Event);
}

}  // namespace

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

std::expected<std::vector<std::string>, std::string> AccountingWriter::check(
    const std::vector<config::AcctFile>& files) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!is_file(files[i])) {
      warnings.push_back("<acct-file " +
                         (files[i].is_pipe() ? "|" + files[i].command : files[i].http_webhook_url) +
                         ">: pipes and webhooks are not supported yet; nothing is sent there");
      continue;
    }
    const auto layout = layout_of(files[i]);
    if (!layout) return std::unexpected(layout.error());
    for (const std::string& warning : layout->warnings()) warnings.push_back(files[i].path + ": " + warning);
    for (std::size_t j = 0; j < i; ++j) {
      if (files[j].path == files[i].path)
        return std::unexpected("two <acct-file " + files[i].path + "> blocks");
    }
  }
  return warnings;
}

void AccountingWriter::note(std::string text) const {
  if (options_.note) options_.note(std::move(text));
}

std::vector<std::unique_ptr<CsvFile>> AccountingWriter::make_files(
    const std::vector<config::AcctFile>& specs) const {
  std::vector<std::unique_ptr<CsvFile>> out;
  for (const config::AcctFile& spec : specs) {
    if (!is_file(spec)) continue;
    auto layout = layout_of(spec);
    SLUICE_ASSERT(layout);  // check() has said so
    out.push_back(std::make_unique<CsvFile>(reactor_, spec, std::move(*layout), options_.zone,
                                            [this](std::string text) { note(std::move(text)); }));
  }
  return out;
}

Task<std::expected<void, std::string>> AccountingWriter::start() {
  SLUICE_ASSERT(!running_);
  const auto warnings = check(options_.files);
  if (!warnings) co_return std::unexpected(warnings.error());
  for (const std::string& warning : *warnings) note(warning);
  Result<SlotStore> store = co_await SlotStore::open(reactor_, options_.state_path);
  if (!store) {
    co_return std::unexpected("cannot read how far accounting has come from " + options_.state_path + ": " +
                              store.error().text());
  }
  AcctState state;
  if (store->text()) {
    auto parsed = AcctState::parse(*store->text());
    if (!parsed) co_return std::unexpected(options_.state_path + " was written by another version");
    state = std::move(*parsed);
  }
  store_ = std::move(*store);
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
  source_ = make_source_(cursor_);
  running_ = true;
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

// A tail holds the rows of several journals in the order in which they were handled then. That order is found
// again by asking, for every journal, how many of its next events have their rows at this place of the tails.
Task<bool> AccountingWriter::replay() {
  while (has_tails()) {
    if (match_one_run()) continue;
    if (ahead_bytes_ >= kReplayBytesMax || !co_await read_ahead()) break;
  }
  // Nothing that could be read makes the rest of a tail.
  for (const auto& file : files_) file->give_up_tail();
  co_return co_await finish_begun_batches();
}

bool AccountingWriter::match_one_run() {
  std::vector<std::uint32_t> seen;  // only the oldest batch of a journal may come next
  for (auto ahead = ahead_.begin(); ahead != ahead_.end(); ++ahead) {
    journal::EventBatch& batch = ahead->batch;
    if (std::find(seen.begin(), seen.end(), batch.directory_shard) != seen.end()) continue;
    seen.push_back(batch.directory_shard);
    const std::size_t count = events_in_tails(*ahead);
    if (count == 0) continue;
    format_rows(std::span(batch.events).subspan(ahead->matched, count));
    append_rows();
    ahead->matched += count;
    if (ahead->matched == batch.events.size()) {
      cursor_.set(batch.directory_shard, batch.after);
      ahead_bytes_ -= weight_of(batch);
      ahead_.erase(ahead);
    }
    return true;
  }
  return false;
}

std::size_t AccountingWriter::events_in_tails(const Ahead& ahead) {
  const auto events = std::span(ahead.batch.events).subspan(ahead.matched);
  std::vector<std::size_t> at(files_.size(), 0);  // how far each tail is used up by the events so far
  std::size_t found = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    format_rows(events.subspan(i, 1));
    bool stands_there = false;
    for (std::size_t f = 0; f < files_.size(); ++f) {
      if (rows_[f].text.empty()) continue;
      if (files_[f]->current_path().empty()) return found;
      const auto common = files_[f]->agreement(rows_[f].text, at[f]);
      if (!common) return found;
      at[f] += *common;
      stands_there = stands_there || *common > 0;
    }
    // Events without rows go along with those around them.
    if (stands_there) found = i + 1;
  }
  return found;
}

// Until these are finished the cursor cannot say where it stands, so nothing is committed in between.
Task<bool> AccountingWriter::finish_begun_batches() {
  for (auto ahead = ahead_.begin(); ahead != ahead_.end();) {
    if (ahead->matched == 0) {
      ++ahead;
      continue;
    }
    const journal::EventBatch& batch = ahead->batch;
    format_rows(std::span(batch.events).subspan(ahead->matched));
    if (!co_await name_missing_files()) co_return false;
    append_rows();
    cursor_.set(batch.directory_shard, batch.after);
    ahead_bytes_ -= weight_of(batch);
    ahead = ahead_.erase(ahead);
  }
  if (!dirty_since_) dirty_since_ = reactor_.now();
  co_return true;
}

Task<bool> AccountingWriter::name_missing_files() {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    CsvFile* file = files_[i].get();
    if (rows_[i].text.empty() || !file->current_path().empty()) continue;
    if (!co_await patiently([this, file] { return file->begin_next(reactor_.wall_now()); })) co_return false;
    if (!co_await patiently([this] { return store_names(); })) co_return false;
    file->name_stored();
  }
  co_return true;
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

bool AccountingWriter::has_tails() const {
  return std::any_of(files_.begin(), files_.end(), [](const auto& file) { return file->has_tail(); });
}

void AccountingWriter::format_rows(std::span<const journal::Event> events) {
  rows_.resize(files_.size());
  for (Rows& rows : rows_) {
    rows.text.clear();
    rows.count = 0;
  }
  for (const journal::Event& event : events) {
    const AcctRecord record = record_of(event);
    if (options_.is_disabled && options_.is_disabled(record)) continue;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (files_[i]->format(rows_[i].text, record)) ++rows_[i].count;
    }
  }
}

void AccountingWriter::append_rows() {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (!rows_[i].text.empty()) files_[i]->append(rows_[i].text, rows_[i].count);
  }
}

Task<bool> AccountingWriter::handle(const journal::EventBatch& batch) {
  format_rows(batch.events);
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
  for (const auto& file : files_) state.files.push_back(file->state());
  co_return co_await store_->save(state.text());
}

Task<Status> AccountingWriter::store_names() {
  AcctState state;
  state.cursor = stored_cursor_;
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

Task<bool> AccountingWriter::commit_if_due() {
  if (!dirty_since_ || reactor_.now() < *dirty_since_ + kCommitGap) co_return true;
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
  return std::nullopt;
}

Task<bool> AccountingWriter::patiently(Step step) {
  for (;;) {
    const Status done = co_await step();
    if (done) break;
    raise_alarm(Trouble::Writing, "accounting cannot write: " + done.error().text());
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
  if (dirty_since_) consider(*dirty_since_ + kCommitGap);
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

Task<void> AccountingWriter::serve_requests() {
  while (!requests_.empty()) {
    Request* request = requests_.front();
    requests_.pop_front();
    if (running_) co_await serve(*request);
    request->done->open();
  }
}

Task<void> AccountingWriter::serve(Request& request) {
  std::vector<Change> changes;
  if (request.kind == Request::Kind::Rotate) {
    for (const auto& file : files_) {
      const bool asked = request.path.empty() || request.path == file->spec().path;
      if (asked && !file->current_path().empty()) changes.push_back({.file = file.get(), .ends = true});
    }
    const std::size_t count = changes.size();
    if (co_await commit(std::move(changes))) request.rotated = count;
    co_return;
  }
  for (const auto& file : files_) {
    const bool stays = is_configured(request.files, file->spec().path);
    if (!stays && !file->current_path().empty()) changes.push_back({.file = file.get(), .ends = true});
  }
  if (!co_await commit(std::move(changes))) co_return;
  std::vector<std::unique_ptr<CsvFile>> old = std::exchange(files_, make_files(request.files));
  for (const auto& file : files_) {
    const auto same = std::find_if(
        old.begin(), old.end(), [&file](const auto& one) { return one->spec().path == file->spec().path; });
    std::optional<AcctFileState> state;
    if (same != old.end()) state = (*same)->state();
    CsvFile* to = file.get();
    const AcctFileState* from = state ? &*state : nullptr;
    if (!co_await patiently([to, from] { return to->recover(from); })) co_return;
  }
  static_cast<void>(co_await commit({}));
}

Task<std::size_t> AccountingWriter::rotate(std::string path) {
  if (!running_) co_return 0;
  runtime::Gate done(reactor_);
  Request request{.kind = Request::Kind::Rotate, .path = std::move(path), .done = &done};
  requests_.push_back(&request);
  wakeup_.set();
  co_await done.wait();
  co_return request.rotated;
}

Task<std::expected<void, std::string>> AccountingWriter::reconfigure(std::vector<config::AcctFile> files) {
  const auto warnings = check(files);
  if (!warnings) co_return std::unexpected(warnings.error());
  for (const std::string& warning : *warnings) note(warning);
  if (!running_) co_return std::unexpected(std::string("accounting does not run"));
  runtime::Gate done(reactor_);
  Request request{.kind = Request::Kind::Reconfigure, .files = std::move(files), .done = &done};
  requests_.push_back(&request);
  wakeup_.set();
  co_await done.wait();
  co_return std::expected<void, std::string>();
}

std::vector<AccountingWriter::FileStatus> AccountingWriter::files() const {
  std::vector<FileStatus> out;
  for (const auto& file : files_) out.push_back({file->spec().path, file->current_path(), file->rows()});
  return out;
}

AccountingWriter::Counters AccountingWriter::counters() const {
  Counters out = counters_;
  for (const auto& file : files_) out.bytes_found_again += file->bytes_found_again();
  return out;
}

Task<TimeZone> read_local_zone(runtime::Reactor& reactor) {
  const Result<std::string> bytes =
      co_await runtime::read_small_file(reactor, "/etc/localtime", TimeZone::kFileBytesMax);
  if (!bytes) co_return TimeZone();
  co_return TimeZone::parse_tzif(std::as_bytes(std::span(*bytes))).value_or(TimeZone());
}

}  // namespace sluice::accounting
