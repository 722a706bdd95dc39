// Which directives wait for what, and which are out for good.
//
// A directive that is in neither list works. When yours begins to work, take its line out of kWaiting in the
// same change that makes the engine read its member, run `sluice directives --markdown > docs/directives.md`,
// and be done: the test policy_config_reads asks the compiler who reads which member and fails both when a
// directive that works is read by nobody and when one that waits is read by somebody.
#include <array>

#include "policy/base/assert.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using C = Capability;

struct Waiting {
  C capability;
  ScopeMask scopes;
  std::string_view name;
  bool read_to_refuse = false;
  std::string_view meanwhile = {};
};

constexpr std::string_view kHeld = "mail it applies to is held";

// clang-format off
constexpr auto kWaiting = std::to_array<Waiting>({
    {C::Tls, in(Scope::Global), "smtp-server-tls-certificate"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-ca-file"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-allow-tlsv1"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-allow-tlsv1.1"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-allow-tlsv1.2"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-allow-tlsv1.3"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-ciphers"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-v1.3-ciphersuites"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-tlsv1.3-ciphersuites"},
    {C::Tls, in(Scope::Global), "smtp-server-tls-dh-key-length"},
    {C::Tls, in(Scope::SmtpListener), "immediate-tls", true, "its listener stays closed"},
    {C::Tls, in(Scope::SmtpListener), "tls-certificate"},
    {C::Tls, in(Scope::SmtpListener), "tls-ca-file"},
    {C::Tls, in(Scope::SmtpListener), "tls-allow-tlsv1"},
    {C::Tls, in(Scope::SmtpListener), "tls-allow-tlsv1.1"},
    {C::Tls, in(Scope::SmtpListener), "tls-allow-tlsv1.2"},
    {C::Tls, in(Scope::SmtpListener), "tls-allow-tlsv1.3"},
    {C::Tls, in(Scope::SmtpListener), "tls-ciphers"},
    {C::Tls, in(Scope::SmtpListener), "tls-tlsv1.3-ciphersuites"},
    {C::Tls, in(Scope::SmtpListener), "tls-dh-key-length"},
    {C::Tls, in(Scope::Source), "allow-starttls"},
    {C::Tls, in(Scope::Source), "require-starttls-before-auth"},
    {C::Tls, in(Scope::Domain), "use-starttls"},
    {C::Tls, in(Scope::Domain), "require-starttls", true, kHeld},
    {C::Tls, in(Scope::Domain), "use-dane"},
    {C::Tls, in(Scope::Domain), "use-mta-sts"},
    {C::Tls, in(Scope::Domain), "reuse-ssl-session"},
    {C::Tls, in(Scope::Domain), "smtp-tls-allow-tlsv1"},
    {C::Tls, in(Scope::Domain), "smtp-tls-allow-tlsv1.1"},
    {C::Tls, in(Scope::Domain), "smtp-tls-allow-tlsv1.2"},
    {C::Tls, in(Scope::Domain), "smtp-tls-allow-tlsv1.3"},
    {C::Tls, in(Scope::Domain), "smtp-tls-ciphers"},
    {C::Tls, in(Scope::Domain), "smtp-tls-tlsv1.3-ciphersuites"},
    {C::Tls, in(Scope::Domain), "smtp-tls-ca-file"},
    {C::Tls, in(Scope::Domain), "smtp-client-certificate"},
    {C::Dkim, in(Scope::Global), "dkim-sign"},
    {C::Dkim, in(Scope::Global), "domain-key"},
    {C::Dkim, in(Scope::Domain), "dkim-sign"},
    {C::Dkim, in(Scope::Domain), "second-dkim-sign"},
    {C::Dkim, in(Scope::Domain), "domain-key"},
    {C::Dkim, in(Scope::Domain), "dkim-algorithm"},
    {C::Dkim, in(Scope::Domain), "dkim-body-canon"},
    {C::Dkim, in(Scope::Domain), "dkim-headers-canon"},
    {C::Dkim, in(Scope::Domain), "dkim-identity"},
    {C::Dkim, in(Scope::Domain), "dkim-identity-fallback"},
    {C::Dkim, in(Scope::Domain), "dkim-headers"},
    {C::Dkim, in(Scope::Domain), "dkim-disallow-adding-headers"},
    {C::Dkim, in(Scope::Domain), "dkim-expire-after"},
    {C::Dkim, in(Scope::Domain), "dkim-add-timestamp"},
    {C::Dkim, in(Scope::Domain), "dkim-add-body-limit"},
    {C::Dkim, in(Scope::Domain), "dkim-query-method"},
    {C::Dkim, in(Scope::Domain), "second-dkim-algorithm"},
    {C::Dkim, in(Scope::Domain), "second-dkim-body-canon"},
    {C::Dkim, in(Scope::Domain), "second-dkim-headers-canon"},
    {C::Dkim, in(Scope::Domain), "second-dkim-identity"},
    {C::Dkim, in(Scope::Domain), "second-dkim-identity-fallback"},
    {C::Dkim, in(Scope::Domain), "second-dkim-headers"},
    {C::Dkim, in(Scope::Domain), "second-dkim-disallow-adding-headers"},
    {C::Dkim, in(Scope::Domain), "second-dkim-expire-after"},
    {C::Dkim, in(Scope::Domain), "second-dkim-add-timestamp"},
    {C::Dkim, in(Scope::Domain), "second-dkim-add-body-limit"},
    {C::Dkim, in(Scope::Domain), "second-dkim-query-method"},
    {C::Dkim, in(Scope::Vmta, Scope::Pool), "domain-key"},
    {C::Dkim, in(Scope::DomainKeyList), "domain-key"},
    {C::Dkim, in(Scope::Source), "process-x-dkim-options", true},
    {C::Dkim, in(Scope::Source), "retain-x-dkim-options", true},
    {C::Dkim, in(Scope::Source), "process-x-dkim-key"},
    {C::Dkim, in(Scope::Source), "retain-x-dkim-key", true},
    {C::Auth, in(Scope::Source), "allow-auth"},
    {C::Auth, in(Scope::Source), "allow-unencrypted-plain-auth"},
    {C::Auth, in(Scope::Source), "smtp-max-auth-failure-rate"},
    {C::Auth, in(Scope::SmtpUser), "password"},
    {C::Auth, in(Scope::SmtpUser), "authentication-method"},
    {C::Auth, in(Scope::SmtpUser), "tls-certificate"},
    {C::Auth, in(Scope::SmtpUser), "source"},
    {C::Auth, in(Scope::Domain), "auth-username", true, kHeld},
    {C::Auth, in(Scope::Domain), "auth-password"},
    {C::Auth, in(Scope::Domain), "use-unencrypted-plain-auth"},
    {C::MailMerge, in(Scope::Global), "mailmerge-expands-undefined-variables"},
    {C::MailMerge, in(Scope::Source), "allow-mailmerge"},
    {C::MailMerge, in(Scope::Source), "always-allow-api-submission"},
    {C::HttpSubmission, in(Scope::TransmissionsApi), "api-key"},
    {C::HttpSubmission, in(Scope::TransmissionsApi), "log-requests"},
    {C::HttpSubmission, in(Scope::TransmissionsApi), "log-data"},
    {C::HttpSubmission, in(Scope::TransmissionsApi), "log-tls"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-certificate"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-ca-file"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-allow-tlsv1"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-allow-tlsv1.1"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-allow-tlsv1.2"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-allow-tlsv1.3"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-ciphers"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-tlsv1.3-ciphersuites"},
    {C::HttpSubmission, in(Scope::ApiListener), "tls-dh-key-length"},
    {C::Dkim, in(Scope::Source), "check-dkim-inbound"},
    {C::Dkim, in(Scope::Source), "trace-dkim-check"},
    {C::FeedbackProcessor, in(Scope::Domain), "add-fbl-id-header"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "deliver-unmatched-email"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "deliver-matched-email"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "forward-unmatched-to"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "forward-errors-to"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "action"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "handler"},
    {C::BounceProcessor, in(Scope::BounceProcessor), "input-dir"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "deliver-unmatched-email"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "deliver-matched-email"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "forward-unmatched-to"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "forward-errors-to"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "action"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "handler"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "input-dir"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "virtual-mta"},
    {C::FeedbackProcessor, in(Scope::FeedbackLoopProcessor), "address", true},
    {C::FeedbackProcessor, in(Scope::EmailPatterns), "body-pattern-file"},
    {C::FeedbackProcessor, in(Scope::EmailPatterns), "log-match-info"},
    {C::FeedbackProcessor, in(Scope::Domain), "log-messages"},
    {C::Suppression, in(Scope::BounceActions), "expire"},
    {C::Monitor, in(Scope::Global), "http-mgmt-port"},
    {C::Monitor, in(Scope::Global), "http-mgmt-address"},
    {C::Monitor, in(Scope::Global), "http-access-file"},
    {C::Monitor, in(Scope::Global), "http-access"},
    {C::Monitor, in(Scope::Global), "http-api-key"},
    {C::Monitor, in(Scope::Global), "http-csrf-protection"},
    {C::Monitor, in(Scope::Global), "http-redirect-to-https"},
    {C::Monitor, in(Scope::Global), "http-strict-transport-security-max-age"},
    {C::Monitor, in(Scope::Global), "http-tls-certificate"},
    {C::Monitor, in(Scope::Global), "http-tls-ca-file"},
    {C::Monitor, in(Scope::Global), "http-tls-allow-tlsv1"},
    {C::Monitor, in(Scope::Global), "http-tls-allow-tlsv1.1"},
    {C::Monitor, in(Scope::Global), "http-tls-allow-tlsv1.2"},
    {C::Monitor, in(Scope::Global), "http-tls-allow-tlsv1.3"},
    {C::Monitor, in(Scope::Global), "http-tls-ciphers"},
    {C::Monitor, in(Scope::Global), "http-tls-tlsv1.3-ciphersuites"},
    {C::Monitor, in(Scope::Global), "http-tls-dh-key-length"},
    {C::Monitor, in(Scope::Global), "http-log-requests"},
    {C::Monitor, in(Scope::Global), "http-log-data"},
    {C::Monitor, in(Scope::Global), "http-log-tls"},
    {C::Monitor, in(Scope::Global), "http-default-max-items"},
    {C::Monitor, in(Scope::Global), "http-default-sort-order"},
    {C::Monitor, in(Scope::HttpMgmt), "port"},
    {C::Monitor, in(Scope::HttpMgmt), "address"},
    {C::Monitor, in(Scope::HttpMgmt), "access-file"},
    {C::Monitor, in(Scope::Domain), "track-recipient-events"},
    {C::Monitor, in(Scope::Domain), "max-events-recorded"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-url", true},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-extra-headers"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-certificate"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-ca-file"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-max-interval"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-transfer-encoding"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-connect-timeout"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-io-timeout"},
    {C::Webhooks, in(Scope::AcctFile), "http-webhook-log-verbose"},
    {C::Dkim, in(Scope::Vault), "server-url"},
    {C::Dkim, in(Scope::Vault), "access-token"},
    {C::Dkim, in(Scope::Vault), "cache-ttl"},
    {C::MailMerge, in(Scope::Global), "dummy-smtp-has-mailmerge"},
    {C::Tls, in(Scope::Source), "log-tls"},
    {C::Tls, in(Scope::Domain), "log-tls"},
    {C::Alerts, in(Scope::Alerts), "enabled"},
    {C::Alerts, in(Scope::Alerts), "bounce-rate"},
    {C::Alerts, in(Scope::Alerts), "complaint-rate"},
    {C::Alerts, in(Scope::Alerts), "min-recipients"},
    {C::Alerts, in(Scope::Alerts), "window"},
    {C::Alerts, in(Scope::Alerts), "blocklist"},
    {C::Alerts, in(Scope::Alerts), "blocklist-interval"},
    {C::Alerts, in(Scope::Alerts), "notify"},
    {C::Alerts, in(Scope::Alerts), "webhook-url"},
    {C::Alerts, in(Scope::Alerts), "hold-stream"},
});
// clang-format on

struct Gone {
  ScopeMask scopes;
  std::string_view name;
  std::string_view reason;
};

constexpr std::string_view kThreads =
    "one thread per core runs everything: there are no worker threads to rank or keep";
constexpr std::string_view kSignals = "an analytics service of PowerMTA's vendor that others cannot use";
constexpr std::string_view kVendorApi = "a header for the vendor's own sending service";
constexpr std::string_view kLicence = "reports the volume to PowerMTA's vendor; Sluice needs no licence";
constexpr std::string_view kConsole = "for the vendor's management console, which does not speak to Sluice";

// clang-format off
constexpr auto kGone = std::to_array<Gone>({
    {in(Scope::Global), "thread-min-priority", kThreads},
    {in(Scope::Global), "thread-max-priority", kThreads},
    {in(Scope::Global), "thread-reuse", kThreads},
    {in(Scope::Global), "enable-signals", kSignals},
    {in(Scope::Vmta, Scope::Pool), "enable-signals", kSignals},
    {in(Scope::Global), "pmc-acct-min-free-space", kConsole},
    {in(Scope::Global), "volume-audit-api-key", kLicence},
    {in(Scope::Domain), "add-x-msys-api-header", kVendorApi},
    {in(Scope::Domain), "sparkpost-sandbox", kVendorApi},
    {in(Scope::Domain), "sparkpost-ip-pool", kVendorApi},
});
// clang-format on

Directive& row_of(std::vector<Directive>& rows, std::string_view name, ScopeMask scopes) {
  for (Directive& row : rows) {
    if (row.name == name && (row.scopes & scopes) == scopes) return row;
  }
  SLUICE_ASSERT(false);  // a line of the lists above names a directive or a scope there is not
  return rows.front();
}

}  // namespace

void set_states(std::vector<Directive>& rows) {
  for (const Waiting& line : kWaiting) {
    row_of(rows, line.name, line.scopes)
        .waits.push_back({line.capability, line.scopes, line.read_to_refuse, line.meanwhile});
  }
  for (const Gone& line : kGone) row_of(rows, line.name, line.scopes).reason_out = line.reason;
  for (Directive& row : rows) {
    if (row.has(kIgnored)) row.reason_out = row.doc;
  }
}

}  // namespace sluice::config::rows
