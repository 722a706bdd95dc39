#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/accounting/acct_state.h"
#include "engine/accounting/row_maker.h"
#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "policy/accounting/rotation.h"

namespace sluice::accounting {

/// The files of one `<acct-file>`: the one being written, with the bytes the stored state does not vouch for
/// yet, and those on their way to `move-to`.
///
/// Bytes of the current file:   [0, length)            stored: synced, their events lie before the cursor
///                              [length, + pending)    kept in memory until stored; the first `written` of
///                              them are in
///                                                     the page cache
///                              behind that, after a crash: the tail, rows of events that will be read again
/// The tail is compared with the rows as they are made again. Equal bytes are left as they are; from the
/// first difference on the file is cut and written anew. Thread:   one shard, no two calls at once. Lifetime:
/// no call under way at destruction. Errors:   every call may be repeated after an error until it succeeds;
/// nothing is lost by that.
class CsvFile {
 public:
  static constexpr std::size_t kTailBytesMax = 64 * kMiB;

  /// `zone` outlives it. `note` is told what an operator should know; it may not be empty.
  CsvFile(runtime::Reactor& reactor, config::AcctFile spec, RecordLayout layout, const TimeZone& zone,
          std::function<void(std::string)> note);
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;

  [[nodiscard]] const config::AcctFile& spec() const { return spec_; }

  /// Takes up what an earlier run, or the object before a reload, has stored; first of all calls. The current
  /// file ends when it cannot be continued: gone, shortened by somebody, or written with other columns.
  [[nodiscard]] runtime::Task<Status> recover(const AcctFileState* state);

  /// Appends the row of `record` to `out` if this file takes it; answers whether it did.
  bool format(std::string& out, const AcctRecord& record) { return maker_.append(out, record); }

  // --- The tail of a crash.
  [[nodiscard]] bool has_tail() const { return tail_at_ < tail_.size(); }
  /// How far `rows` and the tail from `at` on agree, when one of them ends where the other goes on; nullopt:
  /// they differ. A file without that much of a tail agrees with everything, by no bytes.
  [[nodiscard]] std::optional<std::size_t> agreement(std::string_view rows, std::size_t at) const;
  /// No event will make the rest of the tail: it is cut off at the next write.
  void give_up_tail();

  // --- Writing.
  /// Whether `rows` more bytes need another file than the current one (or the first one).
  [[nodiscard]] bool needs_new_file(WallTime now, std::size_t rows) const;
  /// Whether the current file has to end even though nothing is written.
  [[nodiscard]] bool is_due(WallTime now) const;
  [[nodiscard]] std::optional<WallTime> next_check() const;
  /// Requires a current file.
  void append(std::string_view rows, std::uint64_t count);
  /// Brings everything pending into the page cache.
  [[nodiscard]] runtime::Task<Status> write_out();
  /// Brings everything pending onto the disk.
  [[nodiscard]] runtime::Task<Status> sync();
  [[nodiscard]] bool is_dirty() const { return !pending_.empty() || must_cut_; }
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }
  [[nodiscard]] std::size_t unwritten_bytes() const { return pending_.size() - written_; }

  // --- Changing files. Requires that everything is synced. What these decide is carried out after it was
  // stored.
  void end_current();
  /// Chooses the next name and deletes outdated files.
  [[nodiscard]] runtime::Task<Status> begin_next(WallTime now);
  /// After storing: moves what has ended, as far as it can be moved.
  [[nodiscard]] runtime::Task<Status> carry_out_moves();

  /// What to store, given that everything pending is synced.
  [[nodiscard]] AcctFileState state() const;
  /// The state was stored.
  void stored();
  /// What to store when only a new name is to become known: as the last state, with the new file.
  [[nodiscard]] AcctFileState state_of_names() const;
  void name_stored() { fresh_ = false; }

  [[nodiscard]] std::string current_path() const { return current_ ? naming_.path_of(current_->id) : ""; }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t bytes_found_again() const { return bytes_found_again_; }

 private:
  runtime::Task<Status> take_up_current(bool same_layout);
  runtime::Task<Status> open_current();
  runtime::Task<Status> read_tail(std::uint64_t size);
  runtime::Task<Status> list_ids(std::string directory, std::vector<FileId>& into);
  runtime::Task<void> delete_outdated(std::vector<FileId> there, std::chrono::local_days today);
  [[nodiscard]] OpenFile open_file() const;

  runtime::Reactor& reactor_;
  config::AcctFile spec_;
  const TimeZone& zone_;
  RowMaker maker_;
  std::string header_row_;
  FileNaming naming_;
  std::function<void(std::string)> note_;
  std::uint64_t layout_mark_ = 0;

  std::optional<AcctFileState::Current> current_;
  FileId last_;
  std::vector<AcctFileState::Move> moves_;
  runtime::File file_;  // of current_, once opened
  bool fresh_ = false;  // current_ was chosen and not stored yet: nothing of it exists
  std::string pending_;
  std::uint64_t pending_rows_ = 0;
  std::size_t written_ = 0;  // of pending_
  bool must_cut_ = false;    // the file goes on behind length + written_
  std::string tail_;
  std::size_t tail_at_ = 0;  // bytes of tail_ that pending_ agreed with
  std::uint64_t rows_ = 0;
  std::uint64_t bytes_found_again_ = 0;
};

}  // namespace sluice::accounting
