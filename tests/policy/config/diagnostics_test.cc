// Goal: what an operator reads when something is wrong: exact text, all errors of one run, the right place.
// How: golden text of whole outputs; one row per kind of mistake below.
#include <gtest/gtest.h>

#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

TEST(Diagnostics, GoldenText) {
  const LoadResult result = load_fragment(
      "total-max-smtp-uot 20\n"
      "<domain gmail.com>\n"
      "    max-smtp-out\n"
      "    max-msg-rate   500\n"
      "    bounce-after 4d12x   # too long\n"
      "    log-file /x\n"
      "\tretry-after 10m,5\n"
      "</domian>\n"
      "</domain>\n");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(format(result.diagnostics),
            R"(Error in line 1 of /etc/sluice/config: unknown directive "total-max-smtp-uot"
    total-max-smtp-uot 20
    ^
    hint: did you mean "total-max-smtp-out"?
Error in line 3 of /etc/sluice/config: argument missing
    max-smtp-out
                ^
    expected: N|unlimited
Error in line 4 of /etc/sluice/config: rate without a unit of time
    max-msg-rate   500
                   ^
    expected: RATE, for example 500/h, 100/15m, 5/s, or unlimited
    hint: 500/h
Error in line 5 of /etc/sluice/config: "4d12x" is not a time
    bounce-after 4d12x   # too long
                 ^
    expected: TIME, for example 10m, 4d12h or 1h30m
Error in line 6 of /etc/sluice/config: "log-file" does not belong in <domain>
    log-file /x
    ^
    hint: it belongs in the top level
Error in line 7 of /etc/sluice/config: time without a unit
    retry-after 10m,5
                    ^
    expected: TIME, for example 10m, 4d12h or 1h30m
    hint: 5s
Error in line 8 of /etc/sluice/config: </domian> without <domian>
    </domian>
      ^
    hint: open is <domain>
)");
}

TEST(Diagnostics, LenientTurnsUnknownThingsIntoWarnings) {
  constexpr std::string_view kText =
      "no-such-thing 1\n<no-such-block x>\nanything goes "
      "here\n<nested>\n</nested>\n</no-such-block>\ntotal-max-smtp-in 7\n";
  EXPECT_FALSE(load_fragment(kText).ok());
  EXPECT_EQ(count(load_fragment(kText), Severity::Error), 2u);
  const LoadResult lenient = load_fragment(kText, true);
  ASSERT_TRUE(lenient.ok()) << format(lenient.diagnostics);
  EXPECT_EQ(count(lenient, Severity::Warning), 2u);
  EXPECT_EQ(lenient.config->globals.total_max_smtp_in, 7u);
  EXPECT_FALSE(load_fragment("total-max-smtp-in x\n", true).ok()) << "lenient is about unknown names only";
}

struct Row {
  std::string_view name, text, message;
  std::uint32_t line, column;
};

TEST(Diagnostics, Places) {
  constexpr Row kRows[] = {
      {"value in a list", "<acct-file /a>\nrecords d,b,zz\n</acct-file>\n", "unknown record type \"zz\"", 2,
       13},
      {"on a continued line", "<acct-file /a>\nrecords d,\n   b,\n   zz\n</acct-file>\n",
       "unknown record type \"zz\"", 4, 4},
      {"second word", "http-access 10/8 boss\n", "unknown access level \"boss\"", 1, 18},
      {"unclosed block", "\n<domain x.example>\nmax-smtp-out 3\n", "<domain> is never closed", 2, 0},
      {"block in the wrong place", "<acct-file /a>\n<source 0/0>\n</source>\n</acct-file>\n",
       "<source> cannot stand inside of <acct-file>", 2, 2},
      {"block without argument", "<domain>\n</domain>\n", "argument missing", 1, 2},
      {"unknown block", "<domian x>\n</domian>\n", "unknown block <domian>", 1, 2},
      {"tag without end", "<domain x\n", "tag without its closing >", 1, 1},
      {"quote", "custom-dsn-from-header \"abc\n", "closing quote missing", 1, 24},
      {"range", "<spool /s>\npriority 101\n</spool>\n", "number out of range", 2, 10},
      {"boolean", "run-as-root maybe\n", "\"maybe\" is neither yes nor no", 1, 13},
      {"enum", "<domain *>\ntype carrier-pigeon\n</domain>\n", "unknown value \"carrier-pigeon\"", 2, 6},
      {"reply action", "<smtp-pattern-list l>\nreply /x/ skip-mx,explode\n</smtp-pattern-list>\n",
       "unknown action \"explode\"", 2, 19},
      {"regex", "<bounce-category-patterns>\n/abc other\n</bounce-category-patterns>\n",
       "regular expression without its closing slash", 2, 1},
      {"webhook interval", "<acct-file /a>\nhttp-webhook-max-interval 59s\n</acct-file>\n", "time too short",
       2, 27},
      {"idle time-out", "<domain *>\nconnection-idle-timeout 11m\n</domain>\n", "time too long", 2, 25},
      {"listener", "smtp-listener host:25\n", "\"host:25\" is not an address to listen on", 1, 15},
      {"source host turned round", "smtp-source-host mail.example 192.0.2.1\n",
       "the address comes first, then the name", 1, 18},
      {"several domains", "<domain a.example b.example>\n</domain>\n",
       "\"a.example b.example\" is not a domain pattern", 1, 0},
      {"domain pattern", "<domain a*b.example>\n</domain>\n", "\"a*b.example\" is not a domain pattern", 1,
       0},
      {"API key", "http-api-key short\n", "not an API key", 1, 14},
      {"shards", "shards many\n", "not a number of shards", 1, 8},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    const LoadResult result = load_fragment(row.text);
    EXPECT_FALSE(result.ok());
    ASSERT_FALSE(result.diagnostics.empty());
    const Diagnostic& d = result.diagnostics.front();
    EXPECT_EQ(d.message, row.message);
    EXPECT_EQ(d.line, row.line);
    EXPECT_EQ(d.column, row.column);
    EXPECT_EQ(count(result, Severity::Error), 1u) << format(result.diagnostics);
  }
}

TEST(Diagnostics, ForgottenClosingTagIsNamed) {
  const LoadResult result = load_fragment(
      "<virtual-mta a>\n<domain *>\nmax-smtp-out 3\n</virtual-mta>\n<virtual-mta b>\n<virtual-mta "
      "c>\n</virtual-mta>\n");
  ASSERT_EQ(count(result, Severity::Error), 2u) << format(result.diagnostics);
  EXPECT_EQ(result.diagnostics[0].message, "<domain> is never closed");
  EXPECT_EQ(result.diagnostics[1].message, "<virtual-mta> cannot stand inside of <virtual-mta>");
  EXPECT_EQ(result.diagnostics[1].suggestion, "</virtual-mta> seems to be missing before this line");
}

TEST(Diagnostics, UnknownNamesGetTheNearestKnownOne) {
  constexpr std::string_view kHead = "log-file /l\npostmaster p@e.example\n<spool /s>\n</spool>\n";
  struct Case {
    std::string_view text, message, suggestion;
    Severity severity = Severity::Error;
  };
  constexpr Case kCases[] = {
      {"<smtp-pattern-list Gmail-errors>\nreply /x/ skip-mx\n</smtp-pattern-list>\n<domain "
       "gmail.com>\nsmtp-pattern-list gmail-error\n</domain>\n",
       "smtp-pattern-list \"gmail-error\" is not defined: no rules hold for these replies",
       "did you mean \"Gmail-errors\"?", Severity::Warning},
      {"<virtual-mta news1>\n</virtual-mta>\n<source 0/0>\ndefault-virtual-mta news2x\n</source>\n",
       "virtual MTA or pool \"news2x\" is not defined", "did you mean \"news1\"?"},
      {"<source 0/0>\npattern-list l\n</source>\n", "pattern-list \"l\" is not defined: it chooses nothing",
       "", Severity::Warning},
      {"<virtual-mta a>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta a\nvirtual-mta "
       "b\n</virtual-mta-pool>\n",
       "virtual MTA \"b\" is not defined: the pool does without it", "", Severity::Warning},
      {"<domain *>\nreroute-to-virtual-mta v9\n</domain>\n", "virtual MTA or pool \"v9\" is not defined", ""},
      {"<smtp-user u>\npassword x\nsource app\n</smtp-user>\n", "source \"app\" is not defined", ""},
      {"smtp-listener 0/0:25 source=app\n", "source \"app\" is not defined", ""},
      {"<source 0/0>\nsuppression-lists a,b\n</source>\n<address-list a>\n</address-list>\n",
       "address-list \"b\" is not defined", ""},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const LoadResult result = load_whole(std::string(kHead) + std::string(c.text));
    ASSERT_EQ(count(result, c.severity), 1u) << format(result.diagnostics);
    EXPECT_EQ(result.ok(), c.severity == Severity::Warning);
    for (const Diagnostic& d : result.diagnostics) {
      if (d.severity != c.severity) continue;
      EXPECT_EQ(d.message, c.message);
      if (!c.suggestion.empty()) EXPECT_EQ(d.suggestion, c.suggestion);
    }
  }
  // Names compare without case.
  EXPECT_TRUE(load_whole(std::string(kHead) +
                         "<smtp-pattern-list Gmail-errors>\nreply /x/ skip-mx\n</smtp-pattern-list>\n"
                         "<domain gmail.com>\nsmtp-pattern-list gmail-errors\n</domain>\n")
                  .ok());
}

TEST(Diagnostics, PickupNeedsTwoFolders) {
  const LoadResult result =
      load_whole("log-file /l\n<spool /s>\n</spool>\npostmaster a@b.c\npickup /in /in/\n");
  EXPECT_EQ(format(result.diagnostics),
            R"(Error in /etc/sluice/config: pickup: what cannot be taken would go to where it is taken from
    hint: pickup DIR BADDIR, two folders
)");
}

TEST(Diagnostics, OfTwoPickupLinesTheLastCounts) {
  const LoadResult result =
      load_whole("log-file /l\n<spool /s>\n</spool>\npostmaster a@b.c\npickup /in /bad\npickup /in2 /bad\n");
  EXPECT_EQ(format(result.diagnostics),
            R"(Warning in line 6 of /etc/sluice/config: a second pickup line: the last one counts
    pickup /in2 /bad
           ^
    hint: nothing is taken from /in
)");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.config->globals.pickup->dir, "/in2");
}

TEST(Diagnostics, RequiredDirectives) {
  const LoadResult result = load_whole("total-max-smtp-in 5\n");
  EXPECT_EQ(format(result.diagnostics), R"(Error in /etc/sluice/config: No logging file specified
    hint: log-file FILE
Error in /etc/sluice/config: no spool specified
    hint: <spool DIR> ... </spool>
Warning in /etc/sluice/config: no postmaster specified
    hint: postmaster ADDRESS
)");
  EXPECT_FALSE(
      load_whole("log-file /l\npostmaster a@b.example\n<spool /s>\ndeliver-only yes\n</spool>\n").ok());
}

TEST(Diagnostics, Traps) {
  struct Case {
    std::string_view text, message;
  };
  constexpr Case kCases[] = {
      {"<acct-file /a>\nmove-interval 5m\n</acct-file>\n",
       "move-interval without move-to: a new file begins every 5m and stays in place"},
      {"<acct-file /a>\nrecords d\nrecord-fields b *\n</acct-file>\n",
       "record-fields for b records, which this file does not write"},
      {"<acct-file /a>\nqueue-filter !gmail.com\n</acct-file>\n",
       "queue-filter only excludes: nothing is written"},
      {"http-access 0/0 admin\n", "http-access opens the web monitor to everybody"},
      {"<bounce-category-patterns>\n// other\n/x/ y\n</bounce-category-patterns>\n",
       "never reached: the empty pattern above matches everything"},
      {"<domain *>\nmax-smtp-out 0\n</domain>\n",
       "max-smtp-out 0 opens no connection: the mail stays queued"},
      {"<virtual-mta v>\n<domain *>\ncheck-spf-outbound yes\n</domain>\n</virtual-mta>\n",
       "check-spf-outbound needs a source address, but virtual MTA \"v\" has none: the one the system "
       "chooses is checked"},
      {"<virtual-mta v>\n<domain *>\nmax-cold-virtual-mta-msg 100/d\n</domain>\n</virtual-mta>\n",
       "max-cold-virtual-mta-msg has no effect without cold-virtual-mta"},
      {"<domain x.rollup>\n</domain>\n<mx-rollup-list>\nmx *.mail.example y.rollup\n</mx-rollup-list>\n",
       "rollup queue \"y.rollup\" is named by a wildcard and needs smtp-hosts: until then domains keep "
       "their own queues"},
      {"<smtp-pattern-list l>\nreply // mode=backoff\nreply /421/ mode=normal\n</smtp-pattern-list>\n",
       "never reached: the empty pattern above matches everything and sets the mode first"},
      {"<domain a.example>\ntype http-delivery\nhttp-delivery-url https://h.example/\n</domain>\n",
       "https is not available in this version: mail of this queue waits"},
      {"<domain a.example>\ntype pipe\ncommand \"/bin/x 'y\"\n</domain>\n",
       "the command has a quote without its end: mail of this queue waits"},
      {"<domain a.example>\nbcc-upon-delivery archive\n</domain>\n",
       "\"archive\" is no mail address: no copies are sent"},
      {"<domain a.example>\nrequire-starttls yes\nuse-starttls no\n</domain>\n",
       "require-starttls with use-starttls no: nothing can be sent"},
      {"<domain a.example>\nrequire-starttls yes\n</domain>\n",
       "mail it applies to is held: require-starttls forbids sending unencrypted, and Sluice cannot encrypt "
       "yet (TLS is "
       "to come)"},
      {"<virtual-mta v>\nauth-username me\n</virtual-mta>\n",
       "mail it applies to is held: auth-username asks for a login at the receiver, and Sluice cannot log in "
       "yet (AUTH is "
       "to come)"},
      {"<domain a.example>\nrequire-starttls yes\nqueue-to hub.example\n</domain>\n<domain hub.example>\n"
       "smtp-hosts [192.0.2.1]\n</domain>\n",
       "require-starttls does not hold: mail of this domain waits in hub.example and is sent as the settings "
       "of that "
       "queue say"},
      {"<smtp-listener 127.0.0.1:465>\nimmediate-tls yes\n</smtp-listener>\n",
       "immediate-tls: this listener stays closed, because Sluice has no TLS yet"},
      {"<domain *>\nmax-msg-rate 0\n</domain>\n", "0 is no limit"},
      {"<virtual-mta v>\nmax-smtp-msg-rate 0\n</virtual-mta>\n", "0 is no limit"},
      {"<domain *>\nsource-ip-max-data-volume-rate 10/8 0\n</domain>\n", "0 is no limit"},
      {"<source 0/0>\nmax-message-size 61M\n</source>\n",
       "max-message-size 61M: no message above 60M is taken"},
      {"<source 0/0>\nmax-message-size 0\n</source>\n", "max-message-size 0: no message above 60M is taken"},
      {"<source {auth}>\nmax-message-size unlimited\n</source>\n",
       "max-message-size unlimited: no message above 60M is taken"},
      {"<acct-file /a>\nrecords d\nrecords b,d\n</acct-file>\n",
       "a second records line: it adds to the first"},
      {"<bounce-category-patterns>\n/(expired|not activa\nted)/ "
       "inactive-mailbox\n</bounce-category-patterns>\n",
       "regular expression over several lines"},
      {"<bounce-category-patterns>\n/a/ x /b/ y\n</bounce-category-patterns>\n", "2 entries on one line"},
      {"<domain a.example>\ntype file\n</domain>\n", "type file without file-destination"},
      {"<domain a.example>\nqueue-to shared-queue\n</domain>\n",
       "queue-to \"shared-queue\" needs smtp-hosts in <domain shared-queue>"},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const LoadResult result = load_fragment(c.text);
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    ASSERT_EQ(result.diagnostics.size(), 1u) << format(result.diagnostics);
    EXPECT_EQ(result.diagnostics[0].message, c.message);
    EXPECT_GT(result.diagnostics[0].line, 0u);
  }
}

TEST(Diagnostics, WrappedAndJoinedCategoryEntriesLoadWithAWarning) {
  struct Case {
    std::string_view lines;
    std::vector<std::pair<std::string, std::string>> rules;
    std::size_t warnings = 1;
  };
  const Case kCases[] = {
      {"/(expired|not activa\nted)/ inactive-mailbox\n/x/ other\n",
       {{"(expired|not activated)", "inactive-mailbox"}, {"x", "other"}}},
      {"  /a|b|\n   c|d|\n   e|f|\n   g|h|\n   i|j|\n   k/ other\n", {{"a|b|c|d|e|f|g|h|i|j|k", "other"}}},
      {"/mailbox \nfull/ quota-issues\n", {{"mailbox full", "quota-issues"}}},
      {"/mailbox \r\nfull/ quota-issues\r\n/y/ z\r\n", {{"mailbox full", "quota-issues"}, {"y", "z"}}},
      {"/(a|b)\n/ other\n", {{"(a|b)", "other"}}},
      {"/a/\n  bad-mailbox\n/b/ other\n", {{"a", "bad-mailbox"}, {"b", "other"}}},
      {"/a/ inactive-\nmailbox\n", {{"a", "inactive-mailbox"}}},
      {"/http:\\\n/x/ other\n", {{"http:/x", "other"}}},
      {"/a/ bad-mailbox /b/ other\n", {{"a", "bad-mailbox"}, {"b", "other"}}},
      {"/a/other\t/b/ x   /c/ y\n", {{"a", "other"}, {"b", "x"}, {"c", "y"}}},
      {"/a/ x /b|\nc/ y\n", {{"a", "x"}, {"b|c", "y"}}, 2},
      {"// other /z/ y\n", {{"", "other"}, {"z", "y"}}, 2},  // and the second is never reached
  };
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.lines);
    const LoadResult result = load_fragment("<bounce-category-patterns>\n" + std::string(one.lines) +
                                            "</bounce-category-patterns>\n");
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    EXPECT_EQ(count(result, Severity::Warning), one.warnings) << format(result.diagnostics);
    std::vector<std::pair<std::string, std::string>> rules;
    for (const BounceCategoryRule& rule : result.config->bounce_categories)
      rules.emplace_back(rule.pattern.text, rule.category);
    EXPECT_EQ(rules, one.rules);
  }
  // What is no wrap stays an error.
  for (const std::string_view lines :
       {"/abc other\n/def/ x\n", "/a/\n/b/ x\n", "/a/ x y\n", "/a/b/ x\n", "/a/ x\nstray\n"})
    EXPECT_FALSE(
        load_fragment("<bounce-category-patterns>\n" + std::string(lines) + "</bounce-category-patterns>\n")
            .ok())
        << lines;
  // Other lists wrap alike, and lines behind them stay their own.
  const LoadResult other = load_fragment(
      "<smtp-pattern-list l>\nreply /slow\n down/\n  mode=backoff\nreply /x/ skip-mx\n</smtp-pattern-list>\n"
      "<pattern-list p>\nmail-from /news/\n virtual-mta=a\nrcpt-to /x/ virtual-mta=b\n</pattern-list>\n"
      "<address-list a>\naddress /x@y/\naddress z@y\n</address-list>\n");
  EXPECT_FALSE(load_fragment("<domain *>\ndkim-headers a,/x/\nmax-smtp-uot 3\n</domain>\n").ok())
      << "a whole line: the next one is not a part of it";
  ASSERT_TRUE(other.ok()) << format(other.diagnostics);
  ASSERT_EQ(other.config->reply_lists[0].rules.size(), 2u);
  EXPECT_EQ(other.config->reply_lists[0].rules[0].pattern.text, "slowdown");
  EXPECT_EQ(other.config->pattern_lists[0].patterns.size(), 2u);
  EXPECT_EQ(other.config->address_lists[0].entries.size(), 2u);
}

TEST(Diagnostics, TwoRecordsLinesJoin) {
  const LoadResult result =
      load_fragment("<acct-file /a>\nrecords d,t\nrecords b, d\nrecords r\n</acct-file>\n");
  ASSERT_TRUE(result.ok());
  using R = RecordType;
  EXPECT_EQ(result.config->acct_files[0].records,
            (std::vector<R>{R::Delivery, R::Transient, R::Bounce, R::Reception}));
  EXPECT_EQ(count(result, Severity::Warning), 2u);
  const LoadResult bad = load_fragment("<acct-file /a>\nrecords d\nrecords zz\n</acct-file>\n");
  EXPECT_EQ(count(bad, Severity::Error), 1u);
}

TEST(Diagnostics, OneErrorHidesNoTrap) {
  const LoadResult result = load_fragment(
      "<domain *>\nmax-smtp-out 0\nmax-smtp-uot 3\nmax-msg-rate 0\n</domain>\n"
      "<virtual-mta v>\nno-such 1\n</virtual-mta>\n<virtual-mta-pool p>\n</virtual-mta-pool>\n"
      "<source 0/0>\nmax-message-size 90M\n</source>\nhttp-access 0/0 admin\n");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.config, nullptr);
  EXPECT_EQ(count(result, Severity::Error), 2u) << format(result.diagnostics);
  EXPECT_EQ(count(result, Severity::Warning), 5u) << format(result.diagnostics);
}

TEST(Diagnostics, SourcesThatNobodyUses) {
  constexpr std::string_view kHead = "log-file /l\npostmaster p@e.example\n<spool /s>\n</spool>\n";
  struct Case {
    std::string_view text;
    bool warns;
  };
  constexpr Case kCases[] = {
      {"<source localhost>\nalways-allow-relaying yes\n</source>\n", true},
      {"<source {mass}>\nalways-allow-relaying yes\n</source>\n", true},
      {"<source 127.0.0.1>\nalways-allow-relaying yes\n</source>\n", false},
      {"<source {auth}>\nalways-allow-relaying yes\n</source>\n", false},
      {"<source {Pickup}>\nalways-allow-relaying yes\n</source>\n", false},
      {"<source App>\n</source>\nsmtp-listener 0/0:25 source=app\n", false},
      {"<source App>\n</source>\n<smtp-user u>\npassword x\nsource app\n</smtp-user>\n", false},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const LoadResult result = load_whole(std::string(kHead) + std::string(c.text));
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    EXPECT_EQ(count(result, Severity::Warning), c.warns ? 1u : 0u) << format(result.diagnostics);
    if (c.warns) EXPECT_NE(result.diagnostics[0].message.find("these rules never hold"), std::string::npos);
  }
}

TEST(Diagnostics, NoTrapForOutboundSpfWhereTheSourceIsKnown) {
  const std::string proxy = "<proxy p>\nserver 192.0.2.1:5000\nclient 198.51.100.1 p.test\n</proxy>\n";
  const std::string check = "<domain *>\ncheck-spf-outbound yes\n</domain>\n";
  const std::string cases[] = {
      "smtp-source-host 192.0.2.9 a.test\n" + check,
      "<virtual-mta v>\nsmtp-source-host 192.0.2.9 a.test\n" + check + "</virtual-mta>\n",
      "<virtual-mta v>\nsmtp-source-host 192.0.2.9 a.test\n</virtual-mta>\n" + check,
      proxy + "<virtual-mta v>\nuse-proxy p\n" + check + "</virtual-mta>\n",
      proxy + "<virtual-mta v>\n" + check +
          "</virtual-mta>\n<virtual-mta-pool w>\nvirtual-mta v\nuse-proxy p\n" + "</virtual-mta-pool>\n",
      "<virtual-mta v>\n<domain *>\ncheck-spf-outbound no\n</domain>\n</virtual-mta>\n",
  };
  for (const std::string& text : cases) {
    const LoadResult result = load_fragment(text);
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
    for (const auto& one : result.diagnostics) EXPECT_FALSE(one.message.starts_with("check-spf")) << text;
  }
}

TEST(Diagnostics, Proxies) {
  struct Case {
    std::string text;
    std::string message;
    Severity severity = Severity::Error;
  };
  const std::string good = "<proxy p>\nserver 192.0.2.1:5000\nclient 192.0.2.2 p.example\n</proxy>\n";
  const Case kCases[] = {
      {"<proxy p>\nclient 192.0.2.2 p.example\n</proxy>\n", "<proxy p>: server is missing"},
      {"<proxy p>\nserver 192.0.2.1:5000\n</proxy>\n", "<proxy p>: client is missing"},
      {"<proxy p>\nserver 192.0.2.1\nclient 192.0.2.2 p.example\n</proxy>\n",
       "<proxy p>: server 192.0.2.1: not a host with a port"},
      {"<proxy p>\nserver 192.0.2.1:5000\nclient p.example\n</proxy>\n",
       "<proxy p>: client p.example: not an address with a host name"},
      {"<proxy p>\nserver 192.0.2.1:5000\nclient 0.0.0.0:1 p.example\n</proxy>\n",
       "<proxy p>: client 0.0.0.0:1 p.example: \"0.0.0.0:1\" is not an address to connect from"},
      {"<virtual-mta v>\nsmtp-proxy-source-host 0/0 192.0.2.1:5000 :: v.example\n</virtual-mta>\n",
       "smtp-proxy-source-host: :: is not an address to connect from"},
      {good + "<virtual-mta v>\nuse-proxy p,q\n</virtual-mta>\n", "proxy \"q\" is not defined here",
       Severity::Warning},
      {good + "<virtual-mta v>\nuse-proxy p\nsmtp-proxy-source-host 0/0 192.0.2.1:5000 192.0.2.3 v.example\n"
              "</virtual-mta>\n",
       "use-proxy beside smtp-proxy-source-host is not used", Severity::Warning},
      {"<virtual-mta v>\nsmtp-source-host 192.0.2.9 v.example\n"
       "smtp-proxy-source-host 0/0 192.0.2.1:5000 192.0.2.3 v.example\n</virtual-mta>\n",
       "smtp-source-host beside smtp-proxy-source-host is not used", Severity::Warning},
      {good + "<proxy q>\nserver p.example:5000\nclient 192.0.2.4 q.example\n</proxy>\n<virtual-mta v>\n"
              "</virtual-mta>\n<virtual-mta-pool a>\nvirtual-mta v\nuse-proxy p\n</virtual-mta-pool>\n"
              "<virtual-mta-pool b>\nvirtual-mta v\nuse-proxy q\n</virtual-mta-pool>\n",
       "virtual MTA \"v\" is also in pool \"a\" with another use-proxy, which counts", Severity::Warning},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const LoadResult result = load_fragment(c.text);
    ASSERT_EQ(result.diagnostics.size(), 1u) << format(result.diagnostics);
    EXPECT_EQ(result.diagnostics[0].message, c.message);
    EXPECT_EQ(result.diagnostics[0].severity, c.severity);
    EXPECT_GT(result.diagnostics[0].line, 0u);
  }
  EXPECT_TRUE(load_fragment(good + "<virtual-mta v>\nuse-proxy p\n</virtual-mta>\n").diagnostics.empty());
}

TEST(Diagnostics, TooManyFindingsAreCut) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "no-such-directive\n";
  const LoadResult result = load_fragment(text);
  EXPECT_EQ(result.diagnostics.size(), kDiagnosticsMax + 1);
  EXPECT_EQ(result.diagnostics.back().message, "too many findings; the rest is not shown");
}

TEST(Diagnostics, LongLinesAreCutAroundTheCaret) {
  const LoadResult result = load_fragment("domain-macro m " + std::string(500, 'a') + "\nrun-as-root " +
                                          std::string(300, ' ') + "maybe\n");
  ASSERT_EQ(result.diagnostics.size(), 1u);
  const std::string text = format(result.diagnostics[0]);
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  EXPECT_LE(line.size(), 170u);
  EXPECT_NE(line.find("maybe"), std::string::npos);
}

}  // namespace
}  // namespace sluice::config
