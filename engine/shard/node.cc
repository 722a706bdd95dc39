#include "engine/shard/node.h"

#include <algorithm>

#include "engine/accounting/accounting_writer.h"
#include "engine/journal/checkpointer.h"
#include "engine/journal/clean_stop.h"
#include "engine/runtime/boundary.h"
#include "policy/base/assert.h"
#include "policy/base/version.h"
#include "policy/config/listing.h"

namespace sluice::shard {
namespace {

control::LogOptions log_options(const config::GlobalSettings& global) {
  return {.path = global.log_file,
          .world_readable = global.log_file_world_readable,
          .kept = std::min(global.log_rotate, control::Log::kKeptMax),
          .daily = global.log_auto_rotation};
}

}  // namespace

Node::Node(runtime::Reactor& control, runtime::Mailboxes& boxes, Settings settings)
    : control_(control),
      boxes_(boxes),
      settings_(std::move(settings)),
      log_(control, shared_.zone),
      shards_(settings_.shards),
      all_ready_(control),
      shutdown_(control),
      sampler_(control),
      reloading_(control, 1),
      pausing_(control, 1),
      slices_(control, shards_),
      summing_(control, 1),
      stop_wakeup_(control) {}

std::string Node::socket_path(const config::GlobalSettings& global) {
  return global.control_socket.empty() ? global.run_dir + "/control" : global.control_socket;
}

void Node::shard_ready(DataShard& shard) {
  // Not looked up in world_->dispatchers: the shards that are not ready yet still write there.
  shards_[shard.id().raw()] = &shard;
  if (++shards_ready_ == shards_.size()) all_ready_.open();
}

runtime::Task<std::expected<void, std::string>> Node::start(std::shared_ptr<const config::Config> config,
                                                            Launch launch) {
  const config::GlobalSettings& global = config->globals;
  started_ = control_.wall_now();
  started_at_ = control_.now();
  shared_.zone = co_await accounting::read_local_zone(control_, settings_.zone);
  // Before anything is touched: whoever would take another one's place is stopped here. And whoever sees a listener
  // finds the socket, too.
  std::expected<void, std::string> opened;
  if (settings_.command_socket) {
    auto result = co_await open_commands(global);
    opened = std::move(result);
  }
  // After a failure, too: it is logged, unless the other one writes there.
  const auto logged = co_await open_log(global);
  if (opened && !logged) opened = logged;
  if (!opened) co_return opened;
  log_.write(std::string(own_product()) + " starting, " + std::to_string(settings_.shards) + " shards");
  for (const std::string& line : config::pending_lines(*config)) log_.write(line);
  auto spools = co_await settle_spools(control_, config->spools, settings_.storage.spool.min_free_disk_bytes);
  if (!spools) co_return std::unexpected(spools.error());
  spools_ = std::move(*spools);
  for (const std::string& note : spools_.notes) log_.write(note);
  if (auto recovered = co_await recover_spool(global); !recovered) co_return recovered;
  co_await begin_clock();
  shared_.remembered.set_start(control_.now());
  shared_.control = control_.shard();
  found_->for_each_state(
      {},
      [](void* remembered, std::string_view key, std::string_view value) {
        static_cast<queue::Remembered*>(remembered)->put(key, value);
      },
      &shared_.remembered);
  auto pauses = std::make_shared<queue::PauseRules>();
  found_->for_each_state(
      queue::Remembered::kPause,
      [](void* rules, std::string_view key, std::string_view value) {
        static_cast<queue::PauseRules*>(rules)->restore(key.substr(queue::Remembered::kPause.size()), value);
      },
      pauses.get());
  shared_.pauses = pauses_ = std::move(pauses);
  auto made = queue::make_snapshot(config, settings_.shards, control_.local_addresses(),
                                   {control_.now(), control_.lasting_now()}, shared_, nullptr);
  if (!made) co_return std::unexpected(made.error());
  snapshot_ = *made;
  queue::apply_limits(*snapshot_, shared_, control_.now());
  storage_ = std::make_unique<journal::StorageWorld>(spools_.main, *found_);
  world_ = std::make_unique<DataShard::World>(DataShard::World{
      .storage = *storage_, .shared = shared_, .log = log_, .control = control_.shard(), .dispatchers = {}});
  world_->open_dns = settings_.open_dns;
  world_->dispatchers.resize(settings_.shards);
  world_->cold_books.resize(settings_.shards);
  journal::StorageOptions storage = settings_.storage;
  storage.spool.places = spools_.places;
  launch(*world_, storage);
  co_await all_ready_.wait();
  if (auto accounted = co_await start_accounting(); !accounted) co_return accounted;
  journal::CheckpointerOptions checkpoints{.root = spools_.main,
                                           .due_at_once = found_->report().journal_holes || accepts_damage_,
                                           .note = [this](std::string line) { log_.write(std::move(line)); }};
  checkpointer_ =
      std::make_unique<journal::Checkpointer>(control_, storage_->directory(), std::move(checkpoints));
  co_await watch_memory();  // before the first MAIL
  if (auto started = co_await start_shards(); !started) co_return started;
  co_await keep_clock();
  found_->drop_live();
  tasks_.spawn(checkpointer_->run());
  tasks_.spawn(sample_traffic());
  if (commands_) commands_->start();
  const ShardStatus first = co_await total_status();
  watch_intake(first);
  co_await log_listeners();
  const auto warnings =
      std::ranges::count(settings_.findings, config::Severity::Warning, &config::Diagnostic::severity);
  if (warnings != 0)
    log_.write("The configuration has " + std::to_string(warnings) +
               " warning(s); `sluice check` lists them");
  log_absent_sources();
  log_.write(intake_watch_.standing().empty() ? "Ready"
                                              : "Ready to deliver, but new mail is refused for now");
  ready_ = true;
  co_return std::expected<void, std::string>();
}

runtime::Task<std::expected<void, std::string>> Node::open_log(const config::GlobalSettings& global) {
  control::LogOptions options = log_options(global);
  const Status opened = co_await log_.open(std::move(options));
  if (opened) co_return std::expected<void, std::string>();
  if (opened.error().code == Errc::Timeout) {
    co_return std::unexpected("another sluiced is writing log-file " + global.log_file +
                              "; stop that one, or give each a log-file of its own");
  }
  co_return std::unexpected("cannot open log-file " + global.log_file + ": " + opened.error().text());
}

runtime::Task<std::expected<void, std::string>> Node::open_commands(const config::GlobalSettings& global) {
  if (const Status there = control_.make_directories(global.run_dir, 0755); !there)
    co_return std::unexpected("cannot make run-dir " + global.run_dir + ": " + there.error().text() +
                              "; set run-dir to a folder that can be made");
  commands_ = std::make_unique<control::CommandServer>(
      control_,
      [this](const control::Command& command, control::Reply& reply) { return run(command, reply); });
  co_return co_await commands_->open(socket_path(global));
}

runtime::Task<std::expected<void, std::string>> Node::start_shards() {
  // From here on things are written.
  const Status unmarked = co_await journal::remove_clean_stop(control_, spools_.main);
  if (!unmarked)
    co_return std::unexpected("cannot take away " + spools_.main + "/clean-stop: " + unmarked.error().text());
  storage_started_ = true;
  co_await spread_snapshot();
  std::vector<Status> started(shards_.size());
  runtime::TaskGroup starting;
  for (std::size_t i = 0; i < shards_.size(); ++i) starting.spawn(start_storage(*shards_[i], started[i]));
  co_await starting.join();
  for (const Status& one : started) {
    if (!one) co_return std::unexpected("cannot start the spool: " + one.error().text());
  }
  // Listeners last: with every queue in place, the first new message already finds its home.
  if (auto prepared = co_await prepare_shards(snapshot_); !prepared) co_return prepared;
  co_await on_all_shards([](DataShard& shard) { shard.listen(); });
  co_return std::expected<void, std::string>();
}

runtime::Task<void> Node::start_storage(DataShard& shard, Status& status) {
  status =
      co_await runtime::run_on<Status>(control_, shard.id(), [&shard, this] { return shard.start(*found_); });
}

runtime::Task<void> Node::on_shard(DataShard& shard, const std::function<void(DataShard&)>& act) {
  co_await runtime::call_on(control_, shard.id(), [&shard, &act] { act(shard); });
}

runtime::Task<void> Node::on_all_shards(std::function<void(DataShard&)> act) {
  runtime::TaskGroup acting;
  for (DataShard* shard : shards_) acting.spawn(on_shard(*shard, act));
  co_await acting.join();
}

runtime::Task<void> Node::spread_snapshot() {
  return on_all_shards([snapshot = snapshot_](DataShard& shard) { shard.set_snapshot(snapshot); });
}

runtime::Task<ShardStatus> Node::total_status() {
  ShardStatus sum;
  sum.contained = control_.counters().contained;
  for (DataShard* shard : shards_) {
    const ShardStatus one =
        co_await runtime::call_on(control_, shard->id(), [shard] { return shard->status(); });
    sum += one;
  }
  co_return sum;
}

/// Before anything looks at a time that the process before has stored.
runtime::Task<void> Node::begin_clock() {
  const Result<std::string> boot_id =
      co_await runtime::read_small_file(control_, "/proc/sys/kernel/random/boot_id", 4 * kKiB);
  std::string_view id = boot_id ? std::string_view(*boot_id) : std::string_view();
  id = id.substr(0, id.find('\n'));
  const ClockWatch::Before before{found_->state(ClockWatch::kStateKey), found_->last_written()};
  const auto line = clock_.begin(before, id, {control_.now(), control_.wall_now()});
  if (line) log_.write(*line);
  shared_.clock = clock_.clock();
  control_.keep_time(shared_.clock);
}

runtime::Task<void> Node::keep_clock() {
  if (found_->state(ClockWatch::kStateKey) == clock_.text()) co_return;
  DataShard* const first = shards_.front();
  const std::string text = clock_.text();
  co_await runtime::call_on(control_, first->id(),
                            [first, &text] { first->remember(ClockWatch::kStateKey, text); });
}

runtime::Task<void> Node::watch_clock() {
  const auto line = clock_.look({control_.now(), control_.wall_now()});
  if (!line) co_return;
  log_.write(*line);
  control_.keep_time(clock_.clock());
  const std::function<void(DataShard&)> tell = [this](DataShard& shard) {
    shard.clock_was_set(clock_.clock());
  };
  co_await on_all_shards(tell);
  co_await keep_clock();
}

runtime::Task<void> Node::watch_memory() {
  const std::shared_ptr<const config::Config> config = snapshot_->config;
  const config::GlobalSettings& global = config->globals;
  std::optional<HostMemory> memory;
  const Result<std::string> text = co_await runtime::read_small_file(control_, "/proc/meminfo", 64 * kKiB);
  if (text) memory = parse_meminfo(*text);
  const std::string line = memory_.look(memory, global.max_memory_usage_percent);
  if (!line.empty()) log_.write(line);
  shared_.pressure.memory_short.store(memory_.is_short(), std::memory_order_relaxed);
  shared_.pressure.recipients_max.store(recipients_max(global, memory), std::memory_order_relaxed);
}

runtime::Task<void> Node::sample_traffic() {
  while (!stopping_) {
    try {
      co_await look_around();
    } catch (...) {
      runtime::note_contained(
          control_, [this](std::string line) { log_.write(line); }, "looking at the node");
    }
    co_await runtime::sleep_for(control_, 1s);
  }
}

runtime::Task<void> Node::look_around() {
  co_await watch_memory();
  co_await watch_clock();
  co_await end_acceptance();
  const ShardStatus now = co_await total_status();
  watch_intake(now);
  inbound_.sample({now.in_recipients, now.in_messages, now.in_bytes});
  outbound_.sample({now.out_recipients, now.out_messages, now.out_bytes});
}

}  // namespace sluice::shard
