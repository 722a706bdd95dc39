// Goal: every answer of a mail host, at every phase, has the outcome it should have: the accounting row, and
//       what becomes of the recipient.
// How:  a whole node in the simulated world; mail hosts play scripts; one message is injected; the rows are
// compared.
#include <gtest/gtest.h>

#include "tests/sim/one_message.h"

namespace sluice::test {
namespace {

constexpr const char* kList = "250-mx\n250 ENHANCEDSTATUSCODES";

SmtpScript greeted() { return SmtpScript().says("220 mx ESMTP").expects("EHLO v1.node.sim").replies(kList); }

struct Case {
  const char* name;
  SmtpScript script;
  const char* type;      // of the first row
  const char* status;    // prefix of dsnStatus
  const char* diag;      // pattern of dsnDiag
  bool delivered_later;  // by the host's next, willing connection
};

std::vector<Case> cases() {
  const auto at_rcpt = [] {
    return greeted().expects("MAIL FROM:*").replies("250 2.1.0 ok").expects("RCPT TO:<x@a.test>");
  };
  const auto at_data = [&] { return at_rcpt().replies("250 2.1.5 ok").expects("DATA"); };
  const auto at_dot = [&] { return at_data().replies("354 go").expects_message(); };
  return {
      {"greeting 4xx", SmtpScript().says("421 4.3.2 busy").closes(), "tq", "4.3.2", "*421 4.3.2 busy*", true},
      {"greeting 5xx", SmtpScript().says("554 5.7.1 go away").closes(), "b", "5.7.1",
       "smtp;554 5.7.1 go away", false},
      {"closed before the greeting", SmtpScript().closes(), "tq", "4.4.2", "EDISCON*", true},
      {"silence instead of a greeting", SmtpScript().stalls(), "tq", "4.4.2", "ETIMEDOUT*", true},
      {"garbage instead of a greeting", SmtpScript().says_raw("hello there\r\n").expects_end(), "tq", "4.4.2",
       "protocol error*", true},
      {"EHLO and HELO refused",
       SmtpScript()
           .says("220 mx")
           .expects("EHLO *")
           .replies("502 no")
           .expects("HELO *")
           .replies("550 no")
           .expects("QUIT")
           .replies("221 bye"),
       "tq", "5.0.0", "*550 no*", true},
      {"MAIL 4xx",
       greeted()
           .expects("MAIL *")
           .replies("451 4.1.8 sender?")
           .expects("RSET")
           .replies("250 ok")
           .expects("QUIT")
           .replies("221 bye"),
       "t", "4.1.8", "smtp;451 4.1.8 sender?", true},
      {"MAIL 5xx",
       greeted()
           .expects("MAIL *")
           .replies("550 5.7.1 blocked")
           .expects("EHLO *")
           .replies(kList)
           .expects("QUIT")
           .replies("221 bye"),
       "b", "5.7.1", "smtp;550 5.7.1 blocked", false},
      {"RCPT 4xx",
       at_rcpt()
           .replies("450 4.2.1 busy")
           .expects("RSET")
           .replies("250 ok")
           .expects("QUIT")
           .replies("221 bye"),
       "t", "4.2.1", "smtp;450 4.2.1 busy", true},
      {"RCPT 5xx",
       at_rcpt()
           .replies("550 5.1.1 unknown user")
           .expects("EHLO *")
           .replies(kList)
           .expects("QUIT")
           .replies("221 bye"),
       "b", "5.1.1", "smtp;550 5.1.1 unknown user", false},
      {"RCPT 553 without code",
       at_rcpt()
           .replies("553 no such mailbox")
           .expects("EHLO *")
           .replies(kList)
           .expects("QUIT")
           .replies("221 bye"),
       "b", "5.1.1", "smtp;553 no such mailbox", false},
      {"DATA 4xx",
       at_data()
           .replies("451 4.3.0 later")
           .expects("RSET")
           .replies("250 ok")
           .expects("QUIT")
           .replies("221 bye"),
       "t", "4.3.0", "smtp;451 4.3.0 later", true},
      {"DATA 5xx",
       at_data().replies("554 5.6.0 no").expects("EHLO *").replies(kList).expects("QUIT").replies("221 bye"),
       "b", "5.6.0", "smtp;554 5.6.0 no", false},
      {"dot 4xx", at_dot().replies("452 4.2.2 full").expects("QUIT").replies("221 bye"), "t", "4.2.2",
       "smtp;452 4.2.2 full", true},
      {"dot 5xx",
       at_dot()
           .replies("552 5.2.2 over quota")
           .expects("EHLO *")
           .replies(kList)
           .expects("QUIT")
           .replies("221 bye"),
       "b", "5.2.2", "smtp;552 5.2.2 over quota", false},
      {"dot 2xx", at_dot().replies("250 2.0.0 taken").expects("QUIT").replies("221 bye"), "d",
       "2.0.0 (success)", "smtp;250 2.0.0 taken", false},
      {"lost after the dot", at_dot().closes(), "t", "4.4.2", "*after the final dot*", true},
      {"silence after the dot", at_dot().stalls(), "t", "4.4.2", "ETIMEDOUT*after the final dot*", true},
      {"lost before the dot", at_data().replies("354 go").closes(), "t", "4.4.2", "*during the transaction*",
       true},
      {"421 at RCPT, then closed", at_rcpt().replies("421 4.7.0 slow down").closes(), "t", "4.7.0",
       "smtp;421 4.7.0 slow down", true},
      {"2xx to DATA", at_data().replies("250 ok?").expects_end(), "t", "4.4.2", "protocol error*", true},
  };
}

TEST(Delivery, EveryAnswerAtEveryPhase) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    OneMessage message;
    message.host("10.1.0.1:2500").next(one.script).otherwise(SmtpScript().says("220 mx").accepts_mail());
    message.run(20min);
    const std::vector<Row> rows = message.stop();
    ASSERT_FALSE(rows.empty());
    Row first = rows.front();
    EXPECT_EQ(first["type"], one.type);
    EXPECT_TRUE(first["dsnStatus"].starts_with(one.status)) << first["dsnStatus"];
    EXPECT_TRUE(matches(one.diag, first["dsnDiag"])) << first["dsnDiag"];
    EXPECT_EQ(first["queue"], "a.test/v1");
    EXPECT_EQ(first["dlvSourceIp"], "10.255.0.1");
    Row last = rows.back();
    EXPECT_EQ(last["type"], one.delivered_later ? "d" : one.type);
    const auto finals = std::ranges::count_if(
        rows, [](const Row& row) { return row.at("type") == "d" || row.at("type") == "b"; });
    EXPECT_EQ(finals, 1);
  }
}

TEST(Delivery, FallsBackToTheNextMailHost) {
  OneMessage message;
  message.scenario.extra_zone = [](resolver::TableTransport& dns) {
    dns.add_mx("two.test", 10, "first.two.test");
    dns.add_mx("two.test", 20, "second.two.test");
    dns.add_a("first.two.test", "10.1.0.8");  // nobody listens there
    dns.add_a("second.two.test", "10.1.0.9");
  };
  message.host("10.1.0.9:2500").otherwise(SmtpScript().says("220 mx").accepts_mail());
  message.run(1min, {"x@two.test"});
  const std::vector<Row> rows = message.stop();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("type"), "d");
  EXPECT_EQ(rows[0].at("dsnMta"), "second.two.test (10.1.0.9)");
}

void hosted_domains(resolver::TableTransport& dns) {
  for (const char* domain : {"one.test", "two.test", "other.test"}) dns.add_mx(domain, 10, "mx.hosted.test");
  dns.add_mx("alias.test", 10, "mx.alias.test");
  dns.add_a("mx.hosted.test", "10.1.0.9");
  dns.add_a("mx.alias.test", "10.1.0.9");
}

/// Messages to one recipient each, a second apart, in a world whose hosted domains share one mail host that
/// takes everything.
struct SharedHost {
  explicit SharedHost(const std::string& extra) : message(extra) {
    message.scenario.extra_zone = hosted_domains;
    taking = &message.host("10.1.0.9:2500");
    taking->otherwise(SmtpScript().says("220 mx").accepts_mail());
  }
  void deliver(const std::vector<std::string>& recipients) {
    ASSERT_TRUE(message.scenario.boot());
    for (const std::string& recipient : recipients) {
      ASSERT_TRUE(
          finish(message.scenario.world,
                 inject(message.scenario.peers.reactor(0), Scenario::listener(),
                        {{.id = recipient, .recipients = {recipient}, .vmta = "v1"}}, message.injected),
                 10min));
      message.scenario.world.run_for(1s);
    }
  }
  OneMessage message;
  ScriptedHost* taking = nullptr;
};

TEST(Delivery, DomainsOfOneHostShareItsConnection) {
  SharedHost world("<domain *>\n connection-idle-timeout 30s\n</domain>\n");
  world.deliver({"x@one.test", "y@two.test", "z@alias.test", "x@one.test"});
  const std::vector<Row> rows = world.message.stop();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1].at("queue"), "two.test/v1");
  EXPECT_EQ(rows[1].at("dsnMta"), "mx.hosted.test (10.1.0.9)");
  EXPECT_EQ(rows[2].at("dsnMta"), "mx.alias.test (10.1.0.9)") << "each domain sees its own name for the host";
  for (const Row& row : rows) EXPECT_EQ(row.at("type"), "d");
  EXPECT_EQ(world.taking->conversations().size(), 1u);
}

TEST(Delivery, ConnectionsAreNotSharedWhereThatIsForbiddenOrSettingsDiffer) {
  SharedHost forbidden("<domain *>\n connection-idle-timeout 30s\n share-connections no\n</domain>\n");
  forbidden.deliver({"x@one.test", "y@two.test"});
  EXPECT_EQ(forbidden.message.stop().size(), 2u);
  EXPECT_EQ(forbidden.taking->conversations().size(), 2u);

  SharedHost differs(
      "<domain *>\n connection-idle-timeout 30s\n</domain>\n<domain two.test>\n max-smtp-out 3\n</domain>\n");
  differs.deliver({"x@one.test", "y@two.test", "x@other.test"});
  EXPECT_EQ(differs.message.stop().size(), 3u);
  EXPECT_EQ(differs.taking->conversations().size(), 2u);
}

TEST(Delivery, MessagesPerConnectionCountOverAllDomains) {
  SharedHost world("<domain *>\n connection-idle-timeout 30s\n max-msg-per-connection 2\n</domain>\n");
  world.deliver({"x@one.test", "y@two.test", "x@other.test"});
  EXPECT_EQ(world.message.stop().size(), 3u);
  EXPECT_EQ(world.taking->conversations().size(), 2u);
}

TEST(Delivery, MailForAnotherDomainFollowsOnAConnectionThatStillWaits) {
  OneMessage message;
  message.scenario.extra_zone = hosted_domains;
  ScriptedHost& host = message.host("10.1.0.9:2500");
  host.next(SmtpScript()
                .says("220 mx")
                .expects("EHLO *")
                .replies("250-mx\n250 PIPELINING")
                .expects("MAIL *")
                .expects("RCPT TO:<x@one.test>")
                .expects("DATA")
                .replies("250 ok\n250 ok\n354 go")
                .expects_message()
                .waits(5s)
                .replies("450 4.2.1 not now")
                .expects("MAIL *")  // ready while that was awaited
                .expects("RCPT TO:<y@two.test>")
                .expects("DATA")
                .replies("250 ok\n250 ok\n354 go")
                .expects_message()
                .replies("250 taken")
                .expects("QUIT")
                .replies("221 bye"));
  host.otherwise(SmtpScript().says("220 mx").accepts_mail());
  ASSERT_TRUE(message.scenario.boot());
  for (const std::string recipient : {"x@one.test", "y@two.test"}) {
    ASSERT_TRUE(finish(message.scenario.world,
                       inject(message.scenario.peers.reactor(0), Scenario::listener(),
                              {{.id = recipient, .recipients = {recipient}, .vmta = "v1"}}, message.injected),
                       10min));
    message.scenario.world.run_for(1s);
  }
  message.scenario.world.run_for(2min);
  const std::vector<Row> rows = message.stop();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("type"), "t");
  EXPECT_EQ(rows[0].at("queue"), "one.test/v1") << "each outcome belongs to the queue its mail came from";
  EXPECT_EQ(rows[1].at("type"), "d");
  EXPECT_EQ(rows[1].at("queue"), "two.test/v1");
  EXPECT_EQ(rows[2].at("type"), "d");
  EXPECT_EQ(rows[2].at("queue"), "one.test/v1")
      << "the retry is not forgotten, though the connection went on";
}

TEST(Delivery, AnswersOfDnsThatEndAMessage) {
  struct DnsCase {
    const char* domain;
    const char* type;
    const char* status;
  };
  static constexpr DnsCase kCases[] = {
      {"nowhere.test", "b", "5.1.2"},  // NXDOMAIN
      {"null.test", "b", "5.1.10"},    // RFC 7505
      {"broken.test", "tq", "4.4.3"},  // SERVFAIL
  };
  for (const DnsCase& one : kCases) {
    SCOPED_TRACE(one.domain);
    OneMessage message;
    message.scenario.extra_zone = [](resolver::TableTransport& dns) {
      dns.add_mx("null.test", 0, "");
      dns.script("broken.test", net::dns::Type::Mx, [](net::dns::Message) -> Result<std::vector<std::byte>> {
        return fail(Errc::Timeout, "dns");
      });
    };
    message.run(30s, {std::string("x@") + one.domain});
    const std::vector<Row> rows = message.stop();
    ASSERT_FALSE(rows.empty());
    EXPECT_EQ(rows[0].at("type"), one.type);
    EXPECT_TRUE(rows[0].at("dsnStatus").starts_with(one.status)) << rows[0].at("dsnStatus");
  }
}

TEST(Delivery, RecipientsOfOneMessageHaveTheirOwnFates) {
  OneMessage message;
  message.host("10.1.0.1:2500")
      .next(SmtpScript()
                .says("220 mx")
                .expects("EHLO *")
                .replies("250 mx")
                .expects("MAIL *")
                .replies("250 ok")
                .expects("RCPT TO:<good@a.test>")
                .replies("250 ok")
                .expects("RCPT TO:<dead@a.test>")
                .replies("550 5.1.1 unknown")
                .expects("RCPT TO:<busy@a.test>")
                .replies("450 4.2.1 busy")
                .expects("DATA")
                .replies("354 go")
                .expects_message()
                .replies("250 2.0.0 taken")
                .expects("QUIT")
                .replies("221 bye"))
      .otherwise(SmtpScript().says("220 mx").accepts_mail());
  message.run(10min, {"good@a.test", "dead@a.test", "busy@a.test"});
  std::map<std::string, std::string> last;
  for (Row& row : message.stop()) last[row["rcpt"]] = row["type"];
  EXPECT_EQ(last, (std::map<std::string, std::string>{
                      {"good@a.test", "d"}, {"dead@a.test", "b"}, {"busy@a.test", "d"}}));
}

TEST(Delivery, GivesUpAfterBounceAfter) {
  OneMessage message("<domain a.test>\n    bounce-after 1h\n    retry-after 10m\n</domain>\n");
  message.run(2h);  // nobody listens
  const std::vector<Row> rows = message.stop();
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().at("type"), "b");
  EXPECT_TRUE(rows.back().at("dsnStatus").starts_with("4.4.7")) << rows.back().at("dsnStatus");
  EXPECT_EQ(rows.back().at("bounceCat"), "message-expired");
  const auto attempts = std::ranges::count_if(rows, [](const Row& row) { return row.at("type") == "tq"; });
  EXPECT_EQ(attempts, 6) << "at 0, 10, ... 50 minutes; what would be the next is older than an hour";
}

// Causes of our own carry status and category with them: no rule for receivers' words guesses at them.
void own_zone(resolver::TableTransport& dns) {
  dns.add_txt("nothing.test", "no mail here");
  dns.add_mx("dangling.test", 10, "gone.spam-blocked.test");
  dns.add_mx("six.test", 10, "mx.six.test");
  dns.add_a("mx.six.test", "2001:db8::25");
  dns.add_a("self6.test", "2001:db8::26");
  dns.add_mx("null.test", 0, "");
  dns.add_mx("refusing.test", 10, "mx.spam-quota-unknown-user.test");
  dns.add_a("mx.spam-quota-unknown-user.test", "10.1.0.3");
}

TEST(Delivery, CausesOfOurOwnHaveTheirOwnCategory) {
  const std::string only6 =
      "5.4.4 (unable to route: mail hosts have IPv6 addresses only, virtual MTA v1 has no IPv6 source)";
  const std::string nobody = "5.4.4 (unable to route: no mail hosts for domain)";
  const struct {
    const char* domain;
    std::string status;
    const char* category;
  } kCases[] = {
      {"gone.test", "5.1.2 (bad destination system: no such domain)", "bad-domain"},
      {"nothing.test", nobody, "routing-errors"},
      {"dangling.test", nobody, "routing-errors"},
      {"six.test", only6, "routing-errors"},
      {"self6.test", only6, "routing-errors"},
      {"null.test", "5.1.10 (recipient address has null MX)", "bad-domain"},
      {"[ipv6:2001:db8::1]", only6, "routing-errors"},
      {"refusing.test", "4.4.7 (delivery time expired)", "message-expired"},
  };
  OneMessage message("<domain refusing.test>\n bounce-after 1h\n</domain>\n");
  message.scenario.extra_zone = own_zone;
  std::vector<std::string> recipients;
  for (const auto& one : kCases) recipients.push_back("spam@" + std::string(one.domain));
  message.run(2h, recipients);
  std::map<std::string, Row> bounced;
  for (Row& row : message.stop()) {
    if (row["type"] == "b") bounced[row["rcpt"]] = row;
  }
  ASSERT_EQ(bounced.size(), std::size(kCases));
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.domain);
    Row& row = bounced["spam@" + std::string(one.domain)];
    EXPECT_EQ(row["dsnStatus"], one.status);
    EXPECT_EQ(row["bounceCat"], one.category);
    if (!one.status.starts_with("4.4.7")) EXPECT_EQ(row["dlvSourceIp"], "10.255.0.1");
  }
}

TEST(Delivery, WhatAReceiverGotWrongIsAProtocolError) {
  OneMessage message;
  message.host("10.1.0.1:2500")
      .next(greeted()
                .expects("MAIL FROM:*")
                .replies("250 ok")
                .expects("RCPT TO:*")
                .replies("250 ok")
                .expects("DATA")
                .replies("250 no spam to unknown users?")
                .expects_end())
      .otherwise(SmtpScript().says("220 mx").accepts_mail());
  message.run(20min);
  std::vector<Row> rows = message.stop();
  ASSERT_GE(rows.size(), 2u);
  EXPECT_EQ(rows.front()["type"], "t");
  EXPECT_EQ(rows.front()["bounceCat"], "protocol-errors") << rows.front()["dsnDiag"];
  EXPECT_EQ(rows.back()["type"], "d");
}

TEST(Delivery, TheOperatorsRulesReadCausesOfOurOwnToo) {
  OneMessage message(
      "<bounce-category-patterns>\n /no such domain/ hard-bounce\n /spam/ spam-related\n"
      "</bounce-category-patterns>\n");
  message.scenario.extra_zone = own_zone;
  message.run(1min, {"x@gone.test", "x@nothing.test"});
  std::map<std::string, std::string> categories;
  for (Row& row : message.stop()) categories[row["rcpt"]] = row["bounceCat"];
  EXPECT_EQ(categories["x@gone.test"], "hard-bounce");
  EXPECT_EQ(categories["x@nothing.test"], "routing-errors");
}

}  // namespace
}  // namespace sluice::test
