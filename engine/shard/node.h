#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/accounting/local_zone.h"
#include "engine/control/command.h"
#include "engine/control/log.h"
#include "engine/journal/recovery.h"
#include "engine/journal/storage.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/mailbox.h"
#include "engine/shard/clock_watch.h"
#include "engine/shard/data_shard.h"
#include "engine/shard/host_system.h"
#include "engine/shard/intake_watch.h"
#include "engine/shard/listing.h"
#include "engine/shard/memory_watch.h"
#include "engine/shard/spool_places.h"
#include "engine/shard/traffic_history.h"
#include "policy/config/config.h"
#include "policy/config/diagnostic.h"

namespace sluice::accounting {
struct AcctRecord;
struct KnownOfAccounting;
class AccountingWriter;
}  // namespace sluice::accounting
namespace sluice::journal {
class Checkpointer;
}

namespace sluice::shard {

/// The whole daemon but for threads and signals: recovery, data shards, accounting, commands, reload,
/// shutdown. The same code runs on io_uring and in the simulated world; only `launch` differs. Thread:   the
/// control shard's, all of it. Lifetime: stop() has answered before destruction (asserted). `control` and
/// `boxes` outlive it.
class Node {
 public:
  static constexpr Duration kGrace = 10s;  ///< transactions under way may take this long at a shutdown
  /// The whole of stop(): what hangs (a disk, a peer, a program) is given up then.
  static constexpr Duration kStopMax = 25s;

  struct Settings {
    std::uint32_t shards = 1;                  ///< data shards; the control shard is number `shards`
    std::function<config::LoadResult()> load;  ///< reads the configuration again
    journal::StorageOptions storage;           ///< directories are filled in
    bool command_socket = true;
    HostSystem host = {};
    DataShard::OpenDns open_dns = {};               ///< see DataShard::World
    accounting::ZoneChoice zone = {};               ///< of what people read
    std::vector<config::Diagnostic> findings = {};  ///< of the configuration that start() is given
  };
  /// Makes the data shards' threads (or simulated counterparts): each constructs a DataShard with `world` and
  /// `storage` on its own thread and then calls shard_ready() on the control shard.
  using Launch = std::function<void(DataShard::World& world, const journal::StorageOptions& storage)>;

  Node(runtime::Reactor& control, runtime::Mailboxes& boxes, Settings settings);
  ~Node();

  /// Until mail flows. Errors: in words, for the operator.
  [[nodiscard]] runtime::Task<std::expected<void, std::string>> start(
      std::shared_ptr<const config::Config> config, Launch launch);
  void shard_ready(DataShard& shard);
  /// Finishes what is under way, makes everything durable. The shards' reactors are left for the caller to
  /// stop.
  /// Limits: kStopMax. Then gave_up() names what has not ended, and nothing of the node may be destroyed: the process
  /// has to end as it stands, which loses nothing that was acknowledged.
  [[nodiscard]] runtime::Task<void> stop();
  /// Empty: stop() has ended everything.
  [[nodiscard]] const std::string& gave_up() const { return gave_up_; }

  /// Resolves when a shutdown was asked for, by command or request_shutdown().
  [[nodiscard]] auto shutdown_requested() { return shutdown_.wait(); }
  void request_shutdown() { shutdown_.open(); }
  /// Loads the configuration again; on any error nothing changes. Answers what to tell the operator.
  enum class Reload : std::uint8_t { Apply, DryRun };  ///< DryRun: only says what would change
  [[nodiscard]] runtime::Task<control::Answer> reload(Reload how = Reload::Apply);
  /// Carries a command out. The whole answer, as the command asks for it: for tests and callers inside.
  [[nodiscard]] runtime::Task<control::Answer> execute(control::Command command);

  [[nodiscard]] control::Log& log() { return log_; }
  [[nodiscard]] const journal::RecoveryReport& recovery() const { return found_->report(); }
  [[nodiscard]] const std::vector<DataShard*>& shards() const { return shards_; }
  [[nodiscard]] const std::shared_ptr<const queue::Snapshot>& snapshot() const { return snapshot_; }
  [[nodiscard]] runtime::Task<ShardStatus> total_status();

 private:
  [[nodiscard]] static std::string socket_path(const config::GlobalSettings& global);
  runtime::Task<std::expected<void, std::string>> open_log(const config::GlobalSettings& global);
  runtime::Task<std::expected<void, std::string>> start_shards();
  runtime::Task<std::expected<void, std::string>> open_commands(const config::GlobalSettings& global);
  // recovery.cc
  runtime::Task<std::expected<void, std::string>> recover_spool(const config::GlobalSettings& global);
  [[nodiscard]] accounting::KnownOfAccounting known_of_accounting() const;
  runtime::Task<void> end_acceptance();
  runtime::Task<void> mark_clean_stop();
  runtime::Task<std::expected<void, std::string>> start_accounting();
  runtime::Task<void> stop_accounting();
  /// `disable-acct-records` of the record's queue.
  [[nodiscard]] bool is_disabled(const accounting::AcctRecord& record);
  /// For `show status`.
  [[nodiscard]] std::string accounting_text() const;
  runtime::Task<std::expected<void, std::string>> reload_accounting(const queue::Snapshot& next);
  runtime::Task<control::Answer> rotate_accounting(const control::Command& command);
  runtime::Task<void> sample_traffic();
  runtime::Task<void> look_around();
  runtime::Task<void> watch_memory();
  runtime::Task<void> begin_clock();
  runtime::Task<void> keep_clock();
  runtime::Task<void> watch_clock();
  /// Says what keeps new mail out when that begins or ends.
  void watch_intake(const ShardStatus& now);
  /// For `show status`; empty when nothing does.
  [[nodiscard]] std::string refused_text() const;
  runtime::Task<void> start_storage(DataShard& shard, Status& status);
  // stop.cc
  class StopStep;
  runtime::Task<void> stop_in_order();
  runtime::Task<void> stop_log();
  [[nodiscard]] runtime::Task<bool> ends_within(const bool& ended, Duration at_most);
  runtime::Task<void> stop_traffic(DataShard& shard);
  runtime::Task<void> stop_storage(DataShard& shard);
  runtime::Task<void> spread_snapshot();
  /// Runs `act` on every data shard, on all at the same time.
  runtime::Task<void> on_all_shards(std::function<void(DataShard&)> act);
  runtime::Task<void> on_shard(DataShard& shard, const std::function<void(DataShard&)>& act);
  // reload.cc
  runtime::Task<control::Answer> load_and_apply(Reload how);
  runtime::Task<std::expected<void, std::string>> prepare_shards(std::shared_ptr<const queue::Snapshot> next);
  [[nodiscard]] std::string changes_text(const queue::Snapshot& next) const;
  // start_checks.cc
  void log_findings(std::span<const config::Diagnostic> findings, config::Severity severity);
  void log_absent_sources();
  runtime::Task<void> log_listeners();
  /// No other process listens where `next` does and we do not yet.
  runtime::Task<std::expected<void, std::string>> listeners_free(const queue::Snapshot& next);
  // status.cc
  runtime::Task<QueueSums> sum_queues(const ShardStatus& now);
  runtime::Task<control::Answer> show_status();
  [[nodiscard]] std::shared_ptr<control::Tree> status_tree(const ShardStatus& now,
                                                           const QueueSums& queues) const;
  [[nodiscard]] control::Answer show_version() const;
  runtime::Task<control::Answer> reset_counters();
  // commands.cc
  /// Long lists go to `reply`, see control::CommandHandler.
  runtime::Task<control::Answer> run(const control::Command& typed, control::Reply& reply);
  /// The handler of its row. Requires a command that was understood.
  runtime::Task<control::Answer> carry_out(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> rotate_log();
  runtime::Task<control::Answer> show_queues(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> show_schedule(const control::Command& command, control::Reply& reply);
  runtime::Task<std::vector<VmtaRow>> vmta_rows();
  runtime::Task<control::Answer> show_pools(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> show_vmtas(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> show_settings(const control::Command& command);
  [[nodiscard]] control::Answer show_vmta_settings(const control::Command& command) const;
  [[nodiscard]] control::Answer explain(const control::Command& command) const;
  runtime::Task<control::Answer> schedule(const control::Command& command);
  [[nodiscard]] control::Answer test_configuration(const control::Command& command);
  runtime::Task<control::Answer> clear_dns_cache(const control::Command& command);
  // dns_commands.cc
  runtime::Task<control::Answer> resolve(const control::Command& command);
  runtime::Task<control::Answer> show_precache();
  runtime::Task<control::Answer> check_spf(const control::Command& command);
  // queue_commands.cc
  /// Queues that match and are behind the name `after`, shard by shard in the order of names, until `take` answers
  /// false for a shard.
  runtime::Task<void> walk_queues(std::string pattern, std::string after,
                                  std::function<bool(QueueRow&&)> take);
  /// Offers all domains of the queues that match; answers how many there are.
  runtime::Task<DomainTotals> sum_domains(std::string pattern, std::optional<bool> connected,
                                          FirstRows<DomainRow>& rows);
  runtime::Task<std::vector<QueueRow>> queues_of(std::string domain, std::string vmta);
  /// What to say to somebody whose QUEUE matches nothing: which queues of that domain there are. One line with its end.
  runtime::Task<std::string> no_queue_text(std::string pattern);
  /// The same behind a list or a count that is empty; nothing when the pattern says what it means.
  runtime::Task<std::string> empty_hint(std::string pattern);
  runtime::Task<control::Answer> show_domains(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> show_disabled_sources(const control::Command& command,
                                                       control::Reply& reply);
  runtime::Task<control::Answer> set_queue(const control::Command& command);
  runtime::Task<control::Answer> trace(const control::Command& command);
  // pause_commands.cc
  runtime::Task<control::Answer> pause_queues(const control::Command& command, bool paused);
  [[nodiscard]] control::Answer show_pauses() const;
  [[nodiscard]] std::string strange_source(const IpAddress& address, std::string_view pattern) const;
  runtime::Task<control::Answer> switch_source(const control::Command& command, bool enable);
  // recipient_commands.cc
  /// All jobs with mail or a pause, in the order of names behind `after`, until `take` answers false.
  runtime::Task<void> walk_jobs(std::string after, std::function<bool(JobStatus&&)> take);
  runtime::Task<control::Answer> show_jobs(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> pause_job(const control::Command& command, bool paused);
  runtime::Task<delivery::RecipientCount> count_recipients(const delivery::RecipientFilter& filter);
  runtime::Task<control::Answer> delete_recipients(const control::Command& command);
  runtime::Task<control::Answer> list_recipients(const control::Command& command, control::Reply& reply);
  runtime::Task<control::Answer> set_priority(const control::Command& command);
  runtime::Task<control::Answer> for_queues(
      const control::Command& command, std::size_t first_word,
      std::function<std::size_t(delivery::Dispatcher&, const std::string&)> act, std::string done);

  runtime::Reactor& control_;
  runtime::Mailboxes& boxes_;
  Settings settings_;
  queue::SharedState shared_;
  control::Log log_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::unique_ptr<journal::Recovered> found_;
  SpoolPlaces spools_;
  std::unique_ptr<journal::StorageWorld> storage_;
  std::unique_ptr<DataShard::World> world_;
  std::vector<DataShard*> shards_;
  std::size_t shards_ready_ = 0;
  runtime::Gate all_ready_;
  runtime::Gate shutdown_;
  std::unique_ptr<journal::Checkpointer> checkpointer_;
  std::unique_ptr<accounting::AccountingWriter> accounting_;
  /// The configuration that is_disabled() last saw; the settings only when a domain disables records.
  std::shared_ptr<const config::Config> accounting_config_;
  std::unique_ptr<config::DomainSettingsCache> accounting_settings_;
  std::unique_ptr<control::CommandServer> commands_;
  runtime::TaskGroup tasks_;
  runtime::Wakeup sampler_;
  MemoryWatch memory_;
  ClockWatch clock_;
  std::vector<Endpoint> listening_;  // as the log knows it
  IntakeWatch intake_watch_;
  runtime::Semaphore reloading_;
  runtime::Semaphore pausing_;
  std::shared_ptr<const queue::PauseRules> pauses_;  // in force on all shards
  Slices slices_;
  runtime::Semaphore summing_;  // sums of all domains, for one command at a time
  TrafficHistory inbound_;
  TrafficHistory outbound_;
  WallTime started_{};     // on the calendar
  MonoTime started_at_{};  // for the uptime
  bool stopping_ = false;
  bool storage_started_ = false;
  // stop.cc
  runtime::TaskGroup stop_tasks_;
  runtime::Wakeup stop_wakeup_;
  std::vector<const StopStep*> stop_steps_;  // those under way
  bool stopped_ = false;
  bool log_stopped_ = false;
  std::string gave_up_;
  bool storage_stopped_ = true;  // every shard's, without an error
  // recovery.cc
  bool ready_ = false;
  bool accepts_damage_ = false;  // SPOOL/accept-damage was there at the start
};

}  // namespace sluice::shard
