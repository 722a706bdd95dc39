#pragma once
// Reports to senders about their messages: through our own intake, like any other message.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/delivery/report_sink.h"
#include "engine/injection/intake.h"
#include "engine/journal/journal.h"
#include "engine/queue/report_budget.h"
#include "engine/runtime/task.h"
#include "policy/report/report.h"

namespace sluice::shard {

/// Stores the reports of one shard as messages of their own: null sender, to the envelope sender (with VERP
/// to the recipient's own), by the virtual MTA of the delivery, srcType "local", without job. Recipients of
/// one message that end within kGather share a report, unless they have senders of their own (VERP) or
/// templates speak of one recipient. Thread:   one shard. Lifetime: stop() before destruction (asserted).
/// Durable:  the ending of a recipient is appended to the journal when its report is stored, so a crash loses
///           no report. Between the two it repeats the attempt and then sends a second report.
/// Limits:   kAtOnceMax are being stored; kWaitingBytesMax wait for that, then has_room() says no, and above
///           twice as much reports are left out. A report returns kHeadersMax of headers, and messages up to
///           kFullMax (RET=FULL of a larger one: its headers). ReportBudget: what may be queued.
/// Errors:   a report that the spool has no room for, or that an exception keeps from being stored, is tried again
///           every kAgain for kPatience; then, and when a limit is reached, the recipient ends without one, and the
///           log says how many a minute. Where exceptions keep even that from being recorded for longer, the recipient
///           is found unended by the next start.
class Reports final : public delivery::ReportSink {
 public:
  static constexpr std::size_t kAtOnceMax = 64;
  static constexpr std::size_t kWaitingBytesMax = 64 * kMiB;
  static constexpr std::size_t kRecipientsMax = 100;
  static constexpr std::size_t kHeadersMax = 16 * kKiB;
  static constexpr std::size_t kFullMax = 64 * kKiB;
  static constexpr Duration kGather = 20ms;
  static constexpr Duration kAgain = 1s;
  static constexpr Duration kPatience = 60s;

  Reports(runtime::Reactor& reactor, injection::Intake& intake, journal::Journal& journal,
          queue::ReportBudget& budget, std::function<void(std::string)> log)
      : reactor_(reactor), intake_(intake), journal_(journal), budget_(budget), log_(std::move(log)) {}
  Reports(const Reports&) = delete;
  Reports& operator=(const Reports&) = delete;

  [[nodiscard]] bool has_room() const override { return bytes_ < kWaitingBytesMax || no_space_; }
  void add(const delivery::Reported& one) override;
  void report_ended(std::string_view address) override;
  /// Stores what waits, each tried once more. What ends later is found unended by the next start.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  /// One report to be.
  struct Group {
    MessageId message;
    spool::StoredMessage* stored = nullptr;
    std::string sender, vmta, env_id, subject, content;
    report::Returned returned = report::Returned::Headers;
    WallTime arrival{};
    Duration retry_after{}, bounce_after{};
    bool plain_text = false;
    journal::EventKind kind = journal::EventKind::Bounced;  ///< of all its events
    MonoTime due{};
    std::size_t bytes = 0;
    std::vector<std::vector<std::byte>> endings;  ///< events as the journal writes them; may be none
    bool settled = false;                         ///< the report is stored, or left out
    std::size_t ended = 0;                        ///< of `endings`: the journal has them
  };
  void gather(const delivery::Reported& one);
  Group& group_for(const delivery::Reported& one);
  void fill(Group& group, const delivery::Reported& one) const;
  void leave_out(std::string_view why) noexcept;
  void end_without(const delivery::Reported& one, std::string_view why);
  runtime::Task<void> store_all();
  runtime::Task<void> store(Group& group);
  runtime::Task<injection::Verdict> submit(const Group& group);
  [[nodiscard]] std::string text_of(const Group& group, const queue::Snapshot& snapshot, bool utf8);
  void count(const injection::Submission& submission) noexcept;

  runtime::Reactor& reactor_;
  injection::Intake& intake_;
  journal::Journal& journal_;
  queue::ReportBudget& budget_;
  std::function<void(std::string)> log_;
  std::deque<std::unique_ptr<Group>> waiting_;
  std::unordered_map<std::uint64_t, Group*> open_;  // by message: those that still gather
  std::size_t bytes_ = 0;                           // of those that wait or are being stored
  std::size_t at_once_ = 0;                         // store_all() under way
  std::uint64_t number_ = 0;
  std::uint64_t left_out_ = 0;  // since the last line in the log
  MonoTime said_{};
  bool no_space_ = false;  // the spool took no report lately: deliveries have to make room
  bool stopping_ = false;
  bool stopped_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::shard
