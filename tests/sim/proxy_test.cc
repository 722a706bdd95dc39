// Goal: mail goes through proxies as the configuration says: what mail hosts, limits, disabled sources and
//       accounting see is the client address behind the proxy; proxies fail over in their order; a proxy's
//       trouble is its own.
// How:  a whole node, proxies that understand the header, and mail hosts that note who came.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/delivery/proxies.h"
#include "tests/sim/backoff_rig.h"
#include "tests/sim/proxy_host.h"

namespace sluice::test {
namespace {

constexpr const char* kRecords = R"(
<acct-file /var/log/identity.csv>
    records d,tq
    record-fields d timeLogged,rcpt,dsnDiag,dlvSourceIp,dlvDestinationIp,vmta,header_Message-ID
    record-fields tq timeLogged,queue,dsnStatus,dsnDiag,dlvSourceIp
</acct-file>
)";

constexpr const char* kTwoProxies = R"(
<proxy first>
    server 10.9.0.1:5000
    client 10.9.0.11 p1.sim
    client 10.9.0.12:7000 p1b.sim
</proxy>
<proxy second>
    server proxy2.test:5000
    client 10.9.0.21 p2.sim
    protocol-version 2
</proxy>
<virtual-mta edge>
    smtp-source-host 10.255.0.7 local.sim
    use-proxy first,second
</virtual-mta>
)";

struct Proxied {
  explicit Proxied(const std::string& extra, std::uint64_t seed = 5) : scenario(seed, kRecords + extra) {
    scenario.extra_zone = [](resolver::TableTransport& dns) {
      dns.add_a("proxy2.test", "10.9.0.2");
      dns.add_a("proxy6.test", "2001:db8::9");
      dns.add_mx("both.test", 10, "mx.both.test");
      dns.add_a("mx.both.test", "2001:db8::1");
      dns.add_a("mx.both.test", "10.1.0.1");
      dns.add_mx("six.test", 10, "mx.six.test");
      dns.add_a("mx.six.test", "2001:db8::1");
      dns.add_mx("dead.test", 10, "mx.dead.test");
      dns.add_a("mx.dead.test", "10.1.0.99");
      dns.add_mx("two.test", 10, "mx1.two.test");
      dns.add_mx("two.test", 20, "mx2.two.test");
      dns.add_a("mx1.two.test", "10.1.0.99");
      dns.add_a("mx2.two.test", "10.1.0.1");
    };
  }
  ~Proxied() {
    if (scenario.node) close();
    for (auto& one : proxies) {
      if (one && !one->idle()) scenario.peers.bury(std::move(one));
    }
  }
  void open(Judge judge = nullptr) {
    Mood mood;
    mood.judge = std::move(judge);
    scenario.open_receivers(mood);
    ASSERT_TRUE(scenario.boot());
  }
  /// The proxy 10.9.0.`number`.
  ProxyHost& proxy(std::uint8_t number) {
    proxies.push_back(std::make_unique<ProxyHost>(scenario.peers.reactor(1),
                                                  Endpoint{IpAddress::from_v4({10, 9, 0, number}), 5000}));
    return *proxies.back();
  }
  void send(const std::string& to, const std::string& vmta = "edge") {
    std::vector<Mail> mails;
    mails.push_back(
        {.id = "m" + std::to_string(sent++), .recipients = {to}, .vmta = vmta, .body_bytes = 300});
    scenario.take_in(std::move(mails), injected);
  }
  void run(Duration time) { scenario.world.run_for(time); }
  std::string ask(const std::vector<std::string>& words) { return scenario.ask(words); }
  /// Column `name` of the records of that type, one after the other.
  std::vector<std::string> column(const std::string& type, const std::string& name) {
    std::vector<std::string> out;
    for (Row& row : acct_rows(scenario.world.disk(), "identity", type)) out.push_back(row.at(name));
    return out;
  }
  std::vector<std::string> hosts_saw() {
    std::vector<std::string> out;
    for (const Attempt& one : scenario.ledger.tried) out.push_back(one.client.text());
    return out;
  }
  void close() {
    scenario.close();
    for (auto& one : proxies) one->stop();
    scenario.world.run_until(
        [this] { return std::ranges::all_of(proxies, [](const auto& one) { return one->idle(); }); }, 5min);
  }

  Scenario scenario;
  std::vector<std::unique_ptr<ProxyHost>> proxies;
  Injected injected;
  int sent = 0;
};

TEST(Proxies, TheClientAddressIsTheSource) {
  Proxied mail(kTwoProxies);
  ProxyHost& first = mail.proxy(1);
  mail.open();
  mail.send("a@a.test");
  mail.send("b@b.test");
  mail.run(1min);
  ASSERT_EQ(first.served.size(), 2u);
  // Two clients in turn; the second one asks for a port.
  std::vector<std::string> headers;
  for (const ProxyHost::Served& one : first.served) {
    EXPECT_EQ(one.from.text(), "10.255.0.7") << "smtp-source-host says where from to reach the proxy";
    headers.push_back(one.header.substr(0, 22));
  }
  std::ranges::sort(headers);
  EXPECT_EQ(headers, (std::vector<std::string>{"PROXY TCP4 10.9.0.11 1", "PROXY TCP4 10.9.0.12 1"}));
  const auto asked = std::ranges::find_if(
      first.served, [](const ProxyHost::Served& one) { return one.client.port == 7000; });
  ASSERT_NE(asked, first.served.end());
  EXPECT_TRUE(asked->header.ends_with(" 7000 2500\r\n")) << asked->header;
  // Mail hosts and accounting see the clients, and the names that belong to them.
  std::vector<std::string> saw = mail.hosts_saw();
  std::ranges::sort(saw);
  EXPECT_EQ(saw, (std::vector<std::string>{"10.9.0.11", "10.9.0.12"}));
  std::vector<std::string> accounted = mail.column("d", "dlvSourceIp");
  std::ranges::sort(accounted);
  EXPECT_EQ(accounted, saw);
  for (const Seen& one : mail.scenario.ledger.hellos)
    EXPECT_TRUE(one.from == "p1.sim" || one.from == "p1b.sim");
  std::vector<std::string> targets = mail.column("d", "dlvDestinationIp");
  std::ranges::sort(targets);
  EXPECT_EQ(targets, (std::vector<std::string>{"10.1.0.1", "10.1.0.2"}));
}

TEST(Proxies, FailoverIsStrictAndComesBack) {
  Proxied mail(std::string(kTwoProxies) + "<domain *>\n mx-connection-attempts 1\n</domain>\n");
  ProxyHost& second = mail.proxy(2);
  mail.open();
  mail.send("a@a.test");
  mail.run(10s);
  ASSERT_EQ(second.served.size(), 1u)
      << "in the same attempt, and although one host is all that may be tried";
  EXPECT_EQ(second.served[0].version, 2);
  EXPECT_EQ(second.served[0].header.size(), 28u);
  EXPECT_EQ(second.served[0].client.address.text(), "10.9.0.21");
  EXPECT_EQ(second.served[0].target.text(), "10.1.0.1:2500");
  EXPECT_EQ(mail.column("d", "dlvSourceIp"), std::vector<std::string>{"10.9.0.21"});
  EXPECT_TRUE(mail.column("tq", "dsnDiag").empty()) << "the queue has not failed";
  ProxyHost& first = mail.proxy(1);
  mail.send("b@b.test");  // the first one is back, but nobody knows yet
  mail.run(2s);
  EXPECT_EQ(second.served.size(), 2u);
  EXPECT_EQ(first.served.size(), 0u);
  mail.run(delivery::Proxies::kLostFor);
  mail.send("c@c.test");
  mail.run(10s);
  EXPECT_EQ(first.served.size(), 1u);
  EXPECT_EQ(second.served.size(), 2u);
}

TEST(Proxies, WithoutAnyTheOperatorReadsThatItWasTheProxy) {
  Proxied mail(kTwoProxies);
  mail.open();
  mail.send("a@a.test");
  mail.run(10s);
  const std::vector<std::string> said = mail.column("tq", "dsnDiag");
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said.front(),
            "ECONNREFUSED connecting to proxy second (10.9.0.2), on the way to mx.a.test (10.1.0.1)");
  EXPECT_NE(mail.ask({"show", "topqueues", "--errors"}).find("proxy second"), std::string::npos);
  mail.proxy(1);
  mail.run(2min);
  EXPECT_EQ(mail.hosts_saw().size(), 1u) << "delivered once a proxy is there";
}

TEST(Proxies, AHostTheProxyCannotReachIsTheHostsTrouble) {
  Proxied mail(std::string(kTwoProxies) + "<domain *>\n mx-connection-attempts 2\n</domain>\n");
  ProxyHost& first = mail.proxy(1);
  ProxyHost& second = mail.proxy(2);
  mail.open();
  mail.send("a@two.test");
  mail.run(30s);
  // mx1 through both, then mx2 through the first again.
  ASSERT_EQ(first.served.size(), 2u);
  ASSERT_EQ(second.served.size(), 1u);
  EXPECT_EQ(first.served[0].target.text(), "10.1.0.99:2500");
  EXPECT_EQ(second.served[0].target.text(), "10.1.0.99:2500");
  EXPECT_EQ(first.served[1].target.text(), "10.1.0.1:2500");
  EXPECT_EQ(mail.hosts_saw().size(), 1u);
  mail.send("b@dead.test");
  mail.run(10s);
  const std::vector<std::string> said = mail.column("tq", "dsnDiag");
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said.front(), "EDISCON in connection to mx.dead.test (10.1.0.99) through proxy second");
}

TEST(Proxies, OneThatRefusesUsIsPassedOver) {
  Proxied mail(kTwoProxies);
  mail.proxy(1).refuses = true;
  ProxyHost& second = mail.proxy(2);
  mail.open();
  mail.send("a@a.test");
  mail.run(10s);
  EXPECT_EQ(second.served.size(), 1u);
  EXPECT_EQ(mail.hosts_saw(), std::vector<std::string>{"10.9.0.21"});
}

TEST(Proxies, WhatAHostSaysIsNotTheProxysTrouble) {
  Proxied mail(kTwoProxies);
  ProxyHost& first = mail.proxy(1);
  ProxyHost& second = mail.proxy(2);
  mail.open();
  for (auto& one : mail.scenario.receivers) one->set_mood({.drop_anywhere = 1});
  mail.send("a@a.test");
  mail.run(10s);
  EXPECT_EQ(first.served.size(), 1u);
  EXPECT_TRUE(second.served.empty()) << "another way to the same host, which greeted us, would end the same";
  EXPECT_EQ(mail.column("tq", "dsnDiag").size(), 1u);
}

TEST(Proxies, AConnectionThatEndsAtAProxyIsNotPaidForTwice) {
  Proxied mail(std::string(kTwoProxies) + "<domain *>\n max-connect-rate 1/h\n</domain>\n");
  mail.proxy(2);  // nobody listens at the first
  mail.open();
  mail.send("a@a.test");
  mail.run(10s);
  EXPECT_EQ(mail.hosts_saw(), std::vector<std::string>{"10.9.0.21"});
}

TEST(Proxies, OnlyAddressesOfTheClientsFamilyAreTried) {
  Proxied mail(kTwoProxies);
  ProxyHost& first = mail.proxy(1);
  mail.open();
  mail.send("a@both.test");
  mail.send("a@six.test");
  mail.run(10s);
  ASSERT_EQ(first.served.size(), 1u);
  EXPECT_EQ(first.served[0].target.text(), "10.1.0.1:2500");
  EXPECT_EQ(mail.hosts_saw().size(), 1u);
}

TEST(Proxies, AProxyIsReachedFromAnAddressOfItsFamily) {
  for (const char* local : {"10.255.0.7", "2001:db8::7"}) {
    SCOPED_TRACE(local);
    Proxied mail(
        "<proxy six>\n server proxy6.test:5000\n client 10.9.0.11 p1.sim\n</proxy>\n"
        "<virtual-mta edge>\n smtp-source-host " +
        std::string(local) + " local.sim\n use-proxy six\n</virtual-mta>\n");
    mail.scenario.world.machine().options.addresses.push_back(*Cidr::parse("2001:db8::7"));
    mail.proxies.push_back(std::make_unique<ProxyHost>(mail.scenario.peers.reactor(1),
                                                       Endpoint{*IpAddress::parse("2001:db8::9"), 5000}));
    mail.open();
    mail.send("a@a.test");
    mail.run(10s);
    const std::vector<ProxyHost::Served>& served = mail.proxies.front()->served;
    if (IpAddress::parse(local)->is_v4()) {
      EXPECT_TRUE(served.empty());
      const std::vector<std::string> said = mail.column("tq", "dsnDiag");
      ASSERT_FALSE(said.empty());
      EXPECT_EQ(said.front(),
                "unable to route: no mail hosts for domain, proxy six, on the way to mx.a.test (10.1.0.1)");
    } else {
      ASSERT_EQ(served.size(), 1u);
      EXPECT_EQ(served.front().from.text(), local);
      EXPECT_EQ(mail.hosts_saw(), std::vector<std::string>{"10.9.0.11"});
    }
  }
}

TEST(Proxies, SmtpProxySourceHost) {
  Proxied mail(R"(
<virtual-mta lines>
    smtp-proxy-source-host 10.255.0.8 10.9.0.1:5000 10.9.0.11 p1.sim
    smtp-proxy-source-host 0/0 proxy2.test:5000 10.9.0.21:9 p2.sim
    proxy-protocol 2
</virtual-mta>
)");
  ProxyHost& first = mail.proxy(1);
  ProxyHost& second = mail.proxy(2);
  mail.open();
  for (const char* to : {"a@a.test", "a@b.test", "a@c.test", "b@a.test"}) {
    mail.send(to, "lines");
    mail.run(5s);
  }
  // Lines take turns, as those of smtp-source-host do.
  ASSERT_EQ(first.served.size(), 2u);
  ASSERT_EQ(second.served.size(), 2u);
  EXPECT_EQ(first.served[0].from.text(), "10.255.0.8");
  EXPECT_EQ(second.served[0].from.text(), "10.255.0.1") << "0/0: the system's choice";
  EXPECT_EQ(first.served[0].version, 2);
  EXPECT_EQ(second.served[0].client.text(), "10.9.0.21:9");
  EXPECT_EQ(mail.scenario.ledger.delivered.size(), 4u);
}

TEST(Proxies, PoolsAndGlobalSettingsApplyToVirtualMtasWithoutTheirOwn) {
  Proxied mail(R"(
use-proxy third
<proxy first>
    server 10.9.0.1:5000
    client 10.9.0.11 p1.sim
</proxy>
<proxy third>
    server 10.9.0.3:5000
    client 10.9.0.31 p3.sim
</proxy>
<virtual-mta member>
</virtual-mta>
<virtual-mta-pool some>
    virtual-mta member
    use-proxy first
</virtual-mta-pool>
<virtual-mta direct>
    smtp-proxy-source-host 0/0 10.9.0.1:5000 10.9.0.12 own.sim
</virtual-mta>
)");
  ProxyHost& first = mail.proxy(1);
  ProxyHost& third = mail.proxy(3);
  mail.open();
  mail.send("a@a.test", "member");
  mail.send("b@b.test", "v1");
  mail.send("c@c.test", "direct");
  mail.run(10s);
  std::vector<std::string> saw = mail.hosts_saw();
  std::ranges::sort(saw);
  EXPECT_EQ(saw, (std::vector<std::string>{"10.9.0.11", "10.9.0.12", "10.9.0.31"}));
  EXPECT_EQ(first.served.size(), 2u);
  ASSERT_EQ(third.served.size(), 1u);
  EXPECT_EQ(third.served[0].from.text(), "10.255.0.1") << "v1's smtp-source-host leads to the proxy";
}

TEST(Proxies, LimitsAndDisabledSourcesAreTheClients) {
  Proxied mail(std::string(kSlowList) + kTwoProxies +
               "<domain a.test>\n smtp-pattern-list slow\n max-msg-per-connection 1\n"
               " source-ip-max-smtp-out 10.9.0.11 1\n</domain>\n");
  ProxyHost& first = mail.proxy(1);
  mail.proxy(2);
  mail.open([](const Asked& asked) {
    return asked.client.text() == "10.9.0.11" ? std::string("421 4.7.0 your address is listed")
                                              : std::string();
  });
  for (int i = 0; i < 6; ++i) mail.send("u" + std::to_string(i) + "@a.test");
  mail.run(4min);
  const std::string disabled = mail.ask({"show", "disabled", "sources"});
  EXPECT_NE(disabled.find("10.9.0.11"), std::string::npos) << disabled;
  EXPECT_EQ(disabled.find("10.255.0.7"), std::string::npos) << disabled;
  EXPECT_EQ(mail.scenario.ledger.delivered.size(), 6u) << "by way of the other client";
  const auto of_listed = std::ranges::count(mail.hosts_saw(), "10.9.0.11");
  EXPECT_LE(of_listed, 1);
  // The other client goes too: the next proxy comes first then.
  const std::size_t before = first.served.size();
  EXPECT_EQ(mail.ask({"disable", "source", "10.9.0.12", "a.test/edge"}), "Source disabled.\n");
  mail.send("last@a.test");
  mail.run(1min);
  EXPECT_EQ(first.served.size(), before);
  EXPECT_EQ(mail.hosts_saw().back(), "10.9.0.21");
}

TEST(Proxies, AReloadEndsWhatWentAnotherWay) {
  Proxied mail(std::string(kTwoProxies) + "<domain *>\n connection-idle-timeout 10m\n</domain>\n");
  ProxyHost& first = mail.proxy(1);
  ProxyHost& second = mail.proxy(2);
  mail.open();
  mail.send("a@a.test");
  mail.run(10s);
  ASSERT_EQ(first.served.size(), 1u);
  EXPECT_EQ(mail.scenario.ledger.connections, 1u) << "kept open";
  std::string other = kTwoProxies;
  other.replace(other.find("first,second"), 12, "second,first");
  mail.scenario.reload(kRecords + other + "<domain *>\n connection-idle-timeout 10m\n</domain>\n");
  mail.send("b@a.test");
  mail.run(10s);
  EXPECT_EQ(mail.scenario.ledger.delivered.size(), 2u);
  // What is open still fits; new connections follow the new order.
  std::string gone = kTwoProxies;
  gone.replace(gone.find("first,second"), 12, "second");
  mail.scenario.reload(kRecords + gone + "<domain *>\n connection-idle-timeout 10m\n</domain>\n");
  mail.run(10s);
  EXPECT_EQ(mail.scenario.ledger.connections, 0u) << "from an address that is gone";
  mail.send("c@a.test");
  mail.run(10s);
  EXPECT_EQ(second.served.size(), 1u);
}

}  // namespace
}  // namespace sluice::test
