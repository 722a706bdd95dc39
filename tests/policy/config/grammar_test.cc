// Goal: lines, comments, blocks, lists, includes and the second spellings are read as documented.
// How: small texts loaded from memory; each test looks at the typed result.
#include <gtest/gtest.h>

#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

std::shared_ptr<const Config> loaded(std::string_view text) {
  const LoadResult result = load_fragment(text);
  EXPECT_TRUE(result.ok()) << format(result.diagnostics);
  return result.config ? result.config : std::make_shared<const Config>();
}

TEST(Grammar, CommentsAndBlanks) {
  const auto config = loaded(
      "\xef\xbb\xbf# first line\n"
      "   total-max-smtp-out\t 300   # comment\r\n"
      "\r\n"
      "<domain   example.com> # comment behind a tag\n"
      "max-smtp-out 7# no blank needed\n"
      "</domain   >\n"
      "<!-- an XML comment\n total-max-smtp-out 5\n-->\n"
      "total-max-smtp-in 40");
  EXPECT_EQ(config->globals.total_max_smtp_out, 300u);
  EXPECT_EQ(config->globals.total_max_smtp_in, 40u);
  EXPECT_EQ(config->flatten("example.com", kDefaultVmta).max_smtp_out, 7u);
}

TEST(Grammar, NamesIgnoreCase) {
  const auto config = loaded("Total-Max-SMTP-Out 300\n<Virtual-MTA Abc>\nmax-smtp-out 3\n</VIRTUAL-MTA>\n");
  EXPECT_EQ(config->globals.total_max_smtp_out, 300u);
  ASSERT_TRUE(config->find_vmta("aBC"));
  EXPECT_EQ(config->vmta(*config->find_vmta("abc")).settings.max_smtp_out, 3u);
}

TEST(Grammar, ClosingTagMayRepeatTheName) {
  const auto config = loaded("<domain-key-list one>\ndomain-key s,d.example,/k\n</domain-key-list one>\n");
  ASSERT_EQ(config->domain_key_lists.size(), 1u);
  EXPECT_EQ(config->domain_key_lists[0].keys.size(), 1u);
}

TEST(Grammar, ListsContinueBehindAComma) {
  const auto config = loaded(
      "domain-macro hotmail hotmail.com, live.com,   # comment\n"
      "    msn.com,\n"
      "    outlook.com\n"
      "<acct-file /a.csv>\nrecords d,\n b\n</acct-file>\n");
  EXPECT_EQ(config->domain_macros.at("hotmail"),
            (std::vector<std::string>{"hotmail.com", "live.com", "msn.com", "outlook.com"}));
  EXPECT_EQ(config->acct_files[0].records.size(), 2u);
}

TEST(Grammar, ACommaBeforeATagDoesNotSwallowTheTag) {
  const auto config = loaded("domain-macro m a.example,\n<domain $m>\nmax-smtp-out 3\n</domain>\n");
  EXPECT_EQ(config->flatten("a.example", kDefaultVmta).max_smtp_out, 3u);
}

TEST(Grammar, DomainsOfAMacroMayStandOnTheLineBelow) {
  const LoadResult result = load_fragment(
      "domain-macro orange \n"
      "orange.example,wanadoo.example,\n"
      "third.example\n"
      "<domain $orange>\nmax-smtp-out 3\n</domain>\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Warning), 1u);
  EXPECT_EQ(result.config->domain_macros.at("orange"),
            (std::vector<std::string>{"orange.example", "wanadoo.example", "third.example"}));
  for (const std::string_view below :
       {"postmaster a@b.example", "run-as-root yes", "", "<domain a.example>\n</domain>"}) {
    SCOPED_TRACE(below);
    const LoadResult empty = load_fragment("domain-macro m\n" + std::string(below) + "\n");
    ASSERT_FALSE(empty.ok());
    EXPECT_EQ(empty.diagnostics.front().message, "argument missing");
    EXPECT_EQ(count(empty, Severity::Error), 1u) << format(empty.diagnostics);
  }
}

TEST(Grammar, WrappedRegexIsJoinedWithAWarning) {
  const LoadResult result = load_fragment(
      "<bounce-category-patterns>\n"
      "/(disabled|expired|inactive|not activa\n"
      "ted)/ inactive-mailbox\n"
      "/spam/ spam-related\n"
      "// other\n"
      "</bounce-category-patterns>\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Warning), 1u);
  ASSERT_EQ(result.config->bounce_categories.size(), 3u);
  EXPECT_EQ(result.config->bounce_categories[0].pattern.text, "(disabled|expired|inactive|not activated)");
  EXPECT_EQ(result.config->bounce_categories[0].category, "inactive-mailbox");
  EXPECT_EQ(result.config->bounce_categories[2].pattern.text, "");
}

TEST(Grammar, AnUnclosedRegexDoesNotSwallowTheNextRule) {
  const LoadResult result = load_fragment(
      "<smtp-pattern-list l>\nreply /abc mode=backoff\nreply /def/ mode=backoff\n</smtp-pattern-list>\n");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(count(result, Severity::Error), 1u);
}

TEST(Grammar, CategoryMayTouchTheSlash) {
  const auto config = loaded("<bounce-category-patterns>\n/x/other\n</bounce-category-patterns>\n");
  EXPECT_EQ(config->bounce_categories[0].category, "other");
}

TEST(Grammar, QuotedArguments) {
  const auto config = loaded(
      "<acct-file \"/var/log/my dir/x.csv\">\nuser-string \"a \\\"b\\\"\"\n</acct-file>\n"
      "<acct-file |/usr/bin/php /opt/x.php --log=/x.log > /dev/null>\nrecords b\n</acct-file>\n"
      "<domain d.example>\ntype pipe\ncommand \"/bin/x --from=\"\"$from\"\" --to=\"\"$to\"\"\"\n</domain>\n"
      "<domain e.example>\nqueue-to \"x.rollup\"\n</domain>\n");
  EXPECT_EQ(config->acct_files[0].path, "/var/log/my dir/x.csv");
  EXPECT_EQ(config->acct_files[0].user_string, "a \"b\"");
  EXPECT_EQ(config->acct_files[1].command, "/usr/bin/php /opt/x.php --log=/x.log > /dev/null");
  EXPECT_TRUE(config->acct_files[1].is_pipe());
  EXPECT_EQ(config->flatten("d.example", kDefaultVmta).command, "/bin/x --from=\"$from\" --to=\"$to\"");
  EXPECT_EQ(config->flatten("e.example", kDefaultVmta).queue_to, "x.rollup");
}

TEST(Grammar, IncludesKeepTheBlockTheyStandIn) {
  MapFiles files;
  files.files["/etc/sluice/config"] =
      "include vmtas/*.conf\n<virtual-mta a>\ninclude /etc/sluice/keys\n</virtual-mta>\n"
      "<domain *>\ninclude pace\n</domain>\n";
  files.files["/etc/sluice/vmtas/b.conf"] = "<virtual-mta b>\n</virtual-mta>\n";
  files.files["/etc/sluice/vmtas/c.conf"] = "<virtual-mta c>\n</virtual-mta>\n";
  files.files["/etc/sluice/keys"] = "domain-key s1,example.com,/k1\ndomain-key s2,*,/k2\n";
  files.files["/etc/sluice/pace"] = "max-smtp-out 4\n";
  const LoadResult result =
      load_config("/etc/sluice/config", files, {.lenient = false, .fragment = true, .defaults_path = {}});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_TRUE(result.config->find_vmta("b") && result.config->find_vmta("c"));
  const Vmta& a = result.config->vmta(*result.config->find_vmta("a"));
  ASSERT_EQ(a.settings.domain_key.size(), 2u);
  EXPECT_EQ(result.config->files[a.settings.domain_key[1].origin.file], "/etc/sluice/keys");
  EXPECT_EQ(a.settings.domain_key[1].origin.line, 2u);
  EXPECT_EQ(result.config->flatten("x.example", kDefaultVmta).max_smtp_out, 4u);
}

TEST(Grammar, IncludeMistakes) {
  MapFiles files;
  const auto message = [&](std::string text) {
    files.files["/c"] = std::move(text);
    const LoadResult result =
        load_config("/c", files, {.lenient = false, .fragment = true, .defaults_path = {}});
    EXPECT_FALSE(result.ok());
    return result.diagnostics.empty() ? std::string() : result.diagnostics[0].message;
  };
  files.files["/loop"] = "include /c\n";
  files.files["/half"] = "<domain x.example>\n";
  files.files["/close"] = "</domain>\n";
  EXPECT_EQ(message("include /loop\n"), "\"/c\" includes itself");
  EXPECT_EQ(message("include /nowhere\n"), "cannot read \"/nowhere\": not found");
  EXPECT_EQ(message("include /half\n"), "<domain> is never closed");
  EXPECT_EQ(message("<domain x.example>\ninclude /close\n</domain>\n"), "</domain> without <domain>");
  EXPECT_EQ(message("include\n"), "argument missing");
}

TEST(Grammar, DefaultsFileIsBelowTheUsersFile) {
  MapFiles files;
  files.files["/defaults"] =
      "<domain gmail.com>\nmax-smtp-out 2\nmax-msg-per-connection 9\n</domain>\n<smtp-pattern-list l>\nreply "
      "/x/ skip-mx\n</smtp-pattern-list>\n";
  files.files["/c"] =
      "<domain gmail.com>\nmax-smtp-out 8\n</domain>\n<smtp-pattern-list L>\nreply /y/ "
      "mode=backoff\n</smtp-pattern-list>\n";
  LoadOptions options{.lenient = false, .fragment = true, .defaults_path = "/defaults"};
  const LoadResult result = load_config("/c", files, options);
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(result.config->flatten("gmail.com", kDefaultVmta).max_smtp_out, 8u);
  EXPECT_EQ(result.config->flatten("gmail.com", kDefaultVmta).max_msg_per_connection, 9u);
  EXPECT_EQ(result.config->find_reply_list("l")->rules[0].pattern.text, "y");
  options.defaults_path = "/not-there";
  EXPECT_TRUE(load_config("/c", files, options).ok());
}

TEST(Grammar, ListenersInAllForms) {
  const auto config = loaded(
      "smtp-listener 0/0:2525\nsmtp-listener 0.0.0.0:25\nsmtp-listener [::1]:587 source=app\nsmtp-listener "
      "192.0.2.1\n"
      "<smtp-listener 127.0.0.1:465>\nimmediate-tls yes\nsource app\ntls-certificate /c.pem "
      "secret\n</smtp-listener>\n"
      "<source app>\n</source>\n");
  ASSERT_EQ(config->listeners.size(), 5u);
  EXPECT_EQ(config->listeners[0].address.prefix_bits(), 0u);
  EXPECT_EQ(config->listeners[0].port, 2525);
  EXPECT_EQ(config->listeners[1].address.prefix_bits(), 0u);
  EXPECT_EQ(config->listeners[2].source, "app");
  EXPECT_EQ(config->listeners[2].address.address().text(), "::1");
  EXPECT_EQ(config->listeners[3].port, 25);
  EXPECT_TRUE(config->listeners[4].immediate_tls);
  EXPECT_EQ(config->listeners[4].tls.certificate.password, "secret");
}

TEST(Grammar, WithoutListenerPort25OnAllAddressesIsImplied) {
  EXPECT_EQ(loaded("")->listeners.at(0).port, 25);
  const auto old = loaded("smtp-ip 192.0.2.7\nsmtp-port 2525\n");
  EXPECT_EQ(old->listeners.at(0).port, 2525);
  EXPECT_EQ(old->listeners.at(0).address.address().text(), "192.0.2.7");
}

TEST(Grammar, PatternListsNest) {
  const auto config = loaded(
      "<virtual-mta v1>\n</virtual-mta>\n<virtual-mta v2>\n</virtual-mta>\n<virtual-mta v3>\n</virtual-mta>\n"
      "<pattern-list l>\n"
      "header X-Campaign /^\\s*promo/ virtual-mta=v1\n"
      "mail-from /@brand\\.com$/ virtual-mta=v1, recipient-priority=60\n"
      "mail-from /news/ <pattern-list>\n"
      "  rcpt-to /@a\\.com$/ virtual-mta=v2\n"
      "  * virtual-mta=v3\n"
      "</pattern-list>\n"
      "rcpt-to /one/ <pattern-list> rcpt-to /two/ virtual-mta=v2 </pattern-list>\n"
      "header X-Sel /abc/ call-to: OtherList\n"
      "</pattern-list>\n");
  const PatternList* list = config->find_pattern_list("L");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->patterns.size(), 5u);
  EXPECT_EQ(list->patterns[0].header, "X-Campaign");
  EXPECT_EQ(list->patterns[1].recipient_priority, 60u);
  ASSERT_EQ(list->patterns[2].nested.size(), 2u);
  EXPECT_EQ(list->patterns[2].nested[1].kind, MessagePatternKind::Any);
  ASSERT_EQ(list->patterns[3].nested.size(), 1u);
  EXPECT_EQ(list->patterns[3].nested[0].virtual_mta, "v2");
  EXPECT_EQ(list->patterns[4].call_to, "OtherList");
}

TEST(Grammar, AddressListsAndProcessors) {
  const auto config = loaded(
      "domain-macro ours a.example, b.example\n"
      "<address-list stop>\naddress foo\naddress a@b.example\naddress /^x/\ndomain $ours\naddress-file "
      "/f\n</address-list>\n"
      "<feedback-loop-processor>\ndeliver-unmatched-email no\nforward-errors-to ops@b.example\n"
      "<address-list>\ndomain fbl.b.example\n</address-list>\n<email-patterns>\nbody-pattern-file "
      "/p\nlog-match-info yes\n</email-patterns>\n"
      "</feedback-loop-processor>\n<bounce-processor>\n<address-list>\naddress "
      "/abuse@fbl.example.com/\n</address-list>\n</bounce-processor>\n");
  const AddressList* list = config->find_address_list("stop");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->entries.size(), 6u);
  EXPECT_EQ(list->entries[0].kind, AddressEntry::Kind::LocalPart);
  EXPECT_EQ(list->entries[1].kind, AddressEntry::Kind::Address);
  EXPECT_EQ(list->entries[2].kind, AddressEntry::Kind::Regex);
  EXPECT_EQ(list->entries[4].text, "b.example");
  ASSERT_EQ(config->feedback_loop_processors.size(), 1u);
  EXPECT_EQ(config->feedback_loop_processors[0].deliver_unmatched_email, false);
  EXPECT_EQ(config->feedback_loop_processors[0].addresses[0].text, "fbl.b.example");
  EXPECT_TRUE(config->feedback_loop_processors[0].log_match_info);
  EXPECT_EQ(config->bounce_processor->addresses[0].text, "abuse@fbl.example.com");
}

TEST(Grammar, OldDirectivesMapToTheirSuccessors) {
  const LoadResult result = load_fragment(
      "spool /var/spool/old\nspool-min-free-space 100\n"
      "<domain a.example>\nroute relay.example:2525\nmax-msg-per-hour 500\nbackoff-max-msg-per-hour 20\n"
      "max-smtp-out-per-source-ip 3\ndelivery-priority 70\ndk-sign yes\nsmtp-tls-allow-sslv3 no\n</domain>\n"
      "smtp-source-ip 192.0.2.1\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_GE(count(result, Severity::Note), 8u);
  const DomainSettings d = result.config->flatten("a.example", kDefaultVmta);
  EXPECT_EQ(d.smtp_hosts.hosts.at(0).name, "relay.example");
  EXPECT_EQ(d.smtp_hosts.hosts.at(0).port, 2525);
  EXPECT_EQ(d.max_msg_rate, (Rate{500, 1h}));
  EXPECT_EQ(d.backoff_max_msg_rate, (Rate{20, 1h}));
  EXPECT_EQ(d.source_ip_max_smtp_out.at(0).value, 3u);
  EXPECT_EQ(d.queue_priority, 70u);
  EXPECT_EQ(result.config->spools.at(0).dir, "/var/spool/old");
  EXPECT_EQ(result.config->spools.at(0).min_free_space, ByteCount{100 * kMiB});
  EXPECT_EQ(result.config->globals.smtp_source_host.at(0).source.address().text(), "192.0.2.1");
}

TEST(Grammar, OneByteAtATimeIsTheSameText) {
  // The reader sees whole files, so a fragment is a shorter file: every prefix has to end in a result, never
  // a crash.
  const std::string text =
      "domain-macro m a.example, b.example,\n c.example\n<virtual-mta \"v 1\">\nsmtp-source-host 192.0.2.1 "
      "a.example\n"
      "<domain $m>\nretry-after 1m,2m\nsmtp-hosts \"[10.0.0.1]:25;lookup-mx:x\"\n</domain>\n</virtual-mta>\n"
      "<bounce-category-patterns>\n/a\\/b/ x\n</bounce-category-patterns>\n<smtp-listener "
      "[::]:25>\n</smtp-listener>\n"
      "<pattern-list p>\nmail-from /x/ <pattern-list> rcpt-to /y/ call-to:p "
      "</pattern-list>\n</pattern-list>\n"
      "smtp-listener 0/0:25 {{ default-virtual-mta \"v 1\" }}\n<domain-key name=\"a\" domain=\"d\" "
      "path=\"/k\"/>\n";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const LoadResult result = load_fragment(std::string_view(text).substr(0, size));
    EXPECT_EQ(result.ok(), !has_errors(result.diagnostics));
  }
}

TEST(Grammar, DeepNestingIsAnErrorNotACrash) {
  std::string patterns = "<pattern-list p>\n", unknown;
  for (int i = 0; i < 5000; ++i) {
    patterns += "mail-from /x/ <pattern-list>\n";
    unknown += "<unknown>\n";
  }
  EXPECT_FALSE(load_fragment(patterns).ok());
  EXPECT_FALSE(load_fragment(unknown).ok());
}

TEST(Grammar, ManyLinesLoadQuickly) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    const std::string n = std::to_string(i);
    text += "<domain d" + n +
            ".example>\n  max-smtp-out 5\n  max-msg-rate 100/h\n  retry-after 10m,20m\n</domain>\n";
  }
  const LoadResult result = load_fragment(text);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.config->flatten("d19999.example", kDefaultVmta).max_smtp_out, 5u);
}

}  // namespace
}  // namespace sluice::config
