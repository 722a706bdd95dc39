#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/delivery/copy_sink.h"
#include "engine/delivery/first_attempts.h"
#include "engine/delivery/lost_recipients.h"
#include "engine/delivery/report_sink.h"
#include "engine/journal/journal.h"
#include "engine/queue/item.h"
#include "engine/queue/queue.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/reactor.h"
#include "engine/spool/message_lease.h"
#include "policy/base/smtp_reply.h"
#include "policy/classify/bounce_category.h"

namespace sluice::delivery {

/// What accounting says about the connection an outcome came from. Views live as long as the connection.
struct HopFacts {
  std::string mta;  ///< "mx.example.com (192.0.2.1)"
  std::string source_ip;
  std::string destination_ip;
  std::string esmtp;  ///< "ENHANCEDSTATUSCODES,8BITMIME"
};

/// Why something failed: what accounting, DSNs and the queue's error list show.
struct Failure {
  EnhancedStatus status{4, 0, 0};
  std::string diag;  ///< "smtp;450 4.2.1 ..." for a remote's words; plain text for ours
  /// `diag` holds words of a receiver or a program, which the rules for bounce categories read. A cause of ours
  /// has its category from its status instead: host names in our texts would lead the rules astray.
  bool by_receiver = false;
  /// Of a cause of ours, where its status does not say enough. Lives for ever.
  std::string_view category = {};
  std::string words = {};  ///< shown behind the status instead of the registered ones
};

/// Category of what a receiver got wrong about the protocol, while its connection lasted.
inline constexpr std::string_view kProtocolErrors = "protocol-errors";
/// Of what this host or its configuration got wrong.
inline constexpr std::string_view kBadConfiguration = "bad-configuration";

/// What is special about a deferral.
struct Deferral {
  std::optional<Duration> wait;  ///< asked for by a reply rule
  /// The queue was shut off when this attempt ended: it counts for smtp-retries-after-shutoff.
  bool was_shut_off = false;
};

/// Numbers of one shard, for status.
struct DeliveryCounters {
  std::uint64_t delivered = 0;  ///< recipients
  std::uint64_t delivered_messages = 0;
  std::uint64_t delivered_bytes = 0;
  std::uint64_t bounced = 0;
  std::uint64_t deferred = 0;
  std::uint64_t queue_failures = 0;
};

/// Gives every attempt its outcome: the journal event, the numbers, and the item's further way. Nothing else
/// ends or defers an item. Thread: one shard. Lifetime: everything passed in outlives it.
class Settler {
 public:
  Settler(runtime::Reactor& reactor, journal::Journal& journal, queue::ItemPool& items);

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot,
                    std::shared_ptr<config::DomainSettingsCache> settings);

  /// What accounting says of a delivery that no SMTP server confirmed.
  struct Delivery {
    std::string_view action;  ///< "delivered" here, "relayed" elsewhere
    std::string diag;
  };
  /// It went. `hop` null for queue types without one.
  void delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                 const HopFacts* hop, const SmtpReply& reply);
  void delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                 const HopFacts* hop, Delivery delivery);
  /// Never again.
  void bounced(queue::Queue& queue, queue::Item& item, const spool::MessageView& message, const HopFacts* hop,
               const Failure& failure, journal::Ending ending = journal::Ending::Bounced);
  /// Tells the sender that a recipient still waits, when NOTIFY=DELAY asks for it. It goes on waiting.
  void delayed(queue::Queue& queue, const queue::Item& item, const spool::MessageView& message,
               const Failure& last);
  /// What the administrator wants of the recipients he deletes.
  struct Removal {
    bool report = false;  ///< tell the sender (`--dsn`)
    bool account = true;  ///< not with `--no-accounting`
  };
  void removed(queue::Queue& queue, queue::Item& item, const spool::MessageView& message, Removal how);
  /// Later again, after `retry-recipients-after` or what a rule says, or never when `bounce-after` has passed
  /// by then or the attempts of a queue that is shut off are used up.
  void deferred(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                const HopFacts* hop, const Failure& failure, const Deferral& how = {});
  /// The queue as a whole failed; no recipient is concerned.
  void queue_failed(queue::Queue& queue, const HopFacts* hop, const Failure& failure);
  /// Keeps a small text for the next start; empty forgets it (queue/remembered.h).
  void remember(std::string_view key, std::string_view value) { journal_.put_state(key, value); }
  /// Ends an item that is past `bounce-after`. `hop`: of the attempt that was its last; null: its queue rests.
  void expired(queue::Queue& queue, queue::Item& item, const spool::MessageView& message, const Failure& last,
               const HopFacts* hop = nullptr);

  /// Ends an item whose last delivery window is over. `last`: what went wrong before, if anything did.
  void window_over(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                   const Failure& last);

  /// The stored message cannot be read: the recipient ends with 5.3.0, once the journals have said who it is
  /// (lost_recipients.h). A disk that merely fails now (not Corrupt) defers instead.
  void lost(queue::Queue& queue, queue::Item& item, const Error& error);

  /// Where copies for `bcc-upon-delivery` go; outlives the settler. Before the first delivery.
  void set_copies(CopySink& copies) { copies_ = &copies; }
  /// False while the copies this queue wants cannot be taken: no new attempts then.
  [[nodiscard]] bool can_copy(const queue::Queue& queue) const {
    return queue.settings->bcc_upon_delivery.empty() || copies_ == nullptr || copies_->has_room();
  }
  /// Where recipients of damaged messages go; outlives the settler. Before the first delivery.
  void set_lost(LostRecipients& lost) { lost_ = &lost; }
  /// Where endings go that their senders are told of; outlives the settler. Before the first delivery.
  void set_reports(ReportSink& reports) { reports_ = &reports; }
  /// False while reports come faster than the disk takes them: no new attempts then.
  [[nodiscard]] bool can_report() const { return reports_ == nullptr || reports_->has_room(); }
  [[nodiscard]] FirstAttempts& first_attempts() { return first_attempts_; }
  /// A transaction was accepted as a whole, for whatever number of recipients.
  void count_message() { ++counters_.delivered_messages; }
  /// False while outcomes cannot be recorded: no new attempts then.
  [[nodiscard]] bool can_record() const { return journal_.healthy(); }
  [[nodiscard]] const DeliveryCounters& counters() const { return counters_; }

 private:
  void fill(journal::Event& event, const queue::Queue& queue, const queue::Item& item,
            const spool::MessageView& message, const HopFacts* hop);
  /// Says in `event` when the first attempt was; this one may be it.
  void note_attempt(journal::Event& event, const queue::Item& item, bool was_tried);
  void classify(journal::Event& event, const Failure& failure);
  [[nodiscard]] std::string_view category_of(const Failure& failure) const;
  /// What the queue's `<bounce-actions>` say about this failure; null: nothing.
  const config::BounceAction* find_action(queue::Queue& queue, const Failure& failure);
  void wait_again(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                  const HopFacts* hop, const Failure& failure, const Deferral& how);
  void end_delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                     const HopFacts* hop, std::string_view action);
  void copy(const queue::Queue& queue, const spool::MessageView& message, std::string_view sender);
  void end_bounced(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                   const HopFacts* hop, const Failure& failure, journal::Ending ending, bool reported);
  const config::DomainSettings& settings_of_sender(const queue::Queue& queue);
  /// Does NOTIFY of the recipient in event_ ask for a report about this ending, and may it be made?
  [[nodiscard]] bool wants_report(const queue::Queue& queue, const spool::MessageView& message,
                                  std::uint8_t kind, bool by_default);
  void report(const queue::Queue& queue, const queue::Item& item, const spool::MessageView& message);
  /// Ends the recipient of event_.
  void end(queue::Queue& queue, queue::Item& item, const spool::MessageView& message, bool reported);
  /// It has left the queue.
  void leave(queue::Queue& queue, queue::Item& item);

  runtime::Reactor& reactor_;
  journal::Journal& journal_;
  queue::ItemPool& items_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::shared_ptr<config::DomainSettingsCache> settings_;
  CopySink* copies_ = nullptr;
  ReportSink* reports_ = nullptr;
  LostRecipients* lost_ = nullptr;
  DeliveryCounters counters_;
  FirstAttempts first_attempts_;
  // Reused for every event: no allocation once warm.
  journal::Event event_;
  std::uint8_t notify_ = 0;  // of its recipient
  std::string diag_;
  std::string sender_;
  std::string status_;
};

}  // namespace sluice::delivery
