#pragma once

#include "engine/delivery/deliverer.h"
#include "engine/delivery/delivery_headers.h"
#include "engine/delivery/dispatcher.h"
#include "engine/runtime/sync.h"
#include "policy/local/macros.h"

namespace sluice::delivery {

/// What all deliverers but SMTP share: take the recipients of one message, read it, deliver, settle, and
/// again; rest while a rate says so, end when that takes longer or there is nothing to do.
/// Thread:   one shard. Lifetime: dispatcher and queue outlive it.
/// Limits:   one message at a time; the queue has at most max-smtp-out of them.
/// Errors:   an exception ends one delivery, whose recipients are deferred.
class LocalWorker : public Deliverer, private queue::Worker {
 public:
  LocalWorker(Dispatcher& dispatcher, queue::Queue& queue);
  ~LocalWorker() override;

  [[nodiscard]] runtime::Task<void> run() final;
  [[nodiscard]] bool established() const override { return false; }
  [[nodiscard]] queue::Queue& queue() const final { return queue_; }
  [[nodiscard]] const config::DomainSettings& settings() const final { return *settings_; }
  [[nodiscard]] const std::optional<IpAddress>* source_in_use() const override { return nullptr; }
  [[nodiscard]] bool is_finishing() const final { return finishing_; }
  void renew() final { finish(); }  // the next one has the new settings
  void finish() override;
  [[nodiscard]] bool rests() const final { return resting_; }
  void cut() final;

 protected:
  /// What an attempt came to when it did not settle every recipient.
  enum class Step : std::uint8_t {
    Done,         ///< all recipients have their outcome
    QueueFailed,  ///< trouble_ concerns the queue: recipients without an outcome go back to it
    Interrupted,  ///< as QueueFailed, without a failure: shutdown or reload
  };
  /// Before the first message is taken: connects where there is something to connect to.
  [[nodiscard]] virtual runtime::Task<Step> open();
  /// Delivers to `items`, which are of one message; who has got an outcome becomes null.
  [[nodiscard]] virtual runtime::Task<Step> deliver(queue::Batch& items,
                                                    const spool::MessageView& message) = 0;
  [[nodiscard]] virtual std::size_t recipients_at_most() const { return 1; }
  /// How long it stays without work.
  [[nodiscard]] virtual Duration linger() const { return Dispatcher::kLinger; }
  /// A rate of the queue that allows the next recipient within this time is waited for.
  [[nodiscard]] virtual Duration patience() const { return Dispatcher::kLinger; }
  /// Limits of the source address in use; null: none.
  [[nodiscard]] virtual const queue::SourceGate* source_gate() const { return nullptr; }
  /// Ends what deliver() is doing.
  virtual void interrupt() {}
  /// More messages may follow.
  [[nodiscard]] virtual bool may_go_on();

  // --- Outcomes. Each sets `item` to null.
  void delivered(queue::Item*& item, const spool::MessageView& message, std::string diag,
                 const HopFacts* hop = nullptr);
  void bounced(queue::Item*& item, const spool::MessageView& message, const Failure& failure,
               const HopFacts* hop = nullptr);
  void deferred(queue::Item*& item, const spool::MessageView& message, const Failure& failure,
                const HopFacts* hop = nullptr);
  /// The envelope sender for this recipient (VERP), and the message as SMTP would send it. Valid until the
  /// next call.
  struct Sent {
    std::string_view sender;
    std::span<const std::byte> text;
  };
  [[nodiscard]] Sent sent_to(const queue::Item& item, const spool::MessageView& message);
  [[nodiscard]] local::MacroValues macros_for(const queue::Item& item, const spool::MessageView& message,
                                              std::string_view sender) const;

  Dispatcher& dispatcher_;
  runtime::Reactor& reactor_;
  queue::Queue& queue_;
  // Of the moment it began: a reload ends it and the next one has the new settings.
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::shared_ptr<const config::DomainSettings> settings_;
  /// Why the queue failed.
  struct Trouble {
    Failure failure;
    QueueFailureKind kind = QueueFailureKind::Delivery;
    const HopFacts* hop = nullptr;
  };
  Trouble trouble_;
  bool cut_ = false;

 private:
  void work_available() override;
  runtime::Task<bool> rest(MonoTime until, bool for_work);
  struct RestTimer : runtime::Timer {
    RestTimer(Fire fire, LocalWorker& one) : Timer(fire), owner(one) {}
    LocalWorker& owner;
  };
  runtime::Task<void> work(queue::Batch& items);
  runtime::Task<bool> deliver_next(queue::Batch& items);
  runtime::Task<Step> deliver_contained(queue::Batch& items, const spool::MessageView& message);
  void give_back(queue::Batch& items);
  void note_exception(std::string_view words);
  bool go_on(Step step);

  runtime::Wakeup wakeup_;
  RestTimer timer_;
  VolumeTicket volumes_;
  Outgoing outgoing_;
  std::string sender_;  // VERP
  bool finishing_ = false;
  bool rested_ = false;
  bool resting_ = false;  // in rest(), for work to come
};

/// Text of a program or a server in a diagnosis: one line, no control characters, at most `most` bytes of its
/// end.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t most);

}  // namespace sluice::delivery
