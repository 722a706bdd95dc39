// `<acct-file>`, `<spool>`, `<smtp-listener>`, `<smtp-user>`, `<source-group>`.
#include <algorithm>
#include <utility>

#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

void apply_move_interval(Value& value, AcctFile& file) {
  const auto interval = Codec<Duration>::parse(value.text(), value);
  if (!interval) return;
  file.move_interval = *interval;
  file.move_interval_given = true;
}

/// The guide forbids a second line, but installers write one: both lists hold.
void apply_records(Value& value, AcctFile& file) {
  std::vector<RecordType> joined;
  if (std::exchange(file.records_given, true)) joined = file.records;
  apply_one<Path<&AcctFile::records>>(value, &file);
  if (value.failed() || joined.empty()) return;
  value.warn(value.text(), "a second records line: it adds to the first", "one line with all types");
  for (const RecordType type : file.records) {
    if (std::ranges::find(joined, type) == joined.end()) joined.push_back(type);
  }
  file.records = std::move(joined);
}

void append_webhook(std::vector<Directive>& out) {
  using A = AcctFile;
  add(out, one<&A::http_webhook_url>("http-webhook-url", "endpoint that gets the records in batches",
                                     {.since = Since::GuideR5, .grammar = "URL"}));
  add(out, one<&A::http_webhook_extra_headers>("http-webhook-extra-headers", "headers added to the request",
                                               {.since = Since::GuideR5, .grammar = "FILE"}));
  add(out, one<&A::http_webhook_certificate>("http-webhook-certificate", "client certificate",
                                             {.since = Since::GuideR5, .grammar = "FILE"}));
  add(out, one<&A::http_webhook_ca_file>("http-webhook-ca-file", "authorities of the endpoint",
                                         {.since = Since::GuideR5, .grammar = "FILE"}));
  add(out,
      one<&A::http_webhook_max_interval>("http-webhook-max-interval", "longest time before a batch goes out",
                                         {.since = Since::GuideR5, .min = 60}));
  add(out, one<&A::http_webhook_transfer_encoding>("http-webhook-transfer-encoding", "compression",
                                                   {.since = Since::GuideR5, .grammar = "gzip"}));
  add(out, one<&A::http_webhook_connect_timeout>("http-webhook-connect-timeout", "time for the connection",
                                                 {.since = Since::GuideR5, .min = 1}));
  add(out, one<&A::http_webhook_io_timeout>("http-webhook-io-timeout", "time for the answer",
                                            {.since = Since::GuideR5, .min = 1}));
  add(out, one<&A::http_webhook_log_verbose>("http-webhook-log-verbose", "log each request",
                                             {.since = Since::GuideR5}));
}

void append_listener(std::vector<Directive>& out) {
  using L = SmtpListener;
  using A = ApiListener;
  using T = ServerTls;
  add(out, one<&L::source>("source", "named <source> whose rules hold here", {.grammar = "NAME"}));
  add(out, one<&L::default_virtual_mta>(
               "default-virtual-mta", "virtual MTA of mail that comes in here",
               {.since = Since::Spelling, .grammar = "VMTA|POOL", .replacement = "source NAME"}));
  add(out, one<&L::await_slot>("await-slot", "inbound limit reached: wait instead of 421"));
  add(out, one<&L::immediate_tls>("immediate-tls", "TLS from the first byte"));
  add(out, one<&L::tls, &T::certificate>("tls-certificate", "certificate and key"));
  add(out,
      one<&L::tls, &T::ca_file>("tls-ca-file", "authorities of client certificates", {.grammar = "FILE"}));
  add(out, one<&L::tls, &T::allow_tlsv1>("tls-allow-tlsv1", "allow TLS 1.0"));
  add(out, one<&L::tls, &T::allow_tlsv1_1>("tls-allow-tlsv1.1", "allow TLS 1.1"));
  add(out, one<&L::tls, &T::allow_tlsv1_2>("tls-allow-tlsv1.2", "allow TLS 1.2"));
  add(out, one<&L::tls, &T::allow_tlsv1_3>("tls-allow-tlsv1.3", "allow TLS 1.3", {.since = Since::GuideR5}));
  add(out, one<&L::tls, &T::ciphers>("tls-ciphers", "ciphers up to TLS 1.2", {.grammar = "OPENSSL-LIST"}));
  add(out, one<&L::tls, &T::v1_3_ciphersuites>("tls-tlsv1.3-ciphersuites", "cipher suites of TLS 1.3",
                                               {.since = Since::GuideR5, .grammar = "OPENSSL-LIST"}));
  add(out, one<&L::tls, &T::dh_key_length>("tls-dh-key-length", "length of the DH parameters",
                                           {.since = Since::GuideR5, .min = 1024, .max = 8192}));
  add(out, ignored("tls-allow-sslv3", in(Scope::SmtpListener, Scope::ApiListener), "SSL 3 is gone",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, one<&A::tls, &T::certificate>("tls-certificate", "certificate and key"));
  add(out,
      one<&A::tls, &T::ca_file>("tls-ca-file", "authorities of client certificates", {.grammar = "FILE"}));
  add(out, one<&A::tls, &T::allow_tlsv1>("tls-allow-tlsv1", "allow TLS 1.0"));
  add(out, one<&A::tls, &T::allow_tlsv1_1>("tls-allow-tlsv1.1", "allow TLS 1.1"));
  add(out, one<&A::tls, &T::allow_tlsv1_2>("tls-allow-tlsv1.2", "allow TLS 1.2"));
  add(out, one<&A::tls, &T::allow_tlsv1_3>("tls-allow-tlsv1.3", "allow TLS 1.3", {.since = Since::GuideR5}));
  add(out, one<&A::tls, &T::ciphers>("tls-ciphers", "ciphers up to TLS 1.2", {.grammar = "OPENSSL-LIST"}));
  add(out, one<&A::tls, &T::v1_3_ciphersuites>("tls-tlsv1.3-ciphersuites", "cipher suites of TLS 1.3",
                                               {.since = Since::GuideR5, .grammar = "OPENSSL-LIST"}));
  add(out, one<&A::tls, &T::dh_key_length>("tls-dh-key-length", "length of the DH parameters",
                                           {.since = Since::GuideR5, .min = 1024, .max = 8192}));
}

}  // namespace

void append_accounting(std::vector<Directive>& out) {
  using A = AcctFile;
  using P = Spool;
  using U = SmtpUser;
  using R = SourceGroup;
  add(out, read_by<&apply_records>(
               one<&A::records>("records", "kinds of records written", {.grammar = "d|b|t|tq|r|f|rb|rs"})));
  add(out, [] {
    Directive row =
        more<&A::record_fields>("record-fields", "columns of a kind of record", {.default_text = "*"});
    row.flags |= kList;
    return row;
  }());
  add(out, more<&A::map_header_to_field>("map-header-to-field",
                                         "fill a field from a header; the first that exists counts"));
  add(out, one<&A::move_to>("move-to", "folder finished files are moved to", {.grammar = "DIR"}));
  add(out, read_by<&apply_move_interval>(
               one<&A::move_interval>("move-interval", "time after which a new file begins", {.min = 1})));
  add(out, one<&A::max_size>("max-size", "size at which a new file begins", {.min = 50 * kKiB}));
  add(out, one<&A::delete_after>("delete-after", "age at which files are deleted"));
  add(out, one<&A::world_readable>("world-readable", "let everybody read the files"));
  add(out, one<&A::sync>("sync", "write to stable storage regularly"));
  add(out, one<&A::iso_times>("iso-times", "readable times; no: seconds since 1970"));
  add(out, one<&A::user_string>("user-string", "value of the field userString"));
  add(out, one<&A::queue_filter>("queue-filter", "queues recorded; the first match decides"));
  add(out, one<&A::count_moved_records>("count-moved-records", "log how many records a moved file holds"));
  add(out, one<&A::privacy_policy>("privacy-policy", "what becomes of recipients' local parts"));
  add(out,
      one<&A::retry_interval>("retry-interval", "wait before a failed program is started again", {.min = 1}));
  add(out, one<&A::write_timeout>("write-timeout", "time for a program to take a record", {.min = 1}));
  add(out, one<&P::priority>("priority", "the spool of highest priority is used until it is full",
                             {.flags = kRestart, .min = 1, .max = 100}));
  add(out, one<&P::min_free_space>("min-free-space", "refuse mail below this much free space",
                                   {.flags = kRestart, .default_text = "256M"}));
  add(out,
      one<&P::deliver_only>("deliver-only", "deliver what is there, take nothing new", {.flags = kRestart}));
  add(out,
      one<&P::delete_file_holders>("delete-file-holders", "delete emptied spool files", {.flags = kRestart}));
  add(out, one<&U::password>("password", "password of the account", {.flags = kSecret}));
  add(out, one<&U::authentication_method>("authentication-method", "how the account proves itself"));
  add(out,
      one<&U::tls_certificate>("tls-certificate", "client certificate of the account", {.grammar = "FILE"}));
  add(out, one<&U::source>("source", "named <source> that holds after AUTH", {.grammar = "NAME"}));
  add(out, one<&R::max_smtp_in>("max-smtp-in", "inbound connections of the group"));
  add(out, one<&R::reserved_smtp_in>("reserved-smtp-in", "inbound connections kept for the group",
                                     {.default_text = "0"}));
  append_webhook(out);
  append_listener(out);
}

}  // namespace sluice::config::rows
