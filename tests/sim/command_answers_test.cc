// Goal: what commands show is laid out as PowerMTA's, complete, and true: reasons, names, counts, and what was meant by
//       words that match nothing.
// How:  a whole node in the simulated world with mail that waits, and its commands.
#include "policy/base/version.h"
#include "tests/sim/command_rig.h"
#include "tests/support/command_words.h"

namespace sluice::test {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

TEST(CommandsSim, ListsHaveTheLayoutThatScriptsCut) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  ASSERT_TRUE(rig.ask({"disable", "source", "0.0.0.0", "a.test"}).ok);
  ASSERT_TRUE(rig.ask({"pause", "queue", "later.test/*"}).ok);
  const std::vector<std::pair<Typed, std::size_t>> lists{{{"show", "queues"}, 3},
                                                         {{"show", "topqueues"}, 3},
                                                         {{"show", "domains"}, 2},
                                                         {{"show", "topdomains"}, 2},
                                                         {{"show", "vmtas", "v1"}, 1},
                                                         {{"show", "pools"}, 2},
                                                         {{"show", "jobs"}, 1},
                                                         {{"list"}, 5},
                                                         {{"list", "--pause", "--priority"}, 5},
                                                         {{"show", "schedule"}, 0},
                                                         {{"show", "disabled", "sources"}, 1},
                                                         {{"show", "pauses"}, 1},
                                                         {{"show", "queues", "none/*"}, 0}};
  for (const auto& [words, rows] : lists) {
    const std::vector<std::string> lines = lines_of(rig.text(words));
    SCOPED_TRACE(words[0] + ' ' + words.back() + '\n' + rig.text(words));
    ASSERT_EQ(lines.size(), rows + 4);
    EXPECT_EQ(lines[1].find_first_not_of("- "), std::string::npos) << "a rule of dashes under each column";
    EXPECT_EQ(lines[1].find("  "), std::string::npos);
    EXPECT_EQ(lines[lines.size() - 2], "");
    EXPECT_NE(lines.back().find_first_of("0123456789"), std::string::npos) << "the count";
  }
  const std::string row = lines_of(rig.text({"show", "domains", "b.test"}))[2];
  const std::size_t dot = row.find('.', 40);
  ASSERT_NE(dot, std::string::npos) << row;
  EXPECT_EQ(row[dot + 2], ' ') << "kbytes with one decimal: " << row;
  EXPECT_EQ(lines_of(rig.text({"show", "queues"}))[0].substr(0, 72),
            "queue                                        #rcpt     kbytes  conn st  ");
}

TEST(CommandsSim, JobsAreSortedAsAsked) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  for (const char* job : {"b", "a", "c"}) ASSERT_TRUE(rig.ask({"pause", "job", job}).ok);
  ASSERT_EQ(rig.send("m1", {"a1@a.test"}, {"X-Job: a"}), "250");
  ASSERT_EQ(rig.send("m2", {"a1@a.test", "a2@a.test", "b@b.test"}, {"X-Job: b"}), "250");
  ASSERT_EQ(rig.send("m3", {"a1@a.test", "a2@a.test"}, {"X-Job: c"}), "250");
  const auto order = [&](const Typed& words) {
    std::string out;
    const std::vector<std::string> lines = lines_of(rig.text(words));
    for (std::size_t i = 2; i + 2 < lines.size(); ++i) out += lines[i].substr(0, 1);
    return out;
  };
  EXPECT_EQ(order({"show", "jobs"}), "abc");
  EXPECT_EQ(order({"show", "jobs", "--sort=rcpt"}), "bca");
  EXPECT_EQ(order({"show", "jobs", "--sort", "rcpt", "--maxitems=2"}), "bc");
  EXPECT_EQ(order({"show", "jobs", "--maxitems=0"}), "");
  EXPECT_EQ(rig.text({"show", "jobs", "--sort=rcpt", "--maxitems=1"}).find("Total of 3 job(s)."),
            rig.text({"show", "jobs", "--sort=rcpt", "--maxitems=1"}).size() - 19);
}

TEST(CommandsSim, TheStatusTreeHasEveryNodeOfPowerMta) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  const std::string dom = rig.text({"--dom", "show", "status"});
  std::vector<std::string> paths;
  for (const char* one : {"product.name", "product.version", "product.buildDate", "product.revision",
                          "product.bits", "lak.serial", "lak.instances", "os.name", "os.version", "os.build",
                          "cpu.type", "cpu.count", "ram.real", "fullHostName", "userString", "hostId",
                          "product.implementation.name", "product.implementation.version"})
    paths.push_back(std::string("mta.") + one);
  for (const char* period : {"total", "lastHr", "lastMin", "topPerHr", "topPerMin"}) {
    for (const char* one : {"out.rcp", "out.msg", "out.kb", "in.rcp", "in.msg", "in.kb", "bounceProcessed",
                            "feedbackLoopProcessed"})
      paths.push_back(std::string("status.traffic.") + period + '.' + one);
  }
  for (const char* one : {"count", "mailFromTime", "dataTime", "totalTime"})
    paths.push_back(std::string("status.traffic.perf.lastMin.in.") + one);
  for (const char* type :
       {"smtp", "pipe", "discard", "file", "alias", "bounceProcessor", "feedbackLoopProcessor"}) {
    for (const char* one : {"rcp", "dom", "kb"})
      paths.push_back(std::string("status.queue.") + type + '.' + one);
  }
  for (const char* one : {"timeNow",
                          "startupTime",
                          "shuttingDown",
                          "conn.smtpIn.cur",
                          "conn.smtpIn.max",
                          "conn.smtpIn.top",
                          "conn.smtpOut.cur",
                          "conn.smtpOut.max",
                          "conn.smtpOut.top",
                          "resolver.namesCached",
                          "resolver.queriesPending",
                          "resolver.queriesActive",
                          "spool.initPct",
                          "spool.dirs",
                          "spool.files.inUse",
                          "spool.files.recycled",
                          "spool.files.total",
                          "spool.totalRcp",
                          "spool.maxRcp",
                          "status"})
    paths.push_back(std::string("status.") + one);
  for (const std::string& path : paths)
    EXPECT_NE(('\n' + dom).find('\n' + path + "=\""), std::string::npos) << path;
  // Three queues of two domains.
  EXPECT_NE(dom.find("status.queue.smtp.rcp=\"5\"\nstatus.queue.smtp.dom=\"2\"\n"), std::string::npos) << dom;
  EXPECT_NE(dom.find("mta.product.name=\"PowerMTA\"\nmta.product.version=\"v5.0r1\"\n"), std::string::npos);
  EXPECT_NE(dom.find("mta.product.implementation.name=\"Sluice\"\n"), std::string::npos);
  const std::string text = rig.text({"show", "status"});
  EXPECT_TRUE(text.starts_with("PowerMTA v5.0r1 status on ")) << text;
  EXPECT_NE(text.find("\n       SMTP          5         2 "), std::string::npos) << text;
  EXPECT_NE(text.find("\n    Program    " + std::string(own_product()) + '\n'), std::string::npos) << text;
}

TEST(CommandsSim, StrangersReadOurNameAndProgramsTheOneTheyLookFor) {
  {
    CommandRig rig("");
    ASSERT_TRUE(rig.boot());
    EXPECT_EQ(rig.text({"show", "version"}), "PowerMTA v5.0r1 (" + std::string(own_product()) + ").\n");
    const std::string greeting = rig.talk({"QUIT"}).front();
    EXPECT_NE(greeting.find('(' + std::string(own_product()) + ')'), std::string::npos) << greeting;
    ASSERT_EQ(rig.send("m1", {"a1@a.test"}), "250");
    rig.settle();
    const std::string body = rig.body("m1");
    EXPECT_NE(body.find(" (" + std::string(own_product()) + ')'), std::string::npos) << body;
    EXPECT_EQ(body.find("PowerMTA"), std::string::npos) << body;
  }
  CommandRig rig("status-product sluice\n");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.text({"show", "version"}), std::string(own_product()) + " (PowerMTA v5.0r1).\n");
  EXPECT_TRUE(rig.text({"show", "status"}).starts_with(std::string(own_product()) + " status on "));
  const std::string dom = rig.text({"--dom", "show", "status"});
  EXPECT_TRUE(dom.starts_with("mta.product.name=\"Sluice\"\n")) << dom;
  EXPECT_NE(dom.find("mta.product.compatibleWith.name=\"PowerMTA\"\n"), std::string::npos);
}

TEST(CommandsSim, ListsSayWhyMailWaitsAndUntilWhen) {
  CommandRig rig(std::string(kSettings) + "<domain c.test>\n    retry-recipients-after 10m\n</domain>\n");
  ASSERT_TRUE(rig.boot());
  const auto grey = Mood{.judge = [](const Asked& asked) {
    return std::string(asked.at == Asked::At::Rcpt ? "451 4.7.1 Greylisting in action, come back later" : "");
  }};
  for (auto& one : rig.scenario.receivers) one->set_mood(grey);
  ASSERT_EQ(rig.send("m1", {"c1@c.test"}), "250");
  rig.scenario.world.run_for(5s);
  const std::string why = rig.text({"show", "queues", "c.test"});
  EXPECT_NE(why.find("1 recipient(s) greylisted, next in "), std::string::npos) << why;
  EXPECT_NE(why.find("; last error: smtp;451 4.7.1 Greylisting in action"), std::string::npos) << why;
  const std::string dom = rig.text({"--dom", "show", "queues", "c.test"});
  EXPECT_NE(dom.find("queue[0].waitsFor=\"1 recipient(s) greylisted"), std::string::npos) << dom;
  EXPECT_NE(dom.find("queue[0].nextAttempt=\""), std::string::npos) << dom;
  EXPECT_NE(dom.find("queue[0].lastError=\"smtp;451 4.7.1 Greylisting"), std::string::npos) << dom;
  const std::string listed = rig.text({"--dom", "list"});
  EXPECT_NE(listed.find("rcpt[0].nextAttempt=\""), std::string::npos) << listed;
  EXPECT_NE(listed.find("rcpt[0].waitsFor=\"greylisted\""), std::string::npos) << listed;
  EXPECT_NE(listed.find("rcpt[0].lastErrorOfQueue=\"smtp;451 4.7.1"), std::string::npos) << listed;
  ASSERT_TRUE(rig.ask({"pause", "queue", "c.test"}).ok);
  EXPECT_NE(rig.text({"show", "queues", "c.test"}).find("paused; last error: "), std::string::npos);
  EXPECT_NE(rig.text({"--dom", "list"}).find("rcpt[0].waitsFor=\"paused\""), std::string::npos);
  ASSERT_TRUE(rig.ask({"resume", "queue", "c.test"}).ok);
  ASSERT_TRUE(rig.ask({"pause", "job", "held"}).ok);
  ASSERT_EQ(rig.send("m2", {"b1@b.test"}, {"X-Job: held"}), "250");
  rig.scenario.world.run_for(1s);
  EXPECT_NE(rig.text({"show", "queues", "b.test"}).find("1 recipient(s) of paused jobs"), std::string::npos);
  EXPECT_EQ(rig.lines_with({"list", "--jobId=held"}, "its job is paused"), 1u);
  ASSERT_TRUE(rig.ask({"resume", "job", "held"}).ok);
  for (auto& one : rig.scenario.receivers) one->set_mood({});
  // A reason that is the last error, too, is told once.
  ASSERT_TRUE(rig.ask({"disable", "source", "0.0.0.0", "c.test"}).ok);
  ASSERT_EQ(rig.send("m3", {"c2@c.test"}), "250");
  rig.scenario.world.run_for(1s);
  for (const Typed& words :
       {Typed{"show", "queues", "c.test"}, Typed{"list", "--rcpt=c2@c.test", "--queue=c.test"}}) {
    const std::string shut = rig.text(words);
    const std::size_t first = shut.find("All SMTP sources for queue c.test/{default} are now disabled");
    ASSERT_NE(first, std::string::npos) << shut;
    EXPECT_EQ(shut.find("All SMTP sources", first + 1), std::string::npos) << shut;
  }
  ASSERT_TRUE(rig.ask({"enable", "source", "0.0.0.0", "c.test"}).ok);
  rig.settle();
}

TEST(CommandsSim, WordsThatMatchNothingAreAnsweredWithWhatThereIs) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  fill(rig);
  const auto says = [&rig](const Typed& words, const std::string& part) {
    EXPECT_NE(rig.text(words).find(part), std::string::npos) << rig.text(words);
  };
  ASSERT_EQ(rig.send("m4", {"only@v1only.test"}, {"X-Job: x", "X-Virtual-MTA: v1"}), "250");
  rig.scenario.world.run_for(1s);
  const std::string meant =
      "v1only.test means v1only.test/{default}; there are v1only.test/v1 (v1only.test/* means all)\n";
  says({"show", "queues", "v1only.test"}, meant);
  says({"list", "--queue=v1only.test"}, meant);
  says({"delete", "--queue=v1only.test"}, "0 recipient(s) deleted.\n" + meant);
  says({"set", "priority", "9", "--queue=v1only.test"}, meant);
  says({"schedule", "v1only.test"}, meant);
  says({"trace", "v1only.test"}, meant);
  EXPECT_EQ(rig.text({"show", "queues", "nobody.test"}).find("means"), std::string::npos);
  says({"disable", "source", "10.9.9.9", "a.test/v1"},
       "no queue of a.test/v1 sends from it; they have 10.255.0.");
  says({"disable", "source", "10.255.0.7", "a.test"}, "it belongs to v1");
  EXPECT_FALSE(rig.ask({"disable", "source", "10.9.9.9", "*"}).ok);
  EXPECT_EQ(rig.text({"show", "disabled", "sources"}).find("10.9.9.9"), std::string::npos);
  ASSERT_TRUE(rig.ask({"rotate", "acct"}).ok);
  says({"rotate", "acct"}, "No row was written since the last rotation");
  says({"rotate", "acct", "/none.csv"}, "no <acct-file> has the path \"/none.csv\"; there is /var/log/");
  says({"pause", "job", "X"}, "No mail of job X is queued now");
  says({"pause", "job", "X"}, "paused job.\n");
  says({"resume", "job", "nosuch"}, "no job \"nosuch\" is paused or has mail");
  EXPECT_FALSE(rig.ask({"resume", "job", "nosuch"}).ok);
  ASSERT_TRUE(rig.ask({"resume", "job", "X"}).ok);
  ASSERT_TRUE(rig.ask({"delete", "--jobId=x"}).ok);
}

TEST(CommandsSim, PoolsShowTheirTurnsAndMembers) {
  CommandRig rig(kSettings);
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("m1", {"a1@a.test"}, {"X-Virtual-MTA: p1"}), "250");
  ASSERT_EQ(rig.send("m2", {"a2@a.test"}, {"X-Virtual-MTA: p1"}), "250");
  rig.settle();
  const std::string dom = rig.text({"--dom", "show", "pools", "p1"});
  EXPECT_TRUE(dom.starts_with("pool[0].name=\"p1\"\npool[0].turns=\"2\"\npool[0].member[0].name=\"v1\"\n"))
      << dom;
  EXPECT_NE(dom.find("pool[0].member[0].delivered=\"2\"\n"), std::string::npos) << dom;
  EXPECT_FALSE(rig.ask({"show", "pools", "p9"}).ok);
  EXPECT_NE(rig.text({"--dom", "show", "vmtas", "v1"}).find("vmta[0].coldToday=\"0\"\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
