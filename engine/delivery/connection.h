#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/delivery/deliverer.h"
#include "engine/delivery/delivery_headers.h"
#include "engine/delivery/dispatcher.h"
#include "engine/delivery/host_habits.h"
#include "engine/delivery/patience.h"
#include "engine/delivery/session_log.h"
#include "engine/queue/queue.h"
#include "engine/resolver/route_answer.h"
#include "engine/runtime/sync.h"
#include "engine/wire/wire.h"
#include "net/smtp/client.h"

namespace sluice::delivery {

/// How the mail hosts of a queue's domain are looked for.
[[nodiscard]] resolver::RouteOptions route_options(const queue::Snapshot& snapshot, const queue::Queue& queue,
                                                   const config::DomainSettings& settings);

/// How a connection under these settings speaks; `ehlo`: what it calls itself.
[[nodiscard]] net::ClientSettings client_settings(const config::DomainSettings& settings, std::string ehlo);

/// One outbound connection of a queue: finds a mail host, speaks SMTP, takes recipients from the queue as
/// long as there are any, and hands every outcome to the Settler. Without work it may go on for another queue
/// of the same host (SpareConnections). Thread:   one shard. Lifetime: run() has ended before destruction;
/// dispatcher and the queue it serves outlive it. Limits:   one mail at a time in lockstep, two with
/// PIPELINING: one on the wire, the next ready behind it; what the queue's
///           settings say about messages and errors per connection, whomever it served before.
class Connection final : public Deliverer, public net::ClientEvents, public queue::Worker {
 public:
  /// `slots`: what it is counted in, by whoever runs it; among connecting ones until a host has greeted it.
  /// `paid`: what max-connect-rate was charged for the
  /// first attempt; given back when none is made.
  Connection(Dispatcher& dispatcher, queue::Queue& queue, Slots& slots, ConnectGrants paid);
  ~Connection() override;

  [[nodiscard]] runtime::Task<void> run() override;
  [[nodiscard]] bool established() const override { return ever_established_; }
  /// The queue whose turn it is.
  [[nodiscard]] queue::Queue& queue() const override { return *queue_; }
  [[nodiscard]] const config::DomainSettings& settings() const override { return *settings_; }
  [[nodiscard]] Slots* slots() override { return &slots_; }
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] const std::optional<IpAddress>* source_in_use() const override {
    return has_source_ ? &source_ : nullptr;
  }
  [[nodiscard]] const IpAddress* target() const override {
    return has_source_ ? &endpoint_.address : nullptr;
  }
  /// What it is bound to once it has begun to connect; empty when the system chose.
  [[nodiscard]] const std::optional<IpAddress>& source() const { return source_; }
  /// Mail is under way to the host.
  [[nodiscard]] bool transfers() const override { return ready_ && client_ && client_->in_flight() > 0; }
  [[nodiscard]] bool is_finishing() const override { return finishing_; }
  [[nodiscard]] bool rests() const override { return rests_ && guests_.empty(); }
  [[nodiscard]] Duration stalled_for() override;
  void stop_waiting() override;
  /// This established connection takes from `queue` too, whose settings are the same object and which counts
  /// it among its own from here on; queues take turns, message by message, and one with nothing left leaves.
  /// Needs has_room(). `host`: what that queue calls the mail host.
  void invite(queue::Queue& queue, std::string_view host);
  [[nodiscard]] bool has_guests() const { return !guests_.empty(); }
  /// One more message could be given to the server at once.
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] SpareConnections::Seat& seat() { return seat_; }
  void renew() override;
  void count_anew() override;
  /// Takes nothing new, ends what is under way, says QUIT.
  void finish() override;
  /// Ends at once; transactions under way are classified by what was sent.
  void cut() override;

  void work_available() override;

 private:
  static constexpr std::size_t kOutputPartsMax = 64;
  /// While more than this is being sent, what the host says meanwhile is kept with the place it came at.
  static constexpr std::size_t kLongSendBytes = 64 * kKiB;
  static constexpr std::size_t kKeptInputMax = 8;
  /// A message that has been read waits so long for its rate; for a longer time it goes back.
  static constexpr Duration kReadWaitMax = 50ms;
  /// Bodies from here on are offered to the kernel without a copy, as long as it reports that none was made:
  /// below, the bookkeeping costs more than the copy (docs/decisions/zero-copy.md).
  static constexpr std::size_t kZeroCopyBytesMin = 128 * kKiB;
  /// A slot keeps room for header fields up to here for its next message.
  static constexpr std::size_t kFrontKeptMax = 16 * kKiB;

  /// A transaction under way. Reused, so that a message costs no allocation.
  struct Active {
    /// Offered: the client machine has it. Reading: the disk is asked. Read: may be offered once it is paid
    /// for.
    enum class State : std::uint8_t { Free, Reading, Read, Offered };
    State state = State::Free;
    queue::Queue* queue = nullptr;
    std::shared_ptr<const HopFacts> hop;
    spool::MessageLease lease;
    Outgoing text;              // what is sent of the lease
    std::string sender;         // VERP
    resolver::LookupStop stop;  // of the check of its sender, while Reading
    VolumeTicket volumes;
    WallTime began{};          // when it was offered
    std::size_t accepted = 0;  // recipients, so far
    MonoTime expires{};        // bounce-after of the first of its items
    queue::Batch items;        // an entry becomes null when its recipient has its outcome
  };
  enum class After : std::uint8_t {
    Done,
    NextHop,
    Limited,
    QueueFailed,
    NextProxy,  ///< the same host through the next proxy
    NoProxy,    ///< none could be reached: that says nothing about the host
    Dead,       ///< the host did not answer others of late, and enough ask it
  };

  runtime::Task<resolver::RouteAnswer> find_route(std::optional<routing::Families> families = std::nullopt);
  [[nodiscard]] HopFacts way_not_taken() const;
  runtime::Task<std::string> family_without_source(const resolver::RouteAnswer& route);
  runtime::Task<bool> bounce_without_mx(const resolver::RouteAnswer& route);
  runtime::Task<void> fail_route(const resolver::RouteAnswer& route);
  runtime::Task<After> try_hop(const resolver::RouteAnswer& route, const resolver::RouteHop& hop);
  runtime::Task<After> try_once(std::string name);
  runtime::Task<void> converse();
  runtime::Task<void> work();
  void break_off(const std::string& words);
  void note_exception(const std::string& words);
  // reload.cc
  [[nodiscard]] bool fits_settings() const;
  [[nodiscard]] const queue::SourceAddress* source_in_force() const;
  void follow_settings();
  void read_input();
  void take_in(const Result<runtime::ReceivedBytes>& input);
  void keep_input();
  void next_guest(bool stays);
  runtime::Task<void> send_output();
  runtime::Task<Status> send_parts();
  runtime::Task<void> send_beside(Status& status, bool& done);
  runtime::Task<void> wait_for_events();
  [[nodiscard]] MonoTime patience_ends();
  void watch_until(MonoTime time);
  void on_watch();
  [[nodiscard]] std::uint64_t taken_by_host() const;
  [[nodiscard]] std::uint64_t on_the_way() const;
  void release(Active& slot);
  void connection_ended(std::string why);
  void put_back(Active& slot);
  void end_all_items(Active& slot, const Failure& failure, bool permanent);
  /// Tells the queue of a refusal and obeys what it says about this connection.
  [[nodiscard]] std::optional<Duration> wait_asked_of(const queue::Queue& queue) const {
    return queue_wait_of_ == &queue ? queue_wait_ : std::nullopt;
  }
  ReplyVerdict hear(queue::Queue& queue, const HopFacts& hop, RefusalPhase phase, const SmtpReply& reply);
  void settle(Active& slot, std::size_t index, const SmtpReply& reply, RefusalPhase phase,
              const ReplyVerdict& verdict);
  void settle_all(Active& slot, const SmtpReply& reply, RefusalPhase phase);
  void offer_carried_again();
  runtime::Task<void> give_up_carried();
  [[nodiscard]] bool was_not_attempted(net::Ending ending, net::ClientPhase phase,
                                       const SmtpReply& reply) const;
  [[nodiscard]] bool leaves_in_peace(net::ClientPhase phase) const;
  [[nodiscard]] std::vector<const resolver::RouteHop*> hosts_in_turn(
      const resolver::RouteAnswer& route) const;
  [[nodiscard]] bool bounces_broken_transfer(net::ClientPhase phase) const;
  void leave_connecting();
  void host_answered();
  // transactions.cc
  [[nodiscard]] std::size_t recipients_at_most() const;
  [[nodiscard]] std::size_t errors_left() const;
  [[nodiscard]] bool may_take_more() const;
  void add_transactions();
  bool take_one(Active& slot);
  bool offer_paid(Active& slot);
  runtime::Task<void> read(Active& slot);
  runtime::Task<void> read_message(Active& slot);
  void give_up(Active& slot);
  [[nodiscard]] MonoTime expiry_of(const Active& slot) const;
  bool offer(Active& slot);
  // sender_clearance.cc
  [[nodiscard]] static std::string_view sender_of(const Active& slot, const spool::MessageView& message,
                                                  std::string& into);
  [[nodiscard]] SpfGate::Exit exit() const;
  [[nodiscard]] bool is_cleared(Active& slot) const;
  runtime::Task<SpfGate::Verdict> clear_sender(Active& slot, Result<spool::MessageLease>& lease);
  void refuse_sender(Active& slot, const SpfGate::Verdict& verdict);
  void stop_checks();
  // connection_log.cc
  [[nodiscard]] SessionLog::Wishes log_wishes() const;
  void log_route(const resolver::RouteAnswer& route) const;
  void log_sent(std::span<const net::Bytes> shown);
  void log_broken_transfer(const Active& slot, net::ClientPhase phase, std::string_view why) const;

  // net::ClientEvents
  void on_ready(const net::Capabilities& capabilities) override;
  void on_tls_wanted() override;
  void on_recipient(net::TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override;
  void on_finished(net::TransactionTag tag, net::Ending ending, net::ClientPhase phase,
                   const SmtpReply& reply) override;
  void on_over(net::ClientFault fault, net::ClientPhase phase, const SmtpReply& reply) override;

  struct LingerTimer : runtime::Timer {
    LingerTimer(Fire fire, Connection& one) : Timer(fire), owner(one) {}
    Connection& owner;
  };

  Dispatcher& dispatcher_;
  runtime::Reactor& reactor_;
  queue::Queue* queue_;
  Slots& slots_;
  HostHabits& habits_;
  // Of the moment the connection began or followed a reload last.
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::shared_ptr<const config::DomainSettings> settings_;
  std::shared_ptr<Trace> trace_;  ///< null: nobody has asked for one
  SessionLog log_;

  runtime::Wakeup wakeup_;
  LingerTimer linger_;
  LingerTimer watch_;    // over a send, or over a wait for a reply
  MonoTime watch_at_{};  // wanted; the armed timer may be earlier
  Patience patience_;
  struct Kept {
    Result<runtime::ReceivedBytes> input;
    std::uint64_t sent;  // bytes that had left then
  };
  std::vector<Kept> kept_;  // came during a long send
  bool sending_ = false;
  bool lost_patience_ = false;
  wire::Wire wire_;
  std::optional<net::Client> client_;
  std::array<Active, net::Client::kWindowMax + 1> active_;
  Endpoint endpoint_;
  Passage passage_;
  ConnectGrants paid_;
  bool has_paid_ = true;       // for the next attempt
  bool paid_in_vain_ = false;  // for one that ended at a proxy: the next is paid for
  ProxyTries tries_;
  WayStop way_;
  MonoTime limited_until_{};
  SpareConnections::Seat seat_;
  struct Guest {
    queue::Queue* queue;
    std::shared_ptr<HopFacts> hop;
  };
  std::vector<Guest> guests_;  // at most the window; counted by their queues
  std::shared_ptr<HopFacts>
      hop_;  // changed as a whole once mail is under way: slots hold what was true for them
  std::optional<IpAddress> source_;
  std::string source_host_;
  std::shared_ptr<const queue::ProxyRoute> proxy_;  // on the way to the host; null: none
  queue::Batch carried_;                            // kept for the next host of this run
  queue::Queue* carried_of_ = nullptr;              // whose they are
  std::optional<Duration> queue_wait_;              // a rule's interval, should the whole run fail
  const queue::Queue* queue_wait_of_ = nullptr;     // whose reply it was; compared, never looked into
  Failure failure_;                                 // the last thing that went wrong on this run
  std::string lost_why_;  // why the connection was lost, for outcomes without a reply
  net::ClientFault fault_ = net::ClientFault::None;
  SmtpReply fault_reply_;
  std::vector<net::OutgoingRecipient> recipients_;
  std::vector<iovec> parts_;
  MonoTime ready_at_{};
  MonoTime rate_wait_{};
  MonoTime pay_at_{};  // a message that has been read may be paid for then; empty: there is none
  LingerTimer pay_timer_;
  runtime::TaskGroup reads_;
  runtime::TaskGroup sends_;
  std::size_t reads_pending_ = 0;
  std::uint64_t messages_ = 0;  // taken on this run
  std::uint64_t finished_ = 0;  // transactions that got their final reply
  std::uint64_t errors_ = 0;
  bool holds_connecting_ = true;
  bool has_source_ = false;  // has begun to connect
  bool skip_host_ = false;   // nothing more through this host in this run
  bool heard_421_ = false;
  bool used_up_ = false;         // the host ends this connection
  bool goes_otherwise_ = false;  // what this connection could not do, the next will do in another way
  bool was_shut_off_ = false;    // the queue was, when the last refusal was heard
  bool broken_ = false;          // an exception ended the conversation
  bool lent_ = false;            // serves or served another queue than the one it was opened for
  bool ever_established_ = false;
  bool ready_ = false;
  bool heard_host_ = false;  // it has said something
  bool finishing_ = false;
  bool outdated_ = false;  // a reload has come since snapshot_
  bool cut_ = false;
  bool linger_over_ = false;
  bool rests_ = false;
  bool quit_said_ = false;
};

}  // namespace sluice::delivery
