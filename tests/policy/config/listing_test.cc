// Goal: `settings` and `explain` print what holds, where it comes from and what it won over.
// How: one configuration; golden lines.
#include "policy/config/listing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "policy/config/directive.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

constexpr std::string_view kText = R"(<domain *>
    max-smtp-out 10
    max-msg-rate 500/h
    use-starttls yes
    source-ip-max-msg-rate 10/8 5/s
    source-ip-max-msg-rate 11/8 6/s
</domain>
<domain gmail.com>
    max-smtp-out 11
    max-smtp-out 12
    max-msg-per-hour 77
    auth-password s3cret
</domain>
<domain moved.example>
    queue-to shared.example
</domain>
<virtual-mta news>
    smtp-source-host 192.0.2.1 news.example
    max-smtp-out 99
    bounce-after 2d
    <domain gmail.com>
        max-smtp-out 13
    </domain>
</virtual-mta>
<virtual-mta other>
</virtual-mta>
<virtual-mta-pool both>
    virtual-mta news
    virtual-mta other
</virtual-mta-pool>
)";

class Listing : public testing::Test {
 protected:
  void SetUp() override { load(kText); }
  void load(std::string_view text) {
    result = load_fragment(text);
    EXPECT_TRUE(result.ok()) << format(result.diagnostics);
  }
  std::string settings_of(std::string_view queue) {
    if (!result.ok()) return {};
    const auto name = find_queue(*result.config, queue);
    return name ? settings_text(*result.config, *name) : name.error();
  }
  std::string explain(std::string_view queue, std::string_view directive) {
    if (!result.ok()) return {};
    const auto name = find_queue(*result.config, queue);
    if (!name) return name.error();
    const auto text = explain_text(*result.config, *name, directive);
    return text ? *text : text.error();
  }
  LoadResult result;
};

TEST_F(Listing, ExplainShowsTheLinesAValueWonOver) {
  EXPECT_EQ(explain("gmail.com/news", "max-smtp-out"),
            "max-smtp-out 13                                 /etc/sluice/config:22  <domain gmail.com> in "
            "<virtual-mta news>\n"
            "    over max-smtp-out 12  /etc/sluice/config:10  <domain gmail.com>\n"
            "    over max-smtp-out 11  /etc/sluice/config:9  <domain gmail.com>\n"
            "    over max-smtp-out 10  /etc/sluice/config:2  <domain *>\n"
            "and for all queues of the virtual MTA:\n"
            "max-smtp-out 99                                 /etc/sluice/config:19  <virtual-mta news>\n");
  EXPECT_EQ(explain("x.example", "max-connect-rate"),
            "max-connect-rate unlimited                      default\n");
}

TEST_F(Listing, OldNamesAreExplainedUnderTheShownOne) {
  EXPECT_EQ(explain("gmail.com", "max-msg-per-hour"),
            "max-msg-rate 77/h                               /etc/sluice/config:11  <domain gmail.com>\n"
            "    over max-msg-rate 500/h  /etc/sluice/config:3  <domain *>\n");
}

TEST_F(Listing, BackoffValuesSayWhatTheyFollow) {
  const std::string text = explain("x.example", "backoff-max-msg-rate");
  EXPECT_TRUE(
      text.starts_with("backoff-max-msg-rate 500/h                      /etc/sluice/config:3  <domain *>, "
                       "follows max-msg-rate"))
      << text;
}

TEST_F(Listing, EachLineOfARepeatedDirectiveHasItsOwnPlace) {
  const std::string text = explain("x.example", "source-ip-max-msg-rate");
  EXPECT_NE(text.find("source-ip-max-msg-rate 10.0.0.0/8 5/s"), std::string::npos) << text;
  EXPECT_NE(text.find("/etc/sluice/config:5  "), std::string::npos) << text;
  EXPECT_NE(text.find("/etc/sluice/config:6  "), std::string::npos) << text;
  EXPECT_EQ(text.find("over"), std::string::npos) << "they add up";
}

TEST_F(Listing, SettingsStraightInAVmtaNameIt) {
  EXPECT_TRUE(explain("x.example/news", "bounce-after")
                  .starts_with("bounce-after 2d                                 /etc/sluice/config:20  "
                               "<virtual-mta news>\n"));
}

TEST_F(Listing, SecretsAreNotPrinted) {
  for (const std::string& text :
       {explain("gmail.com", ""), explain("gmail.com", "auth-password"), settings_of("gmail.com")}) {
    EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
    EXPECT_NE(text.find("auth-password *****"), std::string::npos) << text;
  }
}

TEST_F(Listing, WholeExplanationSaysWhereTheMailWaits) {
  const std::string text = explain("moved.example/news", "");
  EXPECT_NE(text.find("VirtualMTA settings for \"news\":\n"), std::string::npos);
  EXPECT_NE(text.find("Queue settings for \"moved.example/news\":\n"), std::string::npos);
  EXPECT_NE(text.find("Mail for moved.example waits in shared.example/news"), std::string::npos);
}

TEST_F(Listing, SettingsHaveTwoSections) {
  const std::string text = settings_of("GMAIL.com/NEWS");
  EXPECT_TRUE(
      text.starts_with("VirtualMTA settings for \"news\":\n\nsmtp-source-host 192.0.2.1 news.example\n"))
      << text.substr(0, 200);
  EXPECT_NE(text.find("\n\nQueue settings for \"gmail.com/news\":\n\nmax-smtp-out 13\n"), std::string::npos);
}

TEST_F(Listing, MistakesAreAnswered) {
  EXPECT_EQ(explain("gmail.com/newz", ""), "no virtual MTA named \"newz\"; did you mean \"news\"?\n");
  EXPECT_EQ(explain("gmail.com/both", ""),
            "\"both\" is a pool; its queues are gmail.com/news, gmail.com/other\n");
  EXPECT_EQ(explain("gmail.com", "max-smtp-uot"),
            "\"max-smtp-uot\" is no setting of a queue or virtual MTA; did you mean \"max-smtp-out\"?\n");
  EXPECT_EQ(explain("", ""), "which queue? DOMAIN or DOMAIN/VMTA, for example gmail.com/news\n");
}

TEST_F(Listing, BounceActionsInForceAreShownWithTheirLines) {
  load(
      "<bounce-actions>\n match bad-mailbox action=suppress\n</bounce-actions>\n"
      "<bounce-actions mild>\n match other action=log\n</bounce-actions>\n"
      "<domain a.example>\n <bounce-actions>\n  reply /4\\.2\\.2/ action=retry retry-after=4h\n"
      "  match quota-issues spam-related action=retry retry-after=1h log-only=yes\n "
      "</bounce-actions>\n</domain>\n"
      "<domain b.example>\n bounce-actions mild\n</domain>\n");
  EXPECT_EQ(explain("c.example", "bounce-actions"),
            "bounce-actions {bounce-actions-1}               /etc/sluice/config:1  the top level\n"
            "    match bad-mailbox action=suppress  /etc/sluice/config:2\n");
  EXPECT_EQ(explain("a.example", "bounce-actions"),
            "bounce-actions {bounce-actions-2}               /etc/sluice/config:8  <domain a.example>\n"
            "    reply /4\\.2\\.2/ action=retry retry-after=4h  /etc/sluice/config:9\n"
            "    match quota-issues spam-related action=retry retry-after=1h log-only=yes  "
            "/etc/sluice/config:10\n");
  EXPECT_EQ(explain("b.example", "bounce-actions"),
            "bounce-actions mild                             /etc/sluice/config:14  <domain b.example>\n"
            "    match other action=log  /etc/sluice/config:5\n");
  const std::string text = settings_of("c.example");
  EXPECT_NE(text.find("\nbounce-actions {bounce-actions-1}\n    match bad-mailbox action=suppress\n"),
            std::string::npos)
      << text;
}

TEST_F(Listing, RulesForSomeRepliesStandBesideTheValueTheyDoNotChange) {
  load(
      "<domain *>\nretry-after 10m\nretry-after 421 4.7.0 30m\nsmtp-pattern-list slow \"421 "
      "4.7.1\"\n</domain>\n"
      "<domain a.example>\nretry-after 421 4.7.0 60m\nsmtp-pattern-list named\n</domain>\n"
      "<smtp-pattern-list named>\nreply /x/ skip-mx\n</smtp-pattern-list>\n");
  EXPECT_EQ(explain("a.example", "retry-after"),
            "retry-after 10m                                 /etc/sluice/config:2  <domain *>\n"
            "retry-after 421 4.7.0 60m                       /etc/sluice/config:7  <domain a.example>\n"
            "    over retry-after 421 4.7.0 30m  /etc/sluice/config:3  <domain *>\n");
  EXPECT_EQ(explain("a.example", "smtp-pattern-list"),
            "smtp-pattern-list named                         /etc/sluice/config:8  <domain a.example>\n"
            "smtp-pattern-list slow \"421 4.7.1\"              /etc/sluice/config:4  <domain *>\n");
  EXPECT_EQ(explain("b.example", "smtp-pattern-list"),
            "smtp-pattern-list \"\"                            default\n"
            "smtp-pattern-list slow \"421 4.7.1\"              /etc/sluice/config:4  <domain *>\n");
  const std::string text = settings_of("b.example");
  EXPECT_NE(text.find("\nretry-after 10m\nretry-after 421 4.7.0 30m\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nsmtp-pattern-list \"\"\nsmtp-pattern-list slow \"421 4.7.1\"\n"), std::string::npos)
      << text;
}

TEST_F(Listing, ADkimSignLineIsTheOriginOfAllItSays) {
  load(
      "<domain *>\ndkim-sign domain=\"a.example\" key-file=\"/k1\" selector=\"s1\" "
      "header-list=\"From:To\"\n</domain>\n"
      "<domain b.example>\ndomain-key s2,b.example,/k2\ndkim-sign domain=\"c.example\" key-file=\"/k3\" "
      "selector=\"s3\"\n</domain>\n");
  const auto has = [this](std::string_view queue, std::string_view directive, std::string_view value,
                          std::string_view place) {
    const std::string text = explain(queue, directive);
    const std::size_t at = text.find(value);
    EXPECT_NE(at, std::string::npos) << text;
    const std::string line = text.substr(at, text.find('\n', at) - at);
    EXPECT_NE(line.find(place), std::string::npos) << line;
  };
  has("x.example", "dkim-headers", "dkim-headers From", "/etc/sluice/config:2  <domain *>");
  has("x.example", "domain-key", "domain-key s1,a.example,/k1", "/etc/sluice/config:2  <domain *>");
  has("b.example", "domain-key", "domain-key s1,a.example,/k1", "/etc/sluice/config:2  <domain *>");
  has("b.example", "domain-key", "domain-key s2,b.example,/k2", "/etc/sluice/config:5  <domain b.example>");
  has("b.example", "domain-key", "domain-key s3,c.example,/k3", "/etc/sluice/config:6  <domain b.example>");
  has("b.example", "dkim-sign", "dkim-sign yes", "/etc/sluice/config:6  <domain b.example>");
}

TEST_F(Listing, GlobalsAndSourcesHaveOriginsToo) {
  const LoadResult globals = load_fragment("total-max-smtp-out 5\ntotal-max-smtp-out 7\n");
  for (const SettingOrigin& item : globals.config->explain_globals()) {
    if (item.directive != "total-max-smtp-out") continue;
    EXPECT_EQ(item.value, "7");
    EXPECT_EQ(item.origin->line, 2u);
    ASSERT_EQ(item.over.size(), 1u);
    EXPECT_EQ(item.over[0].text, "total-max-smtp-out 5");
  }
}

TEST_F(Listing, PendingDirectivesAreNamedOnce) {
  const LoadResult some = load_fragment(
      "<domain *>\nuse-starttls yes\n</domain>\n<domain x.example>\nuse-starttls no\nmax-smtp-out "
      "3\n</domain>\n"
      "<virtual-mta v>\nrequire-starttls yes\n</virtual-mta>\n");
  EXPECT_EQ(pending_text(*some.config),
            "Read and checked, but without effect as yet:\n    TLS: use-starttls (line 2), require-starttls "
            "(line 9; mail it applies to is held)\n");
  EXPECT_EQ(pending_text(*load_fragment("total-max-smtp-out 5\n").config), "");
  EXPECT_TRUE(pending_lines(*load_fragment("total-max-smtp-out 5\n").config).empty());
}

TEST_F(Listing, WhateverHasNoEffectIsInTheLinesForTheLog) {
  const LoadResult some = load_fragment(
      "thread-reuse yes\n<alerts>\n</alerts>\n<acct-file /a>\nrecords d,f,rb\n</acct-file>\n"
      "<bounce-processor>\n<address-list>\naddress b@x.example\n</address-list>\n</bounce-processor>\n"
      "<signals>\nlog-verbose yes\n</signals>\n<bounce-actions>\nmatch a action=suppress\nmatch b "
      "action=suppress\n"
      "</bounce-actions>\n");
  ASSERT_TRUE(some.ok()) << format(some.diagnostics);
  EXPECT_EQ(
      pending_lines(*some.config),
      (std::vector<std::string>{
          "Without effect as yet, for lack of the bounce processor: <bounce-processor> "
          "(/etc/sluice/config:7), "
          "records rb (/etc/sluice/config:4)",
          "Without effect as yet, for lack of the feedback loop processor: records f (/etc/sluice/config:4)",
          "Without effect as yet, for lack of bounce actions and suppression: action=suppress "
          "(/etc/sluice/config:16; it bounces, but later mail to the address goes out)",
          "Without effect as yet, for lack of alerts: <alerts> (/etc/sluice/config:2)",
          "Accepted, but without effect: thread-reuse (/etc/sluice/config:1), <signals> "
          "(/etc/sluice/config:12), "
          "log-verbose (/etc/sluice/config:13)"}));
}

TEST_F(Listing, EveryDirectiveWithoutEffectIsNoted) {
  // From the table itself: none can be left out.
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (!row.allowed_in(Scope::Domain) || row.state_in(Scope::Domain) == State::Works || row.apply == nullptr)
      continue;
    std::vector<std::string> values{"yes",     "1h", "3",  "s,a.example,/k", "rsa-sha256",
                                    "relaxed", "a",  "/f", "@a.example"};
    const bool named = std::ranges::any_of(values, [&row](const std::string& value) {
      const LoadResult one =
          load_fragment("<domain *>\n" + std::string(row.name) + ' ' + value + "\n</domain>\n");
      if (!one.ok()) return false;
      const std::vector<std::string> lines = pending_lines(*one.config);
      return lines.size() == 1 && lines[0].find(std::string(row.name) + " (") != std::string::npos;
    });
    EXPECT_TRUE(named) << row.name;
  }
}

}  // namespace
}  // namespace sluice::config
