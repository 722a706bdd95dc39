// Directives outside of blocks: operator, machine, names, spool, sources, relaying.
#include "policy/base/ascii.h"
#include "policy/config/host_names.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using G = GlobalSettings;

void apply_shards(Value& value, G& globals) {
  static constexpr std::uint64_t kShardsMax = 1024;
  if (iequals(value.text(), "auto")) {
    globals.shards.reset();
    return;
  }
  const auto count = parse_number(value.text());
  if (!count || *count == 0 || *count > kShardsMax)
    return value.fail(value.text(), "not a number of shards", "1 to 1024, or auto");
  globals.shards = static_cast<std::uint32_t>(*count);
}

void apply_max_recipients(Value& value, G& globals) {
  if (iequals(value.text(), "auto")) {
    globals.spool_max_recipients.reset();
    return;
  }
  const auto count = parse_number(value.text());
  if (!count) return value.fail(value.text(), "not a number of recipients", "N or auto");
  globals.spool_max_recipients = *count;
}

/// Out-of-range sizes are clamped, as documented.
void apply_edns(Value& value, G& globals) {
  if (iequals(value.text(), "off")) {
    globals.edns_udp_length.reset();
    return;
  }
  const auto size = Codec<std::uint32_t>::parse(value.text(), value);
  if (!size) return;
  const std::uint32_t clamped = std::clamp<std::uint32_t>(*size, 512, 2048);
  if (clamped != *size) value.warn(value.text(), "edns-udp-length is brought into the range 512 to 2048");
  globals.edns_udp_length = clamped;
}

std::string format_shards(const G& globals) {
  return globals.shards ? std::to_string(*globals.shards) : "auto";
}
std::string format_max_recipients(const G& globals) {
  return globals.spool_max_recipients ? std::to_string(*globals.spool_max_recipients) : "auto";
}
std::string format_edns(const G& globals) {
  return globals.edns_udp_length ? std::to_string(*globals.edns_udp_length) : "off";
}

void apply_host_name(Value& value, G& globals) {
  for (const std::string_view token : split_list(value.text())) {
    auto name = parse_host_name(token, value);
    if (!name) return;
    globals.host_name.push_back(std::move(*name));
  }
}

void apply_ehlo_name(Value& value, G& globals) {
  if (auto name = parse_ehlo_name(value.text(), value, value.text()))
    globals.ehlo_hostname = std::move(*name);
}

/// Several addresses of one line count as several lines.
void apply_name_server(Value& value, G& globals) {
  for (const std::string_view part : split_list(value.text())) {
    for (const std::string_view token : split_words(part)) {
      const auto server = Codec<Endpoint>::parse(token, value);
      if (!server) return;
      globals.name_server.push_back(*server);
    }
  }
}

}  // namespace

void append_global(std::vector<Directive>& out) {
  static constexpr ScopeMask kIncludeScopes =
      in(Scope::Global, Scope::Source, Scope::Domain, Scope::Vmta, Scope::Pool, Scope::ReplyList,
         Scope::BounceCategories, Scope::AddressList, Scope::MxRollupList, Scope::DomainKeyList,
         Scope::PatternList, Scope::RewriteList);
  add(out, loader("include", kIncludeScopes, LoaderAction::Include, "read more lines from files",
                  {.flags = kRepeats, .grammar = "FILE|GLOB|URL"}));
  add(out, loader("domain-macro", in(Scope::Global), LoaderAction::DomainMacro,
                  "a name for a list of domains, used as $NAME",
                  {.flags = kRepeats | kList, .grammar = "NAME DOMAIN[,DOMAIN...]"}));
  add(out, loader("smtp-listener", in(Scope::Global), LoaderAction::ListenerLine, "address to listen on",
                  {.flags = kRepeats,
                   .grammar = "IP|CIDR:PORT [source=NAME]",
                   .default_text = "0.0.0.0:25",
                   .members = "Config::listeners"}));
  add(out, loader("spool", in(Scope::Global), LoaderAction::SpoolLine, "spool folder",
                  {.flags = kRepeats | kDeprecated,
                   .grammar = "DIR",
                   .replacement = "<spool DIR>",
                   .members = "Config::spools"}));
  add(out, loader("spool-min-free-space", in(Scope::Global), LoaderAction::SpoolMinFree,
                  "megabytes kept free in the spool",
                  {.flags = kDeprecated,
                   .grammar = "N",
                   .default_text = "256",
                   .replacement = "min-free-space in <spool>",
                   .members = "Spool::min_free_space"}));
  add(out, more<&G::domain_key>("domain-key", "DKIM key; the first that fits the identity's domain counts"));
  add(out, more_list<&G::postmaster>("postmaster", "who runs this server", {.grammar = "ADDRESS"}));
  add(out, one<&G::log_file>("log-file", "main log", {.grammar = "FILE", .default_text = "required"}));
  add(out, one<&G::log_rotate>("log-rotate", "log files kept, the current one included; 0 is no rotation"));
  add(out, one<&G::log_auto_rotation>("log-auto-rotation", "rotate at midnight"));
  add(out, one<&G::log_file_world_readable>("log-file-world-readable", "let everybody read the logs"));
  add(out, one<&G::run_as_root>("run-as-root", "keep root rights", {.flags = kRestart}));
  add(out,
      one<&G::thread_min_priority>("thread-min-priority", "nice value of threads at least", {.max = 20}));
  add(out, one<&G::thread_max_priority>("thread-max-priority", "nice value of threads at most", {.max = 20}));
  add(out, one<&G::thread_reuse>("thread-reuse", "keep threads after use"));
  add(out, one<&G::max_memory_usage_percent>("max-memory-usage-percent",
                                             "share of memory above which mail is refused for a while",
                                             {.since = Since::GuideR5, .min = 1, .max = 100}));
  add(out, one<&G::total_max_smtp_out>("total-max-smtp-out", "outbound connections at a time", {.min = 1}));
  add(out, one<&G::total_max_smtp_in>("total-max-smtp-in", "inbound connections at a time", {.min = 1}));
  add(out, one<&G::total_max_file>("total-max-file", "file deliveries at a time",
                                   {.since = Since::Field, .default_text = "unlimited"}));
  add(out, printed_by<&format_shards, G>(custom<&apply_shards, &G::shards>(
               "shards", "cores that send; each has its own queues and connections",
               {.since = Since::Extension, .flags = kRestart, .grammar = "N|auto"})));
  add(out, one<&G::run_dir>("run-dir", "folder of the control socket and the process id",
                            {.since = Since::Extension, .flags = kRestart, .grammar = "DIR"}));
  add(out, one<&G::control_socket>("control-socket", "socket the command line talks to",
                                   {.since = Since::Extension,
                                    .flags = kRestart,
                                    .grammar = "PATH",
                                    .default_text = "RUN-DIR/control"}));
  add(out,
      one<&G::spool_delete_corrupted>("spool-delete-corrupted", "delete spool files that cannot be read"));
  add(out, printed_by<&format_max_recipients, G>(custom<&apply_max_recipients, &G::spool_max_recipients>(
               "spool-max-recipients", "queued recipients above which mail is refused for a while",
               {.grammar = "N|auto"})));
  add(out, one<&G::sync_msg_create>("sync-msg-create", "answer only once the message is on stable storage",
                                    {.since = Since::Field}));
  add(out, one<&G::sync_msg_update>("sync-msg-update", "keep outcomes on stable storage",
                                    {.since = Since::Field}));
  add(out,
      read_by<&apply_host_name>(more<&G::host_name>("host-name", "name of this host; the first one greets",
                                                    {.grammar = "DOMAIN", .default_text = "the system's"})));
  add(out, one<&G::host_id>("host-id", "part of generated Message-IDs; differs on each server"));
  add(out, one<&G::status_product>(
               "status-product",
               "product that show status, show version and status trees name; the other is beside it",
               {.since = Since::Extension}));
  add(out, one<&G::domain_suffix>("domain-suffix", "completes addresses without a domain",
                                  {.grammar = "DOMAIN", .default_text = "from host-name"}));
  add(out, read_by<&apply_name_server>(more<&G::name_server>(
               "name-server", "DNS server", {.grammar = "IP[:PORT]", .default_text = "the system's"})));
  add(out,
      printed_by<&format_edns, G>(custom<&apply_edns, &G::edns_udp_length>(
          "edns-udp-length", "EDNS payload size", {.since = Since::GuideR5, .grammar = "512-2048|off"})));
  add(out, one<&G::auto_mx_rollup>("auto-mx-rollup",
                                   "let domains with the same MX records share a queue, ID.BEST-HOST.rollup",
                                   {.since = Since::Extension}));
  add(out, one<&G::refuse_mx_addresses>(
               "refuse-mx-addresses",
               "refuse mail hosts that DNS puts at loopback and other special, or also private, addresses",
               {.since = Since::Extension}));
  add(out, more<&G::smtp_source_host>("smtp-source-host", "source address and its EHLO name"));
  add(out, more<&G::smtp_source_host>("smtp-source-ip", "source address",
                                      {.since = Since::Field,
                                       .flags = kDeprecated | kHidden,
                                       .grammar = "IP",
                                       .replacement = "smtp-source-host"}));
  add(out, read_by<&apply_ehlo_name>(one<&G::ehlo_hostname>(
               "ehlo-hostname", "EHLO name of smtp-source-ip lines",
               {.since = Since::Spelling, .grammar = "DOMAIN", .replacement = "smtp-source-host IP HOST"})));
  add(out, more<&G::smtp_proxy_source_host>("smtp-proxy-source-host", "source address behind a proxy",
                                            {.since = Since::GuideR5}));
  add(out, one<&G::use_proxy>("use-proxy", "proxies, in order of preference", {.grammar = "NAME[,NAME...]"}));
  add(out, one<&G::smtp_ip>("smtp-ip", "address to listen on",
                            {.flags = kDeprecated | kFolded, .replacement = "smtp-listener"}));
  add(out, one<&G::smtp_port>("smtp-port", "port to listen on",
                              {.flags = kDeprecated | kFolded, .replacement = "smtp-listener"}));
  add(out, one<&G::smtp_await_slot>("smtp-await-slot", "inbound limit reached: wait instead of 421"));
  add(out, more<&G::alias>("alias", "forwarding", {.scopes = in(Scope::Global, Scope::Aliases)}));
  add(out,
      one<&G::always_allow_relaying>("always-allow-relaying", "accept any recipient domain from everybody"));
  add(out, more_list<&G::relay_domain>("relay-domain", "recipient domains anybody may send to"));
  add(out, more<&G::relay_address>("relay-address", "recipient addresses anybody may send to",
                                   {.flags = kRegex, .grammar = "ADDRESS|/REGEX/"}));
  add(out, one<&G::relay_debug>("relay-debug", "refuse relaying with 4xx instead of 5xx"));
  add(out, one<&G::custom_dsn_from_header>("custom-dsn-from-header", "From of bounce reports",
                                           {.grammar = "\"TEXT\""}));
  add(out,
      one<&G::dsn_failed_from_template>("dsn-failed-from-template", "From of bounce reports, with variables",
                                        {.since = Since::GuideR5}));
  add(out, one<&G::dsn_failed_subject_template>("dsn-failed-subject-template",
                                                "Subject of bounce reports, with variables",
                                                {.since = Since::GuideR5}));
  add(out, one<&G::dsn_failed_body_template_from>("dsn-failed-body-template-from",
                                                  "file with the text of bounce reports",
                                                  {.since = Since::GuideR5, .grammar = "FILE"}));
  add(out, more<&G::include_headers_from>("include-headers-from", "file with headers added to each message",
                                          {.grammar = "FILE"}));
  add(out, one<&G::invalid_virtual_mta_fallback>("invalid-virtual-mta-fallback",
                                                 "virtual MTA used for unknown ones", {.grammar = "VMTA"}));
  add(out, one<&G::mailmerge_expands_undefined_variables>("mailmerge-expands-undefined-variables",
                                                          "unknown merge variables are empty"));
  add(out, one<&G::pickup>("pickup", "folder messages are picked up from"));
  add(out, one<&G::pickup_remove_dot>("pickup-remove-dot", "undo dot stuffing in picked up files"));
  add(out, ignored("pickup-retry-interval", in(Scope::Global), "no longer needed",
                   {.flags = kDeprecated, .grammar = "TIME"}));
  add(out, one<&G::track_time_first_attempt>("track-time-first-attempt",
                                             "fill the accounting field timeFirstAttempt",
                                             {.since = Since::GuideR5}));
  add(out, more<&G::mx_connection_limit>("mx-connection-limit", "connections per MX name and source IP"));
  add(out, more<&G::ip_connection_limit>("ip-connection-limit", "connections per destination IP"));
  add(out, one<&G::enable_signals>("enable-signals", "accepted for compatibility",
                                   {.grammar = "BOOLEAN[,subaccount=N]|NAME", .default_text = "no"}));
  add(out, one<&G::pmc_acct_min_free_space>("pmc-acct-min-free-space", "accepted for compatibility"));
  add(out, one<&G::volume_audit_api_key>("volume-audit-api-key", "accepted for compatibility",
                                         {.since = Since::GuideR5, .flags = kSecret}));
  add(out, one<&G::bounce_actions>("bounce-actions", "block of actions on bounces that holds everywhere",
                                   {.since = Since::Extension, .grammar = "NAME"}));
  add(out, ignored("auto-cold-virtual-mta", in(Scope::Global, Scope::Vmta), "removed",
                   {.flags = kDeprecated, .replacement = "cold-virtual-mta and max-cold-virtual-mta-msg"}));
  add(out, ignored("deliver-email", in(Scope::BounceProcessor, Scope::FeedbackLoopProcessor), "removed",
                   {.flags = kDeprecated,
                    .grammar = "BOOLEAN",
                    .replacement = "deliver-matched-email and deliver-unmatched-email"}));
  append_http(out);
}

}  // namespace sluice::config::rows
