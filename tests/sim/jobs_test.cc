// Goal: jobs can be listed, paused, resumed and deleted over all queues, also over a restart; priorities go
//       first; cold virtual MTAs get what their limits say, day by day, and a restart gives nothing twice.
// How:  a whole node in the simulated world with its commands.
#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

struct JobsRig : IdentityRig {
  using IdentityRig::IdentityRig;
  std::string command(const std::vector<std::string>& words) {
    const auto answer =
        finish(scenario.world, scenario.node->node().execute(*control::Command::of(words)), 10min);
    return answer ? answer->text : "hangs";
  }
  bool ok(const std::vector<std::string>& words) {
    const auto answer =
        finish(scenario.world, scenario.node->node().execute(*control::Command::of(words)), 10min);
    return answer && answer->ok;
  }
  std::map<std::string, int> delivered_by_job() {
    std::map<std::string, int> out;
    for (Row& row : rows("d")) ++out[row["jobId"]];
    return out;
  }
};

constexpr const char* kJobs = R"(
<source 0/0>
    process-x-job yes
</source>
)";

TEST(JobsSim, PausedJobsWaitInEveryQueueAndGoOn) {
  JobsRig rig(kJobs);
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.command({"pause", "job", "slow"}),
            "paused job.\nNo mail of job slow is queued now; what comes waits until `resume job`.\n");
  ASSERT_EQ(rig.send("p1", {"a@a.test", "b@b.test", "c@c.test"}, {"X-Job: slow"}), "250");
  ASSERT_EQ(rig.send("q1", {"a@a.test", "b@b.test"}, {"X-Job: quick", "X-Virtual-MTA: v1"}), "250");
  ASSERT_EQ(rig.send("n1", {"a@a.test"}), "250");
  rig.scenario.world.run_for(1min);
  EXPECT_EQ(rig.delivered_by_job(), (std::map<std::string, int>{{"quick", 2}, {"", 1}}));
  const std::string shown = rig.command({"show", "jobs"});
  EXPECT_NE(shown.find("slow                                             3 "), std::string::npos) << shown;
  EXPECT_NE(shown.find(" paused\n\nTotal of 1 job(s).\n"), std::string::npos) << shown;
  // The pause and the job's name outlive the process.
  rig.scenario.crash(Crash::Kill);
  ASSERT_TRUE(rig.scenario.boot());
  rig.scenario.world.run_for(1min);
  EXPECT_EQ(rig.delivered_by_job()["slow"], 0);
  const std::string again = rig.command({"show", "jobs"});
  EXPECT_NE(again.find("slow                                             3 "), std::string::npos) << again;
  EXPECT_EQ(rig.command({"resume", "job", "slow"}), "resumed job.\n");
  rig.settle();
  EXPECT_EQ(rig.delivered_by_job()["slow"], 3);
  EXPECT_NE(rig.command({"show", "jobs"}).find("Total of 0 job(s).\n"), std::string::npos);
}

TEST(JobsSim, DeletesWhatIsMeantAndNothingElse) {
  JobsRig rig(kJobs);
  ASSERT_TRUE(rig.boot());
  ASSERT_TRUE(rig.ok({"pause", "job", "x"}));
  ASSERT_TRUE(rig.ok({"pause", "job", "y"}));
  ASSERT_EQ(rig.send("x1", {"a@a.test", "b@b.test"}, {"X-Job: x"}, "one@s.sim"), "250");
  ASSERT_EQ(rig.send("x2", {"c@c.test"}, {"X-Job: x"}, "two@s.sim"), "250");
  ASSERT_EQ(rig.send("y1", {"a@a.test"}, {"X-Job: y"}, "one@s.sim"), "250");
  EXPECT_FALSE(rig.ok({"delete"}));
  EXPECT_FALSE(rig.ok({"delete", "--jobId=x", "--older-than=soon"}));
  EXPECT_EQ(rig.command({"delete", "--jobId=x", "--older-than=1d"}), "0 recipient(s) deleted.\n");
  EXPECT_EQ(rig.command({"delete", "--jobId=x", "--orig=two@*"}), "1 recipient(s) deleted.\n");
  EXPECT_EQ(rig.command({"delete", "--queue=*/*", "--rcpt=B@b.test"}), "1 recipient(s) deleted.\n");
  EXPECT_EQ(rig.command({"delete", "--jobId=x", "--queue=a.test"}), "1 recipient(s) deleted.\n");
  ASSERT_TRUE(rig.ok({"resume", "job", "x"}));
  ASSERT_TRUE(rig.ok({"resume", "job", "y"}));
  rig.settle();
  const std::vector<Row> bounced = rig.rows("b");
  EXPECT_EQ(bounced.size(), 3u);
  for (const Row& row : bounced) EXPECT_EQ(row.at("dsnDiag"), "smtp;deleted by administrator");
  EXPECT_EQ(rig.delivered_by_job(), (std::map<std::string, int>{{"y", 1}}));
}

TEST(JobsSim, HigherPrioritiesGoFirst) {
  JobsRig rig(R"(
<pattern-list order>
    rcpt-to /^vip/ recipient-priority=90
    rcpt-to /^low/ recipient-priority=10
</pattern-list>
<source 0/0>
    pattern-list order
</source>
<domain a.test>
    max-smtp-out 1
    max-rcpt-per-message 1
</domain>
)");
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("first", {"x@a.test"}), "250");
  rig.settle();
  ASSERT_TRUE(rig.ok({"pause", "queue", "a.test/*"}));
  for (const char* name : {"low1", "mid1", "vip1", "low2", "mid2", "vip2"}) {
    ASSERT_EQ(rig.send(name, {std::string(name) + "@a.test"}), "250");
  }
  ASSERT_TRUE(rig.ok({"resume", "queue", "a.test/*"}));
  rig.settle();
  std::vector<std::string> order;
  for (const std::string& one : rig.scenario.ledger.order) {
    const std::string name = one.substr(1, one.find('@') - 1);
    if (name != "first") order.push_back(name);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"vip1", "vip2", "mid1", "mid2", "low1", "low2"}));
}

/// A virtual MTA with two that are being warmed up, and `domains` of its own. All mail goes by it.
std::string warmed_up(const std::string& domains) {
  return R"(
<virtual-mta cold1>
    smtp-source-host 10.255.0.7 cold1.node.sim
</virtual-mta>
<virtual-mta cold2>
    smtp-source-host 10.255.0.8 cold2.node.sim
</virtual-mta>
<virtual-mta warm>
    smtp-source-host 10.255.0.9 warm.node.sim
    cold-virtual-mta cold1
    cold-virtual-mta cold2
)" + domains +
         R"(
</virtual-mta>
<source 0/0>
    default-virtual-mta warm
</source>
)";
}

TEST(ColdSim, LimitsHoldDayByDayAndOverRestarts) {
  JobsRig rig(warmed_up(R"(    <domain a.test>
        max-cold-virtual-mta-msg 3/d,5/d
    </domain>
    <domain b.test>
        queue-to a.test
    </domain>
)"));
  ASSERT_TRUE(rig.boot());
  int sent = 0;
  const auto counts = [&] {
    rig.settle();
    std::map<std::string, int> out;
    for (Row& row : rig.rows("d")) ++out[row["vmta"]];
    return out;
  };
  const auto send = [&](int count, const char* domain) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(rig.send("c" + std::to_string(sent++), {"joe@" + std::string(domain)}), "250");
    }
  };
  send(4, "a.test");
  send(6, "b.test");  // counts for the queue it is sent on to
  send(2, "c.test");  // nothing is said about it
  EXPECT_EQ(counts(), (std::map<std::string, int>{{"cold1", 3}, {"cold2", 3}, {"warm", 6}}));
  rig.scenario.crash(Crash::Kill);
  ASSERT_TRUE(rig.scenario.boot());
  send(3, "a.test");
  EXPECT_EQ(counts(), (std::map<std::string, int>{{"cold1", 3}, {"cold2", 3}, {"warm", 9}}));
  // The next day, and the days after it.
  rig.scenario.world.run_for(24h);
  send(12, "a.test");
  EXPECT_EQ(counts(), (std::map<std::string, int>{{"cold1", 8}, {"cold2", 8}, {"warm", 11}}));
  rig.scenario.world.run_for(24h);
  send(12, "a.test");
  EXPECT_EQ(counts(), (std::map<std::string, int>{{"cold1", 13}, {"cold2", 13}, {"warm", 13}}));
}

TEST(ColdSim, ManySmallDomainsShareTheTurns) {
  JobsRig rig(warmed_up(R"(    <domain *>
        max-cold-virtual-mta-msg 5/d
    </domain>
    <domain a.test>
        max-cold-virtual-mta-msg 1/d
    </domain>
)"));
  ASSERT_TRUE(rig.boot());
  std::map<std::string, int> sent;
  const auto send = [&](int number, const std::string& domain) {
    ASSERT_EQ(rig.send("t" + std::to_string(number), {"joe@" + domain}), "250");
  };
  send(0, "a.test");
  send(1, "a.test");  // both have had theirs for it
  for (int i = 0; i < 30; ++i) {
    send(2 + 2 * i, "a.test");  // no turn is taken
    send(3 + 2 * i, "small" + std::to_string(i) + ".test");
  }
  rig.settle();
  for (const char* type : {"d", "b"}) {  // the small ones do not exist
    for (Row& row : rig.rows(type)) ++sent[row["vmta"]];
  }
  EXPECT_EQ(sent, (std::map<std::string, int>{{"cold1", 16}, {"cold2", 16}, {"warm", 30}}));
}

}  // namespace
}  // namespace sluice::test
