// Goal: the resolver, c-ares and the codec understand a real authoritative server: MX, address families,
//       aliases, null MX,
// negative answers, truncation and TCP, the server's death and return.
// How: knotd with one zone on a free loopback port; each test is one coroutine on a real ring. Skipped only
//      without knotd.

#include <gmock/gmock.h>

#include "engine/authentication/sender_checks.h"
#include "engine/resolver/cares_transport.h"
#include "engine/resolver/resolver.h"
#include "tests/e2e/dns/knot_server.h"
#include "tests/engine/resolver/real_world.h"

namespace sluice::test {
namespace {

using net::dns::Type;
using resolver::CaresTransport;
using resolver::Resolver;
using resolver::RouteAnswer;
using routing::RouteOutcome;
using runtime::Reactor;
using runtime::Task;
using ::testing::ElementsAre;

constexpr std::string_view kZone = R"($ORIGIN example.test.
$TTL 300
@        SOA   ns.example.test. hostmaster.example.test. 1 3600 600 86400 30
@        NS    ns
ns       A     127.0.0.1
@        MX    20 backup
@        MX    10 mx1
@        MX    10 mx2
mx1      A     127.0.0.11
mx1      AAAA  fd00::11
mx2      A     127.0.0.12
backup   A     127.0.0.13
plain    A     127.0.0.20
six      AAAA  fd00::21
nullmx   MX    0 .
text     TXT   "v=spf1 -all"
sender   TXT   "v=spf1 ip4:192.0.2.1 exists:%{l}.list.exa" "mple.test mx -all"
sender   MX    10 mx1
joe\043x.list A 127.0.0.2
alias    CNAME example.test.
short    MX    10 mx1
)";

std::string zone_text() {
  std::string zone(kZone);
  for (int i = 0; i < 200; ++i) {
    const std::string host = "a-rather-long-mail-host-name-" + std::to_string(i);
    zone += "many MX " + std::to_string(i + 1) + ' ' + host + '\n';
    zone += host + " A 127.0.1." + std::to_string(i) + '\n';
  }
  return zone;
}

struct World {
  Reactor& reactor;
  KnotServer& server;
  std::unique_ptr<CaresTransport> transport;
  std::unique_ptr<Resolver> resolver;
  resolver::RouteOptions options;

  static std::unique_ptr<CaresTransport> transport_to(Reactor& reactor, const KnotServer& server) {
    resolver::CaresOptions options;
    options.servers = {server.endpoint()};
    options.timeout = 300ms;
    options.tries = 2;
    auto made = CaresTransport::open(reactor, options);
    SLUICE_ASSERT(made.has_value());
    return std::move(*made);
  }
  Task<RouteAnswer> ask(std::string domain) {
    return resolver->resolve_mail_hosts(std::move(domain), options);
  }
};

std::vector<std::string> lines(const RouteAnswer& answer) {
  std::vector<std::string> out;
  for (const auto& hop : answer.hops) {
    out.push_back(std::to_string(hop.preference) + ' ' + std::string(answer.host_of(hop)) + ' ' +
                  hop.endpoint.address.text());
  }
  return out;
}

/// Asks for the zone's SOA until it comes. False: the server has ended, or 200 attempts went by.
Task<bool> is_ready(Reactor& reactor, KnotServer& server) {
  for (int attempt = 0; attempt < 200 && server.is_running(); ++attempt) {
    auto transport = World::transport_to(reactor, server);
    const auto answer = co_await transport->query("example.test", Type::Soa);
    co_await transport->stop();
    if (answer) {
      const auto message = net::dns::parse_message(*answer);
      if (message && !message->answers.empty()) co_return true;
    }
    co_await runtime::sleep_for(reactor, 20ms);
  }
  co_return false;
}

using Body = Task<void> (*)(World&);

Task<void> with_setup(World& setup, Body body) {
  const bool ready = co_await is_ready(setup.reactor, setup.server);
  EXPECT_TRUE(ready) << setup.server.log();
  if (!ready) co_return;
  setup.transport = World::transport_to(setup.reactor, setup.server);
  resolver::ResolverOptions options;
  options.failure_ttl = 1ms;
  setup.resolver = std::make_unique<Resolver>(setup.reactor, *setup.transport, options);
  co_await body(setup);
  co_await setup.resolver->stop();
}

class Knot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (KnotServer::find_program().empty()) GTEST_SKIP() << "knotd is not installed";
  }
  void run(Body body) {
    KnotServer server("example.test", zone_text());
    RealWorld world;
    World setup{world.reactor(), server, nullptr, nullptr, {}};
    world.run(with_setup(setup, body));
    setup.resolver.reset();
    setup.transport.reset();
  }
};

Task<void> routes(World& setup) {
  auto hops = lines(co_await setup.ask("example.test"));
  SLUICE_ASSERT(hops.size() == 3);
  std::sort(hops.begin(), hops.begin() + 2);
  EXPECT_THAT(hops, ElementsAre("10 mx1.example.test 127.0.0.11", "10 mx2.example.test 127.0.0.12",
                                "20 backup.example.test 127.0.0.13"));
  EXPECT_EQ(lines(co_await setup.ask("ALIAS.example.test")).size(), 3u);
  const RouteAnswer plain = co_await setup.ask("plain.example.test");
  EXPECT_THAT(lines(plain), ElementsAre("0 plain.example.test 127.0.0.20"));
  EXPECT_TRUE(plain.no_mx);
  EXPECT_EQ((co_await setup.ask("nullmx.example.test")).outcome, RouteOutcome::NullMx);
  EXPECT_EQ((co_await setup.ask("gone.example.test")).outcome, RouteOutcome::NoSuchDomain);
  EXPECT_EQ((co_await setup.ask("text.example.test")).outcome, RouteOutcome::NoAddress);
  EXPECT_EQ((co_await setup.ask("elsewhere.invalid")).outcome, RouteOutcome::TempFail)
      << "REFUSED is no answer";
  setup.options.families = {true, true, true};
  EXPECT_THAT(lines(co_await setup.ask("six.example.test")), ElementsAre("0 six.example.test fd00::21"));
  EXPECT_EQ((co_await setup.ask("example.test")).hops.size(), 4u);
}

TEST_F(Knot, Routes) { run(routes); }

Task<void> large_set(World& setup) {
  const RouteAnswer answer = co_await setup.ask("many.example.test");
  EXPECT_EQ(answer.hops.size(), Resolver::kMailHostsMax);
  EXPECT_GE(setup.transport->counters().tcp_queries, 1u);
}

TEST_F(Knot, LargeSetComesByTcp) { run(large_set); }

Task<void> cached(World& setup) {
  (void)co_await setup.ask("example.test");
  const auto before = setup.transport->counters().udp_queries;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE((co_await setup.ask("example.test")).ok());
  EXPECT_EQ(setup.transport->counters().udp_queries, before);
  EXPECT_TRUE(setup.resolver->find_mail_hosts("example.test", setup.options).has_value());
}

TEST_F(Knot, SecondTimeIsCached) { run(cached); }

Task<spf::Result> spf_of(World& setup, std::string client, std::string sender) {
  spf::Identity identity = spf::identity_of("h.test", sender);
  spf::CheckSettings settings;
  const IpAddress address = *IpAddress::parse(client);
  const authentication::Asking asking{setup.reactor, *setup.resolver};
  const spf::Outcome outcome =
      co_await authentication::check_spf(asking, address, std::move(identity), std::move(settings));
  co_return outcome.result;
}

Task<void> sender_policies(World& setup) {
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.1", "joe@sender.example.test"), spf::Result::Pass);
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.2", "joe@sender.example.test"), spf::Result::Fail);
  const std::uint64_t by_tcp = setup.transport->counters().tcp_queries;
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.2", "joe+x@sender.example.test"), spf::Result::Pass) << "exists";
  EXPECT_EQ(setup.transport->counters().tcp_queries, by_tcp + 1) << "a name c-ares may refuse to ask for";
  EXPECT_EQ(co_await spf_of(setup, "127.0.0.11", "joe@sender.example.test"), spf::Result::Pass) << "mx";
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.1", "joe@text.example.test"), spf::Result::Fail);
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.1", "joe@plain.example.test"), spf::Result::None);
  EXPECT_EQ(co_await spf_of(setup, "192.0.2.1", "joe@elsewhere.invalid"), spf::Result::TempError)
      << "REFUSED";
}

TEST_F(Knot, SenderPolicies) { run(sender_policies); }

Task<void> server_dies(World& setup) {
  EXPECT_TRUE((co_await setup.ask("short.example.test")).ok());
  setup.server.stop();
  setup.resolver->clear_cache();
  const RouteAnswer answer = co_await setup.ask("short.example.test");
  EXPECT_EQ(answer.outcome, RouteOutcome::TempFail);
  EXPECT_EQ(answer.error_text(), "StatusDnsQueryFailed resolving short.example.test");
  EXPECT_TRUE((co_await setup.ask("mx1.example.test")).outcome == RouteOutcome::TempFail)
      << "never asked before";
}

TEST_F(Knot, ServerDies) { run(server_dies); }

}  // namespace
}  // namespace sluice::test
