// Goal: mail enters the queue its MX records, its rollup list or its `queue-to` say, before anything is sent;
//       over DNS failures, reloads and crashes it stays there or finds its way back, each recipient exactly
//       once.
// How:  a whole node in the simulated world with hosted domains in its zone; the queue is read from the
// accounting rows.
#include <gtest/gtest.h>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

using resolver::TableTransport;

/// Domains at providers: hN.google -> mx.a.test, oN.office -> a name of its own each, all at 10.1.0.2.
void hosted(TableTransport& dns) {
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    dns.add_mx("h" + n + ".google", 10, "mx.a.test");
    dns.add_mx("h" + n + ".google", 20, "mx.c.test");
    dns.add_mx("o" + n + ".office", 10, "o" + n + ".mail.office.test");
    dns.add_a("o" + n + ".mail.office.test", "10.1.0.2");
  }
  dns.add_mx("far.office", 10, "far.mail.office.test");
  dns.add_a("far.mail.office.test", "10.1.0.3");
}

struct Routed {
  explicit Routed(const std::string& extra, std::uint64_t seed = 5) : scenario(seed, extra) {
    scenario.extra_zone = [this](TableTransport& dns) {
      hosted(dns);
      if (zone) zone(dns);
      tables.push_back(&dns);
    };
    scenario.open_receivers({});
  }
  void send(const std::vector<std::string>& domains, const std::string& vmta = "v1",
            const std::string& prefix = "m") {
    std::vector<Mail> mails;
    for (const std::string& domain : domains) {
      mails.push_back({.id = prefix + std::to_string(sent++),
                       .recipients = {"u" + std::to_string(sent) + "@" + domain},
                       .vmta = vmta,
                       .body_bytes = 300});
    }
    scenario.take_in(std::move(mails), injected);
  }
  /// Queue of every delivered recipient's domain, from the accounting rows.
  std::map<std::string, std::string> queues() {
    std::map<std::string, std::string> out;
    for (Row& row : acct_rows(scenario.world.disk(), "acct"))
      out[row["rcpt"].substr(row["rcpt"].find('@') + 1)] = row["type"] + ' ' + row["queue"];
    return out;
  }
  void reload(const std::string& extra) { scenario.reload(extra); }
  void close() {
    scenario.check_promises(injected, crashed);
    scenario.close();
  }
  Scenario scenario;
  SimNode::Zone zone;
  std::vector<TableTransport*> tables;  // of the last boot, one for each shard
  Injected injected;
  int sent = 0;
  bool crashed = false;
};

constexpr const char* kList = "<mx-rollup-list>\n mx mx.a.test google.rollup\n</mx-rollup-list>\n";

TEST(Routing, DomainsOfAProviderShareItsQueueAndItsLimits) {
  Routed run(std::string(kList) +
             "<domain google.rollup>\n max-smtp-out 1\n</domain>\n"
             "<domain h3.google>\n disable-mx-rollup yes\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  for (const char* vmta : {"v1", ""}) {  // "" is spread over the shards by queue
    run.send({"h0.google", "h1.google", "b.test", "h2.google", "a.test", "h3.google", "[10.1.0.1]"}, vmta);
    ASSERT_TRUE(run.scenario.drain(10min));
    auto queues = run.queues();
    const std::string by = vmta == std::string() ? "{default}" : vmta;
    for (const char* domain : {"h0.google", "h1.google", "h2.google", "a.test"})
      EXPECT_EQ(queues[domain], "d google.rollup/" + by) << domain;
    EXPECT_EQ(queues["h3.google"], "d h3.google/" + by);
    EXPECT_EQ(queues["b.test"], "d b.test/" + by);
    EXPECT_EQ(queues["[10.1.0.1]"], "d [10.1.0.1]/" + by);
  }
  run.close();
}

TEST(Routing, TheLimitOfARollupHoldsForAllItsDomains) {
  Routed run(std::string(kList) + "<domain google.rollup>\n max-msg-rate 10/s\n</domain>\n");
  run.scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
  ASSERT_TRUE(run.scenario.boot());
  std::vector<std::string> domains;
  for (int i = 0; i < 200; ++i) domains.push_back("h" + std::to_string(i % 20) + ".google");
  run.send(domains);
  ASSERT_TRUE(run.scenario.drain(10min));
  const auto& seen = run.scenario.ledger.attempts;
  ASSERT_EQ(seen.size(), 200u);
  for (std::size_t i = 10; i < seen.size(); ++i) ASSERT_GE(seen[i] - seen[i - 10], 1s) << i;
  EXPECT_LE(seen.back() - seen.front(), 21s);
  run.close();
}

TEST(Routing, MailWaitsForDnsInOrderAndSurvivesACrash) {
  for (const Crash how : {Crash::Kill, Crash::PowerCut}) {
    Routed run(kList);
    run.zone = [](TableTransport& dns) { dns.set_delay(30s); };
    ASSERT_TRUE(run.scenario.boot());
    run.send(std::vector<std::string>(50, "h0.google"));
    run.scenario.world.run_for(5s);
    EXPECT_TRUE(run.scenario.ledger.attempts.empty());
    EXPECT_EQ(run.scenario.queued(), 50u) << "mail that waits for DNS is in a queue";
    run.scenario.crash(how);
    run.crashed = true;
    run.tables.clear();
    run.zone = nullptr;
    ASSERT_TRUE(run.scenario.boot());
    run.send({"h1.google"});
    ASSERT_TRUE(run.scenario.drain(10min));
    EXPECT_EQ(run.queues()["h0.google"], "d google.rollup/v1");
    EXPECT_EQ(run.queues()["h1.google"], "d google.rollup/v1");
    run.close();
  }
}

TEST(Routing, ADnsFailureHoldsMailAndKeepsWhatWasKnown) {
  Routed run(kList);
  ASSERT_TRUE(run.scenario.boot());
  run.send({"h0.google"});
  ASSERT_TRUE(run.scenario.drain(10min));
  const auto servfail = [](net::dns::Message reply) -> Result<std::vector<std::byte>> {
    reply.header.rcode = net::dns::Rcode::ServFail;
    reply.answers.clear();
    return net::dns::build_message(reply);
  };
  const auto as_it_is = [](net::dns::Message reply) { return net::dns::build_message(reply); };
  for (TableTransport* dns : run.tables) {
    for (int i = 0; i < 20; ++i)
      dns->script("h" + std::to_string(i) + ".google", net::dns::Type::Mx, servfail);
  }
  // The records of h0 (TTL 5 min) run out while its queue is remembered only if mail keeps coming.
  for (int i = 0; i < 10; ++i) {
    run.send({"h0.google", "h1.google"});
    run.scenario.world.run_for(40s);
  }
  EXPECT_EQ(run.scenario.queued(), 10u) << "h1 waits; h0 goes on as before";
  for (TableTransport* dns : run.tables) {
    for (int i = 0; i < 20; ++i)
      dns->script("h" + std::to_string(i) + ".google", net::dns::Type::Mx, as_it_is);
  }
  ASSERT_TRUE(run.scenario.drain(20min));
  EXPECT_EQ(run.queues()["h1.google"], "d google.rollup/v1");
  run.close();
}

TEST(Routing, AReloadMovesWhatIsQueued) {
  Routed run("");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.0/24"), runtime::sim::HostState::Silent);
  ASSERT_TRUE(run.scenario.boot());
  run.send({"h0.google", "h1.google", "h2.google"});
  run.scenario.world.run_for(30s);
  // Into a rollup, out of it again, and into a queue by name.
  run.reload(kList);
  run.scenario.world.run_for(40s);
  run.reload("");
  run.scenario.world.run_for(40s);
  run.reload(
      "<domain h0.google>\n queue-to shared\n</domain>\n<domain h1.google>\n queue-to shared\n</domain>\n"
      "<domain shared>\n smtp-hosts [10.1.0.3]:2500\n</domain>\n");
  run.scenario.world.run_for(60s);
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.0/24"), runtime::sim::HostState::Up);
  ASSERT_TRUE(run.scenario.drain(20min));
  auto queues = run.queues();
  EXPECT_EQ(queues["h0.google"], "d shared/v1");
  EXPECT_EQ(queues["h1.google"], "d shared/v1");
  EXPECT_EQ(queues["h2.google"], "d h2.google/v1");
  run.close();
}

TEST(Routing, QueuesThatPointAtEachOtherDoNotSpin) {
  Routed run(
      "<domain h0.google>\n queue-to h1.google\n</domain>\n<domain h1.google>\n queue-to "
      "h0.google\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({"h0.google", "b.test"});
  run.scenario.world.run_for(1min);
  EXPECT_EQ(run.queues()["b.test"], "d b.test/v1");
  EXPECT_NE(run.queues()["h0.google"], "") << "sent from one of them";
  run.close();
}

TEST(Routing, ARollupThatLeadsNowhereTakesNoMail) {
  const std::string list = "<mx-rollup-list>\n mx *.mail.office.test office.rollup\n</mx-rollup-list>\n";
  // As long as its settings do not say where its mail goes; whatever they say counts.
  for (const auto& [settings, queue] :
       std::vector<std::pair<std::string, std::string>>{{"", "o0.office"},
                                                        {"smtp-hosts [10.1.0.2]", "office.rollup"},
                                                        {"type discard", "office.rollup"},
                                                        {"queue-to b.test", "b.test"}}) {
    SCOPED_TRACE(settings);
    Routed run(list + "<domain office.rollup>\n " + settings + "\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({"o0.office"});
    run.send({"o0.office"}, "");
    ASSERT_TRUE(run.scenario.drain(10min)) << run.scenario.ask({"show", "queues"});
    EXPECT_EQ(run.queues()["o0.office"], "d " + queue + "/{default}");
    if (settings != "type discard") run.scenario.check_promises(run.injected, false);
    run.scenario.close();
  }
}

constexpr const char* kByIp =
    "<mx-rollup-list>\n mx *.mail.office.test office.rollup rollup-by-ip\n</mx-rollup-list>\n";

TEST(Routing, RollupByIpFollowsTheFirstDomainAndRemembersIt) {
  Routed run(kByIp);
  ASSERT_TRUE(run.scenario.boot());
  run.send({"o0.office"});
  ASSERT_TRUE(run.scenario.drain(10min));
  run.send({"o1.office", "o2.office", "far.office"});
  run.send({"o3.office"}, "");
  ASSERT_TRUE(run.scenario.drain(10min));
  auto queues = run.queues();
  for (const char* domain : {"o0.office", "o1.office", "o2.office"})
    EXPECT_EQ(queues[domain], "d office.rollup/v1");
  EXPECT_EQ(queues["o3.office"], "d office.rollup/{default}");
  EXPECT_EQ(queues["far.office"], "d far.office/v1") << "other addresses: another part of the provider";
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.2"), runtime::sim::HostState::Silent);
  run.send({"o4.office"});
  run.scenario.world.run_for(30s);
  run.scenario.crash(Crash::PowerCut);
  run.crashed = true;
  // The first domain leaves the provider: the next one takes its place.
  run.zone = [](TableTransport& dns) {
    dns.remove("o0.office", net::dns::Type::Mx);
    dns.add_mx("o0.office", 10, "nowhere.test");
  };
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.2"), runtime::sim::HostState::Up);
  ASSERT_TRUE(run.scenario.boot());
  run.send({"o5.office"});
  ASSERT_TRUE(run.scenario.drain(30min));
  queues = run.queues();
  EXPECT_EQ(queues["o4.office"], "d office.rollup/v1");
  EXPECT_EQ(queues["o5.office"], "d office.rollup/v1");
  run.close();
}

TEST(Routing, AutomaticSitesShareTheirProvidersLimits) {
  Routed run(
      "auto-mx-rollup yes\n<domain *.a.test.rollup>\n max-smtp-out 1\n</domain>\n"
      "<domain h5.google>\n max-smtp-out 2\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({"h0.google", "h1.google", "h5.google", "a.test", "o1.office"});
  run.send({"h2.google"}, "");
  ASSERT_TRUE(run.scenario.drain(10min));
  auto queues = run.queues();
  const std::string site = queues["h0.google"];
  EXPECT_TRUE(site.ends_with(".mx.a.test.rollup/v1")) << site;
  EXPECT_EQ(queues["h1.google"], site);
  EXPECT_EQ(queues["h2.google"], site.substr(0, site.size() - 2) + "{default}");
  EXPECT_EQ(queues["h5.google"], "d h5.google/v1") << "has a block of its own";
  EXPECT_EQ(queues["a.test"], "d a.test/v1") << "serves itself";
  // Over a crash: the same hosts, the same queue; and the second choice takes the mail when the first is
  // away.
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Silent);
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.3"), runtime::sim::HostState::Silent);
  run.send({"h6.google"});
  run.scenario.world.run_for(1min);
  run.scenario.crash(Crash::Kill);
  run.crashed = true;
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.3"), runtime::sim::HostState::Up);
  ASSERT_TRUE(run.scenario.boot());
  ASSERT_TRUE(run.scenario.drain(30min));
  EXPECT_EQ(run.queues()["h6.google"], site);
  run.close();
}

TEST(Routing, MxRollupInABlockJoinsTheProvidersOwnQueue) {
  Routed run("<domain a.test>\n mx-rollup a.test\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({"h0.google", "a.test", "b.test", "h1.google"});
  ASSERT_TRUE(run.scenario.drain(10min));
  auto queues = run.queues();
  EXPECT_EQ(queues["h0.google"], "d a.test/v1");
  EXPECT_EQ(queues["h1.google"], "d a.test/v1");
  EXPECT_EQ(queues["a.test"], "d a.test/v1");
  EXPECT_EQ(queues["b.test"], "d b.test/v1");
  run.close();
}

TEST(Routing, StaticRoutesGroupsAndPorts) {
  Routed run(
      "<domain s1.test>\n smtp-hosts [10.1.0.9]:2500;lookup-mx:h0.google\n mx-connection-attempts "
      "2\n</domain>\n"
      "<domain s2.test>\n route [10.1.0.2]:2500\n</domain>\n"

      "<domain s4.test>\n smtp-hosts mx.c.test:2500,mx.b.test:2500\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({"s1.test", "s2.test", "s4.test"});
  ASSERT_TRUE(run.scenario.drain(10min));
  for (const auto& [domain, queue] : run.queues()) EXPECT_TRUE(queue.starts_with("d ")) << domain;
  run.close();
}

TEST(Routing, BounceUponNoMx) {
  Routed run(
      "<domain none.test>\n bounce-upon-no-mx yes\n</domain>\n<domain soon.test>\n bounce-upon-no-mx "
      "10m\n</domain>\n");
  run.zone = [](TableTransport& dns) {
    for (const char* name : {"none.test", "soon.test", "plain.test"}) dns.add_a(name, "10.1.0.1");
  };
  ASSERT_TRUE(run.scenario.boot());
  run.send({"none.test", "soon.test", "plain.test"});
  ASSERT_TRUE(run.scenario.drain(10min));
  auto queues = run.queues();
  EXPECT_EQ(queues["none.test"], "b none.test/v1");
  EXPECT_EQ(queues["soon.test"], "d soon.test/v1") << "young mail goes to the address";
  EXPECT_EQ(queues["plain.test"], "d plain.test/v1");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Silent);
  run.send({"soon.test"});
  ASSERT_TRUE(run.scenario.drain(30min));
  EXPECT_EQ(run.queues()["soon.test"], "b soon.test/v1") << "old mail does not";
  run.scenario.close();
}

TEST(Routing, MailDoesNotComeBackToItself) {
  // The second port is this node's; a provider's MX points at it.
  Routed run(
      "<domain loop.test>\n default-smtp-port 2525\n</domain>\n<domain twin.test>\n default-smtp-port "
      "2525\n</domain>\n"
      "<domain backup.test>\n default-smtp-port 2525\n</domain>\nrefuse-mx-addresses special\n");
  run.zone = [](TableTransport& dns) {
    dns.add_mx("loop.test", 10, "me.test");
    dns.add_a("me.test", "10.255.0.1");
    dns.add_mx("twin.test", 10, "node.sim");  // our name, another address
    dns.add_a("node.sim", "10.1.0.9");
    dns.add_mx("inward.test", 10, "lo.test");
    dns.add_a("lo.test", "127.0.0.1");
  };
  ASSERT_TRUE(run.scenario.boot());
  run.send({"loop.test", "twin.test", "inward.test", "a.test"});
  ASSERT_TRUE(run.scenario.drain(10min));
  auto queues = run.queues();
  for (const char* domain : {"loop.test", "twin.test", "inward.test"})
    EXPECT_EQ(queues[domain], "b " + std::string(domain) + "/v1");
  EXPECT_EQ(queues["a.test"], "d a.test/v1");
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
