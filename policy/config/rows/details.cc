// Units of plain numbers, and what PowerMTA does where Sluice differs: what the manual says beyond the row
// itself.
#include <array>

#include "policy/base/assert.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

struct Detail {
  ScopeMask scopes;
  std::string_view name, text;
};

// clang-format off
constexpr auto kUnits = std::to_array<Detail>({
    {in(Scope::Global), "log-rotate", "files"},
    {in(Scope::Global), "spool-min-free-space", "MB"},
    {in(Scope::Global), "spool-max-recipients", "recipients"},
    {in(Scope::Global), "max-memory-usage-percent", "percent of memory"},
    {in(Scope::Global), "total-max-smtp-out", "connections"},
    {in(Scope::Global), "total-max-smtp-in", "connections"},
    {in(Scope::Global), "total-max-file", "deliveries"},
    {in(Scope::Global), "thread-min-priority", "nice value"},
    {in(Scope::Global), "thread-max-priority", "nice value"},
    {in(Scope::Global), "shards", "threads"},
    {in(Scope::Global), "edns-udp-length", "bytes"},
    {in(Scope::Global), "mx-connection-limit", "connections"},
    {in(Scope::Global), "ip-connection-limit", "connections"},
    {in(Scope::Global), "http-strict-transport-security-max-age", "seconds"},
    {in(Scope::Global), "http-default-max-items", "rows"},
    {in(Scope::Global), "http-tls-dh-key-length", "bits"},
    {in(Scope::Global), "smtp-server-tls-dh-key-length", "bits"},
    {in(Scope::Global), "dummy-smtp-latency", "milliseconds"},
    {in(Scope::Global), "dummy-smtp-blacklist-bounce-percent", "percent of messages"},
    {in(Scope::SmtpListener), "tls-dh-key-length", "bits"},
    {in(Scope::ApiListener), "tls-dh-key-length", "bits"},
    {in(Scope::Source), "max-message-hops", "Received headers"},
    {in(Scope::Source), "max-rcpt-per-message", "recipients"},
    {in(Scope::Source), "check-spf-inbound-max-void-lookups", "look-ups"},
    {in(Scope::SourceGroup), "max-smtp-in", "connections"},
    {in(Scope::SourceGroup), "reserved-smtp-in", "connections"},
    {in(Scope::Domain), "max-smtp-out", "connections"},
    {in(Scope::Domain), "backoff-max-smtp-out", "connections"},
    {in(Scope::Domain), "source-ip-max-smtp-out", "connections"},
    {in(Scope::Domain), "max-smtp-out-per-source-ip", "connections"},
    {in(Scope::Domain), "source-ip-max-connect-rate", "connections per time"},
    {in(Scope::Domain), "max-connect-rate", "connections per time"},
    {in(Scope::Domain), "backoff-max-connect-rate", "connections per time"},
    {in(Scope::Domain), "max-msg-rate", "recipients per time"},
    {in(Scope::Domain), "backoff-max-msg-rate", "recipients per time"},
    {in(Scope::Domain), "source-ip-max-msg-rate", "recipients per time"},
    {in(Scope::Domain), "max-msg-per-hour", "recipients"},
    {in(Scope::Domain), "backoff-max-msg-per-hour", "recipients"},
    {in(Scope::Domain), "max-msg-per-connection", "messages"},
    {in(Scope::Domain), "max-rcpt-per-message", "recipients"},
    {in(Scope::Domain), "max-rcpt-per-transaction", "recipients"},
    {in(Scope::Domain), "max-errors-per-connection", "errors"},
    {in(Scope::Domain), "mx-connection-attempts", "connections"},
    {in(Scope::Domain), "smtp-retries-after-shutoff", "attempts"},
    {in(Scope::Domain), "max-cold-virtual-mta-msg", "messages per day"},
    {in(Scope::Domain), "queue-priority", "0 to 100"},
    {in(Scope::Domain), "delivery-priority", "0 to 100"},
    {in(Scope::Domain), "max-events-recorded", "events"},
    {in(Scope::Vmta, Scope::Pool), "max-smtp-out", "connections"},
    {in(Scope::Vmta, Scope::Pool), "max-smtp-msg-rate", "recipients per time"},
    {in(Scope::Spool), "priority", "1 to 100"},
    {in(Scope::Dns), "precached-max-domains", "domains"},
    {in(Scope::Alerts), "min-recipients", "recipients"},
});

constexpr auto kDifferences = std::to_array<Detail>({
    {in(Scope::Spool), "deliver-only", "PowerMTA also drains a failed server's spool this way; Sluice does with a second sluiced (docs/manual.md, Spools)"},
    {in(Scope::Global), "include", "a URL is fetched within 10 seconds and no redirect is followed; PowerMTA documents neither"},
    {in(Scope::Global), "http-mgmt-port", "PowerMTA listens on every address, Sluice on http-mgmt-address"},
    {in(Scope::Global), "smtp-source-ip", "PowerMTA knows no EHLO name for it; ehlo-hostname gives one"},
    {in(Scope::Domain), "dkim-sign", "PowerMTA takes keys from domain-key alone; Sluice also the form with domain=, key-file= and selector="},
    {in(Scope::Domain), "retry-after", "PowerMTA has no `retry-after 421 4.7.0 10m`; here it makes a reply rule with an interval of its own"},
    {in(Scope::Domain), "smtp-pattern-list", "PowerMTA has no NAME \"TEXT\"; here it makes a rule for replies that begin with TEXT"},
    {in(Scope::Domain), "backoff-retry-after", "the guide says 1h, a listing of PowerMTA shows 10m; Sluice takes 1h"},
    {in(Scope::Domain), "smtp-hosts", "PowerMTA takes a bare IPv4 address for a name, Sluice for the address"},
    {in(Scope::Domain), "queue-to", "in a circle PowerMTA's behaviour is not documented; Sluice sends from the queue that closes it"},
    {in(Scope::Domain), "disable-mx-rollup", "also keeps the domain out of auto-mx-rollup and mx-rollup"},
    {in(Scope::Domain), "reroute-to-virtual-mta", "pools are allowed as in 5.0r5; older versions take virtual MTAs only"},
    {in(Scope::Domain), "backoff-reroute-to-virtual-mta", "pools are allowed as in 5.0r5; older versions take virtual MTAs only"},
    {in(Scope::Domain), "bounce-upon-no-mx", "a null MX (RFC 7505) bounces in any case"},
    {in(Scope::Domain), "mx-connection-attempts", "PowerMTA shows it without describing it; here it counts connections tried until the queue goes into retry; the next run goes on behind them"},
    {in(Scope::MxRollupList), "mx", "a domain without an answer from DNS waits for one; PowerMTA does not say what it does"},
    {in(Scope::Pool), "virtual-mta", "PowerMTA goes strictly round; weight=N is Sluice's"},
    {in(Scope::Spool), "min-free-space", "PowerMTA's default is 0; 0 keeps nothing free"},
    {in(Scope::AcctFile), "move-interval", "PowerMTA ignores it without move-to; Sluice begins a new file"},
    {in(Scope::AcctFile), "http-webhook-max-interval", "PowerMTA's default is not documented; Sluice takes 1m"},
    {in(Scope::AcctFile), "record-fields", "dlvStatus, the reply's code, is Sluice's"},
    {in(Scope::BounceCategories), "/", "PowerMTA's shipped patterns follow the user's; Sluice's shipped rules do"},
});
// clang-format on

Directive& row_of(std::vector<Directive>& rows, const Detail& detail) {
  for (Directive& row : rows) {
    if (row.name == detail.name && (row.scopes & detail.scopes) == detail.scopes) return row;
  }
  SLUICE_ASSERT(false);  // a line of the lists above names a directive or a scope there is not
  return rows.front();
}

}  // namespace

void set_details(std::vector<Directive>& rows) {
  for (const Detail& detail : kUnits) row_of(rows, detail).unit = detail.text;
  for (const Detail& detail : kDifferences) row_of(rows, detail).difference = detail.text;
}

}  // namespace sluice::config::rows
