#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/control/log.h"
#include "engine/delivery/dispatcher.h"
#include "engine/delivery/settler.h"
#include "engine/injection/intake.h"
#include "engine/injection/sink.h"
#include "engine/injection/smtp_listener.h"
#include "engine/journal/storage.h"
#include "engine/queue/snapshot.h"
#include "engine/resolver/precache.h"
#include "engine/resolver/replaceable_transport.h"
#include "engine/resolver/resolver.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/shard/copies.h"
#include "engine/shard/intake_watch.h"
#include "engine/shard/notices.h"
#include "engine/shard/reports.h"

namespace sluice::injection {
class Pickup;
}

namespace sluice::shard {

/// A part of a long list in the order of names.
template <class Row>
struct Slice {
  std::vector<Row> rows;
  std::string next;  ///< what the next slice is asked for with; empty: this was the last
};

/// What a queue looks like to an operator, as far as lists of queues are sorted and narrowed down by it.
struct QueueRow {
  std::string name;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  std::uint32_t connections = 0;
  std::uint32_t shard = 0;
  bool paused = false;
  bool backoff = false;
  bool has_shut = false;  ///< source addresses are disabled for it
  bool in_retry = false;
  Duration retry_in{0};
};

/// The rest of it, for queues that are shown.
struct QueueStatus {
  std::string why;                       ///< why its mail waits now; empty: it goes
  std::optional<Duration> next_attempt;  ///< as far as a time is set
  std::string last_reply;                ///< what it met last; empty: nothing
  WallTime last_reply_time{};
  std::string mode_reason;  ///< why the mode began; empty: it never changed
  std::string pace;  ///< adaptive pacing: "30/min of 100/min, last good 45/min"; empty: not limited by it
  std::vector<queue::QueueEvent> errors;       ///< newest first
  std::vector<queue::QueueEvent> mode_events;  ///< newest first
  struct ShutSource {
    std::string address;
    std::optional<Duration> left;  ///< empty: for ever
    std::string reason;
  };
  std::vector<ShutSource> shut;  ///< disabled source addresses
};

/// Numbers of one shard at one moment; sums over shards make `show status`.
struct ShardStatus {
  std::uint64_t in_messages = 0, in_recipients = 0, in_bytes = 0;
  std::uint64_t out_recipients = 0, out_messages = 0, out_bytes = 0;
  std::uint64_t bounced = 0, deferred = 0, queue_failures = 0;
  std::uint64_t queued_recipients = 0, queued_bytes = 0, queues = 0;
  std::uint64_t names_cached = 0, queries_pending = 0, queries_active = 0;
  std::uint64_t contained = 0;  ///< see runtime::Reactor::Counters
  spool::Spool::Stats spool;
  journal::Journal::Stats journal;
  std::vector<Refused> refused;  ///< what keeps new mail out now, each cause once
  ShardStatus& operator+=(const ShardStatus& other);
};

/// One queue with mail, for sums by type and domain.
struct QueueSum {
  std::size_t domain = 0;  ///< a hash of its name
  config::QueueType type = config::QueueType::Smtp;
  std::uint64_t recipients = 0, bytes = 0;
};

/// Queued recipients and traffic of a virtual MTA on one shard.
struct VmtaStatus {
  std::string name;
  std::uint64_t domains = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  std::uint64_t connections = 0;
};

/// A job's messages stored on one shard.
struct JobStatus {
  std::string name;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  bool paused = false;
};

/// Recipients of a queue that wait and have delivery windows.
struct ScheduleStatus {
  std::string name;
  std::uint64_t waiting = 0;
  WallTime next_opening{};  ///< the earliest; now when one is open and they wait for something else
  WallTime last_end{};      ///< the latest
};

/// Everything that works on one data core: listeners, spool, journal, queues, resolver, connections.
/// Thread:   its reactor's, all of it.
/// Lifetime: constructed on all shards before any is started; destroyed after all are stopped.
class DataShard final : public journal::RecoveredVisitor {
 public:
  /// Opens a way to the name servers a configuration names. Errors: as the transport gives them. Thread: the
  /// shard's.
  using OpenDns = std::function<Result<std::unique_ptr<resolver::DnsTransport>>(
      runtime::Reactor&, const config::GlobalSettings&)>;
  /// What the shards of a node share. Borrowed for the life of the shards.
  struct World {
    journal::StorageWorld& storage;
    queue::SharedState& shared;
    control::Log& log;
    ShardId control;
    std::vector<delivery::Dispatcher*> dispatchers;  ///< [i] set by shard i's constructor
    std::vector<injection::ColdBook*> cold_books;    ///< the same
    OpenDns open_dns = {};  ///< for a reload that changes name servers; empty: they stay as they are
  };

  DataShard(runtime::Reactor& reactor, World& world, std::unique_ptr<resolver::DnsTransport> dns,
            journal::StorageOptions storage);
  ~DataShard() override;

  /// Takes the recovered queue over; recipients go to the shards that own their queues, so set_snapshot() has
  /// been called on every shard before. Listeners open in listen(), when every shard has got that far.
  [[nodiscard]] runtime::Task<Status> start(journal::Recovered& found);
  /// Puts a configuration in force: before start(), and at every reload.
  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  /// Opens what `next` needs and is not open yet: listeners, on which nobody is accepted before listen(), and
  /// the way to other name servers. Errors say which; nothing new is open then.
  [[nodiscard]] std::expected<void, std::string> prepare(const queue::Snapshot& next);
  /// Closes what prepare() has opened: the configuration does not come after all.
  void drop_prepared();
  /// Takes what was prepared into use for the snapshot in force, and begins delivery, the first time.
  /// Listeners that are gone from the configuration accept nobody any more; their sessions go on to their own
  /// end.
  void listen();
  /// Ends sessions and deliveries, both within `grace`.
  [[nodiscard]] runtime::Task<Status> stop_traffic(Duration grace);
  /// When every shard's traffic has stopped: what it has left behind ends, then the logs.
  [[nodiscard]] runtime::Task<Status> stop_storage();

  [[nodiscard]] ShardId id() const { return reactor_.shard(); }
  [[nodiscard]] ShardStatus status() const;
  // --- Lists come in slices (shard_listings.cc): `after` is the `next` of the slice before, empty for the first.
  [[nodiscard]] const injection::ColdBook& cold_book() const { return cold_book_; }
  /// All queues with mail, by name.
  [[nodiscard]] Slice<QueueSum> queue_sums(std::string_view after) const;
  [[nodiscard]] Slice<QueueRow> queues(std::string_view pattern, std::string_view after) const;
  /// In the order of the names; nothing is said of queues that are gone.
  [[nodiscard]] std::vector<QueueStatus> queue_details(const std::vector<std::string>& names) const;
  /// Sums over the queues of this slice.
  [[nodiscard]] Slice<VmtaStatus> vmtas(std::string_view after) const;
  [[nodiscard]] Slice<JobStatus> jobs(std::string_view after);
  [[nodiscard]] Slice<ScheduleStatus> schedules(std::string_view pattern, std::string_view after) const;
  /// Somebody has set the calendar clock.
  void clock_was_set(runtime::LastingClock clock);
  /// Keeps a small text for the next start (Settler::remember).
  void remember(std::string_view key, std::string_view value) { settler_.remember(key, value); }
  /// For messages stored here. On every shard, and then, to resume, dispatcher().release_parked() on every
  /// shard.
  void pause_job(const std::string& name, bool paused);
  [[nodiscard]] delivery::Dispatcher& dispatcher() { return dispatcher_; }
  [[nodiscard]] resolver::Resolver& resolver() { return resolver_; }
  [[nodiscard]] const resolver::Precache& precache() const { return precache_; }
  /// Endpoints really bound, with the ports the system chose for port 0.
  [[nodiscard]] std::vector<Endpoint> endpoints() const;

  void recovered(spool::StoredMessage& message,
                 std::span<const journal::RecoveredRecipient> recipients) override;

 private:
  /// Messages whose windows are read at a time, after a start.
  static constexpr std::uint64_t kReadersMax = 16;
  static constexpr Duration kReadAgain = 1s;
  /// A recovered recipient on its way back to its queue.
  struct Returning {
    delivery::Arrival arrival;
    std::string domain;
    std::string vmta;
    std::optional<delivery::Refusal> refusal;
  };
  void admit(std::vector<Returning> all, const std::shared_ptr<const schedule::Windows>& windows);
  runtime::Task<void> read_schedules();

  runtime::Reactor& reactor_;
  World& world_;
  control::ShardLog log_;
  resolver::ReplaceableTransport dns_;
  resolver::Resolver resolver_;
  resolver::Precache precache_;
  journal::Storage storage_;
  queue::ItemPool items_;
  delivery::LostRecipients lost_;
  delivery::Settler settler_;
  delivery::Dispatcher dispatcher_;
  injection::ColdBook cold_book_;
  injection::Intake intake_;
  Notices notices_;
  Copies copies_;
  Reports reports_;
  std::unique_ptr<injection::Pickup> pickup_;  // on the first shard only
  std::deque<std::vector<Returning>> unread_;
  runtime::TaskGroup tasks_;
  bool stopping_ = false;
  using Listeners = std::vector<std::unique_ptr<injection::SmtpListener>>;
  [[nodiscard]] static Listeners::iterator find(Listeners& in, const config::SmtpListener& wanted);
  Listeners listeners_;
  Listeners prepared_;
  Listeners closed_;                          // gone from the configuration, perhaps with sessions
  std::optional<injection::SinkPlace> sink_;  // on the first shard only
  std::unique_ptr<resolver::DnsTransport> prepared_dns_;
};

}  // namespace sluice::shard
