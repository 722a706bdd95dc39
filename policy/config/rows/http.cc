// Global directives of servers: inbound TLS, the monitor, the built-in sink.
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using G = GlobalSettings;
using T = ServerTls;

void apply_api_key(Value& value, G& globals) { apply_key(value, globals.http_api_key); }

void append_inbound_tls(std::vector<Directive>& out) {
  add(out, one<&G::smtp_server_tls, &T::certificate>("smtp-server-tls-certificate",
                                                     "certificate and key for inbound STARTTLS"));
  add(out, one<&G::smtp_server_tls, &T::ca_file>("smtp-server-tls-ca-file",
                                                 "authorities of client certificates", {.grammar = "FILE"}));
  add(out, ignored("smtp-server-tls-allow-sslv3", in(Scope::Global), "SSL 3 is gone",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, one<&G::smtp_server_tls, &T::allow_tlsv1>("smtp-server-tls-allow-tlsv1", "allow TLS 1.0"));
  add(out, one<&G::smtp_server_tls, &T::allow_tlsv1_1>("smtp-server-tls-allow-tlsv1.1", "allow TLS 1.1"));
  add(out, one<&G::smtp_server_tls, &T::allow_tlsv1_2>("smtp-server-tls-allow-tlsv1.2", "allow TLS 1.2"));
  add(out, one<&G::smtp_server_tls, &T::allow_tlsv1_3>("smtp-server-tls-allow-tlsv1.3", "allow TLS 1.3",
                                                       {.since = Since::GuideR5}));
  add(out, one<&G::smtp_server_tls, &T::ciphers>("smtp-server-tls-ciphers", "ciphers up to TLS 1.2",
                                                 {.grammar = "OPENSSL-LIST"}));
  add(out, one<&G::smtp_server_tls, &T::v1_3_ciphersuites>(
               "smtp-server-tls-v1.3-ciphersuites", "cipher suites of TLS 1.3",
               {.since = Since::GuideR5, .grammar = "OPENSSL-LIST"}));
  add(out, one<&G::smtp_server_tls, &T::v1_3_ciphersuites>(
               "smtp-server-tls-tlsv1.3-ciphersuites", "cipher suites of TLS 1.3",
               {.since = Since::GuideR5, .flags = kHidden, .grammar = "OPENSSL-LIST"}));
  add(out, one<&G::smtp_server_tls, &T::dh_key_length>("smtp-server-tls-dh-key-length",
                                                       "length of the DH parameters",
                                                       {.since = Since::GuideR5, .min = 1024, .max = 8192}));
}

void append_monitor(std::vector<Directive>& out) {
  add(out,
      one<&G::http_mgmt_port>("http-mgmt-port", "port of the web monitor; 0 is off", {.flags = kRestart}));
  add(out, more<&G::http_mgmt_address>(
               "http-mgmt-address", "address the web monitor listens on",
               {.since = Since::Extension, .flags = kRestart, .default_text = "127.0.0.1 and ::1"}));
  add(out, one<&G::http_access_file>("http-access-file", "file with users and their levels",
                                     {.since = Since::Extension, .grammar = "FILE"}));
  add(out, more<&G::http_access>(
               "http-access", "who may use the web monitor; the first match counts",
               {.grammar = "CIDR none|monitor[,deny-logs]|operator|admin", .default_text = "none"}));
  add(out, ignored("http-mgmt-source", in(Scope::Global), "access needs a level now, which has to be chosen",
                   {.flags = kDeprecated, .replacement = "http-access"}));
  add(out,
      ignored("no-http-mgmt-source", in(Scope::Global), "access needs a level now, which has to be chosen",
              {.flags = kDeprecated, .replacement = "http-access"}));
  add(out, read_by<&apply_api_key>(more<&G::http_api_key>("http-api-key",
                                                          "key that gives administrator rights (X-API-Key)",
                                                          {.flags = kSecret, .grammar = "KEY"})));
  add(out, one<&G::http_csrf_protection>("http-csrf-protection", "no change of state by GET"));
  add(out, one<&G::http_redirect_to_https>("http-redirect-to-https", "send plain HTTP to HTTPS"));
  add(out, one<&G::http_strict_transport_security_max_age>("http-strict-transport-security-max-age",
                                                           "seconds of HSTS"));
  add(out, ignored("http-tls-allow-sslv3", in(Scope::Global), "SSL 3 is gone",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out,
      one<&G::http_tls, &T::certificate>("http-tls-certificate", "certificate and key of the web monitor"));
  add(out, one<&G::http_tls, &T::ca_file>("http-tls-ca-file", "authorities of client certificates",
                                          {.grammar = "FILE"}));
  add(out, one<&G::http_tls, &T::allow_tlsv1>("http-tls-allow-tlsv1", "allow TLS 1.0"));
  add(out, one<&G::http_tls, &T::allow_tlsv1_1>("http-tls-allow-tlsv1.1", "allow TLS 1.1"));
  add(out, one<&G::http_tls, &T::allow_tlsv1_2>("http-tls-allow-tlsv1.2", "allow TLS 1.2"));
  add(out, one<&G::http_tls, &T::allow_tlsv1_3>("http-tls-allow-tlsv1.3", "allow TLS 1.3",
                                                {.since = Since::GuideR5}));
  add(out, one<&G::http_tls, &T::ciphers>("http-tls-ciphers", "ciphers up to TLS 1.2",
                                          {.grammar = "OPENSSL-LIST"}));
  add(out,
      one<&G::http_tls, &T::v1_3_ciphersuites>("http-tls-tlsv1.3-ciphersuites", "cipher suites of TLS 1.3",
                                               {.since = Since::GuideR5, .grammar = "OPENSSL-LIST"}));
  add(out, one<&G::http_tls, &T::dh_key_length>("http-tls-dh-key-length", "length of the DH parameters",
                                                {.since = Since::GuideR5, .min = 1024, .max = 8192}));
  add(out, one<&G::http_log_requests>("http-log-requests", "log requests"));
  add(out, one<&G::http_log_data>("http-log-data", "log request and response data"));
  add(out, one<&G::http_log_tls>("http-log-tls", "log TLS handshakes"));
  add(out, one<&G::http_default_max_items>("http-default-max-items", "rows in lists"));
  add(out, one<&G::http_default_sort_order>("http-default-sort-order", "order of lists"));
  add(out, one<&G::http_mgmt_port>("port", "port of the web monitor",
                                   {.since = Since::Spelling,
                                    .flags = kHidden,
                                    .replacement = "http-mgmt-port",
                                    .scopes = in(Scope::HttpMgmt)}));
  add(out, more<&G::http_mgmt_address>("address", "address the web monitor listens on",
                                       {.since = Since::Spelling,
                                        .flags = kHidden,
                                        .replacement = "http-mgmt-address",
                                        .scopes = in(Scope::HttpMgmt)}));
  add(out, one<&G::http_access_file>("access-file", "file with users and their levels",
                                     {.since = Since::Spelling,
                                      .flags = kHidden,
                                      .grammar = "FILE",
                                      .replacement = "http-access-file",
                                      .scopes = in(Scope::HttpMgmt)}));
}

void append_sink(std::vector<Directive>& out) {
  using S = DummySmtp;
  add(out, one<&G::dummy_smtp, &S::ip>("dummy-smtp-ip", "address of the built-in sink"));
  add(out, one<&G::dummy_smtp, &S::port>("dummy-smtp-port", "port of the built-in sink; 0 is off"));
  add(out, one<&G::dummy_smtp, &S::latency_ms>("dummy-smtp-latency", "milliseconds added to each reply",
                                               {.max = 600000}));
  add(out, one<&G::dummy_smtp, &S::await_slot>("dummy-smtp-await-slot", "wait when the sink is full"));
  add(out, one<&G::dummy_smtp, &S::has_chunking>("dummy-smtp-has-chunking", "the sink offers CHUNKING"));
  add(out,
      one<&G::dummy_smtp, &S::has_pipelining>("dummy-smtp-has-pipelining", "the sink offers PIPELINING"));
  add(out, one<&G::dummy_smtp, &S::has_verp>("dummy-smtp-has-verp", "the sink offers VERP"));
  add(out, one<&G::dummy_smtp, &S::has_mailmerge>("dummy-smtp-has-mailmerge", "the sink offers mail merge",
                                                  {.since = Since::Field}));
  add(out, one<&G::dummy_smtp, &S::update_stats>("dummy-smtp-update-stats", "count the sink's traffic"));
  add(out,
      one<&G::dummy_smtp, &S::blacklist>("dummy-smtp-blacklist", "file with replies the sink bounces with",
                                         {.since = Since::Field, .grammar = "FILE"}));
  add(out, one<&G::dummy_smtp, &S::log_blacklist>("dummy-smtp-log-blacklist", "log those bounces",
                                                  {.since = Since::Field}));
  add(out, one<&G::dummy_smtp, &S::blacklist_bounce_method>("dummy-smtp-blacklist-bounce-method",
                                                            "how the sink chooses what to bounce",
                                                            {.since = Since::Field}));
  add(out, one<&G::dummy_smtp, &S::blacklist_bounce_percent>("dummy-smtp-blacklist-bounce-percent",
                                                             "share of mail the sink bounces",
                                                             {.since = Since::Field, .max = 100}));
}

}  // namespace

void append_http(std::vector<Directive>& out) {
  append_inbound_tls(out);
  append_monitor(out);
  append_sink(out);
}

}  // namespace sluice::config::rows
