// `<domain>`: kinds of delivery, TLS, DKIM, reports and logs of one queue.
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using D = DomainSettings;
using K = DkimSettings;

/// `dkim-sign yes`, or the second spelling that brings the key along:
/// `dkim-sign domain="d" key-file="f" selector="s" header-list="A:B"`.
void apply_dkim_sign(Value& value, D& domain) {
  const auto attributes = parse_attributes(value.text());
  if (!attributes) return apply_one<Path<&D::dkim, &K::sign>>(value, &domain);
  const auto key = Codec<DomainKey>::parse(value.text(), value);
  if (!key) return;
  domain.dkim.sign = DkimSign::Yes;
  // In front: the key of the more specific block is found first.
  domain.domain_keys.insert(domain.domain_keys.begin(), *key);
  const std::string headers = attribute(*attributes, "header-list");
  if (headers.empty()) return;
  domain.dkim.headers.clear();
  for (const std::string_view name : split_at(headers, ':')) {
    if (!name.empty()) domain.dkim.headers.push_back({std::string(name), false});
  }
}

Directive dkim_sign_row() {
  return read_by<&apply_dkim_sign>(one<&D::dkim, &K::sign>("dkim-sign", "sign with DKIM"));
}

/// The names of one DKIM signature's directives, for `dkim-` and `second-dkim-`.
struct DkimNames {
  std::string_view algorithm, body_canon, headers_canon, identity, fallback, headers, disallow, expire,
      timestamp, body_limit, query;
};
constexpr DkimNames kFirst{"dkim-algorithm",
                           "dkim-body-canon",
                           "dkim-headers-canon",
                           "dkim-identity",
                           "dkim-identity-fallback",
                           "dkim-headers",
                           "dkim-disallow-adding-headers",
                           "dkim-expire-after",
                           "dkim-add-timestamp",
                           "dkim-add-body-limit",
                           "dkim-query-method"};
constexpr DkimNames kSecond{"second-dkim-algorithm",
                            "second-dkim-body-canon",
                            "second-dkim-headers-canon",
                            "second-dkim-identity",
                            "second-dkim-identity-fallback",
                            "second-dkim-headers",
                            "second-dkim-disallow-adding-headers",
                            "second-dkim-expire-after",
                            "second-dkim-add-timestamp",
                            "second-dkim-add-body-limit",
                            "second-dkim-query-method"};

template <auto Member>
void append_dkim(std::vector<Directive>& out, const DkimNames& names) {
  add(out, one<Member, &K::algorithm>(names.algorithm, "signature algorithm"));
  add(out, one<Member, &K::body_canon>(names.body_canon, "canonical form of the body"));
  add(out, one<Member, &K::headers_canon>(names.headers_canon, "canonical form of the headers"));
  add(out, one<Member, &K::identity>(names.identity, "whose key signs, and the i= tag",
                                     {.grammar = "sender-or-from|strict-from|@DOMAIN|ADDRESS"}));
  add(out, one<Member, &K::identity_fallback>(names.fallback, "identity used when no key fits",
                                              {.grammar = "@DOMAIN|ADDRESS"}));
  add(out, one<Member, &K::headers>(names.headers, "headers signed in addition to the fixed set",
                                    {.flags = kRegex}));
  add(out, one<Member, &K::disallow_adding_headers>(names.disallow, "headers nobody may add on the way",
                                                    {.grammar = "HEADER-LIST"}));
  add(out, one<Member, &K::expire_after>(names.expire, "lifetime of the signature (x=)"));
  add(out, one<Member, &K::add_timestamp>(names.timestamp, "tell when the signature was made (t=)"));
  add(out, one<Member, &K::add_body_limit>(names.body_limit, "tell how much of the body is signed (l=)"));
  add(out, one<Member, &K::query_method>(names.query, "how verifiers find the key (q=)"));
}

void append_kinds(std::vector<Directive>& out) {
  add(out, one<&D::type>("type", "kind of delivery; mail that is queued goes the new way after a reload"));
  add(out, one<&D::discard_as_bounce>("discard-as-bounce", "discarded mail is recorded as bounced"));
  add(out, one<&D::file_format>("file-format", "format of file delivery"));
  add(out,
      one<&D::file_destination>("file-destination", "folder or file of file delivery", {.grammar = "PATH"}));
  add(out, one<&D::command>("command", "program of pipe delivery, started for each recipient without a shell",
                            {.grammar = "\"COMMAND\""}));
  add(out, one<&D::macro_variables_preserve_case>("macro-variables-preserve-case",
                                                  "keep the case of $to and $from"));
  add(out, one<&D::http_delivery_url>(
               "http-delivery-url",
               "endpoint of HTTP delivery; mail for an https address waits until connections have TLS",
               {.grammar = "URL"}));
  add(out, one<&D::http_delivery_extra_headers>("http-delivery-extra-headers",
                                                "headers added to the HTTP request", {.grammar = "FILE"}));
  add(out, one<&D::auth_username>("auth-username", "user name for AUTH at the receiver"));
  add(out, one<&D::auth_password>("auth-password", "password for AUTH at the receiver", {.flags = kSecret}));
  add(out,
      one<&D::use_unencrypted_plain_auth>("use-unencrypted-plain-auth", "PLAIN and LOGIN even without TLS"));
  add(out, one<&D::use_starttls>("use-starttls", "encrypt where the receiver can"));
  add(out, one<&D::require_starttls>("require-starttls", "never send unencrypted"));
  add(out, one<&D::use_dane>("use-dane", "verify the receiver by TLSA records"));
  add(out,
      one<&D::use_mta_sts>("use-mta-sts", "obey the receiver's MTA-STS policy", {.since = Since::GuideR5}));
  add(out, one<&D::reuse_ssl_session>("reuse-ssl-session", "resume TLS sessions"));
  add(out, ignored("smtp-tls-allow-sslv3", in(Scope::Domain), "SSL 3 is gone",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, one<&D::smtp_tls_allow_tlsv1>("smtp-tls-allow-tlsv1", "allow TLS 1.0"));
  add(out, one<&D::smtp_tls_allow_tlsv1_1>("smtp-tls-allow-tlsv1.1", "allow TLS 1.1"));
  add(out, one<&D::smtp_tls_allow_tlsv1_2>("smtp-tls-allow-tlsv1.2", "allow TLS 1.2"));
  add(out,
      one<&D::smtp_tls_allow_tlsv1_3>("smtp-tls-allow-tlsv1.3", "allow TLS 1.3", {.since = Since::GuideR5}));
  add(out,
      one<&D::smtp_tls_ciphers>("smtp-tls-ciphers", "ciphers up to TLS 1.2", {.grammar = "OPENSSL-LIST"}));
  add(out, one<&D::smtp_tls_v1_3_ciphersuites>("smtp-tls-tlsv1.3-ciphersuites", "cipher suites of TLS 1.3",
                                               {.since = Since::GuideR5, .grammar = "OPENSSL-LIST"}));
  add(out, one<&D::smtp_tls_ca_file>("smtp-tls-ca-file", "authorities that receivers are verified with",
                                     {.grammar = "FILE"}));
  add(out, one<&D::smtp_client_certificate>("smtp-client-certificate", "certificate shown to receivers",
                                            {.since = Since::GuideR5}));
  add(out, one<&D::ignore_8bitmime>("ignore-8bitmime", "do not use 8BITMIME"));
  add(out, one<&D::ignore_chunking>("ignore-chunking", "do not use CHUNKING"));
  add(out, one<&D::ignore_pipelining>("ignore-pipelining", "do not use PIPELINING"));
  add(out, one<&D::ignore_dsn>("ignore-dsn", "do not use DSN"));
  add(out, one<&D::check_spf_outbound>("check-spf-outbound", "send only what passes the sender's own SPF"));
}

void append_message(std::vector<Directive>& out) {
  static constexpr RowOptions kHistoric{.since = Since::Field, .flags = kDeprecated, .grammar = "BOOLEAN"};
  add(out, dkim_sign_row());
  add(out, loader("dkim-sign", in(Scope::Global), LoaderAction::ImplicitDomain, "sign with DKIM, all domains",
                  {.since = Since::Spelling,
                   .grammar = "BOOLEAN|if-x-dkim-options-present",
                   .default_text = "no",
                   .replacement = "dkim-sign in <domain *>",
                   .members = "DomainSettings::dkim DkimSettings::sign"}));
  add(out, one<&D::second_dkim, &K::sign>("second-dkim-sign", "add a second DKIM signature"));
  add(out,
      more<&D::domain_keys>("domain-key", "DKIM key of this domain block",
                            {.since = Since::Spelling, .replacement = "domain-key outside of <domain>"}));
  add(out,
      ignored(
          "dk-sign", in(Scope::Domain), "DomainKeys is historic",
          {.since = Since::Field, .flags = kDeprecated, .grammar = "BOOLEAN", .replacement = "dkim-sign"}));
  add(out, one<&D::remove_header>("remove-header", "headers removed at delivery, ours in front among them",
                                  {.grammar = "HEADER-LIST"}));
  add(out, one<&D::bcc_upon_delivery>("bcc-upon-delivery",
                                      "who gets a copy of each delivered message, one for each recipient",
                                      {.grammar = "ADDRESS"}));
  add(out, one<&D::add_fbl_id_header>("add-fbl-id-header",
                                      "add X-FBLId: signed id of job, virtual MTA and recipient hash",
                                      {.since = Since::Extension}));
  add(out, one<&D::add_x_msys_api_header>("add-x-msys-api-header", "for queues towards SparkPost"));
  add(out, one<&D::sparkpost_sandbox>("sparkpost-sandbox", "for queues towards SparkPost"));
  add(out, one<&D::sparkpost_ip_pool>("sparkpost-ip-pool", "for queues towards SparkPost"));
  add(out, one<&D::notify_of_delay_every>("notify-of-delay-every", "interval of reports for NOTIFY=DELAY"));
  add(out, one<&D::dsn_format>("dsn-format", "format of bounce reports"));
  add(out,
      one<&D::deliver_local_dsn>("deliver-local-dsn", "send bounce reports to senders of this domain",
                                 {.flags = kDeprecated, .replacement = "suppress-local-dsn in <source>"}));
  add(out,
      one<&D::disable_acct_records>("disable-acct-records", "accounting records this queue does not write",
                                    {.grammar = "d|b|t|tq"}));
  add(out,
      one<&D::track_recipient_events>("track-recipient-events", "keep the last recipient events in memory"));
  add(out, one<&D::max_events_recorded>("max-events-recorded", "error events kept per queue", {.max = 1000}));
  add(out, one<&D::log_connections>("log-connections", "log connections"));
  add(out, one<&D::log_commands>("log-commands", "log commands and replies"));
  add(out, one<&D::log_data>("log-data", "log message data"));
  add(out, one<&D::log_resolution>("log-resolution", "log DNS look-ups"));
  add(out, one<&D::log_transfer_failures>("log-transfer-failures", "log broken transfers"));
  add(out, one<&D::log_disabled_ips>("log-disabled-ips", "log disabled source IPs"));
  add(out, one<&D::log_tls>("log-tls", "log TLS handshakes"));
  add(out, one<&D::log_messages>("log-messages", "log filtered reports"));
  add(out, ignored("check-mfrom-outbound", in(Scope::Domain), "Sender-ID is historic", kHistoric));
  add(out, ignored("check-pra-outbound", in(Scope::Domain), "Sender-ID is historic", kHistoric));
  add(out, ignored("add-gm-token", in(Scope::Domain), "Goodmail is historic", kHistoric));
  add(out, ignored("bounce-address", in(Scope::Domain), "meaning unknown",
                   {.since = Since::Field, .grammar = "ADDRESS"}));
  append_dkim<&D::dkim>(out, kFirst);
  append_dkim<&D::second_dkim>(out, kSecond);
}

}  // namespace

void append_domain_message(std::vector<Directive>& out) {
  append_kinds(out);
  append_message(out);
}

}  // namespace sluice::config::rows
