// After a crash: which rows of the events behind the stored cursor are in the files already.
#include <algorithm>

#include "engine/accounting/accounting_writer.h"

namespace sluice::accounting {

using runtime::Task;

bool AccountingWriter::has_tails() const {
  return std::any_of(files_.begin(), files_.end(), [](const auto& file) { return file->has_tail(); });
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

}  // namespace sluice::accounting
