// Goal: senders hear by mail what became of their messages, as NOTIFY and RET ask and the configuration
// allows; no crash loses a report, and nothing is reported about reports. How: a whole node in the simulated
// world whose receivers refuse some recipients, with the senders' domain at one of them.
#include <set>

#include "engine/queue/report_budget.h"
#include "tests/sim/queue_type_run.h"

namespace sluice::test {
namespace {

/// Refuses every recipient whose name begins with "no".
std::string refuse_no(const Asked& asked) {
  return asked.at == Asked::At::Rcpt && asked.recipient.starts_with("no") ? "550 5.1.1 nobody of that name"
                                                                          : "";
}

/// Where reports go: sim.test is at the mail host of c.test.
struct ReportRun : QueueTypeRun {
  explicit ReportRun(const std::string& extra = {}, std::uint64_t seed = 1)
      : QueueTypeRun("<source 0/0>\n suppress-local-dsn no\n</source>\n" + extra, seed) {
    scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_mx("sim.test", 10, "mx.c.test"); };
    Mood mood;
    mood.judge = refuse_no;
    scenario.open_receivers(mood);
  }
  /// One message, line by line. `rcpts`: what stands behind "RCPT TO:".
  void tell(const std::string& mail, const std::vector<std::string>& rcpts, const std::string& id) {
    if (!scenario.node) {
      ASSERT_TRUE(scenario.boot());
    }
    std::vector<std::string> lines{"EHLO client.sim", "MAIL FROM:" + mail};
    for (const std::string& rcpt : rcpts) lines.push_back("RCPT TO:" + rcpt);
    for (const std::string& line :
         {std::string("DATA"), "Message-ID: <" + id + "@sim>", std::string("Subject: about ") + id,
          std::string("X-Virtual-MTA: v2"), std::string(), std::string("the body"), std::string(".")}) {
      lines.push_back(line);
    }
    std::vector<std::string> replies;
    ASSERT_TRUE(finish(scenario.world,
                       converse(scenario.peers.reactor(0), Scenario::listener(), lines, replies), 1h));
    ASSERT_FALSE(replies.empty());
    ASSERT_TRUE(replies.back().starts_with("250")) << replies.back();
  }
  /// Texts of the reports that arrived.
  std::vector<std::string> reports() {
    std::vector<std::string> out;
    for (const auto& [id, text] : scenario.ledger.bodies) {
      if (id.find(".report@node.sim>") != std::string::npos) out.push_back(text);
    }
    return out;
  }
};

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(Reports, OneForAllRecipientsThatFailTogether) {
  ReportRun run;
  run.tell("<sender@sim.test> ENVID=order+2B7",
           {"<no1@a.test>", "<no2@a.test> ORCPT=rfc822;x+2By@old.test", "<yes@a.test>",
            "<no3@a.test> NOTIFY=NEVER", "<no4@a.test> NOTIFY=SUCCESS,DELAY"},
           "first");
  ASSERT_TRUE(run.scenario.drain(5min));
  const auto reports = run.reports();
  ASSERT_EQ(reports.size(), 1u);
  const std::string& text = reports[0];
  EXPECT_TRUE(text.starts_with("From: ops@node.sim\r\nTo: sender@sim.test\r\nSubject: Delivery report\r\n"))
      << text;
  EXPECT_NE(text.find("\r\nReporting-MTA: dns;node.sim\r\nX-PowerMTA-VirtualMTA: v2\r\n"
                      "Original-Envelope-Id: order+7\r\nArrival-Date: "),
            std::string::npos)
      << text;
  EXPECT_EQ(count(text, "\r\nFinal-Recipient: rfc822;"), 2u) << text;
  EXPECT_NE(
      text.find("Final-Recipient: rfc822;no1@a.test\r\nAction: failed\r\nStatus: 5.1.1 (bad destination "
                "mailbox address)\r\nRemote-MTA: dns;mx.a.test (10.1.0.1)\r\n"
                "Diagnostic-Code: smtp; 550 5.1.1 nobody of that name\r\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("Original-Recipient: rfc822;x+y@old.test\r\nFinal-Recipient: rfc822;no2@a.test\r\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\r\nContent-Type: text/rfc822-headers\r\n\r\nReceived: "), std::string::npos) << text;
  EXPECT_NE(text.find("\r\nSubject: about first\r\n"), std::string::npos);
  EXPECT_EQ(text.find("the body"), std::string::npos);
  for (const auto& [key, sender] : run.scenario.ledger.senders) {
    if (key.find(".report@") != std::string::npos) {
      EXPECT_EQ(sender, "");
    }
  }
  std::multiset<std::string> rows;
  for (Row row : run.rows()) {
    if (row["type"] == "d" || row["type"] == "b")
      rows.insert(row["type"] + ' ' + row["rcpt"] + ' ' + row["queue"]);
  }
  EXPECT_EQ(rows, (std::multiset<std::string>{"b no1@a.test a.test/v2", "b no2@a.test a.test/v2",
                                              "b no3@a.test a.test/v2", "b no4@a.test a.test/v2",
                                              "d sender@sim.test sim.test/v2", "d yes@a.test a.test/v2"}));
  run.close();
}

TEST(Reports, OnlyForSendersThatWantThem) {
  ReportRun run(
      "<source 10.255.0.9>\n suppress-local-dsn yes\n</source>\n"
      "<domain b.test>\n deliver-local-dsn no\n</domain>\n");
  run.tell("<>", {"<no1@a.test>"}, "null");
  run.tell("<x@b.test>", {"<no1@a.test>"}, "domain");
  run.tell("<no-such@sim.test>", {"<no2@a.test>"}, "loop");  // the report itself is refused
  ASSERT_TRUE(run.scenario.drain(5min));
  EXPECT_TRUE(run.reports().empty());
  EXPECT_EQ(run.rows("b").size(), 4u);  // three, and the report that nobody wants
  run.scenario.reload(std::string(QueueTypeRun::kRows) +
                      "<source 0/0>\n suppress-local-dsn yes\n</source>\n");
  run.tell("<sender@sim.test>", {"<no3@a.test>"}, "source");
  ASSERT_TRUE(run.scenario.drain(5min));
  EXPECT_TRUE(run.reports().empty());
  EXPECT_EQ(run.rows("b").size(), 5u);
  run.close();
}

TEST(Reports, SuccessIsReportedByWhoeverIsTheLastToKnow) {
  ReportRun run("<domain d.test>\n type discard\n</domain>\n<domain b.test>\n ignore-dsn yes\n</domain>\n");
  run.tell("<sender@sim.test> RET=FULL",
           {"<here@d.test> NOTIFY=SUCCESS", "<there@b.test> NOTIFY=SUCCESS", "<asked@a.test> NOTIFY=SUCCESS",
            "<quiet@d.test>"},
           "success");
  ASSERT_TRUE(run.scenario.drain(5min));
  std::string all;
  for (const std::string& text : run.reports()) all += text;
  EXPECT_EQ(count(all, "Final-Recipient:"), 2u) << all;
  EXPECT_NE(all.find("rfc822;here@d.test\r\nAction: delivered\r\nStatus: 2.0.0 (success)\r\n"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find("rfc822;there@b.test\r\nAction: relayed\r\n"), std::string::npos) << all;
  EXPECT_EQ(all.find("the body"), std::string::npos) << all;  // RFC 3461 4.3: FULL is for failures
  run.close();
}

TEST(Reports, ReturnTheMessageAndGoToTheVerpSender) {
  for (const bool own_subject : {true, false}) {
    SCOPED_TRACE(own_subject);
    ReportRun run(
        std::string(own_subject ? "dsn-failed-subject-template \"${recipient} of ${subject}\"\n" : "") +
        "<source 0/0>\n verp-default yes\n dsn-return-default full\n</source>\n"
        "<domain sim.test>\n dsn-format plain-text\n</domain>\n");
    run.tell("<list@sim.test>", {"<no1@a.test>", "<no2@a.test>"}, "verp");
    ASSERT_TRUE(run.scenario.drain(5min));
    const auto reports = run.reports();
    ASSERT_EQ(reports.size(), 2u);
    std::set<std::string> to;
    for (const auto& [key, times] : run.scenario.ledger.delivered) {
      EXPECT_EQ(times, 1);
      to.insert(key.substr(key.find(' ') + 1));
    }
    EXPECT_EQ(to, (std::set<std::string>{"list-no1=a.test@sim.test", "list-no2=a.test@sim.test"}));
    for (const std::string& text : reports) {
      EXPECT_EQ(text.find("@a.test of about verp\r\n") != std::string::npos, own_subject) << text;
      EXPECT_NE(text.find("Content-Type: text/plain\r\n\r\nReporting-MTA"), std::string::npos) << text;
      EXPECT_NE(text.find("Content-Type: message/rfc822\r\n\r\nReceived: "), std::string::npos) << text;
      EXPECT_NE(text.find("\r\n\r\nthe body\r\n"), std::string::npos) << text;
      EXPECT_EQ(count(text, "\r\nFinal-Recipient: rfc822;"), 1u) << text;
    }
    run.close();
  }
}

TEST(Reports, DelaysEveryNowAndThenForWhoAsks) {
  ReportRun run("<domain b.test>\n notify-of-delay-every 1h\n bounce-after 2h30m\n</domain>\n");
  Mood silent;
  silent.judge = [](const Asked& asked) { return asked.at == Asked::At::Mail ? "450 4.3.2 later" : ""; };
  run.scenario.receivers[1]->set_mood(silent);
  run.tell("<sender@sim.test>", {"<late@b.test> NOTIFY=DELAY", "<bored@b.test> NOTIFY=FAILURE"}, "delay");
  const auto said = [&run](const std::string& what) {
    std::size_t found = 0;
    for (const std::string& text : run.reports()) found += count(text, what);
    return found;
  };
  run.scenario.world.run_for(55min);
  EXPECT_EQ(run.reports().size(), 0u);
  run.scenario.world.run_for(10min);
  EXPECT_EQ(said("rfc822;late@b.test\r\nAction: delayed\r\n"), 1u);
  EXPECT_EQ(said("\r\nWill-Retry-Until: Mon, 05 Jan 2026 02:3"), 1u);
  run.scenario.world.run_for(60min);
  EXPECT_EQ(said("rfc822;late@b.test\r\nAction: delayed\r\n"), 2u);
  ASSERT_TRUE(run.scenario.drain(2h));
  EXPECT_EQ(said("Action: delayed\r\n"), 2u);
  EXPECT_EQ(said("rfc822;bored@b.test\r\nAction: failed\r\n"), 1u);
  EXPECT_EQ(said("Action: failed\r\n"), 1u);
  run.close();
}

TEST(Reports, DeletedOnesWhenTheAdministratorSaysSo) {
  ReportRun run;
  Mood silent;
  silent.judge = [](const Asked& asked) { return asked.at == Asked::At::Mail ? "450 4.3.2 later" : ""; };
  run.scenario.receivers[0]->set_mood(silent);
  for (const std::string id : {"silent", "told", "unaccounted"}) {
    run.tell("<sender@sim.test>", {"<" + id + "@a.test>"}, id);
  }
  run.scenario.world.run_for(5s);
  const auto remove = [&run](const std::string& rcpt, std::initializer_list<std::string> options) {
    std::vector<std::string> words{"delete", "--queue=*/*", "--rcpt=" + rcpt};
    words.insert(words.end(), options);
    return run.scenario.ask(words);
  };
  EXPECT_EQ(remove("silent@a.test", {}), "1 recipient(s) deleted.\n");
  EXPECT_EQ(remove("told@a.test", {"--dsn"}), "1 recipient(s) deleted.\n");
  EXPECT_EQ(remove("unaccounted@a.test", {"--no-accounting"}), "1 recipient(s) deleted.\n");
  ASSERT_TRUE(run.scenario.drain(5min));
  const auto reports = run.reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_NE(
      reports[0].find("Final-Recipient: rfc822;told@a.test\r\nAction: failed\r\nStatus: 5.0.0 (undefined "
                      "status)\r\nDiagnostic-Code: smtp; deleted by administrator\r\n"),
      std::string::npos)
      << reports[0];
  std::set<std::string> bounced;
  for (Row row : run.rows("b")) bounced.insert(row["rcpt"]);
  EXPECT_EQ(bounced, (std::set<std::string>{"silent@a.test", "told@a.test"}));
  // Ended for good, with a record or without.
  run.scenario.crash(Crash::Kill);
  ASSERT_TRUE(run.scenario.boot());
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.close();
}

// Every crash finds some recipients between the refusal, the report and the durable ending.
TEST(Reports, NoCrashLosesOne) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ReportRun run("", seed);
    ASSERT_TRUE(run.scenario.boot());
    std::vector<Mail> mails;
    for (int i = 0; i < 60; ++i) {
      const std::string name = std::to_string(i);
      mails.push_back({.id = "m" + name, .recipients = {"no" + name + "@a.test", "no" + name + "@b.test"}});
    }
    auto injected = std::make_unique<Injected>();
    bool injecting = false;
    start(inject(run.scenario.peers.reactor(0), Scenario::listener(), mails, *injected), injecting);
    for (int round = 0; round < 6; ++round) {
      run.scenario.world.run_for(
          Duration(std::chrono::microseconds(500 + run.scenario.world.random().below(60'000))));
      run.scenario.crash(run.scenario.world.random().chance(0.5) ? Crash::Kill : Crash::PowerCut);
      ASSERT_TRUE(run.scenario.boot());
    }
    ASSERT_EQ(run.scenario.world.run_until([&] { return injecting; }, 1h), runtime::sim::Ended::Reached);
    ASSERT_TRUE(run.scenario.drain(6h));
    std::string all;
    for (const std::string& text : run.reports()) all += text;
    for (const Mail& mail : injected->accepted) {
      for (const std::string& rcpt : mail.recipients) {
        EXPECT_GE(count(all, "Final-Recipient: rfc822;" + rcpt + "\r\n"), 1u) << rcpt;
      }
    }
    std::map<std::string, int> endings;
    for (Row row : run.rows("b")) ++endings[row["rcpt"]];
    for (const Mail& mail : injected->accepted) {
      for (const std::string& rcpt : mail.recipients) EXPECT_EQ(endings[rcpt], 1) << rcpt;
    }
    run.close();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Reports, AFullSpoolDelaysThemAndAStopLosesNone) {
  for (const bool stopped_meanwhile : {true, false}) {
    SCOPED_TRACE(stopped_meanwhile);
    ReportRun run("<domain *>\n retry-after 10m\n</domain>\n");
    bool gone = false, refused = false;
    Mood mood;
    mood.judge = [&](const Asked& asked) -> std::string {
      if (asked.at != Asked::At::Rcpt || !asked.recipient.starts_with("no")) return "";
      refused = gone;
      return gone ? "550 5.1.1 gone" : "450 4.2.1 later";
    };
    for (auto& one : run.scenario.receivers) one->set_mood(mood);
    run.tell("<sender@sim.test>", {"<no1@a.test>"}, "m");
    run.scenario.world.run_for(5s);
    auto& faults = run.scenario.world.faults();
    const auto full = faults.add({.kind = runtime::OpKind::Write,
                                  .path_contains = "/msg-",
                                  .times = runtime::sim::FaultRule::kForever,
                                  .sys_errno = 28});
    gone = true;
    ASSERT_EQ(run.scenario.world.run_until([&] { return refused; }, 1h), runtime::sim::Ended::Reached);
    run.scenario.world.run_for(10s);
    EXPECT_TRUE(run.rows("b").empty()) << "its report is not stored";
    if (!stopped_meanwhile) run.scenario.world.run_for(2min);
    EXPECT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
    run.scenario.node.reset();
    faults.remove(full);
    ASSERT_TRUE(run.scenario.boot());
    ASSERT_TRUE(run.scenario.drain(1h));
    EXPECT_EQ(run.rows("b").size(), 1u);
    EXPECT_EQ(run.reports().size(), stopped_meanwhile ? 1u : 0u);
    const std::string log = run.scenario.world.disk().content("/var/log/sluice.log");
    EXPECT_EQ(log.find("Reports to senders left out: 1: 452") == std::string::npos, stopped_meanwhile) << log;
    run.close();
  }
}

TEST(ReportBudget, BoundsADomainAndTheWhole) {
  queue::ReportBudget budget;
  for (int i = 0; i < queue::ReportBudget::kDomainMax; ++i)
    budget.add(i % 2 == 0 ? "Dead.test" : "dead.TEST");
  EXPECT_TRUE(budget.full("dead.test"));
  EXPECT_FALSE(budget.full("alive.test"));
  budget.remove("dead.test");
  EXPECT_FALSE(budget.full("dead.test"));
  for (int i = budget.queued(); i < queue::ReportBudget::kTotalMax; ++i) budget.add("d" + std::to_string(i));
  EXPECT_TRUE(budget.full("alive.test"));
}

}  // namespace
}  // namespace sluice::test
