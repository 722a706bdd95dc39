// Goal: every directive PowerMTA's guide and its users' files know is read in the block it belongs to, and
// every odd
//       spelling means what its plain form means.
// How: one configuration with all of them, which has to load without an error; then one row per spelling with
// the line
//      `settings` shows for it.
#include <gtest/gtest.h>

#include "policy/config/listing.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

constexpr std::string_view kEverything =
    R"conf(postmaster ops@x.example
log-file /var/log/x.log
log-rotate 8
log-auto-rotation yes
log-file-world-readable yes
spool-delete-corrupted yes
run-as-root yes
thread-reuse yes
smtp-await-slot yes
always-allow-relaying yes
relay-debug yes
mailmerge-expands-undefined-variables yes
pickup-remove-dot yes
track-time-first-attempt yes
sync-msg-create yes
sync-msg-update yes
http-csrf-protection yes
http-redirect-to-https yes
http-log-requests yes
http-log-data yes
http-log-tls yes
smtp-server-tls-allow-tlsv1 yes
smtp-server-tls-allow-tlsv1.1 yes
smtp-server-tls-allow-tlsv1.2 yes
smtp-server-tls-allow-tlsv1.3 yes
smtp-server-tls-allow-sslv3 yes
http-tls-allow-sslv3 yes
http-tls-allow-tlsv1 yes
http-tls-allow-tlsv1.1 yes
http-tls-allow-tlsv1.2 yes
http-tls-allow-tlsv1.3 yes
dummy-smtp-await-slot yes
dummy-smtp-has-chunking yes
dummy-smtp-has-pipelining yes
dummy-smtp-has-verp yes
dummy-smtp-has-mailmerge yes
dummy-smtp-update-stats yes
dummy-smtp-log-blacklist yes
spool /var/spool/old
spool-min-free-space 100
spool-max-recipients auto
total-max-smtp-out 1200
total-max-smtp-in 100
max-memory-usage-percent 90
thread-min-priority 15
thread-max-priority 0
host-name mail.x.example
host-id 3
domain-suffix x.example
name-server 192.0.2.53
edns-udp-length 1232
smtp-source-host 192.0.2.1 a.example
smtp-source-ip 192.0.2.2
smtp-proxy-source-host 192.0.2.0/24 proxy.example:1080 198.51.100.1 b.example
use-proxy p1,p2
smtp-listener 0/0:2525 source=app
smtp-ip 192.0.2.1
smtp-port 25
smtp-server-tls-certificate /c.pem secret
smtp-server-tls-ca-file /ca.pem
smtp-server-tls-ciphers HIGH:!ADH:@STRENGTH
smtp-server-tls-v1.3-ciphersuites TLS_AES_256_GCM_SHA384
smtp-server-tls-dh-key-length 2048
alias *@old.example ops@x.example
relay-domain [*.]x.example
relay-address /^abuse@/
custom-dsn-from-header "Mail <a@x.example>"
dsn-failed-from-template "Mail at ${hostName}"
dsn-failed-subject-template "Failed: ${subject}"
dsn-failed-body-template-from /etc/body
domain-key s1,x.example,/k.pem
domain-macro isp a.example, b.example
include-headers-from /etc/headers
invalid-virtual-mta-fallback v1
pickup /var/pickup /var/badmail
mx-connection-limit *.x.example 5
ip-connection-limit 10/8 5
total-max-file 100
pmc-acct-min-free-space 1G
volume-audit-api-key abc
http-mgmt-port 8080
http-access 127.0.0.1 monitor,deny-logs
http-api-key abcdefghijklmnopqrstuvwxyz0123456789
http-strict-transport-security-max-age 3600
http-tls-certificate /c.pem
http-tls-ciphers HIGH
http-tls-tlsv1.3-ciphersuites TLS_AES_256_GCM_SHA384
http-tls-dh-key-length 2048
http-tls-ca-file /ca.pem
http-default-max-items 10
http-default-sort-order rcpt
enable-signals true,subaccount=3
dummy-smtp-ip 192.0.2.3
dummy-smtp-port 26
dummy-smtp-latency 100
dummy-smtp-blacklist /etc/blacklist
dummy-smtp-blacklist-bounce-method random
dummy-smtp-blacklist-bounce-percent 4
http-mgmt-source 127.0.0.1
no-http-mgmt-source 10.0.0.1
auto-cold-virtual-mta x
pickup-retry-interval 1m
<spool /var/spool/x>
priority 1
min-free-space 1G
deliver-only no
delete-file-holders no
</spool>
<source 0/0>
smtp-service yes
always-allow-relaying yes
allow-auth yes
require-auth yes
allow-unencrypted-plain-auth yes
allow-starttls yes
require-starttls-before-auth yes
allow-chunking yes
allow-smtputf8 yes
allow-mailmerge yes
always-allow-api-submission yes
too-many-rcpts-fails-message yes
disconnect-on-transient-error yes
accept-invalid-recipients yes
auto-qualify-domain yes
reject-invalid-virtual-mta yes
allow-empty-x-virtual-mta yes
process-x-virtual-mta yes
retain-x-virtual-mta yes
add-x-virtual-mta-header yes
process-x-job yes
retain-x-job yes
process-x-envid yes
process-x-schedule yes
retain-x-schedule yes
process-x-dkim-options yes
retain-x-dkim-options yes
process-x-dkim-key yes
retain-x-dkim-key yes
add-received-header yes
hide-message-source yes
remove-received-headers yes
add-message-id-header yes
verp-default yes
suppress-local-dsn yes
check-spf-inbound yes
check-dkim-inbound yes
check-iprev-inbound yes
trace-spf-check yes
trace-dkim-check yes
trace-iprev-check yes
reject-spf-check-fail yes
reject-spf-check-permerror yes
reject-spf-check-temperror yes
reject-iprev-check-fail yes
reject-iprev-check-permerror yes
reject-iprev-check-temperror yes
check-mfrom-inbound yes
check-pra-inbound yes
log-connections yes
log-commands yes
log-data yes
log-tls yes
broken-auth-clients yes
check-spf-inbound-best-guess yes
smtp-max-auth-failure-rate 1/min
smtp-command-timeout 10m
smtp-data-timeout 10m
max-message-size unlimited
max-message-hops 100
max-rcpt-per-message 0
default-virtual-mta by-smtp-source-ip
jobid-header x-campaign
jobid-prefix {auth}
pattern-list patterns
suppression-lists stop
rewrite-list rewrites
source-group group
bcc copy@x.example
remove-header X-A, X-B
add-date-header override
date-header-time delivery
dsn-return-default headers
check-spf-inbound-max-void-lookups 2
</source>
<source app>
smtp-service yes
</source>
<smtp-user u@x.example>
password p4ss
authentication-method password
tls-certificate /c.pem
source app
</smtp-user>
<source-group group>
max-smtp-in 10
reserved-smtp-in 2
</source-group>
<smtp-listener 127.0.0.1:465>
source app
await-slot yes
immediate-tls yes
tls-certificate /c.pem secret
tls-ca-file /ca.pem
tls-allow-tlsv1 no
tls-allow-tlsv1.1 no
tls-allow-tlsv1.2 yes
tls-allow-tlsv1.3 yes
tls-allow-sslv3 no
tls-ciphers HIGH
tls-tlsv1.3-ciphersuites TLS_AES_256_GCM_SHA384
tls-dh-key-length 2048
</smtp-listener>
<domain a.example>
retry-upon-new-mail yes
bounce-upon-no-mx yes
bounce-upon-5xx-greeting yes
bounce-upon-transfer-failure yes
bounce-upon-pix-transfer-failure yes
pix-bug-workaround yes
assume-delivery-upon-data-termination-timeout yes
disable-mx-rollup yes
smtp-421-means-mx-unavailable yes
smtp-553-means-invalid-mailbox yes
replace-smtp-421-service-response yes
backoff-to-normal-after-delivery yes
backoff-upon-all-sources-disabled yes
allow-priority-interruption yes
allow-priority-interruption-during-transfer yes
allow-cancel-during-transfer yes
discard-as-bounce yes
macro-variables-preserve-case yes
use-unencrypted-plain-auth yes
use-starttls yes
require-starttls yes
use-dane yes
use-mta-sts yes
reuse-ssl-session yes
smtp-tls-allow-sslv3 yes
smtp-tls-allow-tlsv1 yes
smtp-tls-allow-tlsv1.1 yes
smtp-tls-allow-tlsv1.2 yes
smtp-tls-allow-tlsv1.3 yes
ignore-8bitmime yes
ignore-chunking yes
ignore-pipelining yes
ignore-dsn yes
check-spf-outbound yes
dkim-add-timestamp yes
dkim-add-body-limit yes
second-dkim-add-timestamp yes
second-dkim-add-body-limit yes
dk-sign yes
deliver-local-dsn yes
track-recipient-events yes
log-connections yes
log-commands yes
log-data yes
log-resolution yes
log-transfer-failures yes
log-disabled-ips yes
log-tls yes
log-messages yes
add-x-msys-api-header yes
sparkpost-sandbox yes
check-mfrom-outbound yes
check-pra-outbound yes
add-gm-token yes
max-smtp-out 20
backoff-max-smtp-out 20
source-ip-max-smtp-out 10/8 5
max-connect-rate 5/m
backoff-max-connect-rate 1/m
source-ip-max-connect-rate 10/8 5/m
max-msg-rate 100/15m
backoff-max-msg-rate 1/h
source-ip-max-msg-rate 10/8 100/h
max-data-volume-rate 10M/h
backoff-max-data-volume-rate 1M/h
source-ip-max-data-volume-rate 10/8 1G/d
max-msg-per-hour 500
backoff-max-msg-per-hour 20
max-smtp-out-per-source-ip 3
smtp-out-rampup-interval 5s
connection-idle-timeout 10m
max-msg-per-connection 0
max-rcpt-per-message unlimited
max-rcpt-per-transaction 100
max-errors-per-connection 10
mx-connection-attempts 10
retry-after 10m,30m,1h
backoff-retry-after 1h,3h,6h,12h
retry-after-dns-error 1m
retry-recipients-after 10m
bounce-after 4d12h
connect-timeout 2m
smtp-greeting-timeout 5m
data-send-timeout 3m
smtp-data-termination-timeout 10m
smtp-multiple-line-response-timeout 5m
smtp-hosts h1.example, h2.example; [10.0.0.1]:2525; lookup-mx:b.example; [IPv6:2001:db8::1]
route relay.example:26
default-smtp-port 25
queue-to "x.rollup"
smtp-pattern-list replies
backoff-to-normal-after never
backoff-notify a@x.example,b@x.example
disabled-source-ip-notify a@x.example
reenable-source-ip-after 2h
backoff-reroute-to-virtual-mta v2
reroute-to-virtual-mta pool
max-cold-virtual-mta-msg 100/day,200/d
queue-priority 60
delivery-priority 60
type http-delivery
file-format append-mbox
file-destination /var/mail/$user
command "/bin/x --from=""$from"" $to"
http-delivery-url https://x.example/y
http-delivery-extra-headers /etc/h
auth-username u
auth-password p
smtp-tls-ciphers HIGH
smtp-tls-tlsv1.3-ciphersuites TLS_AES_256_GCM_SHA384
smtp-tls-ca-file /ca.pem
smtp-client-certificate /c.pem secret
dkim-sign if-x-dkim-options-present
second-dkim-sign yes
remove-header X-A,X-B
bcc-upon-delivery a@x.example
notify-of-delay-every 4h
dsn-format plain-text
disable-acct-records d,b,t,tq
max-events-recorded 10
sparkpost-ip-pool p
bounce-address a@x.example
dkim-algorithm rsa-sha1
dkim-body-canon simple
dkim-headers-canon relaxed
dkim-identity @x.example
dkim-identity-fallback @y.example
dkim-headers Feedback-ID,/^List-/
dkim-disallow-adding-headers From,To
dkim-expire-after never
dkim-query-method dns/txt
second-dkim-algorithm rsa-sha1
second-dkim-body-canon simple
second-dkim-headers-canon relaxed
second-dkim-identity @x.example
second-dkim-identity-fallback @y.example
second-dkim-headers Feedback-ID,/^List-/
second-dkim-disallow-adding-headers From,To
second-dkim-expire-after never
second-dkim-query-method dns/txt
</domain>
<virtual-mta v1>
smtp-source-host 192.0.2.1 a.example
smtp-source-ip 192.0.2.2
host-name v1.example
domain-key s,x.example,/k
max-smtp-out 100
max-smtp-msg-rate 10/s
max-smtp-data-volume-rate 1G/h
cold-virtual-mta v2
include-headers-from /etc/h
rewrite-list rewrites
use-proxy p1
enable-signals no
auto-cold-virtual-mta x
</virtual-mta>
<virtual-mta v2>
smtp-proxy-source-host 192.0.2.0/24 proxy.example:1080 198.51.100.1:99 b.example
proxy-protocol 2
</virtual-mta>
<virtual-mta-pool pool>
virtual-mta v1
cold-virtual-mta v2
domain-key s,x.example,/k
include-headers-from /etc/h
max-smtp-out 50
max-smtp-msg-rate 10/s
max-smtp-data-volume-rate 1G/h
rewrite-list rewrites
</virtual-mta-pool>
<acct-file /var/log/acct.csv>
records d,b,t,tq,r,f,rb,rs
record-fields d *, !dsnDiag, header_X-Id
map-header-to-field fbl header_X-HmXmrOriginalRecipient rcpt
move-to /var/acct
move-interval 1d
max-size 250M
delete-after 8d
world-readable yes
sync yes
iso-times no
user-string "a b"
queue-filter !gmail.com, */v1
count-moved-records yes
privacy-policy redact "..."
retry-interval 5m
write-timeout 1m
</acct-file>
<acct-file /var/log/hook>
http-webhook-url https://x.example/y
http-webhook-extra-headers /h
http-webhook-certificate /c
http-webhook-ca-file /ca
http-webhook-max-interval 1m
http-webhook-transfer-encoding gzip
http-webhook-connect-timeout 5s
http-webhook-io-timeout 5s
http-webhook-log-verbose yes
</acct-file>
<smtp-pattern-list replies>
reply /421 4\.7\.0/ mode=backoff,backoff-to-normal-after=1h
reply /^5.* blocked/ skip-mx
reply /too many/ defer-queue,disable-source-ip,reenable-after=7m
reply /RLY:BD/ bounce-queue
reply /451 Rejected/ bounce-rcpt
reply // mode=normal
</smtp-pattern-list>
<pattern-list patterns>
header X-Campaign /^\s*promo/ virtual-mta=v1
mail-from /@brand\.com$/ virtual-mta=pool, recipient-priority=60
rcpt-to /^vip@/ recipient-priority=90
* call-to: others
</pattern-list>
<pattern-list others>
* virtual-mta=v1
</pattern-list>
<rewrite-list rewrites>
mail-from *@x.example *@bounces.x.example
from-domain *.x.example y.example
</rewrite-list>
<address-list stop>
address foo
address a@b.example
address /^x/
domain $isp
address-file /etc/stop
</address-list>
<aliases>
alias a@x.example b@y.example,c@y.example
</aliases>
<domain-key-list keys>
domain-key s,x.example,/k
</domain-key-list keys>
<mx-rollup-list>
mx mx1.x.example x.rollup
mx *.mail.y.example y.rollup rollup-by-ip
</mx-rollup-list>
<bounce-category-patterns>
/spam|junk/ spam-related
/^[45]\.1\.[1346];/ bad-mailbox
// other
</bounce-category-patterns>
<bounce-processor>
deliver-unmatched-email no
deliver-matched-email no
deliver-email no
forward-unmatched-to a@x.example
forward-errors-to a@x.example
<address-list>
domain bounces.x.example
</address-list>
<email-patterns>
body-pattern-file /p
log-match-info yes
</email-patterns>
</bounce-processor>
<feedback-loop-processor>
deliver-unmatched-email no
<address-list>
address /abuse@fbl.x.example/
</address-list>
</feedback-loop-processor>
<dns>
precached-domains-file /f
precached-refresh-interval 5m
precached-max-domains 500
</dns>
<transmissions-api>
api-key abcdefghijklmnopqrstuvwxyz0123456789
log-requests yes
log-data yes
log-tls yes
</transmissions-api>
<transmissions-api-listener 127.0.0.1:8443>
tls-certificate /c.pem
tls-ca-file /ca.pem
tls-allow-tlsv1 no
tls-allow-tlsv1.1 no
tls-allow-tlsv1.2 yes
tls-allow-tlsv1.3 yes
tls-ciphers HIGH
tls-tlsv1.3-ciphersuites TLS_AES_256_GCM_SHA384
tls-dh-key-length 2048
</transmissions-api-listener>
<proxy p1>
server proxy.example:1080
client 198.51.100.1 b.example
protocol-version 2
</proxy>
<proxy p2>
server proxy2.example:1080
client 198.51.100.2 b.example
</proxy>
<vault>
server-url https://vault.example
access-token t
cache-ttl 24h
</vault>
<signals>
api-key k
upload-url https://x.example
engagement-tracking yes
custom-message-id-header X-Id
process-x-sp-subaccount-id yes
retain-x-sp-subaccount-id yes
log-verbose yes
min-free-space 1G
privacy-policy retain
</signals>
<signals-filter f>
sender-or-from x.example exclude
</signals-filter>
<gm-imprinter>
account-id 5
</gm-imprinter>
)conf";

TEST(Reference, EveryDirectiveIsReadInItsBlock) {
  MapFiles files;
  files.files[std::string(kMain)] = kEverything;
  files.files["/etc/stop"] = "gone@x.example\n";
  const LoadResult result = load_config(kMain, files, {});
  EXPECT_TRUE(result.ok());
  for (const Diagnostic& d : result.diagnostics) EXPECT_NE(d.severity, Severity::Error) << format(d);
}

struct Row {
  std::string_view name, text;
  std::string_view queue;  ///< empty: the line is one of the global settings
  std::string_view line;   ///< what the listing shows
};

// clang-format off
constexpr Row kRows[] = {
    {"comment behind a value", "total-max-smtp-out 7 # x\n", "", "total-max-smtp-out 7"},
    {"comment without a blank", "total-max-smtp-out 7# x\n", "", "total-max-smtp-out 7"},
    {"tabs", "total-max-smtp-out\t\t7\n", "", "total-max-smtp-out 7"},
    {"CRLF", "total-max-smtp-out 7\r\nrun-as-root no\r\n", "", "run-as-root no"},
    {"byte order mark", "\xef\xbb\xbftotal-max-smtp-out 7\n", "", "total-max-smtp-out 7"},
    {"no line end at the end", "total-max-smtp-out 7", "", "total-max-smtp-out 7"},
    {"true for yes", "run-as-root true\n", "", "run-as-root yes"},
    {"false for no", "run-as-root false\n", "", "run-as-root no"},
    {"last line wins", "total-max-smtp-out 7\ntotal-max-smtp-out 8\n", "", "total-max-smtp-out 8"},
    {"quoted value", "custom-dsn-from-header \"Mail \\\"System\\\" <a@b.example>\"\n", "", "custom-dsn-from-header \"Mail \\\"System\\\" <a@b.example>\""},
    {"blanks in a tag", "<domain    a.example   >\nmax-smtp-out 3\n</domain  >\n", "a.example", "max-smtp-out 3"},
    {"comment behind a tag", "<domain a.example>#x\nmax-smtp-out 3\n</domain> # y\n", "a.example", "max-smtp-out 3"},
    {"capitals in a tag", "<Domain A.Example>\nMax-Smtp-Out 3\n</DOMAIN>\n", "a.example", "max-smtp-out 3"},
    {"name in the closing tag", "<domain a.example>\nmax-smtp-out 3\n</domain a.example>\n", "a.example", "max-smtp-out 3"},
    {"block twice", "<domain a.example>\nmax-smtp-out 3\n</domain>\n<domain a.example>\nmax-smtp-out 4\n</domain>\n", "a.example", "max-smtp-out 4"},
    {"block twice keeps the rest", "<domain a.example>\nbounce-after 1h\n</domain>\n<domain a.example>\nmax-smtp-out 4\n</domain>\n", "a.example", "bounce-after 1h"},
    {"empty string clears", "<domain *>\nbackoff-notify a@b.example\n</domain>\n<domain a.example>\nbackoff-notify \"\"\n</domain>\n", "a.example", "backoff-notify \"\""},
    {"list over lines", "<domain a.example>\nretry-after 1m,\n 2m, # x\n 3m\n</domain>\n", "a.example", "retry-after 1m,2m,3m"},
    {"international name", "<domain b\xc3\xbc\x63her.de>\nmax-smtp-out 3\n</domain>\n", "xn--bcher-kva.de", "max-smtp-out 3"},
    {"domain literal", "<domain [10/8]>\nmax-smtp-out 3\n</domain>\n", "[10.9.8.7]", "max-smtp-out 3"},
    {"subdomains", "<domain *.a.example>\nmax-smtp-out 3\n</domain>\n", "b.a.example", "max-smtp-out 3"},
    {"domain with subdomains", "<domain [*.]a.example>\nmax-smtp-out 3\n</domain>\n", "a.example", "max-smtp-out 3"},
    {"macro", "domain-macro m a.example, b.example\n<domain $m>\nmax-smtp-out 3\n</domain>\n", "b.example", "max-smtp-out 3"},
    {"macro within a name", "domain-macro tld com, de\n<domain yahoo.$tld>\nmax-smtp-out 3\n</domain>\n", "yahoo.de", "max-smtp-out 3"},
    {"product of macros", "domain-macro isp x, y\ndomain-macro tld com, de\n<domain $isp.$tld>\nmax-smtp-out 3\n</domain>\n", "y.com", "max-smtp-out 3"},
    {"macro behind its use", "<domain $m>\nmax-smtp-out 3\n</domain>\ndomain-macro m a.example\n", "a.example", "max-smtp-out 3"},
    {"macro of macros", "domain-macro a x.example\ndomain-macro b $a, y.example\n<domain $b>\nmax-smtp-out 3\n</domain>\n", "x.example", "max-smtp-out 3"},
    {"literal over macro", "domain-macro m a.example\n<domain a.example>\nmax-smtp-out 3\n</domain>\n<domain $m>\nmax-smtp-out 4\n</domain>\n", "a.example", "max-smtp-out 3"},
    {"order of blocks is of no matter", "<domain a.example>\nmax-smtp-out 3\n</domain>\n<domain *>\nmax-smtp-out 4\n</domain>\n", "a.example", "max-smtp-out 3"},
    {"rate per hour, long", "<domain a.example>\nmax-msg-rate 120/hr\n</domain>\n", "a.example", "max-msg-rate 120/h"},
    {"rate per minute, long", "<domain a.example>\nmax-msg-rate 25/min\n</domain>\n", "a.example", "max-msg-rate 25/m"},
    {"rate per several", "<domain a.example>\nmax-msg-rate 1/20m\n</domain>\n", "a.example", "max-msg-rate 1/20m"},
    {"rate zero", "<domain a.example>\nmax-msg-rate 0\n</domain>\n", "a.example", "max-msg-rate unlimited"},
    {"volume rate", "<domain a.example>\nmax-data-volume-rate 10m/2h\n</domain>\n", "a.example", "max-data-volume-rate 10M/2h"},
    {"unlimited recipients", "<domain a.example>\nmax-rcpt-per-message unlimited\n</domain>\n", "a.example", "max-rcpt-per-message unlimited"},
    {"other name of recipients", "<domain a.example>\nmax-rcpt-per-transaction 9\n</domain>\n", "a.example", "max-rcpt-per-message 9"},
    {"weeks", "<domain a.example>\nbounce-after 1w2d12h\n</domain>\n", "a.example", "bounce-after 9d12h"},
    {"no MX, with a time", "<domain a.example>\nbounce-upon-no-mx 2h\n</domain>\n", "a.example", "bounce-upon-no-mx 2h"},
    {"host list", "<domain a.example>\nsmtp-hosts h1.example, h2.example; [10.0.0.1]:2525; lookup-mx:b.example\n</domain>\n", "a.example", "smtp-hosts h1.example, h2.example; [10.0.0.1]:2525; lookup-mx:b.example"},
    {"old route", "<domain a.example>\nroute [10.0.0.1]:26\n</domain>\n", "a.example", "smtp-hosts [10.0.0.1]:26"},
    {"old messages per hour", "<domain a.example>\nmax-msg-per-hour 60\n</domain>\n", "a.example", "max-msg-rate 60/h"},
    {"old limit per source", "<domain a.example>\nmax-smtp-out-per-source-ip 6\n</domain>\n", "a.example", "source-ip-max-smtp-out 0.0.0.0/0 6"},
    {"old priority", "<domain a.example>\ndelivery-priority 60\n</domain>\n", "a.example", "queue-priority 60"},
    {"several sources", "source-ip-max-smtp-out 1\n", "-", ""},
    {"cold limits", "<virtual-mta c>\n</virtual-mta>\n<virtual-mta w>\ncold-virtual-mta c\n<domain a.example>\nmax-cold-virtual-mta-msg 100/day,200/d\n</domain>\n</virtual-mta>\n", "a.example/w", "max-cold-virtual-mta-msg 100/d,200/d"},
    {"VMTA * over global name", "<domain a.example>\nmax-smtp-out 3\n</domain>\n<virtual-mta v>\n<domain *>\nmax-smtp-out 4\n</domain>\n</virtual-mta>\n", "a.example/v", "max-smtp-out 4"},
    {"pool over global", "<domain a.example>\nmax-smtp-out 3\n</domain>\n<virtual-mta v>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta v\n<domain *>\nmax-smtp-out 5\n</domain>\n</virtual-mta-pool>\n", "a.example/v", "max-smtp-out 5"},
    // The second spellings.
    {"attribute for a block's name", "<virtual-mta name=\"v\">\nhost-name h.example\n</virtual-mta>\n", "a.example/v", "host-name h.example"},
    {"element for a directive", "<virtual-mta name=\"v\">\n<max-smtp-out>10</max-smtp-out>\n</virtual-mta>\n", "a.example/v", "max-smtp-out 10"},
    {"element with a source host", "<virtual-mta name=\"v\">\n<smtp-source-host>192.0.2.1 name=\"h.example\"</smtp-source-host>\n</virtual-mta>\n", "a.example/v", "smtp-source-host 192.0.2.1 h.example"},
    {"element with attributes", "<virtual-mta name=\"v\">\n<domain-key name=\"s\" domain=\"a.example\" path=\"/k\"/>\n</virtual-mta>\n", "a.example/v", "domain-key s,a.example,/k"},
    {"source IP with an EHLO name", "<virtual-mta v>\nsmtp-source-ip 192.0.2.1\nehlo-hostname h.example\n</virtual-mta>\n", "a.example/v", "smtp-source-host 192.0.2.1 h.example"},
    {"rollup by name", "<virtual-mta v>\nmx-rollup gmail.com\n</virtual-mta>\n", "a.example/v", "mx-rollup gmail.com"},
    {"daily rate in a VMTA", "<virtual-mta v>\nmax-msg-rate 500/d\n</virtual-mta>\n", "a.example/v", "max-msg-rate 500/d"},
    {"route to a pool", "<virtual-mta v>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta v weight=3\n</virtual-mta-pool>\n<domain a.example>\nroute-to-pool p\n</domain>\n", "a.example", "reroute-to-virtual-mta p"},
    {"conditional retry leaves the interval", "<domain a.example>\nretry-after 421 4.7.0 TS01 60m\n</domain>\n", "a.example", "retry-after 10m"},
    {"inline patterns leave the list", "<domain a.example>\nsmtp-pattern-list smtp-421-backoff \"421 4.7.0\"\n</domain>\n", "a.example", "smtp-pattern-list \"\""},
    {"DKIM key in the sign line", "<domain a.example>\ndkim-sign domain=\"a.example\" \\\n  key-file=\"/k\" \\\n  selector=\"s1\"\n</domain>\n", "a.example", "domain-key s1,a.example,/k"},
    {"headers of the sign line", "<domain a.example>\ndkim-sign domain=\"a.example\" key-file=\"/k\" selector=\"s1\" header-list=\"From:To\"\n</domain>\n", "a.example", "dkim-headers From,To"},
    {"retries after shutoff", "<virtual-mta v>\nsmtp-retries-after-shutoff 5\n</virtual-mta>\n", "a.example/v", "smtp-retries-after-shutoff 5"},
    {"monitor block", "<http-mgmt>\nport 8080\naddress 127.0.0.1 # tunnel\naccess-file /a.json\n</http-mgmt>\n", "", "http-access-file /a.json"},
};
// clang-format on

TEST(Reference, EachSpellingMeansItsPlainForm) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    const LoadResult result = load_fragment(row.text);
    if (row.queue == "-") {
      EXPECT_FALSE(result.ok()) << "a network comes before the number";
      continue;
    }
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    const Config& config = *result.config;
    const auto queue = find_queue(config, row.queue.empty() ? "x" : row.queue);
    ASSERT_TRUE(queue.has_value()) << queue.error();
    const std::string text =
        "\n" + (row.queue.empty() ? settings_listing(config.globals) : settings_text(config, *queue));
    EXPECT_NE(text.find("\n" + std::string(row.line) + "\n"), std::string::npos) << text;
  }
}

TEST(Reference, IncludesStandInEveryBlockThatTakesThem) {
  MapFiles files;
  files.files["/c"] =
      "<source 0/0>\ninclude /source\n</source>\n<smtp-pattern-list l>\ninclude "
      "/replies\n</smtp-pattern-list>\n"
      "<domain a.example>\ninclude \"/domain\"\n</domain>\n<virtual-mta v>\ninclude /v*\n</virtual-mta>\n";
  files.files["/source"] = "process-x-job yes\n";
  files.files["/replies"] = "reply /x/ skip-mx\n";
  files.files["/domain"] = "max-smtp-out 3\nsmtp-pattern-list l\n";
  files.files["/v1"] = "host-name h.example\n";
  files.files["/v2"] = "max-smtp-out 4\n";
  const LoadResult result =
      load_config("/c", files, {.lenient = false, .fragment = true, .defaults_path = {}});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  const Config& c = *result.config;
  EXPECT_TRUE(c.resolve_source(*IpAddress::parse("10.0.0.1")).process_x_job);
  EXPECT_TRUE(c.find_reply_list("l")->rules.at(0).skip_mx);
  EXPECT_EQ(c.flatten("a.example", kDefaultVmta).max_smtp_out, 3u);
  EXPECT_EQ(c.vmta(*c.find_vmta("v")).settings.host_name, "h.example");
  EXPECT_EQ(c.vmta(*c.find_vmta("v")).settings.max_smtp_out, 4u);
}

TEST(Reference, VendorPatternsComeBehindTheUsers) {
  MapFiles files;
  files.files["/c-defaults"] =
      "<bounce-category-patterns>\n/spam/ spam-related\n// other\n</bounce-category-patterns>\n";
  files.files["/c"] = "<bounce-category-patterns>\n/spam trap/ mine\n</bounce-category-patterns>\n";
  const LoadResult result =
      load_config("/c", files, {.lenient = false, .fragment = true, .defaults_path = "/c-defaults"});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  ASSERT_EQ(result.config->bounce_categories.size(), 3u);
  EXPECT_EQ(result.config->bounce_categories[0].category, "mine");
  EXPECT_EQ(result.config->bounce_categories[2].category, "other");
}

TEST(Reference, SourcesMayHaveAnyNameInBraces) {
  const LoadResult result = load_fragment(
      "<source {pmta-auth}>\nalways-allow-relaying yes\n</source>\n<smtp-user u@x.example>\npassword "
      "p\nsource "
      "{pmta-auth}\n</smtp-user>\n<source {mass}>\n</source>\nsmtp-listener 0/0:2525 source={mass}\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_TRUE(result.config->resolve_named_source("{pmta-auth}").always_allow_relaying);
  EXPECT_EQ(result.config->listeners.at(0).source, "{mass}");
}

}  // namespace
}  // namespace sluice::config
