#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/accounting/event_source.h"
#include "engine/accounting/row_maker.h"
#include "engine/runtime/program.h"
#include "engine/runtime/sync.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// `<acct-file |CMD ARGS>`: a program that is started once and fed the header row, then every row. It reads
/// the journals with a cursor of its own, so it can neither hold up accounting files nor be held up by them.
///
/// What a program is promised:
///   while it lives        every row once, in the order of the journals; the header row first
///   it ends or is ended   its successor gets the header row and goes on with the first row that was not
///                         wholly written. What stood in the pipe and was not read is lost with the program
///                         (64 KiB at most)
///   the daemon dies       rows written since the cursor was stored last (a commit of AccountingWriter) come
///                         again; none is left out
///   it is away for long   the journals keep kLagBytesMax for it; older rows are dropped, counted and logged
/// It is ended and started again after `retry-interval` when it takes nothing for `write-timeout`.
///
/// Thread:   one shard, the control shard: it starts programs.
/// Lifetime: start() once, stop() has answered before destruction (asserted).
/// Limits:   one batch of the journals and its rows in memory.
/// Errors:   none are passed up: `Error TYPE "CMD": DETAILS` in the log, and trouble().
class AcctPipe {
 public:
  static constexpr std::uint64_t kLagBytesMax = 1024 * kMiB;
  static constexpr Duration kLookGap = 1s;       ///< how often a program that is away has its lag looked at
  static constexpr Duration kRetryMin = 1s;      ///< below any retry-interval
  static constexpr Duration kEndGrace = 5s;      ///< between the end of the input and SIGTERM
  static constexpr Duration kStopPatience = 5s;  ///< for giving what is there when the daemon stops

  struct Wiring {
    std::function<bool(const AcctRecord&)> is_disabled;  ///< may be empty
    std::function<void(std::string)> note;               ///< lines for the log
    std::function<void()> on_progress;                   ///< cursor() has moved
    std::uint64_t lag_bytes_max = kLagBytesMax;
  };
  AcctPipe(runtime::Reactor& reactor, config::AcctFile spec, const TimeZone& zone, Wiring wiring);
  AcctPipe(const AcctPipe&) = delete;
  AcctPipe& operator=(const AcctPipe&) = delete;
  ~AcctPipe();

  [[nodiscard]] const std::string& command() const { return spec_.command; }
  void start(std::unique_ptr<EventSource> source, journal::JournalCursor from);
  /// After a reload: the program is ended and started anew, for `spec`, once the write under way is through.
  void restart(config::AcctFile spec);
  /// Gives what is there, for at most kStopPatience, and ends the program.
  [[nodiscard]] runtime::Task<void> stop();

  /// Behind the last batch that was given whole.
  [[nodiscard]] const journal::JournalCursor& cursor() const { return cursor_; }
  /// The stored state says `cursor`: the journals may drop what lies before.
  void stored(const journal::JournalCursor& cursor) { source_->acknowledge(cursor); }

  struct Trouble {
    std::string text;
    WallTime since{};
  };
  [[nodiscard]] const std::optional<Trouble>& trouble() const { return trouble_; }
  [[nodiscard]] std::uint64_t rows() const { return rows_given_; }
  [[nodiscard]] std::uint64_t lag_bytes() const { return source_ ? source_->lag_bytes() : 0; }

 private:
  struct Row {
    std::size_t event = 0;  // in batch_
    std::size_t end = 0;    // in text_
  };
  struct LookTimer : runtime::Timer {
    explicit LookTimer(AcctPipe& pipe);
    AcctPipe& owner;
  };

  runtime::Task<void> run();
  runtime::Task<void> guard_stop();
  runtime::Task<void> look_after_program();
  runtime::Task<void> start_program();
  /// Ends the program, if there is one, and says what it died of unless it was to end.
  runtime::Task<void> end_program(bool expected);
  runtime::Task<bool> take_batch();
  runtime::Task<void> fetch();
  runtime::Task<void> give_rows();
  void format_rest();
  void drop_batch();
  void pass_batch();
  void failed(std::string_view type, std::string details);
  [[nodiscard]] bool is_done() const;

  runtime::Reactor& reactor_;
  config::AcctFile spec_;
  const TimeZone& zone_;
  Wiring wiring_;
  std::unique_ptr<RowMaker> maker_;
  std::unique_ptr<EventSource> source_;
  journal::JournalCursor cursor_;
  std::optional<journal::EventBatch> batch_;
  std::size_t next_event_ = 0;  // of batch_: the first whose row is not known to be given
  std::string text_;            // rows of batch_ from next_event_ on
  std::vector<Row> row_ends_;
  std::unique_ptr<runtime::Program> program_;
  std::optional<config::AcctFile> next_spec_;
  MonoTime next_start_{};
  MonoTime stop_by_{};
  std::optional<Trouble> trouble_;
  std::uint64_t rows_given_ = 0;
  std::uint64_t rows_dropped_ = 0;  // of the present trouble
  bool short_write_ = false;
  bool fetching_ = false;
  bool stopping_ = false;
  bool running_ = false;
  runtime::Wakeup wakeup_;
  LookTimer look_;
  runtime::TaskGroup group_;
};

}  // namespace sluice::accounting
