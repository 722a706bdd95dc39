// Goal: every odd spelling means what its plain form means.
// How: one row per spelling with the line `settings` shows for it.
#include <gtest/gtest.h>

#include "policy/config/listing.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

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
    {"needless quotes around a number", "<domain a.example>\nmax-smtp-out \"3\"\n</domain>\n", "a.example", "max-smtp-out 3"},
    {"needless quotes around a list", "<domain a.example>\nretry-after \"1m,2m\"\n</domain>\n", "a.example", "retry-after 1m,2m"},
    {"needless quotes around a word", "<domain a.example>\ntype \"discard\"\n</domain>\n", "a.example", "type discard"},
    {"capitals in a word", "<domain a.example>\ntype DISCARD\n</domain>\n", "a.example", "type discard"},
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
    {"tuning", "<domain a.example>\nmax-smtp-out tuning 8\n</domain>\n", "a.example", "max-smtp-out 8"},
    {"tuning in a VMTA", "<virtual-mta v>\nmax-smtp-out tuning 8\n</virtual-mta>\n", "a.example/v", "max-smtp-out 8"},
    {"rollup by name", "<virtual-mta v>\nmx-rollup gmail.com\n</virtual-mta>\n", "a.example/v", "mx-rollup gmail.com"},
    {"daily rate in a VMTA", "<virtual-mta v>\nmax-msg-rate 500/d\n</virtual-mta>\n", "a.example/v", "max-msg-rate 500/d"},
    {"pool named in a domain", "<virtual-mta v>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta v\n</virtual-mta-pool>\n<domain a.example>\nvirtual-mta-pool P\nmax-smtp-out 3\n</domain>\n", "a.example", "reroute-to-virtual-mta P"},
    {"route to a pool", "<virtual-mta v>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta v weight=3\n</virtual-mta-pool>\n<domain a.example>\nroute-to-pool p\n</domain>\n", "a.example", "reroute-to-virtual-mta p"},
    {"conditional retry leaves the interval", "<domain a.example>\nretry-after 421 4.7.0 TS01 60m\n</domain>\n", "a.example", "retry-after 10m"},
    {"inline patterns leave the list", "<domain a.example>\nsmtp-pattern-list smtp-421-backoff \"421 4.7.0\"\n</domain>\n", "a.example", "smtp-pattern-list \"\""},
    {"DKIM key in the sign line", "<domain a.example>\ndkim-sign domain=\"a.example\" \\\n  key-file=\"/k\" \\\n  selector=\"s1\"\n</domain>\n", "a.example", "domain-key s1,a.example,/k"},
    {"headers of the sign line", "<domain a.example>\ndkim-sign domain=\"a.example\" key-file=\"/k\" selector=\"s1\" header-list=\"From:To\"\n</domain>\n", "a.example", "dkim-headers From,To"},
    {"retries after shutoff", "<virtual-mta v>\nsmtp-retries-after-shutoff 5\n</virtual-mta>\n", "a.example/v", "smtp-retries-after-shutoff 5"},
    {"monitor block", "<http-mgmt>\nport 8080\naddress 127.0.0.1 # tunnel\naccess-file /a.json\n</http-mgmt>\n", "", "http-access-file /a.json"},
};
// clang-format on

TEST(Spellings, EachMeansItsPlainForm) {
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

}  // namespace
}  // namespace sluice::config
