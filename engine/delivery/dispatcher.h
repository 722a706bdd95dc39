#pragma once

#include <array>
#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "engine/delivery/gatekeeper.h"
#include "engine/delivery/host_habits.h"
#include "engine/delivery/host_line.h"
#include "engine/delivery/passage.h"
#include "engine/delivery/proxies.h"
#include "engine/delivery/queue_modes.h"
#include "engine/delivery/reach_history.h"
#include "engine/delivery/recipient_walk.h"
#include "engine/delivery/refusal.h"
#include "engine/delivery/rollups.h"
#include "engine/delivery/session_log.h"
#include "engine/delivery/settler.h"
#include "engine/delivery/slot_desk.h"
#include "engine/delivery/spare_connections.h"
#include "engine/delivery/spf_gate.h"
#include "engine/delivery/trace.h"
#include "engine/queue/queue_table.h"
#include "engine/queue/snapshot.h"
#include "engine/resolver/resolver.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "engine/spool/message_lease.h"
#include "policy/backoff/status_texts.h"
#include "policy/config/config.h"
#include "policy/identity/pool_turns.h"
#include "policy/retry/retry.h"

namespace sluice::delivery {

class Connection;
class Deliverer;

/// A recipient on its way into a queue: from injection, from recovery, from another shard.
struct Arrival {
  spool::StoredMessage* message = nullptr;
  std::uint32_t recipient = 0;
  std::uint16_t attempts = 0;
  std::uint8_t priority = 50;
  std::uint8_t shut_attempts = 0;  ///< queue::Item's
  MonoTime due{};                  ///< in the future: waits until then
  std::uint8_t hops = 0;           ///< queues it has been handed on by: `queue-to` may go in circles
  std::shared_ptr<const schedule::Windows> schedule = {};  ///< null: at any time
  WallTime first_attempt{};                                ///< epoch: none, or not tracked
  std::string rerouted;  ///< virtual MTAs it was moved away from, each with a line end; empty: none
};

/// Decides when each queue of one shard may open connections and take recipients, and keeps every limit.
/// Thread:   one shard.
/// Lifetime: everything passed in outlives it; stop() has answered before destruction (asserted).
/// Limits:   per queue max-smtp-out, max-msg-rate, max-connect-rate; per VMTA and daemon by shared counts and
/// rates.
///           Queues that want a connection and get no slot stand in line (slot_desk.h).
/// Fairness: a connection that has had its turn ends for the sake of a queue in line that has fewer; connecting
///           ones of all queues together hold at most half of the daemon's connections, so dead hosts leave
///           room for living ones.
class Dispatcher {
 public:
  /// A queue without mail and connections is forgotten after this time (its rate state with it: longer than
  /// any bucket's memory at rates of a few a minute would matter, so see forget_if_idle()).
  static constexpr Duration kQueueIdleMax = 60s;
  /// One more connection for every so many waiting recipients, up to max-smtp-out.
  static constexpr std::size_t kRecipientsPerConnection = 4;
  /// An established connection without work stays this long even when connection-idle-timeout is 0: closing
  /// and reopening for mail that comes a moment later costs both sides a handshake.
  static constexpr Duration kLinger = 100ms;
  /// A rate that allows the next recipient within this time keeps a connection open, or opens one: the
  /// handshake is over when the time comes.
  static constexpr Duration kRateWaitMax = 2s;
  /// A connection that found no local port leaves them to others for this long.
  static constexpr Duration kNoRoomPause = 2s;
  /// After a failed connection while others of the queue work: no new one for this long.
  static constexpr Duration kConnectPause = 10s;
  /// A connection's turn while others wait for its slot: so many messages, or so long. Setting up a connection
  /// costs about as much as two or three messages.
  static constexpr std::uint64_t kTurnMessages = 10;
  static constexpr Duration kTurnTime = 1s;
  /// How often connections at rest look whether another shard's queue waits for their slots.
  static constexpr Duration kRestLook = 1s;
  /// A connection nobody has answered in this time counts as one that may never be.
  static constexpr Duration kSlowAfter = 500ms;
  /// One that nobody has greeted in this time may have to make room for others. Many hosts look up our name first.
  static constexpr Duration kSilentMax = 1500ms;
  /// So many queues in line are asked whether an idle connection suits them, when there is no free slot.
  static constexpr std::size_t kLineLookMax = 16;
  /// Queues that ask DNS at a time which queue they join; later ones stand in line.
  static constexpr std::size_t kPlacingMax = 1024;
  static constexpr std::uint8_t kHopsMax = 8;
  /// Recipients of a queue that change it in one turn of the shard.
  static constexpr std::size_t kMovedAtOnce = 256;
  /// Queues whose mail moves at a time; later ones stand in line.
  static constexpr std::size_t kMoversMax = 8;

  Dispatcher(runtime::Reactor& reactor, resolver::Resolver& resolver, spool::MessageReader& reader,
             Settler& settler, queue::ItemPool& items, queue::SharedState& shared);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  ~Dispatcher();

  /// The dispatchers of all shards by their number, this one among them: mail that joins another queue may
  /// belong to another shard. Before start().
  void set_peers(std::span<Dispatcher* const> peers);

  /// Where connections log to (`log-connections` and its like). Before start().
  void set_log(LogLine log) { log_ = std::move(log); }
  /// Puts the configuration in force: queues get their new settings and limits at once and go to the shard
  /// they belong to; connections follow where they can and end after their present mail where they cannot.
  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  /// Makes the queue `name` if it is this shard's, so that what it is remembered for is seen and can be taken back
  /// before its next mail comes. After set_snapshot(), before start().
  void recall(std::string_view name);
  /// Adds a recipient to the queue `domain/vmta`; `domain` in lower case, `vmta` as the configuration spells
  /// it. A VMTA that has gone meanwhile: the recipient bounces.
  void enqueue(const Arrival& arrival, std::string_view domain, std::string_view vmta);
  /// Bounces a recipient that was only accepted to be bounced; `domain` and `vmta` name the queue it is
  /// accounted under.
  void refuse(const Arrival& arrival, std::string_view domain, std::string_view vmta, Refusal refusal);
  /// Starts work; before, enqueue() only collects (recovery comes first).
  void start();
  /// No new connections; transactions under way may finish for `grace`, then connections are cut.
  [[nodiscard]] runtime::Task<void> stop(Duration grace);
  /// After stop(): what came in meanwhile and has to end at once (refuse()) has ended.
  [[nodiscard]] auto join() { return tasks_.join(); }

  // --- Commands. `pattern`: "domain[/vmta]" with `*` on either side. They answer how many queues matched.
  /// What is paused from now on, here as on all shards; only queues that match `pattern` may be concerned.
  std::size_t set_pauses(std::shared_ptr<const queue::PauseRules> pauses, std::string_view pattern);
  std::size_t schedule(std::string_view pattern, bool also_recipients);
  /// The next connection of a queue that matches writes down what it does; the queues' retry waits end, so
  /// that there is one soon. nullptr: no queue matches. drop_trace() when nobody reads any more.
  [[nodiscard]] std::shared_ptr<Trace> trace(Trace wanted, bool also_recipients);
  void drop_trace(Trace& trace);
  /// For a connection that begins. nullptr, almost always: nobody wants to know.
  [[nodiscard]] std::shared_ptr<Trace> take_trace(const queue::Queue& queue);
  std::size_t set_mode(std::string_view pattern, config::QueueMode mode);
  /// These two count only queues for which something changed, or whose virtual MTA has the address.
  std::size_t disable_source(std::string_view pattern, const IpAddress& source,
                             std::optional<Duration> reenable_after);
  std::size_t enable_source(std::string_view pattern, const IpAddress& source);
  /// Ends queued recipients as "deleted by administrator"; those under way at this moment are not touched.
  /// Answers how many.
  [[nodiscard]] runtime::Task<std::uint64_t> remove(RecipientFilter filter, Settler::Removal how);
  /// What remove() would end now.
  [[nodiscard]] runtime::Task<RecipientCount> count(RecipientFilter filter);
  /// Up to `most` queued recipients of the queues `names`, one after the other, from where the slice before
  /// ended. Those under way at this moment are not among them.
  [[nodiscard]] runtime::Task<RecipientSlice> list(RecipientFilter filter, std::vector<std::string> names,
                                                   RecipientSlice from, std::size_t most);
  /// Gives queued recipients another priority, until the next start; answers how many.
  [[nodiscard]] runtime::Task<std::uint64_t> set_priority(RecipientFilter filter, std::uint8_t priority);
  /// The calendar clock was set, and delivery windows are calendar time.
  void clock_was_set();
  /// Jobs are no longer paused (spool::JobTable::pause): their recipients go on.
  void release_parked();
  [[nodiscard]] const queue::QueueTable& queues() const { return queues_; }
  [[nodiscard]] std::uint64_t connections() const { return connections_running_; }
  /// Recipients queued here. Thread: any.
  [[nodiscard]] std::size_t recipients() const { return items_.live(); }

  /// Why the mail of `queue` waits now, in words; empty: it does not.
  [[nodiscard]] std::string why_waiting(const queue::Queue& queue) const;
  /// When the mail of `queue` is looked at again, as far as a time is set; nothing while it goes, or waits for what
  /// has no time (a pause, a slot, DNS).
  [[nodiscard]] std::optional<MonoTime> next_attempt(const queue::Queue& queue) const;

  /// The one place of decision: looks at a queue after anything about it changed.
  void consider(queue::Queue& queue);

  // --- For connections.
  struct WaitUntil {
    MonoTime time;
  };
  struct NothingToDo {};
  /// A batch in `into`; or nothing for now; or not before a time because of a rate.
  using Taken = std::variant<std::monostate, NothingToDo, WaitUntil>;
  /// `source`: the gate of the source address in use, or null. `ticket`: volumes reserved for the batch;
  /// end_volumes() settles them.
  [[nodiscard]] Taken take(queue::Queue& queue, const queue::SourceGate* source, queue::Batch& into,
                           std::size_t most, VolumeTicket& ticket);
  void end_volumes(VolumeTicket& ticket, bool delivered) { gatekeeper_.end(ticket, delivered); }
  /// What take() gave is about to be sent: takes the tokens for as many of the batch as there are, one at
  /// least; the others go back. Or answers when to ask again, and the batch stays. The moment of sending
  /// counts, so that receivers see the rate and not what slow disks make of it.
  [[nodiscard]] std::optional<MonoTime> pay(queue::Queue& queue, const queue::SourceGate* source,
                                            queue::Batch& batch);
  using Hold = Gatekeeper::Hold;
  /// The limit of queue, virtual MTA and pools that holds recipients back longest, and until when; `now`:
  /// none.
  [[nodiscard]] Hold next_recipient(const queue::Queue& queue, MonoTime now) const {
    return gatekeeper_.next_recipient(queue, now);
  }
  /// A connection of `queue` goes on under a new configuration: it is counted where that says. True: it is
  /// one too many.
  [[nodiscard]] bool recount(const queue::Queue& queue, Slots& slots);
  /// The same for what it holds of the counts by host and by destination.
  [[nodiscard]] bool recount(Passage& passage);
  enum class Pass : std::uint8_t { Granted, Limited, NoSource };
  /// Chooses the source address for a connection to `to`, the next in rotation that no limit forbids, and
  /// takes what it needs of the counts by host, destination and source into `out`. Behind proxies the first
  /// one counts as long as it can be reached, whatever limits say; what `tries` excludes is left out.
  /// Limited: `again` says when to ask anew.
  [[nodiscard]] Pass pass(queue::Queue& queue, const queue::Snapshot& snapshot, std::string_view host,
                          const Endpoint& to, const ProxyTries& tries, Passage& out, MonoTime& again);
  [[nodiscard]] Proxies& proxies() { return proxies_; }
  /// One more connection attempt of a run: waits for `max-connect-rate`. False: the dispatcher stops.
  [[nodiscard]] runtime::Task<bool> pay_connect(queue::Queue& queue);
  /// The attempt open_connection() has paid for was not made.
  void refund_connect(ConnectGrants& grants);
  /// All hosts are at a limit: no new connection before `again`.
  void hold_connects(queue::Queue& queue, MonoTime again);
  /// The same because of limits that others may make room below: then it is looked at before `again`.
  void hold_for_hosts(queue::Queue& queue, MonoTime again);
  [[nodiscard]] HostLine& host_line() { return host_line_; }
  /// Connections that serve whoever has the same settings must not carry counts of one queue along.
  [[nodiscard]] static bool may_lend(const config::DomainSettings& settings);
  /// `connection` could take more than its queue has: work_available() tells it of more, from its own queue
  /// or another. `exclusive`: a rate lets its own queue go on soon, so nobody else gets it.
  void stand_by(Connection& connection, bool exclusive);
  /// No longer stands by. Harmless for a connection that does not.
  void withdraw(Connection& connection);
  /// Others stand in line for the slot that `connection`, which stands by with nothing under way, holds.
  [[nodiscard]] bool is_in_the_way(Connection& connection) const;
  /// A connection of `queue` that holds `slots` takes no more mail, so that somebody in line has its turn. It
  /// has sent `messages` since `since`.
  [[nodiscard]] bool must_hand_on(Slots& slots, const queue::Queue& queue, std::uint64_t messages,
                                  MonoTime since) const;
  // probation.cc
  /// A connection of `queue` got its first final reply, from `host` (null: unknown): what it holds of the parts
  /// for those who have not answered goes back.
  void answered(queue::Queue& queue, Slots& slots, const IpAddress* host);
  /// False: `host` did not answer others of late, and enough ask it already; the queue is to wait.
  [[nodiscard]] bool may_knock(queue::Queue& queue, Slots& slots, const IpAddress& host);
  [[nodiscard]] Duration connect_timeout(const Slots& slots, const config::DomainSettings& settings) const;
  [[nodiscard]] ReachHistory& history() { return history_; }
  /// The host has greeted it, or it gave up.
  void leave_connecting(Slots& slots) { desk_.give_back(slots, shared_.connecting); }
  /// A connection from the source of `gate` (null: it has none) that ends now costs its queue nothing: the
  /// wait for its rate until `at` is long, and another one may be opened by then.
  [[nodiscard]] bool may_come_back(const queue::Queue& queue, const queue::SourceGate* gate,
                                   MonoTime at) const;
  [[nodiscard]] SpareConnections& spares() { return spares_; }
  [[nodiscard]] HostHabits& habits() { return habits_; }
  [[nodiscard]] SpfGate& spf_gate() { return spf_gate_; }
  /// Lets a connection with room to where `route` leads take from `queue` too, whose settings are `settings`.
  /// False: there is none.
  [[nodiscard]] bool borrow(queue::Queue& queue, const config::DomainSettings& settings,
                            const resolver::RouteAnswer& route);
  /// A connection that took from `queue` as its guest does so no longer; what the queue has left is looked at
  /// then.
  void left(queue::Queue& queue, MonoTime look_again);
  void established(queue::Queue& queue);
  /// Mail was delivered: the retry intervals begin anew, and backoff may end.
  void succeeded(queue::Queue& queue, const SmtpReply& reply);
  /// A connection run failed for the whole queue. `wait`: asked for by a reply rule instead of the interval.
  void failed(queue::Queue& queue, QueueFailureKind kind, const HopFacts* hop, const Failure& failure,
              std::optional<Duration> wait = std::nullopt);
  /// The queue takes no more recipients until its retry interval, or `wait`, is over.
  void rest(queue::Queue& queue, QueueFailureKind kind, std::optional<Duration> wait);
  /// Everything that waits in the queue gets this bounce. `hop`: of the connection that heard why.
  void bounce_all(queue::Queue& queue, Failure failure, const HopFacts& hop);
  /// Mode, pace or source addresses of the queue changed: connections that no longer fit end, and it is
  /// looked at soon.
  void limits_changed(queue::Queue& queue);
  [[nodiscard]] QueueModes& modes() { return modes_; }
  /// All recipients that are ready and whose message is at least `older_than` get this bounce. Sequential:
  /// one lease at a time. `hop`, of the attempt, outlives the task; null: there was none.
  [[nodiscard]] runtime::Task<void> bounce_ready(queue::Queue& queue, Failure failure, journal::Ending ending,
                                                 const HopFacts* hop = nullptr,
                                                 Duration older_than = Duration{0});
  /// The hosts of a rollup queue take no mail any more: its mail finds its way by its own domains again.
  /// False: this is no such queue, or that has been tried a moment ago.
  [[nodiscard]] bool route_lost(queue::Queue& queue);
  /// Zero-copy sends are tried until the kernel has reported kZeroCopyFailuresMax copies in a row.
  static constexpr std::uint32_t kZeroCopyFailuresMax = 8;
  [[nodiscard]] bool zero_copy_pays() const { return zero_copy_failures_ < kZeroCopyFailuresMax; }
  void note_zero_copy(bool spared) { zero_copy_failures_ = spared ? 0 : zero_copy_failures_ + 1; }
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] const std::shared_ptr<const queue::Snapshot>& snapshot() const { return snapshot_; }
  [[nodiscard]] runtime::Reactor& reactor() { return reactor_; }
  [[nodiscard]] resolver::Resolver& resolver() { return resolver_; }
  [[nodiscard]] spool::MessageReader& reader() { return reader_; }
  [[nodiscard]] Settler& settler() { return settler_; }
  [[nodiscard]] const LogLine& log() const { return log_; }
  /// The process has no descriptor left for a connection: no new ones for a moment.
  void note_no_descriptor();
  /// For the log: not repeated over the shards.
  [[nodiscard]] std::uint64_t next_connection_number() {
    return ++connections_begun_ * snapshot_->shards + reactor_.shard().raw();
  }
  [[nodiscard]] const accounting::TimeZone& zone() const { return shared_.zone; }
  /// The shard that may block to start a program.
  [[nodiscard]] ShardId starter() const { return shared_.control; }
  /// Programs of this shard's pipe queues, all together.
  [[nodiscard]] runtime::Semaphore& programs() { return programs_; }
  /// Another queue waits for one of the units of `total-max-file`.
  [[nodiscard]] bool is_file_wanted() const { return shared_.files.is_awaited(); }

 private:
  queue::Queue& queue_for(std::string_view domain, std::string_view vmta);
  // recipient_walk.cc
  runtime::Task<void> walk(RecipientFilter filter, RecipientVisitor& visitor);
  runtime::Task<std::size_t> walk_some(queue::Queue& queue, std::size_t skip, const RecipientFilter& filter,
                                       RecipientVisitor& visitor, bool& stopped);
  // reload.cc
  void find_place(queue::Queue& queue);
  void end_surplus();
  [[nodiscard]] bool awaits_others(const queue::Queue& queue) const;
  void give_up_claim(const std::shared_ptr<queue::IdentityState>& state, const std::string& vmta);
  void all_have_left(const std::string& vmta);
  runtime::Task<void> find_successor(queue::Queue& queue);
  [[nodiscard]] std::optional<config::VmtaId> successor_of(const queue::Queue& queue,
                                                           const spool::MessageView& message);
  // placing.cc
  struct JoinedBy {
    std::shared_ptr<const routing::HostList> route;
    bool setting = false;
    bool is_back = false;  ///< from a rollup that has gone, to the queue of its own domain
  };
  /// A recipient on its way to a queue of whatever shard.
  struct Handed {
    ShardId home;
    Arrival arrival;
    std::string domain;
    std::string vmta;
    JoinedBy by;
  };
  void arrive(const Arrival& arrival, std::string_view domain, std::string_view vmta, const JoinedBy& by);
  enum class Age : std::uint8_t { New, Older };
  /// `Older`: before what is in the queue, see queue::Queue::expect_older().
  void keep(queue::Queue& queue, const Arrival& arrival, Age age = Age::New);
  void pass_on(Handed mail);
  void apply_placement(queue::Queue& queue);
  bool place(queue::Queue& queue, MonoTime now);
  [[nodiscard]] Rollups::Wishes wishes_of(const queue::Queue& queue);
  runtime::Task<void> ask_placement(queue::Queue& queue);
  void note_placement(queue::Queue& queue, const Rollups::Answer& answer);
  void next_in_placing_line();
  // moving.cc
  [[nodiscard]] Arrival arrival_of(const queue::Item& item) const;
  void keep_item(queue::Queue& queue, queue::Item& item, const Arrival& arrival);
  [[nodiscard]] bool has_to_move(const queue::Queue& queue, MonoTime now) const;
  [[nodiscard]] bool may_move(const queue::Queue& queue, std::uint32_t movers) const;
  void start_moving(queue::Queue& queue);
  void next_in_moving_line();
  runtime::Task<void> move(queue::Queue& queue);
  bool cut_slice(queue::Queue& queue, std::vector<Handed>& slice);
  [[nodiscard]] std::optional<Handed> elsewhere(queue::Queue& queue, const Arrival& arrival);
  runtime::Task<void> hand_over(std::vector<Handed> slice);
  runtime::Task<bool> move_home(queue::Queue& queue);
  void take_in(std::string_view domain, std::string_view vmta, const std::vector<Arrival>& mail);
  runtime::Task<void> leave_home(queue::Queue& queue);
  void take_over(std::unique_ptr<queue::Queue> queue);
  runtime::Task<void> dissolve(queue::Queue& queue);
  void apply_settings(queue::Queue& queue);
  void consider_all();
  void consider_each(const std::vector<queue::Queue*>& queues);
  // handing_out.cc
  [[nodiscard]] static std::size_t connections_at_most(const queue::Queue& queue);
  void wake_at(queue::Queue& queue, MonoTime time);
  // schedule_gate.cc
  void admit_scheduled(queue::Queue& queue, queue::Item& item);
  bool screen(queue::Queue& queue, queue::Batch& batch);
  bool postpone(queue::Queue& queue, queue::Item& item, MonoTime not_before, queue::Batch& over);
  void end_over(queue::Queue& queue, queue::Batch over);
  [[nodiscard]] Duration time_left(const queue::Queue& queue, const queue::Item& item) const;
  // slots.cc
  [[nodiscard]] std::vector<Budget> budgets_of(const queue::Queue& queue) const;
  void tell(std::uint32_t shard, Budget budget);
  void tell_of_host(std::uint64_t mask, std::uint32_t place);
  [[nodiscard]] std::string slot_text(const queue::Queue& queue, const queue::SharedBudget& full) const;
  // probation.cc
  void recall_standing(queue::Queue& queue);
  [[nodiscard]] bool has_enough_scouts(const queue::Queue& queue) const;
  [[nodiscard]] std::expected<Slots, const queue::SharedBudget*> take_slots(queue::Queue& queue);
  [[nodiscard]] bool is_fleeting(const queue::SharedBudget& budget) const;
  bool to_penalty(Slots& slots);
  void is_good(queue::Queue& queue);
  void on_slow(Deliverer& one, Slots& slots, Duration silent_for);
  void offer_spare(Connection& connection);
  void ask_to_yield(const queue::Queue& queue, const queue::SharedBudget& full);
  void yield_for(const queue::Queue* who, std::uint32_t priority, const queue::SharedBudget& needed,
                 std::size_t wanted);
  [[nodiscard]] bool counts_for(const queue::Queue& queue, const queue::SharedBudget* budget) const;
  bool open_connection(queue::Queue& queue, MonoTime& again_at);
  [[nodiscard]] bool take_source(const queue::SourceAddress& source, std::optional<std::uint32_t> mx_limit,
                                 queue::Queue& queue, Passage& out, MonoTime& soonest);
  bool open_local(queue::Queue& queue);
  bool borrow_known(queue::Queue& queue);
  runtime::Task<void> run_connection(queue::Queue& opened_for, config::QueueType type, Slots slots,
                                     ConnectGrants grants);
  runtime::Task<void> run_local(queue::Queue& queue, config::QueueType type, Slots slots);
  void note_rate(queue::Queue& queue, HeldBy by);
  void note_withheld(queue::Queue& queue);
  WaitUntil held(queue::Queue& queue, const Hold& hold);
  // queue_upkeep.cc
  void keep_up(queue::Queue& queue);
  void end_rest(queue::Queue& queue);
  void expects_expiry(queue::Queue& queue, const queue::Item& item);
  void expire_old(queue::Queue& queue);
  /// How long until the next report that NOTIFY=DELAY asks for about `item`; nothing: never.
  [[nodiscard]] std::optional<Duration> time_to_delay_report(const queue::Queue& queue,
                                                             const queue::Item& item) const;
  /// Reports what is late by another `notify-of-delay-every`. Answers when to look again, if ever.
  std::optional<Duration> report_delays(queue::Queue& queue);
  runtime::Task<void> report_delayed(queue::Queue& queue, queue::Batch late, Failure last);
  runtime::Task<void> expire(queue::Queue& queue, queue::Batch old, Failure last);
  runtime::Task<void> expire_one(queue::Queue& queue, queue::Item& item, const Failure& last);
  void hold_back(queue::Queue& queue, queue::Item& item) noexcept;
  runtime::Task<void> look_soon(queue::Queue& queue);
  [[nodiscard]] std::optional<config::VmtaId> reroute_member(const queue::Queue& queue,
                                                             std::string_view target);
  /// Where the queue's virtual MTA is rerouted to; nothing: nowhere.
  [[nodiscard]] std::optional<Handed> rerouted(queue::Queue& queue, const Arrival& arrival);
  template <class Act>
  std::size_t for_matching(std::string_view pattern, Act&& act);
  runtime::Task<void> bounce_waiting(queue::Queue& queue, Failure failure, HopFacts hop);
  runtime::Task<void> bounce_refused(queue::Queue& queue, queue::Item& item, Refusal refusal);
  runtime::Task<void> end_refused(queue::Queue& queue, queue::Item& item, const Refusal& refusal);
  void set_timer(queue::Queue& queue, std::optional<MonoTime> extra);
  void forget_if_idle(queue::Queue& queue);
  [[nodiscard]] static std::size_t wanted_connections(const queue::Queue& queue);
  static void on_queue_timer(runtime::Timer& timer);
  static void on_rest_timer(runtime::Timer& timer);

  struct SlowTimer;
  struct RestTimer : runtime::Timer {
    RestTimer(Fire fire, Dispatcher& one) : Timer(fire), owner(one) {}
    Dispatcher& owner;
  };
  runtime::Reactor& reactor_;
  resolver::Resolver& resolver_;
  spool::MessageReader& reader_;
  Settler& settler_;
  queue::ItemPool& items_;
  queue::SharedState& shared_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::shared_ptr<config::DomainSettingsCache> settings_;
  std::shared_ptr<const queue::PauseRules> pauses_;
  queue::QueueTable queues_;
  Gatekeeper gatekeeper_;
  QueueModes modes_;
  std::unordered_map<std::uint32_t, identity::PoolTurns> reroute_turns_;  // by PoolId
  std::uint64_t reroute_turn_ = 0;
  SpareConnections spares_;
  Proxies proxies_;
  SpfGate spf_gate_;
  Rollups rollups_;
  std::span<Dispatcher* const> peers_;
  std::deque<queue::Queue*> placing_line_;
  std::deque<queue::Queue*> moving_line_;
  std::size_t moving_ = 0;
  std::size_t placing_ = 0;
  SlotDesk desk_;
  ReachHistory history_;
  HostHabits habits_;
  HostLine host_line_;
  RestTimer rest_timer_;
  runtime::TaskGroup tasks_;
  std::vector<Deliverer*> running_;
  std::set<const config::DomainSettings*> withheld_said_;  ///< the log has been told of these
  std::set<std::string, std::less<>> awaited_;  ///< virtual MTAs that have queues here waiting for others
  runtime::Semaphore programs_;
  std::uint64_t connections_running_ = 0;
  std::uint64_t connections_begun_ = 0;
  LogLine log_;
  std::vector<std::shared_ptr<Trace>> traces_;  // that wait for a connection
  std::uint32_t zero_copy_failures_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  MonoTime asked_to_yield_{};
  struct Search {
    const queue::SharedBudget* budget = nullptr;  // compared only: may be gone since a reload
    std::uint32_t priority = 0;
    MonoTime until{};
  };
  Search searched_;        // the last search for connections that make room
  bool sweeping_ = false;  ///< going over all queues: none may be removed
};

}  // namespace sluice::delivery
