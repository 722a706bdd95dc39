// Goal: whole configurations load, in PowerMTA's spelling and in the second spelling; each row of the second
//       spelling means the same as its native line.
// How: two complete files of our own in the style of real installations, then one test per second spelling.
#include <gtest/gtest.h>

#include "policy/config/directive.h"
#include "policy/config/listing.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

constexpr std::string_view kNewsletter = R"(#
# A newsletter sender: two streams, a pool per provider
#
postmaster ops@news.example
host-name mta.news.example
run-as-root no
log-file /var/log/sluice/sluice.log
total-max-smtp-out 4000
total-max-smtp-in 500
sync-msg-create yes
sync-msg-update no
name-server 127.0.0.1:5353
name-server 192.0.2.53

smtp-listener 0/0:25
smtp-listener 127.0.0.1:2525
smtp-listener [2001:db8::5]:587 source=submission

domain-macro microsoft hotmail.com, live.com,
    msn.com, outlook.com
domain-macro yahoo yahoo.com, ymail.com

<source 127.0.0.1>
    always-allow-relaying yes   # trusted
    process-x-virtual-mta yes
    process-x-job yes
    max-message-size 60M
    smtp-service yes
</source>
<source 0/0>
    log-connections no
    log-commands    no       # WARNING: verbose!
    log-data        no       # WARNING: even more verbose!
    allow-starttls yes
    allow-unencrypted-plain-auth no
    add-date-header true
</source>
<source {auth}>
    always-allow-relaying yes
    default-virtual-mta marketing
</source>
<source submission>
    require-auth yes
    smtp-max-auth-failure-rate 1/min
</source>
<smtp-user app@news.example>
    password s3cret
    authentication-method password
</smtp-user>

relay-domain [*.]news.example
pickup /var/spool/sluice/pickup /var/spool/sluice/badmail
domain-key s1, news.example,  /etc/sluice/s1.news.example.pem

<smtp-pattern-list blocking-errors>
    reply /generating high volumes of.* complaints/ mode=backoff
    reply /^421 .* too many errors/ mode=backoff
    reply /\[TSS0?4\]/ mode=backoff,disable-source-ip,reenable-after=7m
    reply /421 Message temporarily deferred/ mode=backoff
</smtp-pattern-list>

<domain *>
    max-smtp-out    20       # max. connections *per domain*
    bounce-after    4d12h    # 4 days, 12 hours
    retry-after     10m,30m,1h
    dkim-sign       yes
    dkim-headers    Feedback-ID,List-Unsubscribe
    smtp-pattern-list blocking-errors
    backoff-retry-after 1h
    backoff-to-normal-after 2h
    backoff-to-normal-after-delivery yes
    bounce-upon-no-mx yes
</domain>
<domain $microsoft>
    queue-to "microsoft.rollup"
</domain>
<domain microsoft.rollup>
    smtp-hosts lookup-mx:hotmail.com
    max-msg-rate 250/h
    backoff-max-msg-rate 30/h
    max-connect-rate 5/m
</domain>
<domain $yahoo>
    max-msg-per-connection 5
    smtp-421-means-mx-unavailable yes
</domain>
<mx-rollup-list>
    mx *.google.com google.rollup rollup-by-ip
</mx-rollup-list>

<virtual-mta mta1>
    smtp-source-host 192.0.2.10 mail1.news.example
    <domain yahoo.com>
        max-smtp-out 2
    </domain>
</virtual-mta>
<virtual-mta mta2>
    smtp-source-host 192.0.2.11 mail2.news.example
    smtp-source-host 2001:db8::11 mail2.news.example
</virtual-mta>
<virtual-mta-pool marketing>
    virtual-mta mta1
    virtual-mta mta2
    <domain *>
        max-smtp-out 15
    </domain>
</virtual-mta-pool>

<bounce-category-patterns>
    /spam|blacklist/ spam-related
    /^[45]\.1\.[1346];/ bad-mailbox
    // other
</bounce-category-patterns>

<feedback-loop-processor>
    deliver-unmatched-email no
    forward-errors-to ops@news.example
    <address-list>
        domain fbl.news.example
    </address-list>
</feedback-loop-processor>

http-mgmt-port 8080
http-access 127.0.0.1 monitor
http-access ::1 monitor
http-access 192.0.2.0/24 monitor,deny-logs

<acct-file /var/log/sluice/acct.csv>
    records d, b
    record-fields d timeLogged,rcpt,dlvSourceIp,header_x-campaign
    move-to /var/spool/acct
    move-interval 5m
    max-size 50M
    delete-after 8d
</acct-file>
<acct-file |/usr/bin/consume --kind=bounce>
    records b
    record-fields b *, !dsnDiag
</acct-file>
<spool /var/spool/sluice>
    deliver-only no
    min-free-space 1G
</spool>
)";

constexpr std::string_view kSink = R"(# A machine that swallows mail
postmaster lab@sink.example
smtp-listener 198.51.100.2:25
smtp-server-tls-certificate  /etc/sluice/server.pem
total-max-smtp-in 400
total-max-file 100                                      # file workers
dummy-smtp-has-chunking yes
dummy-smtp-has-pipelining yes
dummy-smtp-blacklist /etc/sluice/blacklist.dat
dummy-smtp-blacklist-bounce-percent 4   # blanks
dummy-smtp-port 25
dummy-smtp-ip 198.51.100.3
<source ::1>
    always-allow-relaying yes
</source>
<source 0/0>                 # matches all
    check-dkim-inbound yes
    check-mfrom-inbound yes
</source>
relay-domain [*.]sink.example
<domain *>
    type file
    file-format newfile-plain
    file-destination /var/spool/mail/inbound
    retry-after 1m
</domain>
log-file /var/log/sluice.log
<signals>
    api-key abc
    upload-url https://api.example/ingest
</signals>
<spool /var/spool/sink>
</spool>
)";

TEST(Samples, NewsletterLoadsWithoutAComplaint) {
  const LoadResult result = load_whole(kNewsletter);
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_TRUE(result.diagnostics.empty()) << format(result.diagnostics);
  const Config& c = *result.config;
  EXPECT_EQ(c.globals.postmaster, std::vector<std::string>{"ops@news.example"});
  EXPECT_FALSE(c.globals.run_as_root);
  EXPECT_FALSE(c.globals.sync_msg_update);
  ASSERT_EQ(c.globals.name_server.size(), 2u);
  EXPECT_EQ(c.globals.name_server[0].port, 5353);
  EXPECT_EQ(c.globals.name_server[1].port, 53);
  EXPECT_EQ(c.listeners.size(), 3u);
  EXPECT_EQ(c.vmtas.size(), 3u);
  EXPECT_EQ(c.vmtas[1].settings.smtp_source_host[0].ehlo, "mail1.news.example");
  EXPECT_EQ(c.find_smtp_user("app@news.example")->source, "{auth}");
  EXPECT_EQ(c.resolve_source(*IpAddress::parse("192.0.2.77"), "{auth}").default_virtual_mta, "marketing");
  const auto mta1 = c.find_vmta("mta1");
  EXPECT_EQ(c.flatten("yahoo.com", *mta1).max_smtp_out, 2u);
  EXPECT_EQ(c.flatten("ymail.com", *mta1).max_smtp_out, 15u);
  EXPECT_EQ(c.flatten("ymail.com", *mta1).max_msg_per_connection, 5u);
  EXPECT_EQ(c.flatten("msn.com", *mta1).queue_to, "microsoft.rollup");
  EXPECT_EQ(c.flatten("microsoft.rollup", *mta1).max_msg_rate, (Rate{250, 1h}));
  EXPECT_EQ(c.flatten("x.example", *mta1).dkim.headers.size(), 2u);
  EXPECT_EQ(c.find_reply_list("Blocking-Errors")->rules[2].reenable_after, Duration{7min});
  EXPECT_EQ(c.bounce_categories.size(), 3u);
  EXPECT_EQ(c.acct_files.size(), 2u);
  EXPECT_EQ(c.acct_files[0].record_fields[0].fields.size(), 4u);
  EXPECT_EQ(c.spools[0].min_free_space, ByteCount{kGiB});
  EXPECT_TRUE(c.globals.http_access[2].deny_logs);
}

TEST(Samples, SinkLoadsWithNotesOnly) {
  MapFiles files;
  files.files[std::string(kMain)] = kSink;
  files.files["/etc/sluice/blacklist.dat"] = "random_bounce:550 5.1.1 no such user\n";
  const LoadResult result = load_config(kMain, files, {});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Warning), 0u) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Note), 2u) << format(result.diagnostics);
  EXPECT_EQ(result.config->globals.dummy_smtp.blacklist_bounce_percent, 4u);
  EXPECT_EQ(result.config->flatten("x.y", kDefaultVmta).type, QueueType::File);
  EXPECT_EQ(result.config->resolve_source(*IpAddress::parse("::1")).always_allow_relaying, true);
}

TEST(Samples, ListingShowsEveryValueOnItsLine) {
  const LoadResult result = load_whole(kNewsletter);
  ASSERT_TRUE(result.ok());
  const std::string text = settings_listing(result.config->flatten("x.example", kDefaultVmta));
  EXPECT_NE(text.find("\nretry-after 10m,30m,1h\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nbounce-after 4d12h\n"), std::string::npos);
  EXPECT_NE(text.find("\nsmtp-hosts \"\"\n"), std::string::npos);
  EXPECT_NE(text.find("\nuse-starttls yes\n"), std::string::npos);
  EXPECT_NE(text.find("\nsmtp-pattern-list blocking-errors\n"), std::string::npos);
  EXPECT_EQ(text.find("max-msg-per-hour"), std::string::npos);
  EXPECT_NE(
      settings_listing(result.config->globals).find("name-server 127.0.0.1:5353\nname-server 192.0.2.53\n"),
      std::string::npos);
  EXPECT_EQ(settings_listing(result.config->globals).find("s3cret"), std::string::npos);
}

// --- the second spelling
// --------------------------------------------------------------------------------------------

std::shared_ptr<const Config> loaded(std::string_view text) {
  const LoadResult result = load_fragment(text);
  EXPECT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Warning), 0u) << format(result.diagnostics);
  return result.config ? result.config : std::make_shared<const Config>();
}

TEST(SecondSpelling, VirtualMtaWithElements) {
  const auto config = loaded(R"(<virtual-mta name="client-alpha">
<smtp-source-host>203.0.113.10 name="mail1.alpha-sends.com"</smtp-source-host>
<domain-key name="alpha" domain="alpha.com" path="/etc/sluice/keys/alpha.pem"/>
<max-smtp-out>10</max-smtp-out>
<bounce-handling>
<response match="5.1.1" action="delete" log-only="no"/>
<response match="5.7.1" action="delete" log-only="yes"/>
<response match="4.*" action="retry" retry-after="1h"/>
</bounce-handling>
</virtual-mta>
<!-- FBL configuration -->
<fbl>
<address>fbl@alpha.com</address>
<virtual-mta>client-alpha</virtual-mta>
<handler type="delete"/>
</fbl>
)");
  const auto id = config->find_vmta("client-alpha");
  ASSERT_TRUE(id);
  const IdentitySettings& settings = config->vmta(*id).settings;
  ASSERT_EQ(settings.smtp_source_host.size(), 1u);
  EXPECT_EQ(settings.smtp_source_host[0].source.address().text(), "203.0.113.10");
  EXPECT_EQ(settings.smtp_source_host[0].ehlo, "mail1.alpha-sends.com");
  ASSERT_EQ(settings.domain_key.size(), 1u);
  EXPECT_EQ(settings.domain_key[0].selector, "alpha");
  EXPECT_EQ(settings.domain_key[0].path, "/etc/sluice/keys/alpha.pem");
  EXPECT_EQ(settings.max_smtp_out, 10u);
  const std::string actions_name = config->flatten("any.example", *id).bounce_actions;
  const BounceActionList* actions = config->find_bounce_actions(actions_name);
  ASSERT_NE(actions, nullptr) << actions_name;
  ASSERT_EQ(actions->actions.size(), 3u);
  EXPECT_EQ(actions->actions[0].action, BounceActionKind::Suppress);
  EXPECT_EQ(actions->actions[0].reply->text, "^5\\.1\\.1;");
  EXPECT_TRUE(actions->actions[1].log_only);
  EXPECT_EQ(actions->actions[2].reply->text, "^4\\.[\\d.]*;");
  EXPECT_EQ(actions->actions[2].retry_after, Duration{1h});
  EXPECT_EQ(config->flatten("any.example", kDefaultVmta).bounce_actions, "");
  ASSERT_EQ(config->feedback_loop_processors.size(), 1u);
  const ReportProcessor& fbl = config->feedback_loop_processors[0];
  EXPECT_EQ(fbl.addresses.at(0).text, "fbl@alpha.com");
  EXPECT_EQ(fbl.virtual_mtas, std::vector<std::string>{"client-alpha"});
  EXPECT_EQ(fbl.action, ReportAction::Suppress);
}

TEST(SecondSpelling, ElementsMayShareALine) {
  const auto config = loaded(
      R"(<fbl><address>fbl@a.example</address><virtual-mta>v</virtual-mta><handler type="delete"/></fbl>
<virtual-mta v>
<bounce-handling><response match="mailbox full" action="retry" retry-after="4h"/></bounce-handling>
</virtual-mta>
)");
  EXPECT_EQ(config->feedback_loop_processors.at(0).virtual_mtas.at(0), "v");
  EXPECT_EQ(config->bounce_actions.at(0).actions.at(0).reply->text, "mailbox full");
}

TEST(SecondSpelling, SourceIpsWithOneEhloName) {
  const auto config = loaded(
      "<virtual-mta cold>\nsmtp-source-ip 203.0.113.20\nsmtp-source-ip 203.0.113.21\nehlo-hostname "
      "mail-cold.example.com\n"
      "max-smtp-out 30\nsmtp-retries-after-shutoff 2\n</virtual-mta>\n");
  const Vmta& vmta = config->vmta(*config->find_vmta("cold"));
  ASSERT_EQ(vmta.settings.smtp_source_host.size(), 2u);
  EXPECT_EQ(vmta.settings.smtp_source_host[1].ehlo, "mail-cold.example.com");
  EXPECT_EQ(config->flatten("x.example", vmta.id).smtp_retries_after_shutoff, 2u);
  EXPECT_EQ(config->flatten("x.example", kDefaultVmta).smtp_retries_after_shutoff, std::nullopt);
}

TEST(SecondSpelling, DkimSignBringsItsKey) {
  const auto config = loaded(
      "dkim-sign domain=\"example.com\" \\\n    key-file=\"/etc/dkim/example.private\" \\\n    "
      "selector=\"s1\"\n"
      "<virtual-mta brands>\n"
      "dkim-sign domain=\"brand-a.com\" key-file=\"/etc/dkim/a\" selector=\"sa\" "
      "header-list=\"From:To:Subject:Date\"\n"
      "<domain gmail.com>\ndkim-sign domain=\"brand-b.com\" key-file=\"/etc/dkim/b\" "
      "selector=\"sb\"\n</domain>\n"
      "</virtual-mta>\n");
  const DomainSettings plain = config->flatten("x.example", kDefaultVmta);
  EXPECT_EQ(plain.dkim.sign, DkimSign::Yes);
  ASSERT_EQ(plain.domain_keys.size(), 1u);
  EXPECT_EQ(plain.domain_keys[0].path, "/etc/dkim/example.private");
  const DomainSettings brand = config->flatten("x.example", *config->find_vmta("brands"));
  ASSERT_EQ(brand.domain_keys.size(), 2u);
  EXPECT_EQ(brand.domain_keys[0].selector, "sa");
  ASSERT_EQ(brand.dkim.headers.size(), 4u);
  EXPECT_EQ(brand.dkim.headers[2].text, "Subject");
  EXPECT_EQ(config->flatten("gmail.com", *config->find_vmta("brands")).domain_keys[0].selector, "sb");
}

TEST(SecondSpelling, InlineReplyRules) {
  const auto config = loaded(
      "<smtp-pattern-list named>\nreply /x/ skip-mx\n</smtp-pattern-list>\n<domain *>\nsmtp-pattern-list "
      "named\nretry-after 15m\n</domain>\n"
      "<domain yahoo.com>\nsmtp-pattern-list smtp-421-backoff \"421 4.7.0\"\nretry-after 421 4.7.0 "
      "10m\nretry-after 421 4.7.0 TS01 60m\n</domain>\n");
  const DomainSettings d = config->flatten("yahoo.com", kDefaultVmta);
  EXPECT_EQ(d.smtp_pattern_list, "named");
  EXPECT_EQ(d.retry_after, std::vector<Duration>{15min});
  ASSERT_EQ(d.inline_reply_rules.size(), 2u);
  EXPECT_EQ(d.inline_reply_rules[0].mode, QueueMode::Backoff);
  EXPECT_EQ(d.inline_reply_rules[0].retry_after, Duration{10min});
  EXPECT_EQ(d.inline_reply_rules[1].retry_after, Duration{1h});
  EXPECT_GT(d.inline_reply_rules[1].literal_length, d.inline_reply_rules[0].literal_length);
}

TEST(SecondSpelling, BounceActions) {
  const auto config = loaded(
      "<bounce-actions>\ntype permanent\nmatch bad-mailbox bad-domain routing-errors "
      "inactive-mailbox\naction suppress\n"
      "type transient\nmatch quota-issues bad-connection\naction retry\nretry-after 4h\n</bounce-actions>\n"
      "<bounce-actions strict>\nmatch bad-mailbox, policy-related action=suppress expire=90d\nreply /mailbox "
      "full/ action=retry retry-after=2h\n"
      "match other action=log\n</bounce-actions>\n"
      "<domain a.example>\nbounce-actions strict\n</domain>\n");
  const BounceActionList* global = config->find_bounce_actions(config->globals.bounce_actions);
  ASSERT_NE(global, nullptr);
  ASSERT_EQ(global->actions.size(), 2u);
  EXPECT_EQ(global->actions[0].categories.size(), 4u);
  EXPECT_EQ(global->actions[0].action, BounceActionKind::Suppress);
  EXPECT_EQ(global->actions[1].action, BounceActionKind::Retry);
  EXPECT_EQ(global->actions[1].retry_after, Duration{4h});
  const BounceActionList* strict =
      config->find_bounce_actions(config->flatten("a.example", kDefaultVmta).bounce_actions);
  ASSERT_NE(strict, nullptr);
  EXPECT_EQ(strict->actions[0].categories, (std::vector<std::string>{"bad-mailbox", "policy-related"}));
  EXPECT_EQ(strict->actions[0].expire, Duration{90 * 24h});
  EXPECT_EQ(strict->actions[1].reply->text, "mailbox full");
}

TEST(SecondSpelling, ListenersChooseTheVirtualMta) {
  const auto config = loaded(
      "<virtual-mta trans-ip-1>\n</virtual-mta>\n"
      "smtp-listener 127.0.0.1:2525 {{ default-virtual-mta trans-ip-1 }} # Transactional\n");
  EXPECT_EQ(config->listeners.at(0).default_virtual_mta, "trans-ip-1");
  EXPECT_EQ(config->listeners.at(0).port, 2525);
}

TEST(SecondSpelling, PoolsTakePaceRollupAndRouting) {
  const auto config = loaded(
      "<virtual-mta primary-mta>\nsmtp-source-host 192.0.2.1 a.example\n</virtual-mta>\n"
      "<virtual-mta-pool primary-pool>\nvirtual-mta primary-mta\nmax-smtp-out 3   # Low during warming "
      "phase\n"
      "max-msg-rate 500/d\nretry-after 15m\nmx-rollup gmail.com\n</virtual-mta-pool>\n"
      "<domain gmail.com>\nroute-to-pool primary-pool\n</domain>\n");
  EXPECT_EQ(config->pools.at(0).settings.max_smtp_out, 3u);
  const DomainSettings d = config->flatten("gmail.com", *config->find_vmta("primary-mta"));
  EXPECT_EQ(d.max_msg_rate, (Rate{500, 24h}));
  EXPECT_EQ(d.retry_after, std::vector<Duration>{15min});
  EXPECT_EQ(d.mx_rollup, std::vector<std::string>{"gmail.com"});
  EXPECT_EQ(d.reroute_to_virtual_mta, "primary-pool");
}

TEST(SecondSpelling, MonitorAndFblBlocks) {
  const auto config = loaded(
      "<http-mgmt>\nport 8081\naddress 127.0.0.1 # Restrict to localhost\naccess-file "
      "/etc/sluice/access.json\n</http-mgmt>\n"
      "<feedback-loop-processor>\naction pipe \"/opt/on-complaint --q\"\ninput-dir "
      "/var/mail/fbl\n<address-list>\ndomain f.example\n</address-list>\n</feedback-loop-processor>\n"
      "<acct-file /f.csv>\nmove-interval 24h\nmove-to /var/fbl/\nworld-readable yes\nrecords feedback-loop\n"
      "record-fields f "
      "timeLogged,format,header_To,header_Return-Path,reportedDomain,header_X-FBLId\n</acct-file>\n"
      "<acct-file /d.csv>\nrecords d\nrecord-fields d "
      "timeLogged,orig,rcpt,vmta,jobId,dlvStatus,dsnStatus,dsnDiag\n</acct-file>\n"
      "<domain *>\nadd-fbl-id-header yes\n</domain>\n");
  EXPECT_EQ(config->globals.http_mgmt_port, 8081);
  EXPECT_EQ(config->globals.http_mgmt_address.at(0).text(), "127.0.0.1");
  EXPECT_EQ(config->globals.http_access_file, "/etc/sluice/access.json");
  EXPECT_EQ(config->feedback_loop_processors.at(0).action, ReportAction::Pipe);
  EXPECT_EQ(config->feedback_loop_processors.at(0).pipe_command, "/opt/on-complaint --q");
  EXPECT_EQ(config->acct_files.at(0).move_to, "/var/fbl/");
  EXPECT_EQ(config->acct_files.at(1).record_fields.at(0).fields.at(5), "dlvStatus");
  EXPECT_TRUE(config->flatten("x.y", kDefaultVmta).add_fbl_id_header);
}

}  // namespace
}  // namespace sluice::config
