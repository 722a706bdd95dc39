#include "engine/control/command_table.h"

#include "policy/base/assert.h"

namespace sluice::control {
namespace {

using enum ArgumentRow::Need;
using Where = CommandRow::Where;
using Options = std::vector<OptionRow>;

constexpr ArgumentRow kQueue{"QUEUE", Required, "which queue? For example: gmail.com/vmta1, gmail.com/*, *"};
constexpr ArgumentRow kQueues{"QUEUE", Optional};
constexpr ArgumentRow kJob{"JOB", Required, "which job? For example: job17; `show jobs` lists them"};
constexpr ArgumentRow kSource{
    "IP", Required, "which source? For example: 192.0.2.1; 0.0.0.0 is the address the system chooses",
    Value::Address};

constexpr std::string_view kQueueWords =
    "QUEUE is domain/vmta; * stands for anything: gmail.com/*, */marketing, *. A domain alone means the "
    "queue of the\n"
    "default virtual MTA: gmail.com is gmail.com/{default}.\n";
constexpr std::string_view kRowsWords = "limit max first top lines n number count";
constexpr std::string_view kRecipientWords = "recipient recipients rcpt-to rcptto to email";

OptionRow rows_shown(std::string_view help) { return {"maxitems", Value::Number, "N", help, kRowsWords}; }
OptionRow sorted() {
  return {"sort", Value::Choice, "name|rcpt|size", "what comes first", "sort-by sortby order order-by"};
}
constexpr OptionRow kConnected{"connected", Value::YesNo, "yes|no", "only those with connections, or without",
                               "connections"};
constexpr OptionRow kErrors{"errors", Value::None, "", "the last errors of each", "error last-errors"};

Options queue_options() {
  return {rows_shown("rows shown, 20 without it"),
          sorted(),
          {"mode", Value::Choice, "normal|backoff", "only queues in this mode"},
          kConnected,
          {"paused", Value::YesNo, "yes|no", "only paused queues, or others", "pause"},
          {"disabled", Value::YesNo, "yes|no",
           "only queues with disabled source addresses, or others; lists these"},
          kErrors,
          {"mode-events", Value::None, "", "the last changes of mode of each", "modes"},
          {"no-rcpt-events", Value::None, "", "accepted, for PowerMTA's scripts: none are shown"}};
}

Options domain_options() {
  return {rows_shown("rows shown, 20 without it"),
          sorted(),
          {"vmta", Value::Text, "VMTA", "only the queues of this virtual MTA", "virtual-mta"},
          kConnected,
          kErrors};
}

/// Which recipients are meant.
Options filters(Options rest) {
  Options out{
      {"queue", Value::Text, "QUEUE", "those of these queues", "queues q"},
      {"jobId", Value::Text, "JOB", "those of this job", "job job-id"},
      {"orig", Value::Text, "ADDRESS", "those from this sender; * stands for anything",
       "sender from mail-from mailfrom originator"},
      {"rcpt", Value::Text, "ADDRESS", "those to this address; * stands for anything", kRecipientWords},
      {"envId", Value::Text, "ID", "those with this envelope id", "env-id envelope envelope-id"},
      {"older-than", Value::Time, "TIME", "those queued for longer than this, for example 2d12h",
       "older age olderthan before"}};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

Options check_options() {
  return {{"lenient", Value::None, "", "unknown directives only warn"},
          {"fragment", Value::None, "", "FILE is one part of a configuration", "part"},
          {"offline", Value::None, "",
           "do not look at this host's files, addresses and DNS; fetch no included URL"}};
}

std::vector<CommandRow> shown_rows() {
  return {
      {.id = CommandId::ShowStatus,
       .words = "show status",
       .other_words = {"status"},
       .arguments = {{"detail", Optional, "", Value::Choice, "detail"}},
       .help = "traffic, connections, queues, spool",
       .others = "stats statistics info"},
      {.id = CommandId::ShowVersion,
       .words = "show version",
       .where = Where::Either,
       .help = "the daemon's version",
       .more = "Without a daemon: the version of this program.\n"},
      {.id = CommandId::ShowQueues,
       .words = "show queues",
       .arguments = {kQueues},
       .options = queue_options(),
       .help = "queues with mail",
       .more = kQueueWords},
      {.id = CommandId::ShowTopQueues,
       .words = "show topqueues",
       .arguments = {kQueues},
       .options = queue_options(),
       .help = "queues with mail, most recipients first",
       .more = kQueueWords},
      {.id = CommandId::ShowDomains,
       .words = "show domains",
       .arguments = {{"DOMAIN", Optional}},
       .options = domain_options(),
       .help = "domains with mail: sums over virtual MTAs"},
      {.id = CommandId::ShowTopDomains,
       .words = "show topdomains",
       .arguments = {{"DOMAIN", Optional}},
       .options = domain_options(),
       .help = "domains with mail, most recipients first"},
      {.id = CommandId::ShowVmtas,
       .words = "show vmtas",
       .other_words = {"show vmta"},
       .arguments = {{"VMTA", Optional}},
       .options = {rows_shown("rows shown, 1000 without it"), sorted()},
       .help = "virtual MTAs: what is queued and what went through them"},
      {.id = CommandId::ShowPools,
       .words = "show pools",
       .other_words = {"show pool"},
       .arguments = {{"POOL", Optional}},
       .help = "pools: their turns, and the figures of their members"},
      {.id = CommandId::ShowJobs,
       .words = "show jobs",
       .options = {rows_shown("rows shown, 1000 without it"), sorted()},
       .help = "jobs with what is queued"},
      {.id = CommandId::ShowSchedule,
       .words = "show schedule",
       .arguments = {kQueues},
       .options = {rows_shown("rows shown, 100 without it")},
       .help = "recipients that wait for a delivery window (x-schedule)"},
      {.id = CommandId::ShowSettings,
       .words = "show settings",
       .other_words = {"settings"},
       .arguments = {{"QUEUE", Required, "which queue? For example: gmail.com/marketing"}},
       .where = Where::Either,
       .help = "effective settings of a queue",
       .more = "With --config FILE: by that configuration, without a daemon.\n"},
      {.id = CommandId::ShowVmtaSettings,
       .words = "show vmta-settings",
       .arguments = {{"VMTA", Required, "which virtual MTA or pool?"}},
       .help = "settings of a virtual MTA or a pool"},
      {.id = CommandId::Explain,
       .words = "explain",
       .arguments = {{"QUEUE", Required, "which queue? For example: gmail.com/marketing"},
                     {"DIRECTIVE", Optional}},
       .where = Where::Either,
       .help = "effective settings with file and line of each value",
       .more = "With --config FILE: by that configuration, without a daemon.\n"},
      {.id = CommandId::ShowDisabledSources,
       .words = "show disabled sources",
       .other_words = {"show disabled-sources", "show disabled"},
       .arguments = {kQueues},
       .help = "source addresses that queues do not use now",
       .more = kQueueWords},
      {.id = CommandId::ShowPrecache,
       .words = "show precache",
       .help = "the domains of <dns> and how they resolved"},
      {.id = CommandId::ShowLicense,
       .words = "show license",
       .where = Where::Here,
       .help = "there is none to show"},
      {.id = CommandId::ShowRegistration,
       .words = "show registration",
       .where = Where::Here,
       .help = "there is none to show"},
  };
}

std::vector<CommandRow> changing_rows() {
  return {
      {.id = CommandId::List,
       .words = "list",
       .options =
           filters({rows_shown("rows shown, 100 without it"),
                    {"pause", Value::None, "", "a column that says who is paused", "paused"},
                    {"priority", Value::None, "", "a column with the priority", "prio"},
                    {"schedule", Value::None, "",
                     "accepted, for PowerMTA's scripts: the next attempt that is shown is the next window"}}),
       .help = "queued recipients",
       .more = kQueueWords},
      {.id = CommandId::Delete,
       .words = "delete",
       .options =
           filters({{"dsn", Value::None, "", "senders are told", "report notify"},
                    {"no-accounting", Value::None, "", "without records in accounting files", "no-acct"},
                    {"dry-run", Value::None, "", "say what would be deleted and delete nothing",
                     "simulate test check"},
                    {"yes", Value::None, "", "do not ask", "force y"}}),
       .deletes = CommandRow::Deletes::Recipients,
       .help = "delete queued recipients",
       .more =
           "Needs --queue or --jobId; the others narrow it down. At a terminal it says how many recipients "
           "that are and\n"
           "asks; --yes, or standard input from elsewhere, goes on at once. Records in accounting files say\n"
           "`deleted by administrator`.\n",
       .others = "remove purge rm del drop"},
      {.id = CommandId::PauseQueue,
       .words = "pause queue",
       .other_words = {"pause queues"},
       .arguments = {kQueue},
       .help = "stop new deliveries, of queues that come later too; mail is still accepted",
       .more = kQueueWords,
       .others = "hold suspend"},
      {.id = CommandId::ResumeQueue,
       .words = "resume queue",
       .other_words = {"resume queues"},
       .arguments = {kQueue},
       .help = "undo pauses of queues, or make an exception of a wider one",
       .more = kQueueWords,
       .others = "unpause continue"},
      {.id = CommandId::ShowPauses,
       .words = "show pauses",
       .other_words = {"show paused"},
       .help = "what is paused, by pattern"},
      {.id = CommandId::PauseJob,
       .words = "pause job",
       .arguments = {kJob},
       .help = "attempt no recipient of a job, in any queue"},
      {.id = CommandId::ResumeJob,
       .words = "resume job",
       .arguments = {kJob},
       .help = "undo the pause of a job"},
      {.id = CommandId::ResumeDomain,
       .words = "resume domain",
       .arguments = {{"DOMAIN", Required, "which domain? For example: gmail.com"}},
       .help = "attempt all deferred mail of a domain now, single recipients too"},
      {.id = CommandId::Schedule,
       .words = "schedule",
       .arguments = {kQueue},
       .options = {{"retry-recipients", Value::None, "", "single recipients too", "recipients all"}},
       .help = "attempt deferred mail of these queues now",
       .more = kQueueWords,
       .others = "flush kick retry"},
      {.id = CommandId::SetQueue,
       .words = "set queue",
       .arguments = {kQueue},
       .options = {{"mode", Value::Choice, "normal|backoff", "the new mode; has to be given"}},
       .help = "put queues into normal or backoff mode",
       .more = kQueueWords},
      {.id = CommandId::SetPriority,
       .words = "set priority",
       .arguments = {{"N", Required, "which priority? 0 to 100; 50 is usual", Value::Number}},
       .options = filters({}),
       .help = "set the priority of queued recipients, until the next start",
       .more = kQueueWords},
      {.id = CommandId::DisableSource,
       .words = "disable source",
       .arguments = {kSource, kQueue},
       .options = {{"reenable-after", Value::Time, "TIME", "for this long, for example 30m",
                    "after for time"}},
       .help = "keep queues from using a source address",
       .more = kQueueWords},
      {.id = CommandId::EnableSource,
       .words = "enable source",
       .arguments = {kSource, kQueue},
       .help = "let queues use a source address again",
       .more = kQueueWords},
      {.id = CommandId::Resolve,
       .words = "resolve",
       .arguments = {{"NAME", Required, "which domain or IP address?"}},
       .options = {{"type", Value::Choice, "a|aaaa|mx|ptr|txt", "the records of this type", "t rr"}},
       .help = "where a domain's mail goes, by the cache that connections use",
       .others = "dig nslookup dns host"},
      {.id = CommandId::Trace,
       .words = "trace",
       .arguments = {kQueue},
       .options = {{"log-data", Value::None, "", "the bytes of messages too", "data"},
                   {"log-resolution", Value::None, "", "what DNS answered too", "resolution dns"},
                   {"retry-recipients", Value::None, "", "end the retry wait of single recipients too",
                    "recipients"},
                   {"to-log", Value::None, "", "into the log; the command returns at once", "log"}},
       .help = "start a queue and show its next connection",
       .more = kQueueWords},
      {.id = CommandId::CheckSpf,
       .words = "check spf",
       .arguments = {{"IP", Required, "which client's address?", Value::Address},
                     {"HELO", Required, "which name in EHLO?"},
                     {"FROM", Optional}},
       .options = {{"dumppackets", Value::None, "", "each question to DNS", "dump packets dump-packets"},
                   {"tcp", Value::None, "",
                    "accepted, for PowerMTA's scripts: DNS is asked over TCP where it has to be"}},
       .help = "what SPF says about mail from there"},
      {.id = CommandId::ClearDnsCache,
       .words = "clear dnscache",
       .arguments = {{"DOMAIN", Optional}},
       .help = "forget what DNS answered, about a domain or all",
       .others = "flushdns"},
      {.id = CommandId::ClearSecretsCache,
       .words = "clear secretscache",
       .where = Where::Here,
       .help = "there is none to clear"},
      {.id = CommandId::ResetCounters,
       .words = "reset counters",
       .other_words = {"reset status"},
       .help = "totals of show status begin at 0"},
      {.id = CommandId::RotateAcct,
       .words = "rotate acct",
       .arguments = {{"FILE", Optional}},
       .help = "begin a new accounting file"},
      {.id = CommandId::RotateLog, .words = "rotate log", .help = "begin a new log file"},
      {.id = CommandId::Reload,
       .words = "reload",
       .options = {{"dry-run", Value::None, "", "say what would change and change nothing",
                    "simulate test check"}},
       .help = "load the configuration again",
       .others = "restart refresh hup"},
      {.id = CommandId::TestConfig,
       .words = "test config",
       .arguments = {{"FILE", Optional}},
       .options = check_options(),
       .where = Where::Either,
       .help = "everything wrong with the configuration; nothing changes",
       .more = "Asks the daemon about its own file as a reload would find it now. With FILE or --config "
               "FILE, or when no daemon\n"
               "answers: as `check` does.\n"},
      {.id = CommandId::Shutdown,
       .words = "shutdown",
       .help = "finish what is under way, then stop the daemon",
       .others = "stop quit halt exit kill"},
      {.id = CommandId::Register,
       .words = "register",
       .arguments = {{"ANYTHING", Any}},
       .where = Where::Here,
       .help = "there is no management console to register with"},
      {.id = CommandId::Deregister,
       .words = "deregister",
       .arguments = {{"ANYTHING", Any}},
       .where = Where::Here,
       .help = "there is no management console to register with"},
  };
}

std::vector<CommandRow> own_rows() {
  Options check = check_options();
  return {
      {.id = CommandId::Check,
       .words = "check",
       .arguments = {{"FILE", Optional}},
       .options = std::move(check),
       .where = Where::Here,
       .help = "everything wrong with a configuration; exit status 0 when it loads",
       .more = "FILE may also be given as --config FILE. A file of the name spf is ./spf.\n",
       .others = "lint validate"},
      {.id = CommandId::Fmt,
       .words = "fmt",
       .arguments = {{"FILE", Several, "which file?"}},
       .options = {{"write", Value::None, "", "into the file; without it to standard output", "w in-place"},
                   {"check", Value::None, "",
                    "name the files that would change; exit status 1 when there are any", "dry-run"}},
       .where = Where::Here,
       .help = "lay a configuration out evenly",
       .others = "format"},
      {.id = CommandId::Digest,
       .words = "digest",
       .arguments = {{"TEXT", Required, "which text? For example the local part of an address"}},
       .options = {{"hmac-sha256", Value::None, "", "one of the two has to be given", "hmac sha256"},
                   {"siphash", Value::None, "", "one of the two has to be given"},
                   {"key", Value::Text, "KEY", "the key as text"},
                   {"hexkey", Value::Text, "HEX", "the key as hexadecimal digits", "hex-key"}},
       .where = Where::Here,
       .help = "what a privacy-policy of accounting makes of a local part"},
      {.id = CommandId::Directives,
       .words = "directives",
       .options = {{"markdown", Value::None, "", "docs/directives.md", "md"},
                   {"members", Value::None, "", "for the tests of the sources"}},
       .where = Where::Here,
       .help = "how many directives work"},
      {.id = CommandId::Version,
       .words = "version",
       .where = Where::Here,
       .help = "the version of this program",
       .others = "-v -V"},
      {.id = CommandId::Help,
       .words = "help",
       .arguments = {{"COMMAND", Any}},
       .options = {{"markdown", Value::None, "", "docs/commands.md", "md"}},
       .where = Where::Here,
       .help = "all commands, or everything about one",
       .others = "? -h man usage commands"},
      {.id = CommandId::Completion,
       .words = "completion",
       .arguments = {{"SHELL", Optional, "", Value::Choice, "bash"}},
       .where = Where::Here,
       .help = "a script for bash that completes commands and options",
       .more = "In ~/.bashrc: source <(sluice completion bash)\n"},
  };
}

std::vector<CommandRow> all_rows() {
  std::vector<CommandRow> out = shown_rows();
  for (std::vector<CommandRow> more : {changing_rows(), own_rows()}) {
    for (CommandRow& row : more) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

std::span<const CommandRow> command_table() {
  static const std::vector<CommandRow> kTable = all_rows();
  return kTable;
}

std::span<const OptionRow> common_options() {
  static constexpr OptionRow kCommon[] = {
      {"xml", Value::None, "", "the answer as XML, in PowerMTA's layout"},
      {"json", Value::None, "", "the answer as JSON"},
      {"dom", Value::None, "", "the answer as a line for each value: path.to.value=\"text\""},
      {"help", Value::None, "", "what `help COMMAND` says; nothing is done", "h"}};
  return kCommon;
}

const CommandRow& command_row(CommandId id) {
  for (const CommandRow& row : command_table()) {
    if (row.id == id) return row;
  }
  SLUICE_ASSERT(false);
  return command_table().front();
}

}  // namespace sluice::control
