// Goal: queues obey their receivers: modes, limits of backoff, disabled sources, retries, reroutes, adaptive
// pace, and
//       all of it over crashes.
// How:  a whole node in the simulated world against receivers with a mind of their own; what they saw, what
// commands
//       answer and what accounting says is compared.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
std::string rcpt(int number, const char* domain = "a.test") {
  return "u" + std::to_string(number) + '@' + domain;
}

struct Backoff {
  explicit Backoff(const std::string& extra, std::uint64_t seed = 5) : scenario(seed, extra) {
    scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
  }
  void open(Judge judge) {
    Mood mood;
    mood.judge = std::move(judge);
    scenario.open_receivers(mood);
    ASSERT_TRUE(scenario.boot());
  }
  /// `count` messages to one recipient each at `domain` by way of `vmta`.
  void send(int count, const char* vmta = "v1", const char* domain = "a.test") {
    std::vector<Mail> mails;
    for (int i = 0; i < count; ++i) {
      mails.push_back({.id = "m" + std::to_string(sent),
                       .recipients = {rcpt(sent, domain)},
                       .vmta = vmta,
                       .body_bytes = 300});
      ++sent;
    }
    ASSERT_TRUE(finish(scenario.world,
                       inject(scenario.peers.reactor(0), Scenario::listener(), std::move(mails), injected),
                       1h));
    ASSERT_TRUE(injected.refusals.empty()) << injected.refusals.front();
  }
  std::string ask(const std::vector<std::string>& words) {
    const auto answer =
        finish(scenario.world, scenario.node->node().execute(*control::Command::of(words)), 1min);
    return answer ? answer->text : "no answer";
  }
  bool in_backoff(const std::string& queue) {
    return ask({"show", "queues", queue, "--mode=backoff"}).find("1 of 1 matching") != std::string::npos;
  }
  /// Recipients tried in [from, to).
  std::size_t tried(MonoTime from, MonoTime to) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        scenario.ledger.tried, [&](const Attempt& one) { return one.time >= from && one.time < to; }));
  }
  MonoTime now() { return scenario.world.now(); }
  void run(Duration time) { scenario.world.run_for(time); }
  void restart(Crash how) {
    scenario.crash(how);
    ASSERT_TRUE(scenario.boot());
  }
  Scenario scenario;
  Injected injected;
  int sent = 0;
};

constexpr const char* kSlowList = R"(
<smtp-pattern-list slow>
    reply /4\.7\.0 .*slow/ mode=backoff
    reply /4\.7\.0 .*gone/ skip-mx
    reply /5\.7\.1 .*blocked/ bounce-queue
    reply /4\.7\.0 .*defer/ defer-queue
    reply /4\.7\.0 .*address/ disable-source-ip,reenable-after=7m
    reply /4\.2\.2 .*full/ bounce-rcpt
    reply /4\.7\.0 .*normal/ mode=normal
</smtp-pattern-list>
)";

TEST(Backoff, ItsLimitsReplaceTheNormalOnesAndAreKept) {
  bool angry = false;
  Backoff run(std::string(kSlowList) + R"(
<domain a.test>
    smtp-pattern-list slow
    max-rcpt-per-message 1
    max-smtp-out 10
    max-msg-rate 20/s
    backoff-max-smtp-out 2
    backoff-max-msg-rate 30/min
    backoff-max-connect-rate 4/min
    max-msg-per-connection 3
    backoff-to-normal-after 30m
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    return angry && asked.at == Asked::At::Rcpt ? std::exchange(angry, false),
           "421 4.7.0 please slow down"         : "";
  });
  run.send(4000);
  run.run(20s);
  EXPECT_FALSE(run.in_backoff("a.test/v1"));
  EXPECT_GT(run.tried(run.now() - 10s, run.now()), 190u);
  angry = true;
  run.run(2s);
  EXPECT_FALSE(angry);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  run.run(10s);  // what was under way has ended
  const std::vector<Attempt>& seen = run.scenario.ledger.tried;
  const std::size_t first = seen.size();
  const std::size_t opened_before = run.scenario.ledger.opened.size();
  const MonoTime from = run.now();
  for (int i = 0; i < 20; ++i) {
    run.run(1min);
    EXPECT_LE(run.scenario.ledger.connections, 2u);
  }
  for (std::size_t i = first + 30; i < seen.size(); ++i) {
    ASSERT_GE(seen[i].time - seen[i - 30].time, 1min) << "window ending at recipient " << i;
  }
  const std::vector<MonoTime>& opened = run.scenario.ledger.opened;
  for (std::size_t i = opened_before + 4; i < opened.size(); ++i)
    ASSERT_GE(opened[i] - opened[i - 4], 1min) << i;
  // 4 connections of 3 messages a minute are what the connect rate leaves of the 30.
  EXPECT_GE(run.tried(from, run.now()), 12 * 20 - 12u);
  EXPECT_TRUE(run.in_backoff("a.test/v1"));
  run.run(9min + 50s);
  EXPECT_FALSE(run.in_backoff("a.test/v1")) << "backoff-to-normal-after";
  run.run(30s);
  EXPECT_GT(run.tried(run.now() - 10s, run.now()), 190u);
  const std::string events = run.ask({"show", "queues", "a.test/v1", "--mode-events", "--errors"});
  EXPECT_NE(events.find("mode backoff, by reply: 421 4.7.0 please slow down"), std::string::npos) << events;
  EXPECT_NE(events.find("mode normal, by time"), std::string::npos) << events;
  EXPECT_NE(events.find("message rate limit reached (based on queue's "), std::string::npos) << events;
  run.scenario.close();
}

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

TEST(Backoff, ChangesAreToldByMailOnceEach) {
  bool angry = true;
  Backoff run(std::string(kSlowList) + R"(
<domain a.test>
    smtp-pattern-list slow
    backoff-notify ops@c.test,boss@c.test
    disabled-source-ip-notify ops@c.test
    backoff-to-normal-after 10m
</domain>
)");
  run.open([&angry](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt || !asked.recipient.ends_with("a.test") || !angry) return "";
    return asked.recipient == rcpt(0) ? "450 4.7.0 slow" : "450 4.7.0 this address is listed";
  });
  run.send(1);
  run.run(2min);
  const auto notices = [&](std::string_view subject) {
    std::size_t count = 0;
    for (const auto& [id, body] : run.scenario.ledger.bodies)
      count += body.find(subject) != std::string::npos ? 1 : 0;
    return count;
  };
  EXPECT_EQ(notices("Subject: Queue a.test/v1 is now in backoff mode\r\n"), 1u)
      << "once, although it was said often";
  EXPECT_EQ(run.scenario.ledger.delivered.size(), 2u) << "to both";
  const std::string& body = run.scenario.ledger.bodies.begin()->second;
  EXPECT_NE(body.find("From: ops@node.sim\r\nTo: ops@c.test,\r\n boss@c.test\r\n"), std::string::npos)
      << body;
  EXPECT_NE(body.find("Why: backoff, by reply: 450 4.7.0 slow"), std::string::npos) << body;
  run.send(1);
  run.run(2min);
  EXPECT_EQ(notices("Subject: Queue a.test/v1: source IP 10.255.0.1 disabled for 420s"), 1u);
  angry = false;
  run.run(20min);
  EXPECT_EQ(notices("Subject: Queue a.test/v1 is now in normal mode\r\n"), 1u);
  EXPECT_EQ(notices("Subject: Queue a.test/v1: source IP 10.255.0.1 enabled"), 1u);
  EXPECT_EQ(run.scenario.queued(), 0u);
  run.scenario.close();
}

TEST(Backoff, AStormOfChangesDoesNotFillTheMailbox) {
  Backoff run(R"(
<domain *>
    backoff-notify ops@c.test
</domain>
)");
  run.open(nullptr);
  run.send(1);
  run.run(2s);
  ASSERT_NE(run.ask({"pause", "queue", "a.test/*"}).find("paused"), std::string::npos);
  run.send(1);
  for (int i = 0; i < 100; ++i) {
    (void)run.ask({"set", "queue", "--mode=backoff", "a.test/*"});
    (void)run.ask({"set", "queue", "--mode=normal", "a.test/*"});
    run.run(1s);
  }
  EXPECT_EQ(run.scenario.ledger.bodies.size(), 60u + 1u);
  run.run(1h);
  (void)run.ask({"set", "queue", "--mode=backoff", "a.test/*"});
  run.run(10s);
  EXPECT_EQ(run.scenario.ledger.bodies.size(), 61u + 1u);
  bool counted = false;
  for (const auto& [id, body] : run.scenario.ledger.bodies) {
    counted = counted || body.find("140 more notices were left out") != std::string::npos;
  }
  EXPECT_TRUE(counted);
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

TEST(Backoff, AdaptivePaceFindsWhatTheReceiverTakes) {
  // The receiver takes 10 a second over any 10 seconds and refuses the rest; the ceiling is four times that.
  std::vector<MonoTime> accepted;
  std::size_t refused = 0;
  Backoff run(R"(
<domain a.test>
    max-rcpt-per-message 1
    max-smtp-out 5
    max-msg-rate 40/s
    retry-recipients-after 1m
    adaptive-pacing yes
    adaptive-pacing-interval 1m
    adaptive-pacing-step 10
</domain>
)");
  run.open([&](const Asked& asked) -> std::string {
    if (asked.at != Asked::At::Rcpt) return "";
    const auto lately =
        std::ranges::count_if(std::span(accepted).last(std::min<std::size_t>(accepted.size(), 200)),
                              [&](MonoTime time) { return asked.now - time < 10s; });
    if (lately >= 100) {
      ++refused;
      return "421 4.7.28 unusual rate of mail from your address";
    }
    accepted.push_back(asked.now);
    return "";
  });
  run.send(20'000);
  run.run(3min);
  const std::string shown = run.ask({"show", "queues", "a.test/v1"});
  EXPECT_NE(shown.find("adaptive pace: "), std::string::npos) << shown;
  EXPECT_NE(shown.find(" of 40/s"), std::string::npos) << shown;
  run.restart(Crash::Kill);
  EXPECT_NE(run.ask({"show", "queues", "a.test/v1"}).find("adaptive pace: "), std::string::npos)
      << "the pace is remembered";
  const std::size_t refused_before = refused;
  const std::size_t accepted_before = accepted.size();
  run.run(10min);
  const std::size_t more = accepted.size() - accepted_before;
  EXPECT_GT(more, 600 * 4u) << "not starved";
  EXPECT_LT(refused - refused_before, more / 10) << "few are refused once the rate is found";
  // Never above the configured ceiling.
  const std::vector<Attempt>& seen = run.scenario.ledger.tried;
  for (std::size_t i = 40; i < seen.size(); ++i) ASSERT_GE(seen[i].time - seen[i - 40].time, 1s) << i;
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
