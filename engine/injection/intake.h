#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/delivery/dispatcher.h"
#include "engine/injection/chooser.h"
#include "engine/injection/cold_chooser.h"
#include "engine/injection/submission.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/spool.h"

namespace sluice::injection {

/// Numbers of one shard, for status.
struct IntakeCounters {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  std::uint64_t refused = 0;
};

/// The way from a submission to queued recipients, for one shard: control headers, virtual MTA, rewriting,
/// aliases, our own headers, spool, queues. Thread: one shard. Lifetime: everything passed in outlives it.
/// Durable: submit() answers 250 after the spool's commit (`sync-msg-create`).
/// Limits:  kMemoryMax bytes of messages on their way in, then 452 (RFC 5321 4.5.3.1.9 leaves 452 for it).
/// Errors:  an exception of submit() says that nothing is stored. One that comes later, when recipients are queued,
///          does not take the 250 back: the recipient stays in the spool, which the log says, and the next start
///          queues it.
class Intake {
 public:
  static constexpr std::uint64_t kMemoryMax = 256 * kMiB;
  /// A message has to fit into a segment of the spool with its envelope (64 MiB).
  static constexpr std::uint64_t kMessageBytesMax = config::kMessageSizeMax.raw();
  static constexpr std::size_t kJobBytesMax = 512;

  /// `dispatchers[i]` is shard i's; only its enqueue() is used, on that shard.
  Intake(runtime::Reactor& reactor, spool::Spool& spool, resolver::Resolver& resolver,
         std::span<delivery::Dispatcher* const> dispatchers, std::span<ColdBook* const> cold_books,
         const accounting::TimeZone& zone, const queue::Pressure& pressure,
         std::function<void(std::string)> log);
  /// Before destruction, when no submission is under way.
  [[nodiscard]] runtime::Task<void> stop() { return cold_.stop(); }

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  [[nodiscard]] const std::shared_ptr<const queue::Snapshot>& snapshot() const { return snapshot_; }

  /// Why no new mail is taken, and the text behind the 452 that MAIL is answered with.
  struct Refusing {
    enum class Cause : std::uint8_t { Spool, MemoryOfMessages, MemoryOfHost, QueuedRecipients };
    Cause cause = Cause::Spool;
    std::string_view reply;
  };
  /// Nothing: there is room.
  [[nodiscard]] std::optional<Refusing> refusing() const;
  /// The reply alone.
  [[nodiscard]] std::optional<std::string_view> why_not_accepting() const;
  /// May this client send to `domain`? (relaying rules)
  [[nodiscard]] bool may_relay(const ClientRules& rules, std::string_view address,
                               std::string_view domain) const;
  /// Why submit() would refuse `submission` for what it says, whatever room there is. Afterwards
  /// submission.work is to be reset.
  [[nodiscard]] std::optional<Verdict> fault_of(Submission& submission);
  /// Stores `submission` and queues its recipients. `submission` stays untouched by the caller until the
  /// answer.
  [[nodiscard]] runtime::Task<Verdict> submit(Submission& submission);

  [[nodiscard]] resolver::Resolver& resolver() { return resolver_; }
  /// Memory for message bytes: taken while a message is on its way in.
  [[nodiscard]] bool try_take_memory(std::uint64_t bytes);
  void give_back_memory(std::uint64_t bytes);
  [[nodiscard]] const IntakeCounters& counters() const { return counters_; }

 private:
  using Chosen = Chooser::Chosen;
  [[nodiscard]] std::optional<Verdict> judge_headers(Submission& submission) const;
  [[nodiscard]] Verdict refuse(Verdict why);
  void rewrite_sender(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen) const;
  void place_recipients(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen);
  void make_front(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen,
                  const spool::MessageDraft& draft);
  void fill_draft(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen,
                  spool::MessageDraft& draft) const;
  void queue_recipients(spool::StoredMessage& message, const Submission& submission,
                        const queue::Snapshot& snapshot) noexcept;
  void queue_recipient(spool::StoredMessage& message, std::uint32_t index, const PlacedRecipient& placed,
                       const queue::Snapshot& snapshot,
                       const std::shared_ptr<const schedule::Windows>& schedule);
  [[nodiscard]] std::string_view date_text(WallTime time);

  runtime::Reactor& reactor_;
  spool::Spool& spool_;
  std::span<delivery::Dispatcher* const> dispatchers_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  const accounting::TimeZone& zone_;
  const queue::Pressure& pressure_;
  std::function<void(std::string)> log_;
  resolver::Resolver& resolver_;
  Chooser chooser_;
  ColdChooser cold_;
  std::int64_t date_second_ = -1;  // of date_text_
  std::string date_text_;
  std::uint64_t memory_used_ = 0;
  IntakeCounters counters_;
};

}  // namespace sluice::injection
