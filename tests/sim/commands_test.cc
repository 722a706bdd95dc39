// Goal: commands about queued recipients and sums over queues say what is there, change what is meant and
//       nothing else, and answer programs as PowerMTA does.
// How: a whole node in the simulated world whose queues are paused, with its commands.
#include "tests/sim/command_rig.h"
#include "tests/support/command_words.h"

namespace sluice::test {
namespace {

runtime::Task<bool> can_connect(runtime::Reactor& from, Endpoint to) {
  const Result<runtime::Stream> stream = co_await runtime::Stream::connect(from, to, nullptr, 10s);
  co_return stream.has_value();
}

TEST(CommandsSim, WithoutTheirSocketNoMailIsTaken) {
  Scenario scenario(1, "");
  std::string& config = scenario.files.files["/etc/config"];
  const std::string run_dir = "run-dir /run/sluice";
  config.replace(config.find(run_dir), run_dir.size(), "run-dir /blocked/run");
  scenario.world.disk().put("/blocked", "a file\n");
  scenario.node = std::make_unique<SimNode>(scenario.world.machine(), scenario.files, Scenario::zone);
  const auto started = finish(scenario.world, scenario.node->start(), 10min);
  ASSERT_TRUE(started && !*started);
  EXPECT_TRUE(started->error().starts_with("cannot make run-dir /blocked/run: ")) << started->error();
  EXPECT_EQ(finish(scenario.world, can_connect(scenario.peers.reactor(0), Scenario::listener()), 1min),
            false);
  EXPECT_TRUE(finish(scenario.world, scenario.node->stop(), 5min));
  scenario.node.reset();
}

TEST(CommandsSim, ListShowsWhatIsMeantAndChangesNothing) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  EXPECT_EQ(rig.lines_with({"list"}, "@a.test "), 4u) << rig.text({"list"});
  EXPECT_NE(rig.text({"list"}).find("\n5 recipient(s) listed.\n"), std::string::npos);
  EXPECT_EQ(rig.lines_with({"list", "--queue=a.test/*"}, "@"), 4u);
  EXPECT_EQ(rig.lines_with({"list", "--queue=*/v1"}, "a4@a.test"), 1u);
  EXPECT_EQ(rig.lines_with({"list", "--orig=two@*"}, "<two@s.sim>"), 3u);
  EXPECT_EQ(rig.lines_with({"list", "--rcpt=A2@a.test"}, "a2@a.test"), 1u);
  EXPECT_EQ(rig.lines_with({"list", "--jobId=y"}, "@"), 0u);
  EXPECT_EQ(rig.lines_with({"list", "--maxitems=2"}, "@"), 2u);
  EXPECT_EQ(rig.lines_with({"list", "--older-than=1h"}, "@"), 0u);
  EXPECT_FALSE(rig.ask({"list", "--older-than=soon"}).ok);
  EXPECT_EQ(rig.lines_with({"list", "--pause", "--priority"}, "   yes    50"), 5u)
      << rig.text({"list", "--pause", "--priority"});
  const std::string dom = rig.text({"--dom", "list", "--rcpt=b1@*"});
  EXPECT_NE(
      dom.find("rcpt[0].rcpt=\"b1@b.test\"\nrcpt[0].orig=\"one@s.sim\"\nrcpt[0].queue=\"b.test/{default}\"\n"
               "rcpt[0].jobId=\"x\"\n"),
      std::string::npos)
      << dom;
  ASSERT_TRUE(rig.ask({"resume", "job", "x"}).ok);
  rig.settle();
  EXPECT_EQ(rig.rows("d").size(), 5u);
}

TEST(CommandsSim, ListKeepsTheOrderOfTheQueue) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("first", {"x@a.test"}), "250");
  rig.settle();
  ASSERT_TRUE(rig.ask({"pause", "queue", "a.test/*"}).ok);
  for (const char* name : {"n1", "n2", "n3", "n4"}) {
    ASSERT_EQ(rig.send(name, {std::string(name) + "@a.test"}), "250");
  }
  EXPECT_EQ(rig.lines_with({"list", "--maxitems=2"}, "@a.test "), 2u);
  EXPECT_EQ(rig.lines_with({"list", "--rcpt=n3@a.test"}, "n3@a.test"), 1u);
  ASSERT_TRUE(rig.ask({"resume", "queue", "a.test/*"}).ok);
  rig.settle();
  EXPECT_EQ(rig.order(), (std::vector<std::string>{"first", "n1", "n2", "n3", "n4"}));
}

TEST(CommandsSim, PriorityIsSetForThoseMeant) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("first", {"x@a.test"}), "250");
  rig.settle();
  ASSERT_TRUE(rig.ask({"pause", "queue", "a.test/*"}).ok);
  for (const char* name : {"n1", "n2", "n3", "n4"}) {
    ASSERT_EQ(rig.send(name, {std::string(name) + "@a.test"}, {"X-Job: j" + std::string(name)}), "250");
  }
  EXPECT_EQ(rig.text({"set", "priority", "90", "--rcpt=n3@a.test"}), "Priority of 1 recipient(s) set.\n");
  EXPECT_EQ(rig.text({"set", "priority", "10", "--jobId=jn1"}), "Priority of 1 recipient(s) set.\n");
  EXPECT_EQ(rig.text({"set", "priority", "10", "--queue=b.test"}), "Priority of 0 recipient(s) set.\n");
  const std::vector<std::vector<std::string>> refused{{"set", "priority", "101", "--queue=*/*"},
                                                      {"set", "priority", "--queue=*/*"},
                                                      {"set", "priority", "5"},
                                                      {"set", "priority", "5", "--older-than=1s"}};
  for (const std::vector<std::string>& wrong : refused) {
    EXPECT_FALSE(rig.ask(wrong).ok);
  }
  EXPECT_EQ(rig.lines_with({"list", "--priority"}, "    90"), 1u) << rig.text({"list", "--priority"});
  ASSERT_TRUE(rig.ask({"resume", "queue", "a.test/*"}).ok);
  rig.settle();
  EXPECT_EQ(rig.order(), (std::vector<std::string>{"first", "n3", "n2", "n4", "n1"}));
}

TEST(CommandsSim, DeleteByAgeAndJob) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  EXPECT_EQ(rig.text({"delete", "--jobId=x", "--older-than=1h"}), "0 recipient(s) deleted.\n");
  EXPECT_EQ(rig.text({"delete", "--jobId=x"}), "5 recipient(s) deleted.\n");
}

TEST(CommandsSim, DomainsAreSumsOverVirtualMtas) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  const std::string all = rig.text({"--dom", "show", "domains"});
  EXPECT_NE(
      all.find("domain[0].name=\"a.test\"\ndomain[0].rcp=\"4\"\ndomain[0].kb=\"1\"\ndomain[0].conn=\"0\"\n"
               "domain[1].name=\"b.test\"\ndomain[1].rcp=\"1\"\n"),
      std::string::npos)
      << all;
  EXPECT_NE(rig.text({"show", "domains"}).find("\n2 of 2 domains shown.\n"), std::string::npos);
  EXPECT_NE(rig.text({"show", "domain", "b.test"}).find("\n1 of 1 domains shown.\n"), std::string::npos);
  EXPECT_NE(rig.text({"--dom", "show", "domains", "--vmta=v1"})
                .find("domain[0].name=\"a.test\"\ndomain[0].rcp=\"1\"\n"),
            std::string::npos);
  EXPECT_EQ(rig.lines_with({"show", "domains", "--connected=yes"}, ".test"), 0u);
  const std::string top = rig.text({"--dom", "show", "topdomains", "--maxitems=1"});
  EXPECT_EQ(
      top.substr(0, top.find("domain[0].kb")),
      "title=\"Top 1 domains by number of recipients\"\ndomain[0].name=\"a.test\"\ndomain[0].rcp=\"4\"\n");
  EXPECT_NE(top.find("totalRcp=\"5\"\n"), std::string::npos) << top;
  EXPECT_FALSE(rig.ask({"show", "domains", "a.test/v1"}).ok);
}

TEST(CommandsSim, AnswersForPrograms) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  const std::string queues = rig.text({"--dom", "show", "topqueues", "--maxitems=100000", "--errors"});
  EXPECT_EQ(
      queues.find("title=\"Top 100000 queues by number of recipients\"\nqueue[0].name=\"a.test/{default}\"\n"
                  "queue[0].rcp=\"3\"\n"),
      0u)
      << queues;
  EXPECT_NE(queues.find("queue[0].paused=\"no\"\nqueue[0].mode=\"normal\"\n"), std::string::npos) << queues;
  EXPECT_NE(queues.find("totalRcp=\"5\"\ntotalQueuesWithRcp=\"3\"\n"), std::string::npos) << queues;
  const std::string status = rig.text({"--xml", "show", "status"});
  EXPECT_EQ(status.find("<rsp><data><mta><product><name>PowerMTA</name>"), 0u) << status;
  EXPECT_NE(status.find("<traffic><total><out><rcp>0</rcp>"), std::string::npos) << status;
  EXPECT_NE(status.find("<in><rcp>5</rcp><msg>3</msg>"), std::string::npos) << status;
  EXPECT_NE(status.find("<queue><smtp><rcp>5</rcp>"), std::string::npos) << status;
  EXPECT_EQ(rig.text({"status", "--xml"}).substr(0, 40), status.substr(0, 40));
  const std::string jobs = rig.text({"--json", "show", "jobs"});
  EXPECT_EQ(jobs.find("{\"data\":{\"job\":[{\"name\":\"x\",\"rcp\":5,\"kb\":"), 0u) << jobs;
  EXPECT_NE(jobs.find(",\"paused\":\"yes\"}],\"totalJobs\":1},\"status\":\"success\",\"message\":\"\"}\n"),
            std::string::npos)
      << jobs;
  EXPECT_EQ(rig.text({"--json", "pause", "job", "x"}),
            "{\"data\":\"paused job.\",\"status\":\"success\",\"message\":\"\"}\n");
  EXPECT_NE(rig.text({"--dom", "show", "vmta", "v1"})
                .find("vmta[0].name=\"v1\"\nvmta[0].dom=\"1\"\nvmta[0].rcp=\"1\"\n"),
            std::string::npos);
  EXPECT_FALSE(rig.ask({"show", "vmtas", "v9"}).ok);
}

TEST(CommandsSim, SettingsCountersAndTheRest) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  EXPECT_NE(rig.text({"show", "vmta-settings", "v1"}).find("\nmax-smtp-out 77\n"), std::string::npos);
  EXPECT_NE(rig.text({"show", "vmta-settings", "p1"}).find("\nmax-smtp-out 55\n"), std::string::npos);
  EXPECT_FALSE(rig.ask({"show", "vmta-settings", "v9"}).ok);
  EXPECT_EQ(rig.text({"reset", "counters"}), "Traffic counters reset.\n");
  EXPECT_NE(rig.text({"--dom", "show", "status"}).find("status.traffic.total.in.rcp=\"0\"\n"),
            std::string::npos);
  ASSERT_EQ(rig.send("m4", {"a5@a.test", "a6@a.test"}, {"X-Job: x"}), "250");
  rig.scenario.world.run_for(2s);
  EXPECT_NE(rig.text({"--dom", "show", "status"}).find("status.traffic.total.in.rcp=\"2\"\n"),
            std::string::npos);
  EXPECT_NE(rig.text({"--dom", "show", "status"}).find("status.traffic.lastMin.in.rcp=\"2\"\n"),
            std::string::npos);
  EXPECT_EQ(rig.text({"clear", "dnscache"}), "DNS cache cleared.\n");
  EXPECT_EQ(rig.text({"clear", "dnscache", "A.test"}), "Cleared a.test from DNS cache.\n");
  EXPECT_TRUE(rig.ask({"test", "config"}).ok);
  EXPECT_TRUE(rig.ask({"resume", "domain", "a.test"}).ok);
  EXPECT_TRUE(rig.ask({"show", "license"}).ok);
  ASSERT_TRUE(rig.ask({"resume", "job", "x"}).ok);
  rig.settle();
  EXPECT_EQ(rig.rows("d").size(), 7u);
}

TEST(CommandsSim, ResolveSaysWhatConnectionsFind) {
  CommandRig rig("<dns>\n    precached-domains-file /etc/domains\n</dns>\n");
  rig.scenario.extra_zone = [](resolver::TableTransport& dns) {
    using net::dns::Type;
    dns.add(
        {"1.0.1.10.in-addr.arpa", Type::Ptr, net::dns::kClassInternet, 60s, net::dns::NameData{"mx.a.test"}});
    net::dns::RawData text;
    for (const char c : std::string("\x05v=one\x05"
                                    "a\"two"))
      text.bytes.push_back(static_cast<std::byte>(c));
    dns.add({"a.test", Type::Txt, net::dns::kClassInternet, 60s, std::move(text)});
    dns.add_a("bare.test", "10.1.0.7");
  };
  rig.scenario.world.disk().put("/etc/domains", "a.test\nnowhere.test\n");
  ASSERT_TRUE(rig.boot());
  rig.scenario.world.run_for(5s);
  const std::string route = rig.text({"resolve", "A.test."});
  EXPECT_NE(route.find("MX    10 mx.a.test\n"), std::string::npos) << route;
  EXPECT_NE(route.find("\nstatus = StatusOk\n"), std::string::npos) << route;
  const std::string row = "  10 mx.a.test" + std::string(32, ' ') + "10.1.0.1";
  EXPECT_EQ(rig.lines_with({"resolve", "a.test"}, row), 1u) << route;
  EXPECT_EQ(rig.lines_with({"resolve", "bare.test"}, "no MX record"), 1u);
  EXPECT_EQ(rig.lines_with({"resolve", "bare.test"}, "10.1.0.7"), 1u);
  EXPECT_FALSE(rig.ask({"resolve", "nowhere.test"}).ok);
  EXPECT_EQ(rig.lines_with({"resolve", "10.1.0.1"}, " PTR   mx.a.test"), 1u)
      << rig.text({"resolve", "10.1.0.1"});
  EXPECT_EQ(rig.lines_with({"resolve", "a.test", "--type=TXT"}, " TXT   \"v=one\" \"a\\\"two\""), 1u)
      << rig.text({"resolve", "a.test", "--type=TXT"});
  EXPECT_EQ(rig.lines_with({"resolve", "mx.a.test", "--type=a"}, " A     10.1.0.1"), 1u);
  EXPECT_EQ(rig.text({"resolve", "a.test", "--type=aaaa"}), "status = StatusNoData\n");
  EXPECT_EQ(rig.text({"resolve", "nowhere.test", "--type=mx"}), "status = StatusNoDomain\n");
  EXPECT_FALSE(rig.ask({"resolve", "a.test", "--type=srv"}).ok);
  EXPECT_FALSE(rig.ask({"resolve", "a.test", "--connect"}).ok) << "what is not there is not passed over";
  EXPECT_FALSE(rig.ask({"resolve", "not a name"}).ok);
  const std::string cached = rig.text({"show", "precache"});
  EXPECT_EQ(rig.lines_with({"show", "precache"}, "StatusOk"), 1u) << cached;
  EXPECT_NE(cached.find("precached-domains-file /etc/domains"), std::string::npos) << cached;
  EXPECT_NE(cached.find("\n1 of 2 domains in the cache.\n"), std::string::npos) << cached;
}

TEST(CommandsSim, TraceShowsTheNextConnection) {
  CommandRig rig("");
  ASSERT_TRUE(rig.boot());
  for (auto& one : rig.scenario.receivers) one->set_mood({.defer_rcpt = 1});
  ASSERT_EQ(rig.send("m1", {"a1@a.test", "b1@b.test"}), "250");
  rig.scenario.world.run_for(2s);
  EXPECT_FALSE(rig.ask({"trace", "c.test/*"}).ok) << "there is no such queue";
  EXPECT_FALSE(rig.ask({"trace", "a.test/*", "--source-ip=10.0.0.1"}).ok);
  const MonoTime before = rig.scenario.world.now();
  const std::string seen = rig.text({"trace", "a.test/*", "--retry-recipients", "--log-resolution"});
  EXPECT_LT(rig.scenario.world.now() - before, 61s);
  for (const char* line : {"starting a.test/", "resolving a.test: 10 mx.a.test (10.1.0.1):2500",
                           "connecting from ", ">>> 220 ", "<<< RCPT TO:<a1@a.test>", ">>> 4"}) {
    EXPECT_NE(seen.find(line), std::string::npos) << line << '\n' << seen;
  }
  EXPECT_EQ(seen.find("b1@b.test"), std::string::npos) << "another queue's";
  const auto log = [&rig] { return rig.scenario.world.disk().content("/var/log/sluice.log"); };
  EXPECT_EQ(log().find("<<< RCPT"), std::string::npos) << "nobody has asked for it in the log";
  EXPECT_TRUE(rig.ask({"trace", "a.test/*", "--retry-recipients", "--to-log"}).ok);
  rig.scenario.world.run_for(30s);
  EXPECT_NE(log().find("<<< RCPT TO:<a1@a.test>"), std::string::npos) << log();
  ASSERT_TRUE(rig.ask({"pause", "queue", "a.test/*"}).ok);
  rig.scenario.world.run_for(10min);
  EXPECT_NE(rig.text({"trace", "a.test/*"}).find("no connection began"), std::string::npos);
  ASSERT_TRUE(rig.ask({"resume", "queue", "a.test/*"}).ok);
  for (auto& one : rig.scenario.receivers) one->set_mood({});
  rig.settle();
}

TEST(CommandsSim, DisabledSourcesInBothSpellings) {
  CommandRig rig("");
  ASSERT_TRUE(rig.boot());
  for (auto& one : rig.scenario.receivers) one->set_mood({.defer_rcpt = 1});
  ASSERT_EQ(rig.send("m1", {"a1@a.test"}, {"X-Virtual-MTA: v1"}), "250");
  rig.scenario.world.run_for(2s);
  ASSERT_TRUE(rig.ask({"disable", "source", "10.255.0.1", "a.test/v1"}).ok);
  const std::string both = rig.text({"show", "disabled", "sources", "a.test/*"});
  EXPECT_NE(both.find("10.255.0.1"), std::string::npos) << both;
  EXPECT_EQ(rig.text({"show", "disabled-sources", "a.test/*"}), both);
  EXPECT_NE(rig.text({"show", "disabled-sources", "b.test/*"}).find("\n0 disabled"), std::string::npos);
  ASSERT_TRUE(rig.ask({"enable", "source", "10.255.0.1", "a.test/v1"}).ok);
  for (auto& one : rig.scenario.receivers) one->set_mood({});
  rig.settle();
}

/// What commands could have changed.
std::string standing(CommandRig& rig) {
  return rig.text({"list", "--pause", "--priority"}) + rig.text({"show", "jobs"}) +
         rig.text({"--dom", "show", "queues", "--mode-events"}) + rig.text({"show", "disabled", "sources"}) +
         rig.scenario.world.disk().content("/var/log/sluice.log");
}

TEST(CommandsSim, NoCommandDoesAnythingWithAWordItDoesNotKnow) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  const std::string before = standing(rig);
  const auto refused = [&](const Typed& words) {
    EXPECT_FALSE(rig.ask(words).ok) << words.front() << ' ' << words.back();
    EXPECT_EQ(standing(rig), before) << words.front() << ' ' << words.back();
  };
  for (const control::CommandRow& row : control::command_table()) {
    SCOPED_TRACE(row.words);
    Typed line = command_line(row);
    if (row.id == control::CommandId::Delete) line.emplace_back("--jobId=x");
    refused(with(line, "--frobnicate"));
    refused(with(with(line, "--frobnicate"), "5"));
    for (const control::OptionRow& option : row.options) {
      const std::string name = "--" + std::string(option.name);
      refused(with(line, option.value == control::Value::None ? name + "=yes" : name + '='));
      refused(with(line, name + "x"));
    }
  }
  refused({"delete", "--jobId=x", "--recipient=a1@a.test"});
  refused({"reload", "--dryrun"});
  refused({"shutdown", "--now"});
  refused({"shutdown", "now"});
  refused({"pause", "queue", "a.test/*", "b.test/*"});
  refused({"--json", "delete", "--jobId=x", "--recipient=a1@a.test"});
  EXPECT_NE(rig.text({"--dom", "show", "status"}).find("status.shuttingDown=\"0\""), std::string::npos);
}

TEST(CommandsSim, EveryCommandTakesWhatItsTableSays) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  for (const control::CommandRow& row : control::command_table()) {
    if (row.id == control::CommandId::Shutdown) continue;
    if (row.id == control::CommandId::Help) continue;  // its arguments are commands
    std::vector<Typed> lines{command_line(row), command_line(row, true), with(command_line(row), "--json"),
                             with(command_line(row), "--help")};
    Typed all = command_line(row);
    for (const control::OptionRow& option : row.options) {
      lines.push_back(with(command_line(row), some_option(option)));
      all.push_back(some_option(option));
    }
    lines.push_back(all);
    for (const Typed& line : lines) {
      const std::string text = rig.text(line);
      for (const char* wrong :
           {"hangs", "internal error", "there is no option", "unknown command", "usage: "})
        EXPECT_EQ(text.find(wrong), std::string::npos) << row.words << ' ' << line.back() << ": " << text;
      EXPECT_TRUE(text.ends_with('\n')) << row.words << ' ' << line.back() << ": " << text;
    }
  }
  ASSERT_TRUE(rig.ask({"resume", "job", "x"}).ok);
  rig.settle();
  EXPECT_EQ(rig.rows("d").size(), 5u) << "some*text is nobody";
  EXPECT_TRUE(rig.ask({"shutdown"}).ok);
}

TEST(CommandsSim, DeleteSaysBeforehandHowManyItWillBe) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  EXPECT_EQ(rig.text({"delete", "--jobId=x", "--dry-run"}),
            "5 recipient(s) of job x in 3 queue(s) would be deleted: a.test/{default} 3, a.test/v1 1, "
            "b.test/{default} 1\n");
  EXPECT_EQ(rig.text({"delete", "--queue=a.test/*", "--rcpt=a2@a.test", "--dry-run"}),
            "1 recipient(s) to a2@a.test in 1 queue(s) would be deleted: a.test/{default} 1\n");
  EXPECT_EQ(rig.lines_with({"list"}, "@"), 5u) << "nothing was deleted";
  EXPECT_EQ(rig.text({"delete", "--jobId=x", "--yes"}), "5 recipient(s) deleted.\n");
}

}  // namespace
}  // namespace sluice::test
