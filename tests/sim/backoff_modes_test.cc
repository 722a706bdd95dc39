// Goal: backoff mode comes and goes as configured, disabled sources stay unused, age and attempts end
//       recipients, mail is rerouted; all of it over crashes.
// How:  a whole node in the simulated world against receivers with a mind of their own; what they saw and
//       what commands answer is compared.
#include "tests/sim/backoff_rig.h"

namespace sluice::test {
namespace {

TEST(Backoff, ADeliveryEndsItWhereConfigured) {
  bool angry = true;
  Backoff run(std::string(kSlowList) + R"(
<domain a.test>
    smtp-pattern-list slow
    backoff-to-normal-after-delivery yes
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    return angry && asked.at == Asked::At::Rcpt ? "450 4.7.0 slow" : "";
  });
  run.send(1);
  run.run(1s);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  angry = false;
  run.run(40s);  // retry-recipients-after 30s
  EXPECT_EQ(run.scenario.queued(), 0u);
  EXPECT_FALSE(run.in_backoff("a.test/v1"));
  run.scenario.close();
}

TEST(Backoff, ModeAndDisabledSourcesOutliveACrash) {
  for (const Crash how : {Crash::Kill, Crash::PowerCut}) {
    bool angry = true;
    Backoff run(std::string(kSlowList) + R"(
<domain *>
    smtp-pattern-list slow
    backoff-to-normal-after 1h
</domain>
)");
    run.open([&angry](const Asked& asked) -> std::string {
      if (!angry || asked.at != Asked::At::Rcpt) return "";
      return asked.recipient.ends_with("a.test") ? "450 4.7.0 slow" : "450 4.7.0 this address is listed";
    });
    run.send(1);
    run.send(1, "v1", "b.test");
    run.run(1s);
    EXPECT_TRUE(run.in_backoff("a.test/v1"));
    EXPECT_FALSE(run.in_backoff("b.test/v1"));
    EXPECT_NE(run.ask({"show", "disabled", "sources"}).find("b.test/v1"), std::string::npos);
    EXPECT_NE(run.ask({"show", "queues", "b.test/v1"})
                  .find("All SMTP sources for queue b.test/v1 are now disabled."),
              std::string::npos);
    angry = false;
    run.restart(how);
    EXPECT_TRUE(run.in_backoff("a.test/v1"));
    const std::string disabled = run.ask({"show", "disabled", "sources"});
    EXPECT_NE(disabled.find("10.255.0.1"), std::string::npos) << disabled;
    EXPECT_NE(disabled.find("1 disabled"), std::string::npos) << disabled;
    run.run(5min);
    const auto to_b = [&] {
      return std::ranges::count_if(run.scenario.ledger.tried,
                                   [](const Attempt& one) { return one.recipient.ends_with("b.test"); });
    };
    EXPECT_EQ(to_b(), 1) << "a disabled source is not used";
    run.run(3min);
    EXPECT_EQ(to_b(), 2) << "7 minutes are over";
    run.run(50min);
    EXPECT_TRUE(run.in_backoff("a.test/v1"));
    run.run(5min);
    EXPECT_FALSE(run.in_backoff("a.test/v1"));
    EXPECT_EQ(run.scenario.queued(), 0u);
    // What has ended is forgotten: it does not come back with the next start.
    run.restart(how);
    EXPECT_FALSE(run.in_backoff("a.test/v1"));
    EXPECT_NE(run.ask({"show", "disabled", "sources"}).find("0 disabled"), std::string::npos);
    run.scenario.close();
  }
}

TEST(Backoff, CommandsChangeModesAndSources) {
  Backoff run(R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.5 v3a.node.sim
    smtp-source-host 10.255.0.6 v3b.node.sim
</virtual-mta>
<domain *>
    max-rcpt-per-message 1
    max-msg-rate 10/s
    max-msg-per-connection 2
    retry-recipients-after 1h
    backoff-upon-all-sources-disabled yes
</domain>
)");
  run.open(nullptr);
  run.send(2000, "v3");
  EXPECT_NE(run.ask({"set", "queue", "--mode=backoff", "a.test/*"}).find("backoff"), std::string::npos);
  EXPECT_TRUE(run.in_backoff("a.test/v3"));
  (void)run.ask({"set", "queue", "--mode=normal", "*"});
  EXPECT_FALSE(run.in_backoff("a.test/v3"));
  EXPECT_EQ(run.ask({"disable", "source", "10.255.0.5", "a.test/v3", "--reenable-after=2m"}),
            "Source disabled.\n");
  EXPECT_NE(run.ask({"disable", "source", "10.255.0.77", "a.test/v3"}).find("no queue"), std::string::npos);
  run.run(2s);
  std::size_t from = run.scenario.ledger.tried.size();
  run.run(20s);
  ASSERT_GT(run.scenario.ledger.tried.size(), from + 100);
  for (; from < run.scenario.ledger.tried.size(); ++from) {
    ASSERT_EQ(run.scenario.ledger.tried[from].client, ip("10.255.0.6"));
  }
  (void)run.ask({"disable", "source", "10.255.0.6", "a.test/v3"});
  run.run(2s);
  EXPECT_TRUE(run.in_backoff("a.test/v3")) << "backoff-upon-all-sources-disabled";
  from = run.scenario.ledger.tried.size();
  run.run(1min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), from) << "no source is left";
  run.run(1min);
  EXPECT_GT(run.scenario.ledger.tried.size(), from) << "the first is back";
  EXPECT_EQ(run.scenario.ledger.tried.back().client, ip("10.255.0.5"));
  EXPECT_TRUE(run.in_backoff("a.test/v3")) << "a source that is back does not end backoff";
  EXPECT_EQ(run.ask({"enable", "source", "10.255.0.6", "a.test/v3"}), "Source enabled.\n");
  run.run(10s);
  const auto late = std::span(run.scenario.ledger.tried).last(20);
  EXPECT_TRUE(std::ranges::any_of(late, [](const Attempt& one) { return one.client == ip("10.255.0.6"); }));
  run.scenario.close();
}

TEST(Backoff, NewMailWakesARestingQueueWhereConfigured) {
  for (const bool wakes : {false, true}) {
    bool defer = true;
    Backoff run(std::string(kSlowList) +
                "<domain *>\n smtp-pattern-list slow\n retry-after 1h\n retry-upon-new-mail " +
                (wakes ? "yes" : "no") + "\n</domain>\n");
    run.open([&defer](const Asked& asked) -> std::string {
      return defer && asked.at == Asked::At::Rcpt ? "451 4.7.0 defer all of it" : "";
    });
    run.send(1);
    run.run(5s);
    defer = false;
    run.send(1);
    run.run(2min);
    EXPECT_EQ(run.scenario.queued(), wakes ? 0u : 2u);
    run.scenario.close();
  }
}

TEST(Backoff, AgeEndsRecipientsWhereverTheyWait) {
  Backoff run("<domain *>\n bounce-after 10m\n retry-after 1h\n retry-recipients-after 20s\n</domain>\n");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.2"), runtime::sim::HostState::Silent);
  run.open(
      [](const Asked& asked) -> std::string { return asked.at == Asked::At::Rcpt ? "450 4.2.1 later" : ""; });
  run.send(5, "v1", "b.test");  // in retry for an hour
  run.run(5min);
  run.send(5, "v1", "b.test");
  run.send(5);
  ASSERT_NE(run.ask({"pause", "queue", "a.test/v1"}).find("paused"), std::string::npos);
  run.run(4min);
  EXPECT_EQ(run.scenario.queued(), 15u);
  run.run(2min);
  EXPECT_EQ(run.scenario.queued(), 10u) << "the five oldest of a queue that rests";
  run.run(5min);
  EXPECT_EQ(run.scenario.queued(), 0u) << "a pause does not stop age either";
  run.scenario.close();
}

TEST(Backoff, AttemptsAfterShutoffAreCounted) {
  Backoff run(std::string(kSlowList) +
              "<domain *>\n smtp-pattern-list slow\n smtp-retries-after-shutoff 3\n</domain>\n");
  run.open(
      [](const Asked& asked) -> std::string { return asked.at == Asked::At::Rcpt ? "450 4.7.0 slow" : ""; });
  run.send(1);
  run.run(1h);
  EXPECT_EQ(run.scenario.ledger.tried.size(), 4u) << "the one that brought backoff, and three more";
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, AttemptsAfterShutoffAreCountedOverRestarts) {
  // From the journal, then from a checkpoint, which a start after a stop in peace reads.
  for (const bool peaceful : {false, true}) {
    Backoff run(std::string(kSlowList) +
                "<domain *>\n smtp-pattern-list slow\n smtp-retries-after-shutoff 3\n retry-after 30m\n"
                " backoff-retry-after 30m\n retry-recipients-after 30m\n</domain>\n");
    run.open([](const Asked& asked) -> std::string {
      return asked.at == Asked::At::Rcpt ? "450 4.7.0 slow" : "";
    });
    run.send(1);
    for (int start = 0; start < 6; ++start) {
      run.run(20min);
      if (peaceful) {
        EXPECT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
        run.scenario.node.reset();
      } else {
        run.scenario.crash(Crash::Kill);
      }
      ASSERT_TRUE(run.scenario.boot());
    }
    run.run(2h);
    EXPECT_EQ(run.scenario.ledger.tried.size(), 4u) << "the one that brought backoff, and three more";
    EXPECT_EQ(run.scenario.queued(), 0u);
    run.scenario.close();
  }
}

TEST(Backoff, MailIsReroutedAlsoToAnotherShard) {
  bool angry = true;
  Backoff run(std::string(kSlowList) + R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.5 v3.node.sim
</virtual-mta>
<virtual-mta v1>
    <domain a.test>
        smtp-pattern-list slow
        backoff-reroute-to-virtual-mta v2
        backoff-to-normal-after 10m
        retry-recipients-after 1h
    </domain>
    <domain b.test>
        reroute-to-virtual-mta v3
    </domain>
</virtual-mta>
<virtual-mta v2>
    <domain b.test>
        reroute-to-virtual-mta v1
    </domain>
</virtual-mta>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    return angry && asked.at == Asked::At::Rcpt && asked.client == ip("10.255.0.1") ? "450 4.7.0 slow" : "";
  });
  // v2 -> v1 -> v3 for b.test.
  run.send(10, "v2", "b.test");
  run.run(5s);
  ASSERT_EQ(run.scenario.ledger.tried.size(), 10u);
  for (const Attempt& one : run.scenario.ledger.tried) EXPECT_EQ(one.client, ip("10.255.0.5"));
  run.scenario.ledger.tried.clear();
  run.send(30);
  run.run(5s);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  run.send(30);
  run.run(5s);
  const auto by = [&](const char* source) {
    return std::ranges::count_if(run.scenario.ledger.tried, [&](const Attempt& one) {
      return one.client == ip(source) && !one.refused;
    });
  };
  EXPECT_EQ(by("10.255.0.1"), 0);
  EXPECT_GE(by("10.255.0.3"), 55) << "what had not been refused, at once";
  EXPECT_LT(run.scenario.queued(), 6u) << "the refused ones wait for their time, with v2";
  run.run(1h);
  EXPECT_EQ(by("10.255.0.3"), 60);
  EXPECT_FALSE(run.in_backoff("a.test/v1"));
  angry = false;
  run.send(5);
  run.run(5s);
  EXPECT_EQ(by("10.255.0.1"), 5) << "normal again: its own mail is its own";
  run.scenario.close();
}

TEST(Backoff, ALoopOfReroutesIsIgnored) {
  Backoff run(R"(
<virtual-mta v1>
    <domain *>
        reroute-to-virtual-mta v2
    </domain>
</virtual-mta>
<virtual-mta v2>
    <domain *>
        reroute-to-virtual-mta v1
    </domain>
</virtual-mta>
)");
  run.open(nullptr);
  run.send(20);
  run.run(10s);
  EXPECT_EQ(run.scenario.ledger.tried.size(), 20u) << "mail stays in the last queue and goes out";
  EXPECT_EQ(run.scenario.queued(), 0u);
  const std::string log = run.scenario.world.disk().content("/var/log/sluice.log");
  EXPECT_NE(log.find("reroute ignored"), std::string::npos) << log;
  run.scenario.close();
}

TEST(Backoff, APoolTakesReroutedMailInTurns) {
  Backoff run(R"(
<virtual-mta-pool both>
    virtual-mta v1
    virtual-mta v2
</virtual-mta-pool>
<domain a.test>
    route-to-pool both
    max-rcpt-per-message 1
</domain>
)");
  run.open(nullptr);
  run.send(40, "");
  run.run(10s);
  ASSERT_EQ(run.scenario.ledger.tried.size(), 40u);
  const auto by_v1 = std::ranges::count_if(run.scenario.ledger.tried,
                                           [](const Attempt& one) { return one.client == ip("10.255.0.1"); });
  EXPECT_EQ(by_v1, 20);
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
