// Goal: every action of `<smtp-pattern-list>`, of inline rules and of `<bounce-actions>` does what it says,
//       and whatever receivers say every recipient ends once.
// How:  a whole node in the simulated world; what receivers saw, what commands answer and what accounting
// says.
#include "tests/sim/backoff_rig.h"

namespace sluice::test {
namespace {

TEST(Backoff, ASkippedHostKeepsMailForTheNextOne) {
  Backoff run(std::string(kSlowList) + "<domain *>\n smtp-pattern-list slow\n</domain>\n");
  run.scenario.extra_zone = [](resolver::TableTransport& dns) {
    dns.add_mx("two.test", 10, "mx.a.test");
    dns.add_mx("two.test", 20, "mx.b.test");
  };
  bool second_too = false;
  run.open([&second_too](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt || (asked.host == ip("10.1.0.2") && !second_too)) return "";
    return "550 4.7.0 gone away";
  });
  run.send(3, "v1", "two.test");
  run.run(5s);
  EXPECT_EQ(run.scenario.queued(), 0u);
  EXPECT_EQ(std::ranges::count_if(run.scenario.ledger.tried,
                                  [](const Attempt& one) { return one.host == ip("10.1.0.2"); }),
            3)
      << "through the second host, although the first said 550";
  second_too = true;
  run.send(2, "v1", "two.test");
  run.run(5s);
  EXPECT_EQ(run.scenario.queued(), 2u) << "both skipped: the mail waits";
  const std::string shown = run.ask({"show", "queues", "two.test/v1"});
  EXPECT_NE(
      shown.find("skip of MX requested: \"550 4.7.0 gone away\" received from mx.b.test (10.1.0.2) while "
                 "connected from v1.node.sim (10.255.0.1) to mx.b.test (10.1.0.2)"),
      std::string::npos)
      << shown;
  const std::size_t before = run.scenario.ledger.tried.size();
  run.run(10s);
  EXPECT_EQ(run.scenario.ledger.tried.size(), before) << "no knocking in a loop";
  second_too = false;
  run.run(1min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, BounceQueueEndsEverythingThatWaits) {
  bool blocked = false;
  Backoff run(std::string(kSlowList) +
              "<domain *>\n smtp-pattern-list slow\n max-rcpt-per-message 1\n</domain>\n");
  run.open([&blocked](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt) return "";
    return blocked ? "550 5.7.1 blocked" : "450 4.2.1 later";
  });
  run.send(20);
  run.run(10s);
  EXPECT_EQ(run.scenario.queued(), 20u);
  blocked = true;
  run.run(1min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  const std::size_t tried = run.scenario.ledger.tried.size();
  EXPECT_LT(tried, 40u) << "not each of them had to hear it";
  run.scenario.close();
  std::size_t marked = 0;
  std::size_t plain = 0;
  for (const std::string& path : run.scenario.world.disk().files_below("/var/log")) {
    const std::string text = run.scenario.world.disk().content(path);
    if (path.find("/acct-") == std::string::npos) continue;
    for (std::size_t at = 0;
         (at = text.find("x-pmta;bounce-queue (smtp;550 5.7.1 blocked)", at)) != std::string::npos; ++at)
      ++marked;
    for (std::size_t at = 0; (at = text.find(",smtp;550 5.7.1 blocked", at)) != std::string::npos; ++at)
      ++plain;
  }
  EXPECT_EQ(marked + plain, 20u);
  EXPECT_GT(marked, 0u);
  EXPECT_GT(plain, 0u);
}

TEST(Backoff, DeferQueueRestsForTheIntervalAlsoOverACrash) {
  bool defer = true;
  Backoff run(
      std::string(kSlowList) +
      "<domain *>\n smtp-pattern-list slow\n retry-after 10m,1h\n max-rcpt-per-message 1\n</domain>\n");
  run.open([&defer](const Asked& asked) -> std::string {
    return defer && asked.at == Asked::At::Rcpt ? "451 4.7.0 defer all of it" : "";
  });
  run.send(50);
  run.run(5s);
  const std::size_t first = run.scenario.ledger.tried.size();
  EXPECT_LT(first, 20u);
  run.run(5min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), first) << "the queue rests";
  run.restart(Crash::Kill);
  run.run(3min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), first) << "also after a crash";
  defer = false;
  run.run(4min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, BounceRcptIsForTransientRepliesToRcpt) {
  Backoff run(std::string(kSlowList) + "<domain *>\n smtp-pattern-list slow\n</domain>\n");
  run.open([](const Asked& asked) -> std::string {
    if (asked.at == Asked::At::Rcpt && asked.recipient == rcpt(0)) return "452 4.2.2 full";
    if (asked.at == Asked::At::Final) return "452 4.2.2 full";
    return "";
  });
  run.send(1);
  run.run(2s);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.send(1);
  run.run(2s);
  EXPECT_EQ(run.scenario.queued(), 1u) << "at the end of data it means nothing";
  run.scenario.close();
}

TEST(Backoff, InlineRulesBackOffAndComeBackByThemselves) {
  bool angry = true;
  Backoff run(R"(
<domain a.test>
    smtp-pattern-list smtp-421-backoff "421 4.7.0"
    retry-after 421 4.7.0 TS01 10m
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    return angry && asked.at == Asked::At::Rcpt ? "421 4.7.0 [TS01] Messages from 10.255.0.1 deferred" : "";
  });
  run.send(1);
  run.run(1s);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  angry = false;
  run.run(9min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), 1u) << "waits for the interval of its rule";
  run.run(2min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  EXPECT_FALSE(run.in_backoff("a.test/v1"));
  run.scenario.close();
}

TEST(Backoff, BounceActionsRetryDropAndOnlyLog) {
  Backoff run(R"(
<bounce-actions>
    match bad-mailbox action=retry retry-after=10m
    reply /^4\.7\.1;/ action=suppress
    reply /^5\.7\.1;/ action=retry retry-after=5m log-only=yes
    match quota-issues action=retry retry-after=20m
</bounce-actions>
)");
  bool angry = true;
  run.open([&angry](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt || !angry) return "";
    if (asked.recipient == rcpt(0)) return "550 5.1.1 no such user";
    if (asked.recipient == rcpt(1)) return "450 4.7.1 not wanted here";
    if (asked.recipient == rcpt(2)) return "550 5.7.1 not wanted here";
    return "452 4.2.2 mailbox full";
  });
  run.send(4);
  run.run(5s);
  EXPECT_EQ(run.scenario.queued(), 2u) << "the 4.7.1 is dropped, the 5.7.1 bounces as ever";
  const std::string events = run.ask({"show", "queues", "a.test/v1", "--mode-events"});
  EXPECT_NE(events.find("bounce action retry (log only): 5.7.1;smtp;550 5.7.1 not wanted here"),
            std::string::npos)
      << events;
  angry = false;
  run.run(9min);
  EXPECT_EQ(run.scenario.queued(), 2u);
  run.run(2min);
  EXPECT_EQ(run.scenario.queued(), 1u) << "what was a bounce is delivered at the second try";
  run.run(10min);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, BounceHandlingOfAVirtualMtaIsTheSameThing) {
  Backoff run(R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.5 v3.node.sim
    <bounce-handling>
        <response match="5.1.1" action="delete" log-only="no"/>
        <response match="4.*" action="retry" retry-after="1h"/>
    </bounce-handling>
</virtual-mta>
)");
  run.open([](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt) return "";
    return asked.recipient == rcpt(0) ? "550 5.1.1 no such user" : "450 4.2.1 later";
  });
  run.send(2, "v3");
  run.run(50min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), 2u) << "not after 30 seconds but after an hour";
  run.run(11min);
  EXPECT_EQ(run.scenario.ledger.tried.size(), 3u);
  run.scenario.close();
}

TEST(Backoff, WhateverReceiversSayEveryRecipientEndsOnce) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Backoff run(std::string(kSlowList) + R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.5 v3a.node.sim
    smtp-source-host 10.255.0.6 v3b.node.sim
</virtual-mta>
<domain *>
    smtp-pattern-list slow
    max-rcpt-per-message 3
    retry-after 30s,1m
    backoff-retry-after 40s
    backoff-to-normal-after 3m
    backoff-upon-all-sources-disabled yes
    reenable-source-ip-after 1m
    adaptive-pacing yes
    adaptive-pacing-floor 20/s
    adaptive-pacing-interval 30s
</domain>
<virtual-mta v2>
    <domain *>
        backoff-reroute-to-virtual-mta v3
    </domain>
</virtual-mta>
<virtual-mta v1>
    <domain c.test>
        reroute-to-virtual-mta v3
    </domain>
</virtual-mta>
)",
                seed);
    run.scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_mx("a.test", 20, "mx.b.test"); };
    bool calm = false;
    run.open([&run, &calm](const Asked& asked) -> std::string {
      static constexpr const char* kWords[] = {
          "421 4.7.0 slow",   "550 4.7.0 gone", "451 4.7.0 defer",   "450 4.7.0 other address",
          "450 4.7.0 normal", "450 4.2.1 busy", "421 4.3.2 closing", "550 5.1.1 unknown",
      };
      if (calm) return run.scenario.ledger.refused.contains(asked.recipient) ? "550 5.1.1 unknown" : "";
      if (asked.at == Asked::At::Rcpt && run.scenario.ledger.refused.contains(asked.recipient)) {
        return "550 5.1.1 unknown";
      }
      if (run.scenario.world.random().below(100) >= 35) return "";
      const std::size_t which = run.scenario.world.random().below(asked.at == Asked::At::Rcpt ? 8 : 7);
      if (which != 7) return kWords[which];
      // Who was taken before a crash, without the outcome being kept, does not become unknown at the second
      // try.
      for (const auto& [key, times] : run.scenario.ledger.delivered) {
        if (key.ends_with(' ' + asked.recipient)) return "";
      }
      run.scenario.ledger.refused.insert(asked.recipient);
      return kWords[which];
    });
    std::vector<Mail> mails = run.scenario.mails(120, "s" + std::to_string(seed) + "-");
    ASSERT_TRUE(finish(
        run.scenario.world,
        inject(run.scenario.peers.reactor(0), Scenario::listener(), std::move(mails), run.injected), 1h));
    for (int round = 0; round < 3; ++round) {
      run.run(std::chrono::seconds(20 + run.scenario.world.random().below(200)));
      run.restart(round % 2 == 0 ? Crash::Kill : Crash::PowerCut);
    }
    run.run(5min);
    calm = true;
    EXPECT_TRUE(run.scenario.drain(3h)) << run.ask({"show", "queues", "--errors", "--mode-events"});
    if (run.scenario.queued() > 0) break;
    run.scenario.close();
    run.scenario.check_promises(run.injected, true);
  }
}

}  // namespace
}  // namespace sluice::test
