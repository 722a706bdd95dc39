// `<domain>`: pace, retry, routing and modes of one queue.
#include <array>

#include "policy/base/ascii.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using D = DomainSettings;

/// "max-msg-per-hour 100" is "max-msg-rate 100/h".
template <RateLimit D::* Member>
void apply_per_hour(Value& value, D& domain) {
  const auto count = Codec<CountLimit>::parse(value.text(), value);
  if (!count) return;
  if (!*count || **count == 0) value.warn(value.text(), "0 is no limit", "`pause queue` stops mail");
  domain.*Member = *count && **count > 0 ? RateLimit{Rate{**count, 1h}} : RateLimit{};
}

void apply_max_per_source_ip(Value& value, D& domain) {
  if (const auto count = Codec<std::uint32_t>::parse(value.text(), value)) {
    domain.source_ip_max_smtp_out.push_back({Cidr{}, *count});
  }
}

/// Old `route`: one host, [ip]:port, or a domain whose MX is asked.
void apply_route(Value& value, D& domain) {
  auto hosts = parse_route(value.text(), value);
  if (hosts) domain.smtp_hosts = std::move(*hosts);
}

void apply_queue_to(Value& value, D& domain) {
  if (const auto name = unquote(value.text(), value))
    domain.queue_to = name->empty() ? "" : normalise_domain(*name);
}

/// DAILY-LIMITS: "100/d,200/day".
void apply_cold_limits(Value& value, D& domain) {
  std::vector<std::uint32_t> limits;
  for (const std::string_view token : split_list(value.text())) {
    std::optional<std::uint64_t> count;
    const std::size_t slash = token.find('/');
    const std::string_view unit = slash == std::string_view::npos ? "" : token.substr(slash + 1);
    if (iequals(unit, "d") || iequals(unit, "day")) count = parse_number(token.substr(0, slash));
    if (!count || *count > UINT32_MAX) {
      return value.fail(token, "\"" + std::string(token) + "\" is not a daily limit",
                        "N/d or N/day, for example 100/d,200/d");
    }
    limits.push_back(static_cast<std::uint32_t>(*count));
  }
  if (limits.empty()) return value.fail(value.text(), "argument missing", "N/d[,N/d...]");
  domain.max_cold_virtual_mta_msg = std::move(limits);
}

std::string format_cold_limits(const D& domain) {
  std::string out;
  for (const std::uint32_t limit : domain.max_cold_virtual_mta_msg)
    out += (out.empty() ? "" : ",") + std::to_string(limit) + "/d";
  return out.empty() ? "0/d" : out;
}

std::string escape_regex(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (!is_alpha(c) && !is_digit(c) && c != ' ' && c != '-' && static_cast<unsigned char>(c) < 0x80)
      out += '\\';
    out += c;
  }
  return out;
}

/// A rule for replies that start with `text`: code, enhanced code, or code and text behind them.
ReplyRule literal_rule(std::string_view text, Origin origin) {
  ReplyRule rule;
  std::string pattern;
  // Words may be apart in the reply ("421-4.7.0 [TS01] ..."): any run of non-letters may stand between them.
  for (const std::string_view word : split_words(text)) {
    if (!pattern.empty()) pattern += "\\b.*?\\b";
    pattern += escape_regex(word);
  }
  rule.pattern = {'^' + pattern + "\\b", origin};
  rule.literal_length = static_cast<std::uint32_t>(text.size());
  rule.mode = QueueMode::Backoff;
  return rule;
}

/// `smtp-pattern-list NAME`, or the second spelling NAME "421 4.7.0" that makes a list of one rule on the
/// spot.
void apply_pattern_list(Value& value, D& domain) {
  const auto words = split_words(value.text());
  if (words.size() > 2) return value.fail(words[2], "too many arguments", "NAME");
  if (words.size() == 2) {
    const auto text = unquote(words[1], value);
    if (!text) return;
    if (text->empty() || words[1].front() != '"') return value.fail(words[1], "too many arguments", "NAME");
    domain.inline_reply_rules.push_back(literal_rule(*text, value.origin()));
    return;
  }
  auto name = unquote(value.text(), value);
  if (name) domain.smtp_pattern_list = std::move(*name);
}

/// `retry-after TIME[,TIME...]`, or the second spelling `retry-after 421 4.7.0 TS01 60m`.
void apply_retry_after(Value& value, D& domain) {
  const auto words = split_words(value.text());
  if (words.size() >= 2 && value.text().find(',') == std::string_view::npos && words[0].size() == 3 &&
      (words[0][0] == '4' || words[0][0] == '5') && is_digit(words[0][1]) && is_digit(words[0][2])) {
    const auto time = Codec<Duration>::parse(words.back(), value);
    if (!time) return;
    const auto text_end = static_cast<std::size_t>(words.back().data() - value.text().data());
    ReplyRule rule = literal_rule(trim(value.text().substr(0, text_end)), value.origin());
    rule.retry_after = *time;
    domain.inline_reply_rules.push_back(std::move(rule));
    return;
  }
  apply_one<Path<&D::retry_after>>(value, &domain);
}

void append_pace(std::vector<Directive>& out) {
  add(out, read_by<&apply_tuned<Path<&D::max_smtp_out>>>(
               one<&D::max_smtp_out>("max-smtp-out", "connections of this queue at a time")));
  add(out, one<&D::backoff_max_smtp_out>("backoff-max-smtp-out", "the same in backoff mode"));
  add(out, more<&D::source_ip_max_smtp_out>("source-ip-max-smtp-out", "connections per source IP",
                                            {.grammar = "CIDR N"}));
  add(out, one<&D::max_connect_rate>("max-connect-rate", "new connections per time"));
  add(out, one<&D::backoff_max_connect_rate>("backoff-max-connect-rate", "the same in backoff mode",
                                             {.default_text = "max-connect-rate"}));
  add(out,
      more<&D::source_ip_max_connect_rate>(
          "source-ip-max-connect-rate", "new connections per time and source IP", {.grammar = "CIDR RATE"}));
  add(out, one<&D::max_msg_rate>("max-msg-rate", "recipients attempted per time; failures count too"));
  add(out, one<&D::backoff_max_msg_rate>("backoff-max-msg-rate", "the same in backoff mode",
                                         {.default_text = "max-msg-rate"}));
  add(out,
      more<&D::source_ip_max_msg_rate>(
          "source-ip-max-msg-rate", "recipients attempted per time and source IP", {.grammar = "CIDR RATE"}));
  add(out, one<&D::max_data_volume_rate>("max-data-volume-rate", "bytes delivered per time"));
  add(out, one<&D::backoff_max_data_volume_rate>("backoff-max-data-volume-rate", "the same in backoff mode",
                                                 {.default_text = "max-data-volume-rate"}));
  add(out, more<&D::source_ip_max_data_volume_rate>("source-ip-max-data-volume-rate",
                                                    "bytes delivered per time and source IP",
                                                    {.grammar = "CIDR VOLUME-RATE"}));
  add(out,
      custom<&apply_per_hour<&D::max_msg_rate>, &D::max_msg_rate>("max-msg-per-hour", "messages per hour",
                                                                  {.flags = kDeprecated,
                                                                   .zero_is_unlimited = true,
                                                                   .grammar = "N",
                                                                   .replacement = "max-msg-rate N/h"}));
  add(out, custom<&apply_per_hour<&D::backoff_max_msg_rate>, &D::backoff_max_msg_rate>(
               "backoff-max-msg-per-hour", "messages per hour in backoff mode",
               {.flags = kDeprecated,
                .zero_is_unlimited = true,
                .grammar = "N",
                .replacement = "backoff-max-msg-rate N/h"}));
  add(out, custom<&apply_max_per_source_ip, &D::source_ip_max_smtp_out>(
               "max-smtp-out-per-source-ip", "connections per source IP",
               {.flags = kDeprecated, .grammar = "N", .replacement = "source-ip-max-smtp-out 0/0 N"}));
  add(out, one<&D::smtp_out_rampup_interval>("smtp-out-rampup-interval",
                                             "least time before one more connection is opened"));
  add(out, one<&D::connection_idle_timeout>("connection-idle-timeout",
                                            "how long an idle connection waits for new mail", {.max = 600}));
  add(out, one<&D::share_connections>("share-connections",
                                      "an idle connection serves other domains of the same mail host",
                                      {.since = Since::Extension}));
  add(out, one<&D::max_msg_per_connection>("max-msg-per-connection", "messages before a connection is closed",
                                           {.zero_is_unlimited = true, .default_text = "0"}));
  add(out, one<&D::max_rcpt_per_message>("max-rcpt-per-message", "recipients per transaction",
                                         {.zero_is_unlimited = true}));
  add(out, one<&D::max_rcpt_per_message>(
               "max-rcpt-per-transaction", "recipients per transaction",
               {.flags = kHidden, .zero_is_unlimited = true, .replacement = "max-rcpt-per-message"}));
  add(out, one<&D::max_errors_per_connection>("max-errors-per-connection",
                                              "recipient errors before a connection is dropped",
                                              {.zero_is_unlimited = true}));
  add(out, one<&D::share_limits_over_vmtas>(
               "share-limits-over-vmtas",
               "connections and rates of this domain hold for all virtual MTAs together",
               {.since = Since::Extension}));
  add(out, one<&D::mx_connection_attempts>("mx-connection-attempts", "connections tried in one delivery run",
                                           {.since = Since::Field, .min = 1}));
}

void append_retry(std::vector<Directive>& out) {
  add(out, read_by<&apply_retry_after>(one<&D::retry_after>(
               "retry-after", "queue retry interval; a list is walked, its last entry repeats")));
  add(out, one<&D::backoff_retry_after>("backoff-retry-after", "the same in backoff mode"));
  add(out, one<&D::retry_after_dns_error>("retry-after-dns-error", "retry interval after a DNS failure",
                                          {.since = Since::GuideR5}));
  add(out,
      one<&D::retry_recipients_after>("retry-recipients-after", "least wait of a recipient after a 4xx"));
  add(out, one<&D::retry_upon_new_mail>("retry-upon-new-mail", "new mail ends the wait of a queue"));
  add(out, one<&D::bounce_after>("bounce-after", "age at which a recipient bounces"));
  add(out, one<&D::bounce_upon_no_mx>("bounce-upon-no-mx", "without MX: bounce now, after an age, or never"));
  add(out, one<&D::bounce_upon_5xx_greeting>("bounce-upon-5xx-greeting",
                                             "a 5xx greeting is final; no: try the next MX"));
  add(out, one<&D::bounce_upon_transfer_failure>("bounce-upon-transfer-failure",
                                                 "bounce when the connection breaks during the body"));
  add(out, one<&D::bounce_upon_pix_transfer_failure>("bounce-upon-pix-transfer-failure",
                                                     "the same behind a PIX firewall"));
  add(out, one<&D::pix_bug_workaround>("pix-bug-workaround",
                                       "send the final dot in a segment of its own to a PIX firewall"));
  add(out, one<&D::assume_delivery_upon_data_termination_timeout>(
               "assume-delivery-upon-data-termination-timeout",
               "silence after the final dot counts as delivered"));
  add(out,
      one<&D::smtp_retries_after_shutoff>("smtp-retries-after-shutoff",
                                          "attempts left per recipient once the queue's sources are shut off",
                                          {.since = Since::Extension}));
  add(out, one<&D::connect_timeout>("connect-timeout", "time for the TCP connection", {.min = 1}));
  add(out, one<&D::smtp_greeting_timeout>("smtp-greeting-timeout", "time for the greeting", {.min = 1}));
  add(out, one<&D::data_send_timeout>(
               "data-send-timeout", "time for the receiver to take a byte, and for each 64 KiB", {.min = 1}));
  add(out, one<&D::smtp_data_termination_timeout>("smtp-data-termination-timeout",
                                                  "time for the reply to the final dot", {.min = 1}));
  add(out, one<&D::smtp_multiple_line_response_timeout>("smtp-multiple-line-response-timeout",
                                                        "time for all lines of one reply",
                                                        {.since = Since::Field, .min = 1}));
}

void append_routing(std::vector<Directive>& out) {
  add(out, one<&D::smtp_hosts>("smtp-hosts", "static routing: comma = same preference, semicolon = next",
                               {.flags = kList}));
  add(out, custom<&apply_route, &D::smtp_hosts>(
               "route", "static routing to one host",
               {.flags = kDeprecated, .grammar = "HOST[:PORT]", .replacement = "smtp-hosts"}));
  add(out, one<&D::default_smtp_port>("default-smtp-port", "port of receivers", {.min = 1}));
  add(out, read_by<&apply_queue_to>(one<&D::queue_to>("queue-to", "put the mail into the queue of this name",
                                                      {.grammar = "QUEUE-DOMAIN"})));
  add(out, one<&D::disable_mx_rollup>("disable-mx-rollup", "keep this domain out of MX rollup"));
  add(out,
      one<&D::mx_rollup>("mx-rollup", "join domains served by this provider",
                         {.since = Since::Spelling, .grammar = "DOMAIN", .replacement = "<mx-rollup-list>"}));
  add(out, one<&D::reroute_to_virtual_mta>("reroute-to-virtual-mta",
                                           "send through this virtual MTA or pool instead",
                                           {.grammar = "VMTA|POOL"}));
  add(out, one<&D::reroute_to_virtual_mta>("route-to-pool", "send through this pool instead",
                                           {.since = Since::Spelling,
                                            .flags = kHidden,
                                            .grammar = "POOL",
                                            .replacement = "reroute-to-virtual-mta"}));
  add(out, one<&D::reroute_to_virtual_mta>("virtual-mta-pool", "send through this pool instead",
                                           {.since = Since::Spelling,
                                            .flags = kHidden,
                                            .grammar = "POOL",
                                            .replacement = "reroute-to-virtual-mta"}));
  add(out, one<&D::backoff_reroute_to_virtual_mta>("backoff-reroute-to-virtual-mta",
                                                   "send through this virtual MTA or pool while in backoff",
                                                   {.grammar = "VMTA|POOL"}));
  add(out, printed_by<&format_cold_limits, D>(custom<&apply_cold_limits, &D::max_cold_virtual_mta_msg>(
               "max-cold-virtual-mta-msg", "messages per day and cold virtual MTA, day by day",
               {.flags = kList, .grammar = "N/d[,N/d...]"})));
  add(out, one<&D::queue_priority>("queue-priority", "rank among queues when connection slots are short",
                                   {.max = 100}));
  add(out,
      one<&D::queue_priority>("delivery-priority", "rank among queues",
                              {.flags = kDeprecated | kHidden, .max = 100, .replacement = "queue-priority"}));
  add(out, one<&D::allow_priority_interruption>("allow-priority-interruption",
                                                "a queue of higher priority may take connections"));
  add(out, one<&D::allow_priority_interruption_during_transfer>("allow-priority-interruption-during-transfer",
                                                                "even in the middle of a message"));
  add(out, one<&D::allow_cancel_during_transfer>("allow-cancel-during-transfer",
                                                 "a transfer may be cut at shutdown"));
}

void append_modes(std::vector<Directive>& out) {
  add(out, read_by<&apply_pattern_list>(one<&D::smtp_pattern_list>(
               "smtp-pattern-list", "reactions to replies of the receiver", {.grammar = "NAME"})));
  add(out, one<&D::bounce_actions>("bounce-actions", "what is done about bounces",
                                   {.since = Since::Extension, .grammar = "NAME"}));
  add(out, one<&D::smtp_421_means_mx_unavailable>("smtp-421-means-mx-unavailable",
                                                  "421 ends the connection and the next MX is tried"));
  add(out, one<&D::smtp_553_means_invalid_mailbox>("smtp-553-means-invalid-mailbox",
                                                   "553 to RCPT without an enhanced code is 5.1.1"));
  add(out, one<&D::replace_smtp_421_service_response>("replace-smtp-421-service-response",
                                                      "bounces show \"service unavailable\" for a 421"));
  add(out, one<&D::backoff_to_normal_after>("backoff-to-normal-after", "time after which backoff mode ends"));
  add(out, one<&D::backoff_to_normal_after_delivery>("backoff-to-normal-after-delivery",
                                                     "a delivery ends backoff mode"));
  add(out, one<&D::backoff_upon_all_sources_disabled>("backoff-upon-all-sources-disabled",
                                                      "enter backoff mode when no source IP is left"));
  add(out,
      one<&D::backoff_notify>("backoff-notify", "who is told about mode changes", {.grammar = "EMAIL-LIST"}));
  add(out,
      one<&D::disabled_source_ip_notify>("disabled-source-ip-notify", "who is told about disabled source IPs",
                                         {.grammar = "EMAIL-LIST"}));
  add(out, one<&D::reenable_source_ip_after>("reenable-source-ip-after",
                                             "time after which a disabled source IP is used again"));
  add(out, one<&D::adaptive_pacing>(
               "adaptive-pacing", "cut the message rate when the receiver pushes back, recover step by step",
               {.since = Since::Extension}));
  add(out, one<&D::adaptive_pacing_floor>("adaptive-pacing-floor", "adaptive pacing cuts no rate below this",
                                          {.since = Since::Extension}));
  add(out,
      one<&D::adaptive_pacing_cut>("adaptive-pacing-cut", "percent of the rate that a push-back takes off",
                                   {.since = Since::Extension, .min = 1, .max = 99}));
  add(out, one<&D::adaptive_pacing_step>("adaptive-pacing-step",
                                         "percent of the configured rate that a calm interval gives back",
                                         {.since = Since::Extension, .min = 1, .max = 100}));
  add(out, one<&D::adaptive_pacing_interval>("adaptive-pacing-interval",
                                             "time without push-back after which the rate rises a step",
                                             {.since = Since::Extension, .min = 1}));
}

}  // namespace

void append_domain(std::vector<Directive>& out) {
  append_pace(out);
  append_retry(out);
  append_routing(out);
  append_modes(out);
}

}  // namespace sluice::config::rows
