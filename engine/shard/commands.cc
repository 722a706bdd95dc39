// The commands of the `sluice` command line, answered by the node. Layouts follow PowerMTA's, because tools
// read them.
#include <fmt/format.h>

#include <algorithm>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "policy/base/ascii.h"
#include "policy/config/listing.h"

namespace sluice::shard {
namespace {

std::string traffic_row(std::string_view name, const TrafficCount& in, const TrafficCount& out) {
  return fmt::format("{:>11}  {:>10} {:>9} {:>11}  {:>10} {:>9} {:>11}\n", name, in.recipients, in.messages,
                     kilobytes(in.bytes), out.recipients, out.messages, kilobytes(out.bytes));
}

std::string uptime_text(Duration up) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(up).count();
  return fmt::format("{:>3} {:>2}:{:02}:{:02}", seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60,
                     seconds % 60);
}

constexpr std::string_view kHelp =
    "show status                      traffic, connections, queues, spool\n"
    "show version\n"
    "show queues [PATTERN]            queues with mail; --maxitems=N, --sort=name|rcpt|size,\n"
    "                                 --mode=normal|backoff, --connected=yes|no, --paused=yes|no,\n"
    "                                 --disabled, --errors, --mode-events\n"
    "show topqueues [PATTERN]         the same, largest first\n"
    "show schedule [PATTERN]          recipients that wait for a delivery window (x-schedule)\n"
    "show domains [PATTERN]           sums over virtual MTAs; --vmta=NAME, --maxitems=N,\n"
    "                                 --sort=name|rcpt|size, --connected=yes|no, --errors\n"
    "show topdomains [PATTERN]        the same, largest first\n"
    "show vmtas [NAME]                virtual MTAs with what is queued and what went through them;\n"
    "                                 --maxitems=N, --sort=name|rcpt|size\n"
    "show settings DOMAIN[/VMTA]      effective settings of a queue\n"
    "show vmta-settings VMTA          settings of a virtual MTA\n"
    "explain DOMAIN[/VMTA] [DIRECTIVE]  the same with file and line of each value\n"
    "pause queue PATTERN              no new deliveries, from queues that come later either; PATTERN is\n"
    "                                 domain[/vmta] with *\n"
    "resume queue PATTERN             takes pauses back, or makes an exception of a wider one\n"
    "show pauses                      what is paused, by pattern\n"
    "set queue --mode=MODE PATTERN    normal or backoff\n"
    "disable source IP PATTERN        not used by these queues; --reenable-after=TIME\n"
    "enable source IP PATTERN\n"
    "show disabled sources [PATTERN]  or disabled-sources\n"
    "show jobs                        jobs with what is queued\n"
    "pause job JOB                    none of its recipients is attempted, in no queue\n"
    "resume job JOB\n"
    "list                             queued recipients; --queue=PATTERN, --jobId=JOB, --orig=A, --rcpt=A,\n"
    "                                 --envId=ID, --older-than=TIME, --maxitems=N, --pause, --priority\n"
    "delete --queue=PATTERN|--jobId=JOB  [--orig=A] [--rcpt=A] [--envId=ID] [--older-than=TIME]\n"
    "set priority N                   of queued recipients, named as for list; until the next start\n"
    "schedule PATTERN                 end the retry wait; --retry-recipients for single recipients too\n"
    "rotate acct [FILE]               begin a new accounting file\n"
    "rotate log                       begin a new log file\n"
    "resume domain DOMAIN             the same for all of a domain's mail, single recipients too\n"
    "test config                      everything wrong with the configuration; nothing changes\n"
    "clear dnscache [DOMAIN]\n"
    "show precache                    the domains of <dns> and how they resolved\n"
    "resolve DOMAIN|IP                where its mail goes; --type=a|aaaa|mx|ptr|txt: the records of that "
    "type\n"
    "trace PATTERN                    the next connection of a queue, within a minute; --log-data,\n"
    "                                 --log-resolution, --retry-recipients, --to-log: to the log, at once\n"
    "check spf IP HELO [FROM]         what SPF says about mail from there; --dumppackets: each question to "
    "DNS\n"
    "reset counters                   totals of show status begin at 0\n"
    "reload                           load the configuration again; --dry-run: say what would change\n"
    "shutdown                         finish what is under way, then stop\n"
    "\n"
    "--xml, --json and --dom give answers for programs, in PowerMTA's layouts.\n";

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

runtime::Task<control::Answer> Node::run(const control::Command& command, control::Reply& reply) {
  if (command.starts_with({"show", "status"}) || command.starts_with({"status"})) {
    co_return co_await show_status(command);
  }
  if (command.starts_with({"show", "version"})) {
    co_return control::Answer{true, fmt::format("PowerMTA v5.0r1 (Sluice {}).\n", settings_.version)};
  }
  if (command.starts_with({"show", "queues"}) || command.starts_with({"show", "topqueues"})) {
    co_return co_await show_queues(command, reply);
  }
  if (command.starts_with({"show", "domains"}) || command.starts_with({"show", "topdomains"})) {
    co_return co_await show_domains(command, reply);
  }
  if (command.starts_with({"show", "jobs"})) co_return co_await show_jobs(command, reply);
  if (command.starts_with({"pause", "job"})) co_return co_await pause_job(command, true);
  if (command.starts_with({"resume", "job"})) co_return co_await pause_job(command, false);
  if (command.starts_with({"delete"})) co_return co_await delete_recipients(command);
  if (command.starts_with({"show", "schedule"})) co_return co_await show_schedule(command, reply);
  if (command.starts_with({"list"})) co_return co_await list_recipients(command, reply);
  if (command.starts_with({"set", "priority"})) co_return co_await set_priority(command);
  if (command.starts_with({"show", "vmtas"})) co_return co_await show_vmtas(command, reply);
  if (command.starts_with({"show", "vmta-settings"})) co_return show_vmta_settings(command);
  if (command.starts_with({"show", "settings"})) co_return co_await show_settings(command);
  if (command.starts_with({"explain"})) co_return explain(command);
  if (command.starts_with({"pause", "queue"})) co_return co_await pause_queues(command, true);
  if (command.starts_with({"resume", "queue"})) co_return co_await pause_queues(command, false);
  if (command.starts_with({"show", "pauses"})) co_return show_pauses();
  if (command.starts_with({"show", "disabled", "sources"}) ||
      command.starts_with({"show", "disabled-sources"})) {
    co_return co_await show_disabled_sources(command, reply);
  }
  if (command.starts_with({"show", "precache"})) co_return co_await show_precache();
  if (command.starts_with({"set", "queue"})) co_return co_await set_queue(command);
  if (command.starts_with({"disable", "source"})) co_return co_await switch_source(command, false);
  if (command.starts_with({"enable", "source"})) co_return co_await switch_source(command, true);
  if (command.starts_with({"schedule"})) co_return co_await schedule(command);
  if (command.starts_with({"resume", "domain"}) && command.words.size() == 3) {
    // All of a domain's deferred mail. A pause is not undone: that is `resume queue`.
    control::Command all{{"schedule", command.words[2]}, {{"retry-recipients", ""}}};
    if (all.words[1].find('/') == std::string::npos) all.words[1] += "/*";
    co_return co_await schedule(all);
  }
  if (command.starts_with({"rotate", "acct"})) co_return co_await rotate_accounting(command);
  if (command.starts_with({"rotate", "log"})) {
    const Status rotated = co_await log_.rotate();
    if (!rotated) co_return control::Answer::error("cannot rotate the log: " + rotated.error().text() + '\n');
    co_return control::Answer{true, "Logging file rotated.\n"};
  }
  if (command.starts_with({"reload"})) {
    const Reload how = command.has("dry-run") ? Reload::DryRun : Reload::Apply;
    co_return co_await reload(how);
  }
  if (command.starts_with({"test", "config"})) co_return test_configuration();
  if (command.starts_with({"reset", "counters"}) || command.starts_with({"reset", "status"})) {
    co_return co_await reset_counters();
  }
  if (command.starts_with({"clear", "dnscache"})) co_return co_await clear_dns_cache(command);
  if (command.starts_with({"resolve"})) co_return co_await resolve(command);
  if (command.starts_with({"trace"})) co_return co_await trace(command);
  if (command.starts_with({"clear", "secretscache"})) {
    co_return control::Answer::error(
        "Sluice caches no secrets: keys and passwords are read at each reload.\n");
  }
  if (command.starts_with({"register"}) || command.starts_with({"deregister"})) {
    co_return control::Answer::error("there is no management console to register with; Sluice needs none\n");
  }
  if (command.starts_with({"check", "spf"})) co_return co_await check_spf(command);
  if (command.starts_with({"show", "license"}) || command.starts_with({"show", "registration"})) {
    co_return control::Answer{true, "Sluice needs no license and no registration.\n"};
  }
  if (command.starts_with({"shutdown"})) {
    request_shutdown();
    co_return control::Answer{true, "Shutting down.\n"};
  }
  if (command.starts_with({"help"})) co_return control::Answer{true, std::string(kHelp)};
  std::string words;
  for (const std::string& word : command.words) words += (words.empty() ? "" : " ") + word;
  co_return control::Answer::error("unknown command \"" + words + "\"; `sluice help` lists what there is\n");
}

runtime::Task<control::Answer> Node::schedule(const control::Command& command) {
  const bool recipients = command.has("retry-recipients");
  co_return co_await for_queues(command, 1,
                                [recipients](delivery::Dispatcher& there, const std::string& which) {
                                  return there.schedule(which, recipients);
                                },
                                {});
}

std::shared_ptr<control::Tree> Node::status_tree(const ShardStatus& now) const {
  auto tree = std::make_shared<control::Tree>();
  const config::GlobalSettings& globals = snapshot_->config->globals;
  control::Tree& mta = tree->add("mta");
  control::Tree& product = mta.add("product");
  product.add_text("name", "PowerMTA");
  product.add_text("version", "v5.0r1");
  mta.add_text("fullHostName", globals.host_name.empty() ? "localhost" : globals.host_name.front());
  mta.add_number("hostId", globals.host_id);
  control::Tree& status = tree->add("status");
  status.add_text("timeNow", local_time(control_.wall_now()));
  status.add_text("startupTime", local_time(started_));
  status.add_flag("shuttingDown", shutdown_.is_open());
  control::Tree& traffic = status.add("traffic");
  const auto add_traffic = [&traffic](std::string_view name, const TrafficCount& in,
                                      const TrafficCount& out) {
    control::Tree& node = traffic.add(name);
    for (const auto& [direction, count] : {std::pair("out", &out), std::pair("in", &in)}) {
      control::Tree& side = node.add(direction);
      side.add_number("rcp", count->recipients);
      side.add_number("msg", count->messages);
      side.add_number("kb", kilobytes(count->bytes));
    }
  };
  add_traffic("total", inbound_.total(), outbound_.total());
  add_traffic("lastHr", inbound_.last_hour(), outbound_.last_hour());
  add_traffic("lastMin", inbound_.last_minute(), outbound_.last_minute());
  add_traffic("topPerHr", inbound_.top_hour(), outbound_.top_hour());
  add_traffic("topPerMin", inbound_.top_minute(), outbound_.top_minute());
  control::Tree& connections = status.add("conn");
  const auto add_connections = [&connections](std::string_view name, std::uint64_t cur, std::uint64_t max,
                                              std::uint64_t top) {
    control::Tree& node = connections.add(name);
    node.add_number("cur", cur);
    node.add_number("max", max);
    node.add_number("top", top);
  };
  add_connections("smtpIn", shared_.inbound.used(), shared_.inbound.limit(), shared_.inbound.top());
  add_connections("smtpOut", shared_.outbound.used(), shared_.outbound.limit(), shared_.outbound.top());
  control::Tree& resolver = status.add("resolver");
  resolver.add_number("namesCached", now.names_cached);
  resolver.add_number("queriesPending", now.queries_pending);
  control::Tree& smtp = status.add("queue").add("smtp");
  smtp.add_number("rcp", now.queued_recipients);
  smtp.add_number("dom", now.queues);
  smtp.add_number("kb", kilobytes(now.queued_bytes));
  control::Tree& spool = status.add("spool");
  spool.add_number("initPct", 100);  // commands are answered once recovery is over
  spool.add_number("dirs", spools_.places.size());
  control::Tree& files = spool.add("files");
  files.add_number("inUse", now.spool.segments_in_use);
  files.add_number("recycled", now.spool.segments_spare);
  files.add_number("total", now.spool.segments_in_use + now.spool.segments_spare);
  spool.add_number("totalRcp", now.queued_recipients);
  for (const IntakeWatch::Standing& one : intake_watch_.standing()) {
    control::Tree& refused = status.add_item("refused");
    refused.add_text("reply", one.refused.reply);
    refused.add_text("since", local_time(control_.on_calendar(one.since)));
    refused.add_text("reason", one.refused.why);
  }
  status.add_text("status", shutdown_.is_open() ? "shutting down" : "running");
  return tree;
}

runtime::Task<control::Answer> Node::reset_counters() {
  const ShardStatus now = co_await total_status();
  inbound_.reset({now.in_recipients, now.in_messages, now.in_bytes});
  outbound_.reset({now.out_recipients, now.out_messages, now.out_bytes});
  log_.write("Traffic counters reset");
  co_return control::Answer{true, "Traffic counters reset.\n"};
}

control::Answer Node::test_configuration() {
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

runtime::Task<control::Answer> Node::show_status(const control::Command&) {
  const ShardStatus now = co_await total_status();
  inbound_.refresh({now.in_recipients, now.in_messages, now.in_bytes});
  outbound_.refresh({now.out_recipients, now.out_messages, now.out_bytes});
  const auto& names = snapshot_->config->globals.host_name;
  std::string out = fmt::format("PowerMTA v5.0r1 status on {} on {}\n\n",
                                names.empty() ? "localhost" : names.front(), local_time(control_.wall_now()));
  out += "  Traffic    ------------inbound------------  ------------outbound-----------\n";
  out += "                 rcpts      msgs      kbytes      rcpts      msgs      kbytes\n";
  out += traffic_row("Total", inbound_.total(), outbound_.total());
  out += traffic_row("Last Hour", inbound_.last_hour(), outbound_.last_hour());
  out += traffic_row("Top/Hour", inbound_.top_hour(), outbound_.top_hour());
  out += traffic_row("Last Min.", inbound_.last_minute(), outbound_.last_minute());
  out += traffic_row("Top/Min.", inbound_.top_minute(), outbound_.top_minute());
  out += "\n Connections    active       top     maximum  Domain       cached     pending\n";
  out += fmt::format("    Inbound {:>9} {:>9} {:>11}  Names   {:>11} {:>11}\n", shared_.inbound.used(),
                     shared_.inbound.top(), shared_.inbound.limit(), now.names_cached, now.queries_pending);
  out += fmt::format("   Outbound {:>9} {:>9} {:>11}\n", shared_.outbound.used(), shared_.outbound.top(),
                     shared_.outbound.limit());
  out += "\n     Queues      rcpts   domains      kbytes  Spool        in use    recycled\n";
  out += fmt::format("       SMTP {:>10} {:>9} {:>11}  Files   {:>11} {:>11}\n", now.queued_recipients,
                     now.queues, kilobytes(now.queued_bytes), now.spool.segments_in_use,
                     now.spool.segments_spare);
  out += fmt::format("    bounced {:>10}  deferred {:>11}  queue failures {}\n", now.bounced, now.deferred,
                     now.queue_failures);
  out += '\n' + accounting_text();
  watch_intake(now);
  out += refused_text();
  out += fmt::format("\n     Status    {}    Started  {}    Uptime {}\n",
                     shutdown_.is_open() ? "shutting down" : "running", local_time(started_),
                     uptime_text(control_.now() - started_at_));
  co_return control::Answer{true, std::move(out), status_tree(now)};
}

runtime::Task<control::Answer> Node::show_settings(const control::Command& command) {
  if (command.words.size() < 3) co_return control::Answer::error("usage: show settings DOMAIN[/VMTA]\n");
  const auto queue = config::find_queue(*snapshot_->config, command.words[2]);
  if (!queue) co_return control::Answer::error(queue.error());
  co_return control::Answer{true, config::settings_text(*snapshot_->config, *queue)};
}

control::Answer Node::show_vmta_settings(const control::Command& command) const {
  if (command.words.size() < 3) return control::Answer::error("usage: show vmta-settings VMTA\n");
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
  if (command.words.size() < 2) return control::Answer::error("usage: explain DOMAIN[/VMTA] [DIRECTIVE]\n");
  const auto queue = config::find_queue(*snapshot_->config, command.words[1]);
  if (!queue) return control::Answer::error(queue.error());
  const auto text = config::explain_text(*snapshot_->config, *queue,
                                         command.words.size() > 2 ? std::string_view(command.words[2]) : "");
  return text ? control::Answer{true, *text} : control::Answer::error(text.error());
}

}  // namespace sluice::shard
