// Goal: slots for connections go round: no backlog, no dead domain and no stalled receiver keeps them from others;
//       every queue that waits says why; a source address that is not here is left alone.
// How:  a whole node in the simulated world with few slots, and when the first mail of somebody else arrives.
#include <gtest/gtest.h>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

std::size_t count_at(const Ledger& ledger, std::uint8_t host) {
  return static_cast<std::size_t>(
      std::ranges::count_if(ledger.messages, [host](const Seen& one) { return one.host == host; }));
}

TEST(Slots, ABacklogLeavesTurnsToOthers) {
  struct Case {
    const char* name;
    const char* extra;
    const char* other;  ///< virtual MTA of the second queue
  };
  const Case cases[] = {
      {"the daemon's limit", "total-max-smtp-out 2\n", "v1"},
      {"the daemon's limit, another shard", "total-max-smtp-out 2\n", "v2"},
      {"a virtual MTA's", "<virtual-mta v1>\n max-smtp-out 2\n</virtual-mta>\n", "v1"},
      {"a pool's",
       "<virtual-mta-pool pool>\n virtual-mta v1\n virtual-mta v2\n max-smtp-out 2\n</virtual-mta-pool>\n",
       "v2"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    Limited run(std::string(one.extra) + "<domain *>\n max-rcpt-per-message 1\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 1, .each = 1});  // makes the queue
    ASSERT_TRUE(run.scenario.drain(1min));
    run.scenario.ask({"pause", "queue", "a.test/*"});
    run.send({.recipients = 5000, .each = 1000});
    run.scenario.world.network().default_link.latency = 20ms;
    run.scenario.ask({"resume", "queue", "a.test/*"});
    run.run_for(2s);
    const std::size_t before = count_at(run.seen(), 1);
    ASSERT_GT(before, 50u);
    ASSERT_LT(before, 3000u);
    run.send({.recipients = 3, .each = 1, .domains = {"b.test"}, .vmtas = {one.other}});
    run.run_for(1s);
    EXPECT_EQ(count_at(run.seen(), 2), 3u);
    run.run_for(2s);
    EXPECT_GT(count_at(run.seen(), 1), before + 50) << "and the backlog goes on";
    EXPECT_LE(run.seen().connections_top, 2u);
    run.scenario.close();
  }
}

TEST(Slots, TwoBacklogsShareOneSlotWithoutSpendingItOnConnecting) {
  Limited run("total-max-smtp-out 1\n<domain *>\n max-rcpt-per-message 1\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 20'000, .each = 1000, .domains = {"a.test", "b.test"}});
  run.run_for(10s);
  const std::size_t to_a = count_at(run.seen(), 1);
  const std::size_t to_b = count_at(run.seen(), 2);
  EXPECT_GT(to_a, 300u);
  EXPECT_NEAR(static_cast<double>(to_a), static_cast<double>(to_b), 0.2 * static_cast<double>(to_a));
  EXPECT_LE(run.seen().hellos.size() * 8, to_a + to_b) << "a turn is worth a connection";
  run.scenario.close();
}

/// Some domains of one mail host each, at 10.2.x.y.
void add_crowd(resolver::TableTransport& dns, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".dead";
    dns.add_mx(domain, 10, "mx." + domain);
    dns.add_a("mx." + domain, "10.2." + std::to_string(i / 250) + '.' + std::to_string(i % 250 + 1));
  }
}

std::vector<std::string> crowd(std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back("d" + std::to_string(i) + ".dead");
  return out;
}

/// How long until mail to `domain` has arrived at `host`.
Duration time_to(Limited& run, const std::string& domain, std::uint8_t host) {
  const std::size_t before = count_at(run.seen(), host);
  const MonoTime sent = run.scenario.world.now();
  run.send({.recipients = 1, .each = 1, .domains = {domain}});
  run.scenario.world.run_until([&] { return count_at(run.seen(), host) > before; }, 1h);
  return run.scenario.world.now() - sent;
}

TEST(Slots, DeadDomainsDelayNobody) {
  constexpr std::size_t kDead = 2000;
  Limited run("total-max-smtp-out 40\n<domain *>\n connect-timeout 2m\n retry-after 1m\n</domain>\n");
  run.scenario.extra_zone = [](resolver::TableTransport& dns) { add_crowd(dns, kDead); };
  run.scenario.world.network().set_host(*Cidr::parse("10.2.0.0/16"), runtime::sim::HostState::Silent);
  ASSERT_TRUE(run.scenario.boot());
  EXPECT_LE(time_to(run, "a.test", 1), 1s);
  run.run_for(5min);  // its queue is forgotten, what it has shown is not
  run.send({.recipients = kDead, .each = 1, .domains = crowd(kDead)});
  EXPECT_LE(time_to(run, "a.test", 1), 1s) << "while all the others are new";
  EXPECT_LE(time_to(run, "b.test", 2), 3s) << "new itself";
  for (int i = 0; i < 5; ++i) {
    run.run_for(1min);
    EXPECT_LE(time_to(run, "a.test", 1), 1s) << i;
  }
  EXPECT_LE(time_to(run, "c.test", 3), 3s) << "new, among failing ones";
  run.scenario.close();
}

TEST(Slots, StalledReceiversDelayNobody) {
  for (const bool before_greeting : {true, false}) {
    SCOPED_TRACE(before_greeting);
    constexpr std::size_t kStalled = 120;
    Limited run(
        "total-max-smtp-out 20\n<domain *>\n smtp-greeting-timeout 5m\n data-send-timeout 5m\n"
        " smtp-multiple-line-response-timeout 5m\n smtp-data-termination-timeout 5m\n retry-after 1m\n"
        "</domain>\n");
    run.scenario.extra_zone = [](resolver::TableTransport& dns) { add_crowd(dns, kStalled); };
    Mood mood;
    (before_greeting ? mood.takes_nothing : mood.stalls) = true;
    for (std::size_t i = 0; i < kStalled; ++i) {
      run.scenario.receivers.push_back(std::make_unique<Receiver>(
          run.scenario.world, run.scenario.peers.reactor(1),
          Endpoint{IpAddress::from_v4({10, 2, 0, static_cast<std::uint8_t>(i + 1)}), 2500}, mood,
          run.seen()));
    }
    ASSERT_TRUE(run.scenario.boot());
    EXPECT_LE(time_to(run, "a.test", 1), 1s);
    run.send({.recipients = kStalled * 3, .each = 1, .domains = crowd(kStalled)});
    run.run_for(5s);
    for (int i = 0; i < 5; ++i) {
      run.run_for(30s);
      EXPECT_LE(time_to(run, "a.test", 1), 1s) << i;
    }
    run.scenario.close();
  }
}

/// More domains than there are slots, all of which have taken mail before.
struct GoodCrowd : Limited {
  static constexpr std::size_t kHosts = 30;
  explicit GoodCrowd(const std::string& extra)
      : Limited(
            "total-max-smtp-out 20\n<domain *>\n data-send-timeout 10m\n"
            " smtp-multiple-line-response-timeout 10m\n smtp-data-termination-timeout 10m\n retry-after "
            "1m\n" +
            extra + "</domain>\n") {
    scenario.extra_zone = [](resolver::TableTransport& dns) { add_crowd(dns, kHosts); };
    for (std::size_t i = 0; i < kHosts; ++i) {
      const auto at = IpAddress::from_v4({10, 2, 0, static_cast<std::uint8_t>(i + 1)});
      hosts.push_back(scenario.receivers
                          .emplace_back(std::make_unique<Receiver>(scenario.world, scenario.peers.reactor(1),
                                                                   Endpoint{at, 2500}, Mood{}, seen()))
                          .get());
    }
  }
  void begin() {
    ASSERT_TRUE(scenario.boot());
    send({.recipients = kHosts, .each = 1, .domains = crowd(kHosts)});
    ASSERT_TRUE(scenario.drain(5min));
  }
  void set_mood(const Mood& mood) {
    for (Receiver* host : hosts) host->set_mood(mood);
  }
  std::vector<Receiver*> hosts;
};

TEST(Slots, GoodReceiversThatStallDelayNobodyForLong) {
  struct Case {
    const char* name;
    Mood mood;
    std::size_t body_bytes;
    const char* extra;
  };
  const Case cases[] = {
      {"silent behind a recipient", {.stalls = true}, 300, " ignore-chunking yes\n"},
      {"reads no body", {.reads_no_body = true}, 600'000, ""},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    GoodCrowd run(one.extra);
    run.begin();
    run.set_mood(one.mood);
    run.send({.recipients = GoodCrowd::kHosts * 3,
              .each = 1,
              .domains = crowd(GoodCrowd::kHosts),
              .body_bytes = one.body_bytes});
    run.run_for(2s);
    EXPECT_LE(time_to(run, "a.test", 1), 7s) << "all slots are taken";
    for (int i = 0; i < 5; ++i) {
      run.run_for(30s);
      EXPECT_LE(time_to(run, "a.test", 1), 1s) << i;
    }
    run.set_mood({});
    EXPECT_TRUE(run.scenario.drain(20min)) << "they get their mail when they are well again";
    run.scenario.check_promises(run.injected, false);
    run.scenario.close();
  }
}

/// They have the whole message: to send it again might deliver it twice.
TEST(Slots, GoodReceiversThatOweTheReplyAreWaitedFor) {
  GoodCrowd run("");
  run.begin();
  run.set_mood({.stalls = true});
  const std::size_t before = run.seen().opened.size();
  run.send({.recipients = GoodCrowd::kHosts, .each = 1, .domains = crowd(GoodCrowd::kHosts)});
  run.run_for(2min);
  EXPECT_EQ(run.seen().opened.size() - before, 20u);
  run.scenario.close();
}

TEST(Slots, EveryQueueThatWaitsSaysWhy) {
  Limited run(
      "total-max-smtp-out 1\n<domain a.test>\n max-rcpt-per-message 1\n</domain>\n<domain c.test>\n"
      " retry-recipients-after 10m\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.scenario.receivers[2]->set_mood({.judge = [](const Asked& asked) {
    return std::string(asked.at == Asked::At::Rcpt ? "450 4.2.1 later" : "");
  }});
  run.send({.recipients = 2, .each = 2, .domains = {"c.test"}});
  run.run_for(5s);
  const std::string retry = run.scenario.ask({"show", "queues", "c.test/*"});
  EXPECT_NE(retry.find("2 recipient(s) in retry, next in "), std::string::npos) << retry;
  // The one slot is taken by a host that does not answer, and two more queues want it.
  run.scenario.receivers[0]->set_mood({.stalls = true});
  run.send({.recipients = 1, .each = 1});
  run.run_for(1s);
  run.send({.recipients = 1, .each = 1, .domains = {"b.test"}, .vmtas = {"v2"}});
  run.run_for(1s);
  const std::string waits = run.scenario.ask({"show", "queues", "b.test/*"});
  EXPECT_NE(waits.find("waits for a connection: total-max-smtp-out reached (limit 1)"), std::string::npos)
      << waits;
  run.scenario.close();
}

TEST(Slots, WhatIsOverIsNotSaidAnyMore) {
  Limited run("<domain a.test>\n max-msg-rate 1/h\n max-rcpt-per-message 1\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 2, .each = 1});
  run.run_for(2s);
  run.scenario.ask({"disable", "source", "10.255.0.1", "a.test/v1"});
  run.run_for(1s);
  EXPECT_NE(run.scenario.ask({"show", "queues", "a.test/v1"}).find("are now disabled"), std::string::npos);
  run.scenario.ask({"enable", "source", "10.255.0.1", "a.test/v1"});
  run.run_for(1s);
  const std::string after = run.scenario.ask({"show", "queues", "a.test/v1"});
  EXPECT_EQ(after.find("are now disabled"), std::string::npos) << after;
  EXPECT_NE(after.find("message rate limit reached"), std::string::npos) << after;
  run.scenario.close();
}

TEST(Slots, ASourceThatIsNotHereIsLeftAlone) {
  Limited run(
      "<virtual-mta here>\n smtp-source-host 10.255.0.5 here.sim\n</virtual-mta>\n"
      "<virtual-mta gone>\n smtp-source-host 203.0.113.9 gone.sim\n</virtual-mta>\n"
      "<virtual-mta both>\n smtp-source-host 203.0.113.9 gone.sim\n smtp-source-host 10.255.0.6 six.sim\n"
      "</virtual-mta>\n"
      "<virtual-mta-pool pool>\n virtual-mta here\n virtual-mta gone\n</virtual-mta-pool>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 4, .each = 1, .domains = {"a.test", "b.test"}, .vmtas = {"both"}});
  run.run_for(5s);
  EXPECT_EQ(run.seen().messages.size(), 4u) << "the other address of the virtual MTA takes over";
  run.send({.recipients = 1, .each = 1, .vmtas = {"gone"}});
  run.run_for(2s);
  EXPECT_EQ(run.seen().messages.size(), 4u);
  const std::string shut = run.scenario.ask({"show", "disabled", "sources"});
  EXPECT_NE(shut.find("a.test/gone"), std::string::npos) << shut;
  EXPECT_NE(shut.find("EADDRNOTAVAIL"), std::string::npos) << shut;
  const std::string log = run.scenario.world.disk().content("/var/log/sluice.log");
  EXPECT_NE(log.find("source IP 203.0.113.9 is not an address of this host"), std::string::npos) << log;
  // The pool deals all to the other one, whatever the domain.
  run.send({.recipients = 30, .each = 1, .domains = {"a.test", "b.test", "c.test"}, .vmtas = {"pool"}});
  run.run_for(5s);
  EXPECT_EQ(run.seen().messages.size(), 34u);
  // It is tried again, as long as the queue has mail: not once, and not all the time.
  run.run_for(5min);
  EXPECT_NE(run.scenario.ask({"show", "disabled", "sources"}).find("a.test/gone"), std::string::npos);
  const std::string later = run.scenario.ask({"show", "queues", "a.test/gone", "--mode-events"});
  EXPECT_NE(later.find("enabled: its time is over"), std::string::npos) << later;
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
