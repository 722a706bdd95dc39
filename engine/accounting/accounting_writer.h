#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/accounting/acct_pipe.h"
#include "engine/accounting/csv_file.h"
#include "engine/accounting/event_source.h"
#include "engine/accounting/slot_store.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "policy/accounting/time_zone.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// What the rest of the spool knows of accounting when it starts; journal/clean_stop.h.
struct KnownOfAccounting {
  bool has_events = false;             ///< journals hold something from before
  std::optional<std::uint64_t> saves;  ///< sequence of the state when the last run stopped in peace
  journal::JournalCursor accounted;    ///< its cursor then
  journal::JournalCursor ends;         ///< of the journals; empty: not known
  bool accept_damage = false;          ///< the operator has decided to go on
};

struct AccountingOptions {
  std::string state_path;  ///< "<spool>/accounting.state"
  std::vector<config::AcctFile> files;
  TimeZone zone;  ///< see read_local_zone()
  /// Events that no file shows: `disable-acct-records` of their queue. Empty: none.
  std::function<bool(const AcctRecord&)> is_disabled;
  std::function<void(std::string)> note;  ///< lines for the log; may be empty
  std::uint64_t pipe_lag_bytes_max = AcctPipe::kLagBytesMax;
  KnownOfAccounting known;
};

/// Turns the journals into accounting files, each event into exactly one row of every file that takes it.
///
/// Order of things:  rows are written, files synced, then one durable write stores how far the journals were
/// read and how long the files are, then the journals may drop what lies behind. After a crash the events
/// behind the stored cursor are read again; rows that are already there are recognised by their bytes and
/// left alone. Where several journals feed one file, their batches are taken up again in the order the file
/// shows. A new file is named in the stored state before it is made; a file that ends is moved after the
/// state says so.
///
/// Thread:   one shard, the control shard.
/// Lifetime: start() first, stop() before destruction (asserted). The reactor outlives it.
/// Limits:   kCommitBytes of rows between two commits of one file, kCommitGap or kCommitGapLazy between the
/// first of them and its
///           commit; kReplayBytesMax of events held while a tail is matched.
/// Errors:   after start(), none are passed up: what fails is repeated every kRetryGap, the journals keep the
///           events meanwhile, and alarm() says what is wrong.
class AccountingWriter {
 public:
  static constexpr std::size_t kWriteBytes = 256 * kKiB;
  static constexpr std::size_t kCommitBytes = 8 * kMiB;
  static constexpr Duration kCommitGap = 1s;      ///< with `sync yes` in one of the blocks
  static constexpr Duration kCommitGapLazy = 5s;  ///< otherwise; the journals vouch for the rows meanwhile
  static constexpr Duration kRetryGap = 1s;
  static constexpr Duration kStopPatience = 5s;  ///< for events that a journal announced and does not deliver
  static constexpr Duration kRotationLookMax = 30s;  ///< a stepped calendar clock is noticed within this
  static constexpr std::size_t kReplayBytesMax = 64 * kMiB;

  AccountingWriter(runtime::Reactor& reactor, AccountingOptions options, MakeEventSource make_source);
  AccountingWriter(const AccountingWriter&) = delete;
  AccountingWriter& operator=(const AccountingWriter&) = delete;
  ~AccountingWriter();

  /// Takes up what an earlier run left, then begins. Errors: in words for the operator. A state that is missing,
  /// damaged or older than the last stop is one, unless the operator has decided to go on: rows would come twice.
  [[nodiscard]] runtime::Task<std::expected<void, std::string>> start();
  /// Reads the journals to their present end, stores, ends. What cannot be written then is left to the next
  /// start.
  [[nodiscard]] runtime::Task<void> stop();

  /// `sluice rotate acct [file]`: ends the current file of `path` (of all when empty). Answers how many have
  /// ended; it may wait for a disk that is full.
  [[nodiscard]] runtime::Task<std::size_t> rotate(std::string path);
  /// A changed configuration. Errors: in words; nothing has changed then.
  [[nodiscard]] runtime::Task<std::expected<void, std::string>> reconfigure(
      std::vector<config::AcctFile> files);

  struct Alarm {
    std::string text;  ///< what fails: "/var/log/acct.csv: write: no space (...)"
    WallTime since{};
  };
  /// Empty: all is well.
  [[nodiscard]] std::optional<Alarm> alarm() const;

  struct FileStatus {
    std::string path;     ///< as configured, a pipe with its '|'
    std::string current;  ///< being written; empty: none yet, or a pipe
    std::uint64_t rows = 0;
  };
  [[nodiscard]] std::vector<FileStatus> files() const;
  struct Counters {
    std::uint64_t events = 0;
    std::uint64_t commits = 0;
    std::uint64_t bytes_found_again = 0;  ///< rows that a crash had left and that were kept
    std::uint64_t damaged = 0;            ///< stretches of journals that could not be read
  };
  [[nodiscard]] Counters counters() const;
  /// How far what is stored has come; for the mark of a clean stop.
  [[nodiscard]] std::uint64_t saves() const { return store_ ? store_->sequence() : 0; }
  [[nodiscard]] const journal::JournalCursor& accounted() const { return stored_cursor_; }
  [[nodiscard]] std::uint64_t lag_bytes() const { return source_ ? source_->lag_bytes() : 0; }

 private:
  struct Request {
    enum class Kind : std::uint8_t { Rotate, Reconfigure };
    Kind kind = Kind::Rotate;
    std::string path;
    std::vector<config::AcctFile> files;
    std::size_t rotated = 0;
    runtime::Gate* done = nullptr;
  };
  struct LookTimer : runtime::Timer {
    explicit LookTimer(AccountingWriter& owner);
    AccountingWriter& owner;
  };
  using Step = std::function<runtime::Task<Status>()>;

  enum class Trouble : std::uint8_t { Writing, Reading, Moving };
  static constexpr std::size_t kTroubles = 3;
  /// What happens to files at a commit, after everything pending was synced.
  struct Change {
    CsvFile* file = nullptr;
    bool ends = false;
    bool begins = false;
  };
  /// A batch that was read. The first `matched` events have their rows in the files already, found in the
  /// tails of a crash; the cursor passes the batch when all have, and nothing is committed before.
  struct Ahead {
    journal::EventBatch batch;
    std::size_t matched = 0;
  };
  struct Rows {
    std::string text;
    std::uint64_t count = 0;
  };

  /// Opens the stored state and compares it with what is known of it.
  runtime::Task<std::expected<AcctState, std::string>> take_up_state();
  [[nodiscard]] std::string later_file(const AcctState& state) const;
  void clamp(journal::JournalCursor& cursor, std::string_view whose) const;
  runtime::Task<void> run();
  [[nodiscard]] bool is_drained() const;
  runtime::Task<void> serve_requests();
  runtime::Task<void> serve(Request& request);
  // Where a bool is answered, false says that a stop was asked for while something kept failing.
  runtime::Task<bool> take_events();
  runtime::Task<std::optional<journal::EventBatch>> next_batch();
  runtime::Task<bool> replay();
  [[nodiscard]] bool match_one_run();
  [[nodiscard]] std::size_t events_in_tails(const Ahead& ahead);
  runtime::Task<bool> read_ahead();
  runtime::Task<bool> finish_begun_batches();
  runtime::Task<bool> name_missing_files();
  [[nodiscard]] bool has_tails() const;
  runtime::Task<void> fetch();
  runtime::Task<bool> handle(const journal::EventBatch& batch);
  void format_rows(std::span<const journal::Event> events);
  void append_rows();
  runtime::Task<bool> write_out();
  runtime::Task<bool> commit(std::vector<Change> changes);
  runtime::Task<bool> store_synced();
  runtime::Task<bool> commit_if_due();
  runtime::Task<bool> rotate_what_is_due();
  runtime::Task<Status> write_all();
  runtime::Task<Status> sync_all();
  runtime::Task<Status> store();
  runtime::Task<Status> store_names();
  runtime::Task<void> move_what_has_ended();
  runtime::Task<Status> format_all(const journal::EventBatch& batch);
  /// Repeats `step` until it neither fails nor throws.
  runtime::Task<bool> patiently(Step step);
  void raise_alarm(Trouble trouble, std::string text);
  void end_alarm(Trouble trouble);
  [[nodiscard]] std::vector<std::unique_ptr<CsvFile>> make_files(
      const std::vector<config::AcctFile>& specs) const;
  runtime::Task<void> finish_moves(AcctFileState left);
  void arm_look();
  [[nodiscard]] Duration commit_gap() const;
  [[nodiscard]] static std::size_t weight_of(const journal::EventBatch& batch);
  void note(std::string text) const;
  // Pipes read the journals by themselves; stored together with the files are their cursors.
  void start_pipes(const std::vector<config::AcctFile>& specs, const AcctState* state);
  void reconfigure_pipes(const std::vector<config::AcctFile>& specs);
  runtime::Task<void> end_pipe(std::unique_ptr<AcctPipe> pipe);
  runtime::Task<void> stop_pipes();
  [[nodiscard]] std::vector<AcctPipeState> pipe_states() const;
  void pipes_stored(const std::vector<AcctPipeState>& states);

  runtime::Reactor& reactor_;
  AccountingOptions options_;
  MakeEventSource make_source_;
  std::optional<SlotStore> store_;
  journal::JournalCursor stored_cursor_;
  journal::JournalCursor cursor_;  // behind the last batch whose rows are pending or written
  std::vector<std::unique_ptr<CsvFile>> files_;
  std::vector<std::unique_ptr<AcctPipe>> pipes_;
  std::vector<AcctPipeState> stored_pipes_;
  std::unique_ptr<EventSource> source_;
  std::vector<Rows> rows_;   // of the batch looked at last, by file
  std::deque<Ahead> ahead_;  // read, not yet handled
  std::size_t ahead_bytes_ = 0;
  std::optional<MonoTime> dirty_since_;
  std::deque<Request*> requests_;
  std::array<std::optional<Alarm>, kTroubles> alarms_;
  MonoTime stop_asked_{};
  Counters counters_;
  bool fetching_ = false;
  bool stopping_ = false;
  bool running_ = false;
  runtime::Wakeup wakeup_;
  LookTimer look_;
  runtime::TaskGroup group_;
};

}  // namespace sluice::accounting
