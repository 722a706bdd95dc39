// A new configuration for a running node: all of it or nothing.
//
//   load -> snapshot -> log, listeners, name servers, accounting: what can fail, and is taken back when
//   something behind it does -> in force: shared limits, then every shard
#include "engine/accounting/accounting_writer.h"
#include "engine/accounting/file_specs.h"
#include "engine/shard/node.h"
#include "policy/config/difference.h"
#include "policy/config/listing.h"

namespace sluice::shard {

runtime::Task<control::Answer> Node::reload(Reload how) {
  // One at a time: a second one waits, and then loads what is there by then.
  if (stopping_) co_return control::Answer::error("The server is shutting down.\n");
  co_await reloading_.take(1);
  control::Answer answer = co_await load_and_apply(how);
  reloading_.give(1);
  co_return answer;
}

runtime::Task<control::Answer> Node::load_and_apply(Reload how) {
  const config::LoadResult loaded = settings_.load();
  std::string text = config::format(loaded.diagnostics);
  const auto refuse = [&](const std::string& why) {
    log_findings(loaded.diagnostics, config::Severity::Error);
    log_.write(why.empty() ? "Reload refused, the old configuration stays"
                           : "Reload refused, the old configuration stays: " + why);
    return control::Answer::error(text + (why.empty() ? why : why + '\n') + "Configuration not reloaded.\n");
  };
  if (!loaded.ok()) co_return refuse({});
  auto made = queue::make_snapshot(loaded.config, settings_.shards, control_.local_addresses(),
                                   {control_.now(), control_.lasting_now()}, shared_, snapshot_.get());
  if (!made) co_return refuse(made.error());
  if (const auto behind = mail_left_behind(control_, spools_, loaded.config->spools))
    co_return refuse(*behind);
  const std::shared_ptr<const queue::Snapshot> next = *made;
  const config::Config& before = *snapshot_->config;
  for (const std::string& one : config::needs_restart(before, *next->config)) {
    text += "takes effect at the next start: " + one + '\n';
  }
  if (how == Reload::DryRun) {
    const auto accounting = accounting::check_files(next->config->acct_files);
    if (!accounting) co_return refuse(accounting.error());
    const std::string changes = changes_text(*next);
    co_return control::Answer{true, text + (changes.empty() ? "Nothing would change.\n" : changes) +
                                        "Dry run: configuration not reloaded.\n"};
  }
  if (auto opened = co_await open_log(next->config->globals); !opened) co_return refuse(opened.error());
  auto ready = co_await prepare_shards(next);
  if (ready) ready = co_await reload_accounting(*next);
  if (!ready) {
    co_await on_all_shards([](DataShard& shard) { shard.drop_prepared(); });
    (void)co_await open_log(before.globals);
    co_return refuse(ready.error());
  }
  snapshot_ = next;
  queue::apply_limits(*snapshot_, shared_, control_.now());
  co_await spread_snapshot();
  co_await on_all_shards([](DataShard& shard) { shard.listen(); });
  co_await log_listeners();
  log_.write("Configuration reloaded");
  log_findings(loaded.diagnostics, config::Severity::Warning);
  log_absent_sources();
  for (const std::string& line : config::pending_lines(*next->config)) log_.write(line);
  co_return control::Answer{true, text + "Configuration reloaded.\n"};
}

runtime::Task<std::expected<void, std::string>> Node::prepare_shards(
    std::shared_ptr<const queue::Snapshot> next) {
  if (auto free = co_await listeners_free(*next); !free) co_return free;
  // One after the other: the first error is enough.
  for (DataShard* shard : shards_) {
    auto prepared =
        co_await runtime::call_on(control_, shard->id(), [shard, &next] { return shard->prepare(*next); });
    if (!prepared) co_return prepared;
  }
  co_return std::expected<void, std::string>();
}

std::string Node::changes_text(const queue::Snapshot& next) const {
  std::string out = config::difference_text(*snapshot_->config, *next.config);
  const auto place = [](const std::optional<ShardId>& home) {
    return home ? "shard " + std::to_string(home->raw()) : std::string("all shards, by domain");
  };
  for (const config::VmtaId id : next.moved) {
    const queue::Identity& identity = next.identity(id);
    const auto old = snapshot_->config->find_vmta(identity.name);
    if (!old) continue;
    out += "<virtual-mta " + identity.name +
           "> moves with its mail: " + place(snapshot_->identity(*old).home) + " -> " + place(identity.home) +
           '\n';
  }
  return out;
}

}  // namespace sluice::shard
