// The commands of the `sluice` command line, answered by the node. Layouts follow PowerMTA's, because tools
// read them.
#include <fmt/format.h>

#include <algorithm>

#include "engine/control/command_help.h"
#include "engine/control/command_table.h"
#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "policy/base/ascii.h"
#include "policy/config/listing.h"

namespace sluice::shard {
namespace {

/// A long answer, kept.
class Whole final : public control::Reply::Sink {
 public:
  runtime::Task<bool> take(std::string bytes) override {
    text += bytes;
    co_return true;
  }
  std::string text;
};

}  // namespace

runtime::Task<control::Answer> Node::execute(control::Command command) {
  Whole whole;
  control::Reply reply(command, whole);
  control::Answer answer = co_await run(command, reply);
  if (!reply.begun()) co_return control::in_format(command, std::move(answer));
  [[maybe_unused]] const bool read = co_await reply.end();
  co_return control::Answer{true, std::move(whole.text)};
}

runtime::Task<control::Answer> Node::run(const control::Command& typed, control::Reply& reply) {
  const auto command = control::understand(typed);
  if (!command) co_return control::Answer::error(command.error());
  if (auto answer = control::answer_alone(*command)) co_return std::move(*answer);
  co_return co_await carry_out(*command, reply);
}

runtime::Task<control::Answer> Node::carry_out(const control::Command& command, control::Reply& reply) {
  using enum control::CommandId;
  switch (command.row->id) {
    case ShowStatus: co_return co_await show_status();
    case ShowVersion: co_return show_version();
    case ShowQueues:
    case ShowTopQueues: co_return co_await show_queues(command, reply);
    case ShowDomains:
    case ShowTopDomains: co_return co_await show_domains(command, reply);
    case ShowVmtas: co_return co_await show_vmtas(command, reply);
    case ShowPools: co_return co_await show_pools(command, reply);
    case ShowJobs: co_return co_await show_jobs(command, reply);
    case ShowSchedule: co_return co_await show_schedule(command, reply);
    case ShowSettings: co_return co_await show_settings(command);
    case ShowVmtaSettings: co_return show_vmta_settings(command);
    case ShowDisabledSources: co_return co_await show_disabled_sources(command, reply);
    case ShowPrecache: co_return co_await show_precache();
    case Explain: co_return explain(command);
    case List: co_return co_await list_recipients(command, reply);
    case Delete: co_return co_await delete_recipients(command);
    case PauseQueue: co_return co_await pause_queues(command, true);
    case ResumeQueue: co_return co_await pause_queues(command, false);
    case ShowPauses: co_return show_pauses();
    case PauseJob: co_return co_await pause_job(command, true);
    case ResumeJob: co_return co_await pause_job(command, false);
    case ResumeDomain: {
      // All of a domain's deferred mail. A pause is not undone: that is `resume queue`.
      control::Command all{.words = {"schedule", command.words[2]}, .options = {{"retry-recipients", ""}}};
      if (all.words[1].find('/') == std::string::npos) all.words[1] += "/*";
      co_return co_await schedule(all);
    }
    case Schedule: co_return co_await schedule(command);
    case SetQueue: co_return co_await set_queue(command);
    case SetPriority: co_return co_await set_priority(command);
    case DisableSource: co_return co_await switch_source(command, false);
    case EnableSource: co_return co_await switch_source(command, true);
    case Resolve: co_return co_await resolve(command);
    case Trace: co_return co_await trace(command);
    case CheckSpf: co_return co_await check_spf(command);
    case ClearDnsCache: co_return co_await clear_dns_cache(command);
    case ResetCounters: co_return co_await reset_counters();
    case RotateAcct: co_return co_await rotate_accounting(command);
    case RotateLog: co_return co_await rotate_log();
    case Reload: {
      const Node::Reload how = command.has("dry-run") ? Node::Reload::DryRun : Node::Reload::Apply;
      co_return co_await reload(how);
    }
    case TestConfig: co_return test_configuration(command);
    case Shutdown: request_shutdown(); co_return control::Answer{true, "Shutting down.\n"};
    case Check:
    case Fmt:
    case Digest:
    case Directives: break;  // with files of the host that `sluice` runs on
    case ShowLicense:
    case ShowRegistration:
    case ClearSecretsCache:
    case Register:
    case Deregister:
    case Version:
    case Help:
    case Completion: break;  // answer_alone() has answered
  }
  co_return control::Answer::error('`' + std::string(command.row->words) +
                                   "` is done by the program sluice, not by the daemon\n");
}

runtime::Task<control::Answer> Node::rotate_log() {
  const Status rotated = co_await log_.rotate();
  if (!rotated) co_return control::Answer::error("cannot rotate the log: " + rotated.error().text() + '\n');
  co_return control::Answer{true, "Logging file rotated.\n"};
}

runtime::Task<control::Answer> Node::schedule(const control::Command& command) {
  const bool recipients = command.has("retry-recipients");
  co_return co_await for_queues(command, 1,
                                [recipients](delivery::Dispatcher& there, const std::string& which) {
                                  return there.schedule(which, recipients);
                                },
                                {});
}

control::Answer Node::test_configuration(const control::Command& command) {
  if (command.words.size() > 2 || command.has("lenient") || command.has("fragment") ||
      command.has("offline")) {
    return control::Answer::error(
        "test config: the daemon reads its own file as it stands; `sluice check FILE` "
        "takes options\n");
  }
  const config::LoadResult loaded = settings_.load();
  const std::string text = config::format(loaded.diagnostics);
  if (!loaded.ok()) return control::Answer::error(text + "The configuration does not load.\n");
  return {true, text + "The configuration is valid.\n"};
}

runtime::Task<control::Answer> Node::clear_dns_cache(const control::Command& command) {
  const std::string domain = command.words.size() > 2 ? to_lower(command.words[2]) : std::string();
  for (DataShard* shard : shards_) {
    co_await runtime::call_on(control_, shard->id(), [shard, &domain] {
      domain.empty() ? shard->resolver().clear_cache() : shard->resolver().clear_cache(domain);
    });
  }
  co_return control::Answer{
      true, domain.empty() ? "DNS cache cleared.\n" : "Cleared " + domain + " from DNS cache.\n"};
}

runtime::Task<control::Answer> Node::show_settings(const control::Command& command) {
  const auto queue = config::find_queue(*snapshot_->config, command.words[2]);
  if (!queue) co_return control::Answer::error(queue.error());
  co_return control::Answer{true, config::settings_text(*snapshot_->config, *queue)};
}

control::Answer Node::show_vmta_settings(const control::Command& command) const {
  const config::Config& config = *snapshot_->config;
  const std::string& name = command.words[2];
  if (const auto pool = config.find_pool(name)) {
    return {true, "VirtualMTA pool settings for \"" + config.pool(*pool).name + "\":\n\n" +
                      config::settings_listing(config.pool(*pool).settings, true)};
  }
  const auto vmta = config.find_vmta(name);
  if (!vmta) return control::Answer::error("no virtual MTA named \"" + name + "\"\n");
  return {true, "VirtualMTA settings for \"" + config.vmta(*vmta).name + "\":\n\n" +
                    config::settings_listing(config.vmta(*vmta).settings, false)};
}

control::Answer Node::explain(const control::Command& command) const {
  const auto queue = config::find_queue(*snapshot_->config, command.words[1]);
  if (!queue) return control::Answer::error(queue.error());
  const auto text = config::explain_text(*snapshot_->config, *queue,
                                         command.words.size() > 2 ? std::string_view(command.words[2]) : "");
  return text ? control::Answer{true, *text} : control::Answer::error(text.error());
}

}  // namespace sluice::shard
