#include "engine/accounting/csv_file.h"

#include <xxhash.h>

#include <algorithm>
#include <span>
#include <utility>

#include "engine/accounting/directories.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

using runtime::File;
using runtime::Task;

std::size_t common_bytes(std::string_view a, std::string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

}  // namespace

CsvFile::CsvFile(runtime::Reactor& reactor, config::AcctFile spec, RecordLayout layout, const TimeZone& zone,
                 std::function<void(std::string)> note)
    : reactor_(reactor),
      spec_(std::move(spec)),
      zone_(zone),
      maker_(spec_, std::move(layout), zone_),
      header_row_(maker_.header_row()),
      naming_(spec_.path),
      note_(std::move(note)),
      layout_mark_(XXH3_64bits(header_row_.data(), header_row_.size())) {}

Task<Status> CsvFile::recover(const AcctFileState* state) {
  pending_.clear();
  pending_rows_ = 0;
  written_ = 0;
  must_cut_ = false;
  tail_.clear();
  tail_at_ = 0;
  file_ = File();
  if (state == nullptr) co_return Status();
  last_ = state->last;
  moves_ = state->moves;
  current_ = state->current;
  if (!current_) co_return Status();
  co_return co_await take_up_current(state->layout == layout_mark_);
}

Task<Status> CsvFile::take_up_current(bool same_layout) {
  const std::string path = current_path();
  const Result<std::uint64_t> size = reactor_.size_of(path);
  if (!size && size.error().code != Errc::NotFound) co_return std::unexpected(size.error());
  const bool begins = current_->length == 0;
  if (!size && begins) {
    append(header_row_, 0);
    co_return Status();
  }
  if (!size) {
    note_(path + " is gone; accounting goes on in a new file");
    current_.reset();
    co_return Status();
  }
  if (*size < current_->length) {
    note_(path + " was shortened by somebody; accounting goes on in a new file");
    end_current();
    co_return Status();
  }
  if (const Status opened = co_await open_current(); !opened) co_return opened;
  if (same_layout) {
    if (const Status read = co_await read_tail(*size); !read) co_return read;
    if (begins) append(header_row_, 0);
    co_return Status();
  }
  // What lies behind the stored length has the columns of the old configuration. Its events come again.
  Status cut = co_await file_.truncate(current_->length);
  if (cut) cut = co_await file_.sync();
  if (!cut) co_return cut;
  if (begins) {
    append(header_row_, 0);
  } else {
    end_current();
  }
  co_return Status();
}

Task<Status> CsvFile::read_tail(std::uint64_t size) {
  if (size - current_->length > kTailBytesMax) {
    must_cut_ = true;
    co_return Status();
  }
  std::string tail(static_cast<std::size_t>(size - current_->length), '\0');
  const Result<std::size_t> read =
      co_await file_.read(std::as_writable_bytes(std::span(tail)), current_->length);
  if (!read) co_return std::unexpected(read.error());
  tail.resize(*read);
  tail_ = std::move(tail);
  co_return Status();
}

std::optional<std::size_t> CsvFile::agreement(std::string_view rows, std::size_t at) const {
  if (tail_at_ + at >= tail_.size()) return 0;
  const std::string_view rest = std::string_view(tail_).substr(tail_at_ + at);
  const std::size_t common = common_bytes(rows, rest);
  if (common < rows.size() && common < rest.size()) return std::nullopt;
  return common;
}

void CsvFile::give_up_tail() {
  if (has_tail()) must_cut_ = true;
  tail_.clear();
  tail_at_ = 0;
}

OpenFile CsvFile::open_file() const {
  const std::uint64_t bytes = current_->length + pending_.size();
  return {current_->id.day, current_->opened, bytes > header_row_.size() ? bytes : 0};
}

bool CsvFile::needs_new_file(WallTime now, std::size_t rows) const {
  if (!current_) return true;
  // Rows that stand in the tail belong into this file, whatever the time is now.
  return !has_tail() && decide_rotation(spec_, zone_, open_file(), now, rows).has_value();
}

bool CsvFile::is_due(WallTime now) const {
  return current_ && !has_tail() && open_file().bytes > 0 &&
         decide_rotation(spec_, zone_, open_file(), now, 0);
}

std::optional<WallTime> CsvFile::next_check() const {
  if (!current_) return std::nullopt;
  return next_rotation_check(spec_, zone_, open_file());
}

void CsvFile::append(std::string_view rows, std::uint64_t count) {
  SLUICE_ASSERT(current_);
  if (has_tail()) {
    SLUICE_ASSERT(written_ == pending_.size());
    const std::size_t common = common_bytes(rows, std::string_view(tail_).substr(tail_at_));
    tail_at_ += common;
    written_ += common;
    bytes_found_again_ += common;
    if (common < rows.size() || !has_tail()) give_up_tail();
  }
  pending_ += rows;
  rows_ += count;
  pending_rows_ += count;
}

Task<Status> CsvFile::open_current() {
  if (file_) co_return Status();
  const bool begins = current_->length == 0;
  if (begins) {
    if (const Status made = co_await make_durable_directories(reactor_, naming_.directory()); !made)
      co_return made;
  }
  const unsigned mode = spec_.world_readable ? 0644 : 0640;
  Result<File> opened = co_await File::open(reactor_, current_path(), {.create = begins, .mode = mode});
  if (!opened) co_return std::unexpected(opened.error());
  // The name has to be as durable as the length that will be stored for it.
  if (begins) {
    if (const Status synced = co_await runtime::sync_directory(reactor_, naming_.directory()); !synced)
      co_return synced;
  }
  file_ = std::move(*opened);
  co_return Status();
}

Task<Status> CsvFile::write_out() {
  if (!is_dirty()) co_return Status();
  if (const Status opened = co_await open_current(); !opened) co_return opened;
  if (must_cut_) {
    if (const Status cut = co_await file_.truncate(current_->length + written_); !cut) co_return cut;
    must_cut_ = false;
  }
  if (written_ == pending_.size()) co_return Status();
  const auto bytes = std::as_bytes(std::span(pending_)).subspan(written_);
  const Status done = co_await file_.write(bytes, current_->length + written_);
  if (done) written_ = pending_.size();
  co_return done;
}

Task<Status> CsvFile::sync() {
  if (!is_dirty()) co_return Status();
  if (const Status written = co_await write_out(); !written) co_return written;
  const Status synced = co_await file_.sync();
  // After a failed sync the kernel calls the pages clean although they are not on the disk: they are written
  // again.
  if (!synced) {
    give_up_tail();
    written_ = 0;
  }
  co_return synced;
}

void CsvFile::end_current() {
  SLUICE_ASSERT(current_ && pending_.empty());
  if (!spec_.move_to.empty()) moves_.push_back({current_->id, spec_.move_to, current_->rows});
  current_.reset();
  file_ = File();
  must_cut_ = false;
  tail_.clear();
  tail_at_ = 0;
}

Task<Status> CsvFile::list_ids(std::string directory, std::vector<FileId>& into) {
  if (const Status made = co_await make_durable_directories(reactor_, directory); !made) co_return made;
  const auto entries = reactor_.list_directory(directory);
  if (!entries) co_return std::unexpected(entries.error());
  for (const runtime::DirectoryEntry& entry : *entries) {
    if (const auto id = naming_.parse(entry.name)) into.push_back(*id);
  }
  co_return Status();
}

Task<Status> CsvFile::begin_next(WallTime now) {
  SLUICE_ASSERT(!current_);
  std::vector<FileId> here, there;
  if (const Status listed = co_await list_ids(naming_.directory(), here); !listed) co_return listed;
  if (!spec_.move_to.empty()) {
    if (const Status listed = co_await list_ids(spec_.move_to, there); !listed) co_return listed;
  }
  const std::chrono::local_days today = zone_.day_of(now);
  FileId next{today, last_.day == today ? last_.number + 1 : 0};
  for (const auto* ids : {&here, &there}) {
    for (const FileId& id : *ids) {
      if (id.day == today && id.number >= next.number) next.number = id.number + 1;
    }
  }
  co_await delete_outdated(std::move(here), today);
  last_ = next;
  current_ = {next, 0, now};
  fresh_ = true;
  append(header_row_, 0);
  co_return Status();
}

Task<void> CsvFile::delete_outdated(std::vector<FileId> there, std::chrono::local_days today) {
  for (const FileId& id : there) {
    if (!is_outdated(spec_, id.day, today)) continue;
    const Status gone = co_await runtime::unlink_file(reactor_, naming_.path_of(id));
    if (!gone) note_("cannot delete " + naming_.path_of(id) + ": " + gone.error().text());
  }
}

Task<Status> CsvFile::carry_out_moves() {
  Status first_failure;
  std::vector<AcctFileState::Move> left;
  std::vector<std::string> changed;
  for (const AcctFileState::Move& move : moves_) {
    Status moved = co_await make_durable_directories(reactor_, move.to);
    if (moved) {
      moved = co_await runtime::rename_file(reactor_, naming_.path_of(move.id),
                                            move.to + '/' + naming_.name_of(move.id));
    }
    if (moved && spec_.count_moved_records) {
      note_(naming_.path_of(move.id) + " moved to " + move.to + ": " + std::to_string(move.rows) +
            " records");
    }
    // Not there any more: it was moved before a crash, and perhaps taken away since.
    if (!moved && moved.error().code != Errc::NotFound) {
      left.push_back(move);
      if (first_failure) first_failure = moved;
    } else if (std::find(changed.begin(), changed.end(), move.to) == changed.end()) {
      changed.push_back(move.to);
    }
  }
  if (!changed.empty()) changed.push_back(naming_.directory());
  for (const std::string& directory : changed) {
    const Status synced = co_await runtime::sync_directory(reactor_, directory);
    if (!synced && first_failure) first_failure = synced;
  }
  moves_ = std::move(left);
  co_return first_failure;
}

AcctFileState CsvFile::state() const {
  AcctFileState out{spec_.path, layout_mark_, last_, current_, moves_};
  if (out.current && !fresh_) {
    out.current->length += pending_.size();
    out.current->rows += pending_rows_;
  }
  return out;
}

AcctFileState CsvFile::state_of_names() const { return {spec_.path, layout_mark_, last_, current_, moves_}; }

void CsvFile::stored() {
  if (!current_) return;
  if (std::exchange(fresh_, false)) return;
  current_->length += pending_.size();
  current_->rows += pending_rows_;
  pending_.clear();
  pending_rows_ = 0;
  written_ = 0;
}

}  // namespace sluice::accounting
