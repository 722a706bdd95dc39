// Lists and processors, and the kinds of blocks there are.
#include <array>

#include "policy/base/ascii.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

void apply_reply(Value& value, ReplyList& list) {
  if (auto rule = Codec<ReplyRule>::parse(value.text(), value)) list.rules.push_back(std::move(*rule));
}

/// `*`, `a@x`, `a@*`, `*@x`, `*@*`, `<>`.
bool is_rewrite_side(std::string_view text) {
  if (text == "<>") return true;
  const std::size_t at = text.find('@');
  return at != std::string_view::npos && at > 0 && at + 1 < text.size();
}

template <RewriteRule::Kind Kind>
void apply_rewrite(Value& value, RewriteList& list) {
  static constexpr std::string_view kExpected = Kind == RewriteRule::Kind::MailFrom
                                                    ? "SRC DST, for example *@old.example *@new.example"
                                                    : "DOMAIN-PATTERN DOMAIN";
  const auto words = split_words(value.text());
  if (words.size() < 2)
    return value.fail(value.text().substr(value.text().size()), "argument missing", std::string(kExpected));
  if (words.size() > 2) return value.fail(words[2], "too many arguments", std::string(kExpected));
  if constexpr (Kind == RewriteRule::Kind::MailFrom) {
    for (const std::string_view side : words) {
      if (!is_rewrite_side(side)) return value.fail(side, "not an address pattern", std::string(kExpected));
    }
    if (words[0] == "<>" && words[1].find('*') != std::string_view::npos) {
      return value.fail(words[1], "nothing to copy: <> has no parts", std::string(kExpected));
    }
  } else if (!DomainPattern::parse(words[0])) {
    return value.fail(words[0], "not a domain pattern", std::string(kExpected));
  }
  list.rules.push_back({Kind, std::string(words[0]), std::string(words[1])});
}

/// `action suppress`, `action log`, `action pipe "COMMAND"`; as an element `<handler type="delete"/>`.
void apply_report_action(Value& value, ReportProcessor& processor) {
  static constexpr std::string_view kExpected = "suppress, log, or pipe \"COMMAND\"";
  auto words = split_words(value.text());
  if (const auto attributes = parse_attributes(value.text())) {
    const std::string type = attribute(*attributes, "type");
    const std::string command = attribute(*attributes, "command");
    if (type == "delete" || type == "suppress")
      processor.action = ReportAction::Suppress;
    else if (type == "log")
      processor.action = ReportAction::Log;
    else if ((type == "pipe" || type == "script") && !command.empty()) {
      processor.action = ReportAction::Pipe;
      processor.pipe_command = command;
    } else
      value.fail(value.text(), "unknown handler",
                 "type=\"delete\", type=\"log\", or type=\"pipe\" command=\"...\"");
    return;
  }
  if (words.empty()) return value.fail(value.text(), "argument missing", std::string(kExpected));
  if (words[0] == "suppress" || words[0] == "delete")
    processor.action = ReportAction::Suppress;
  else if (words[0] == "log")
    processor.action = ReportAction::Log;
  else if (words[0] == "pipe" && words.size() == 2) {
    const auto command = unquote(words[1], value);
    if (!command) return;
    processor.action = ReportAction::Pipe;
    processor.pipe_command = *command;
    return;
  } else
    return value.fail(words[0], words[0] == "pipe" ? "argument missing" : "unknown action",
                      std::string(kExpected));
  if (words.size() > 1) value.fail(words[1], "too many arguments", std::string(kExpected));
}

void append_processors(std::vector<Directive>& out) {
  using R = ReportProcessor;
  static constexpr ScopeMask kFbl = in(Scope::FeedbackLoopProcessor);
  add(out, one<&R::deliver_unmatched_email>("deliver-unmatched-email", "pass on mail that is no report",
                                            {.default_text = "yes, no with forward-unmatched-to"}));
  add(out, one<&R::deliver_matched_email>("deliver-matched-email", "pass on reports too"));
  add(out, more<&R::forward_unmatched_to>("forward-unmatched-to", "who gets mail that is no report",
                                          {.grammar = "ADDRESS"}));
  add(out, more<&R::forward_errors_to>("forward-errors-to", "who gets reports that cannot be read",
                                       {.grammar = "ADDRESS"}));
  add(out, more<&R::body_pattern_files>("body-pattern-file", "pattern with named groups for other formats",
                                        {.grammar = "FILE", .scopes = in(Scope::EmailPatterns)}));
  add(out, one<&R::log_match_info>("log-match-info", "log what was extracted",
                                   {.scopes = in(Scope::EmailPatterns)}));
  add(out,
      custom<&apply_report_action, &R::action>(
          "action", "what is done about the recipient of a report",
          {.since = Since::Extension, .grammar = "suppress|log|pipe \"COMMAND\"", .default_text = "log"}));
  add(out, custom<&apply_report_action, &R::action>("handler", "what is done about the recipient of a report",
                                                    {.since = Since::Spelling,
                                                     .flags = kHidden,
                                                     .grammar = "type=\"delete\"",
                                                     .replacement = "action suppress"}));
  add(out, more<&R::virtual_mtas>(
               "virtual-mta", "only reports about this virtual MTA",
               {.since = Since::Extension, .grammar = "VMTA", .default_text = "all", .scopes = kFbl}));
  add(out, more<&R::input_dirs>("input-dir", "Maildir folder or mbox file that is read",
                                {.since = Since::Extension, .grammar = "PATH"}));
  add(out, loader("address", in(Scope::AddressList, Scope::FeedbackLoopProcessor),
                  LoaderAction::AddressEntries, "an address, a local part or a regex",
                  {.flags = kRepeats | kRegex,
                   .grammar = "ADDRESS|LOCAL-PART|/REGEX/",
                   .members = "AddressEntry::text"}));
  add(out, loader("address-file", in(Scope::AddressList), LoaderAction::AddressEntries,
                  "file with an address or a local part per line",
                  {.flags = kRepeats, .grammar = "FILE", .members = "AddressEntry::text"}));
  add(out, loader("domain", in(Scope::AddressList), LoaderAction::AddressEntries, "all addresses of a domain",
                  {.flags = kRepeats, .grammar = "DOMAIN", .members = "AddressEntry::text"}));
}

void apply_transmissions_key(Value& value, TransmissionsApi& api) { apply_key(value, api.api_key); }

void append_services(std::vector<Directive>& out) {
  using N = DnsSettings;
  using T = TransmissionsApi;
  using X = Proxy;
  using V = Vault;
  static constexpr ScopeMask kSignals = in(Scope::Signals);
  add(out, one<&N::precached_domains_file>("precached-domains-file",
                                           "domains whose DNS records are kept fresh", {.grammar = "FILE"}));
  add(out, one<&N::precached_refresh_interval>("precached-refresh-interval", "how often they are looked up",
                                               {.min = 1}));
  add(out, one<&N::precached_max_domains>("precached-max-domains", "how many of them"));
  add(out, read_by<&apply_transmissions_key>(more<&T::api_key>("api-key", "key of the injection API",
                                                               {.flags = kSecret, .grammar = "KEY"})));
  add(out, one<&T::log_requests>("log-requests", "log requests"));
  add(out, one<&T::log_data>("log-data", "log request data"));
  add(out, one<&T::log_tls>("log-tls", "log TLS handshakes"));
  add(out, one<&X::server>("server", "address of the proxy",
                           {.grammar = "HOST:PORT", .default_text = "required"}));
  add(out, more<&X::client>("client", "address the proxy connects from, and its EHLO name",
                            {.grammar = "IP[:PORT] HOST"}));
  add(out,
      one<&X::protocol_version>("protocol-version", "version of the PROXY protocol", {.min = 1, .max = 2}));
  add(out, one<&V::server_url>("server-url", "address of the key store",
                               {.since = Since::GuideR5, .grammar = "URL"}));
  add(out, one<&V::access_token>("access-token", "token of the key store",
                                 {.since = Since::GuideR5, .flags = kSecret}));
  add(out, one<&V::cache_ttl>("cache-ttl", "how long keys are kept", {.since = Since::GuideR5}));
  add(out, ignored("sender-or-from", in(Scope::SignalsFilter),
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out,
      ignored("api-key", kSignals, "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out,
      ignored("upload-url", kSignals, "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("engagement-tracking", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("custom-message-id-header", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("process-x-sp-subaccount-id", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("retain-x-sp-subaccount-id", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("log-verbose", kSignals, "analytics service of PowerMTA's vendor, which others cannot use",
                   {}));
  add(out, ignored("min-free-space", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
  add(out, ignored("privacy-policy", kSignals,
                   "analytics service of PowerMTA's vendor, which others cannot use", {}));
}

}  // namespace

void append_lists(std::vector<Directive>& out) {
  add(out, custom<&apply_reply, &ReplyList::rules>(
               "reply", "what a reply of the receiver triggers",
               {.flags = kRepeats | kRegex, .grammar = Codec<ReplyRule>::kGrammar}));
  add(out,
      loader("mx", in(Scope::MxRollupList), LoaderAction::PatternLine, "domains with this MX join a queue",
             {.flags = kRepeats, .grammar = Codec<MxRollup>::kGrammar, .members = "Config::mx_rollups"}));
  add(out, loader("/", in(Scope::BounceCategories), LoaderAction::PatternLine,
                  "bounces that match belong to the category",
                  {.flags = kRepeats | kRegex,
                   .grammar = "REGEX/ CATEGORY",
                   .members = "Config::bounce_categories"}));
  add(out, loader("header", in(Scope::PatternList), LoaderAction::PatternLine, "match a header",
                  {.flags = kRepeats | kRegex,
                   .grammar = "NAME /REGEX/ RESULTS",
                   .members = "PatternList::patterns"}));
  add(out,
      loader("mail-from", in(Scope::PatternList), LoaderAction::PatternLine, "match the sender",
             {.flags = kRepeats | kRegex, .grammar = "/REGEX/ RESULTS", .members = "PatternList::patterns"}));
  add(out,
      loader("rcpt-to", in(Scope::PatternList), LoaderAction::PatternLine, "match the recipient",
             {.flags = kRepeats | kRegex, .grammar = "/REGEX/ RESULTS", .members = "PatternList::patterns"}));
  add(out, loader("*", in(Scope::PatternList), LoaderAction::PatternLine, "match everything",
                  {.flags = kRepeats, .grammar = "RESULTS", .members = "PatternList::patterns"}));
  add(out, custom<&apply_rewrite<RewriteRule::Kind::MailFrom>, &RewriteList::rules>(
               "mail-from", "rewrite the envelope sender", {.flags = kRepeats, .grammar = "SRC DST"}));
  add(out, custom<&apply_rewrite<RewriteRule::Kind::FromDomain>, &RewriteList::rules>(
               "from-domain", "rewrite the domain of the From header",
               {.flags = kRepeats, .grammar = "DOMAIN-PATTERN DOMAIN"}));
  add(out, more<&DomainKeyList::keys>("domain-key", "DKIM key of the set"));
  append_processors(out);
  append_services(out);
}

std::span<const BlockKind> block_kinds() {
  using A = BlockKind::Argument;
  static constexpr ScopeMask kTop = in(Scope::Global);
  static constexpr std::string_view kSignalsOut =
      "an analytics service of PowerMTA's vendor that others cannot use";
  static constexpr ScopeMask kProcessors = in(Scope::BounceProcessor, Scope::FeedbackLoopProcessor);
  static constexpr std::array kBlocks{
      BlockKind{"source", Scope::Source, kTop, A::Required, "IP|CIDR|NAME", "rules for submitting clients"},
      BlockKind{"smtp-user", Scope::SmtpUser, kTop, A::Required, "NAME", "account for SMTP AUTH"},
      BlockKind{"source-group", Scope::SourceGroup, kTop, A::Required, "NAME",
                "inbound limits shared by sources"},
      BlockKind{"smtp-listener", Scope::SmtpListener, kTop, A::Required, "IP:PORT", "address to listen on"},
      BlockKind{"domain", Scope::Domain, in(Scope::Global, Scope::Vmta, Scope::Pool), A::Required,
                "DOMAIN-PATTERN|$MACRO", "settings of queues"},
      BlockKind{"virtual-mta", Scope::Vmta, kTop, A::Required, "NAME", "sending identity"},
      BlockKind{"virtual-mta-pool", Scope::Pool, kTop, A::Required, "NAME", "group of virtual MTAs"},
      BlockKind{"mx-rollup-list", Scope::MxRollupList, kTop, A::None, "", "join queues by MX"},
      BlockKind{"smtp-pattern-list", Scope::ReplyList, kTop, A::Required, "NAME", "reactions to replies"},
      BlockKind{"pattern-list", Scope::PatternList, kTop, A::Required, "NAME",
                "choice of virtual MTA and priority"},
      BlockKind{"bounce-category-patterns", Scope::BounceCategories, kTop, A::None, "",
                "categories of bounces"},
      BlockKind{"acct-file", Scope::AcctFile, kTop, A::Required, "FILE or |COMMAND", "accounting output"},
      BlockKind{"spool", Scope::Spool, kTop, A::Required, "DIR", "spool folder"},
      BlockKind{"bounce-processor", Scope::BounceProcessor, kTop, A::None, "",
                "bounces that come back as mail"},
      BlockKind{"feedback-loop-processor", Scope::FeedbackLoopProcessor, kTop, A::None, "", "complaints"},
      BlockKind{"email-patterns", Scope::EmailPatterns, kProcessors, A::None, "", "other formats of reports"},
      BlockKind{"address-list", Scope::AddressList, kTop | kProcessors, A::Optional, "NAME",
                "set of addresses"},
      BlockKind{"aliases", Scope::Aliases, kTop, A::None, "", "forwarding"},
      BlockKind{"rewrite-list", Scope::RewriteList, kTop, A::Required, "NAME", "rewriting of senders"},
      BlockKind{"domain-key-list", Scope::DomainKeyList, kTop, A::Required, "NAME", "named set of DKIM keys"},
      BlockKind{"dns", Scope::Dns, kTop, A::None, "", "DNS records kept fresh"},
      BlockKind{"transmissions-api", Scope::TransmissionsApi, kTop, A::None, "", "HTTP injection"},
      BlockKind{"transmissions-api-listener", Scope::ApiListener, kTop, A::Required, "IP:PORT",
                "address of HTTP injection"},
      BlockKind{"proxy", Scope::Proxy, kTop, A::Required, "NAME", "proxy server"},
      BlockKind{"vault", Scope::Vault, kTop, A::None, "", "external key store", Since::GuideR5},
      BlockKind{"signals", Scope::Signals, kTop, A::None, "", "upload to the vendor's analytics",
                Since::Guide, kSignalsOut},
      BlockKind{"sparkpost-analytics", Scope::Signals, kTop, A::None, "", "older name of <signals>",
                Since::Guide, kSignalsOut},
      BlockKind{"signals-filter", Scope::SignalsFilter, kTop, A::Required, "NAME",
                "which senders the analytics see", Since::Guide, kSignalsOut},
      BlockKind{"gm-imprinter", Scope::GmImprinter, kTop, A::None, "", "Goodmail tokens", Since::Field,
                "the Goodmail service ended in 2011"},
      BlockKind{"alerts", Scope::Alerts, kTop, A::None, "", "when somebody is told about a stream in trouble",
                Since::Extension},
      BlockKind{"http-mgmt", Scope::HttpMgmt, kTop, A::None, "", "web monitor", Since::Spelling},
      BlockKind{"http-monitor", Scope::HttpMgmt, kTop, A::None, "", "web monitor", Since::Spelling},
      BlockKind{"fbl", Scope::FeedbackLoopProcessor, kTop, A::None, "", "complaints", Since::Spelling},
      BlockKind{"bounce-actions", Scope::BounceActions,
                in(Scope::Global, Scope::Vmta, Scope::Pool, Scope::Domain), A::Optional, "NAME",
                "what is done about bounces", Since::Extension},
      BlockKind{"bounce-handling", Scope::BounceActions,
                in(Scope::Global, Scope::Vmta, Scope::Pool, Scope::Domain), A::Optional, "NAME",
                "what is done about bounces", Since::Spelling},
  };
  return kBlocks;
}

}  // namespace sluice::config::rows
