// Goal: what is remembered for how long and in how much memory; one flight for each question; fair departure;
//       clean end.
// How: a Resolver over a table in virtual time, questions counted by the table; the cache itself by its
//      public calls.

#include <gmock/gmock.h>

#include "tests/engine/resolver/resolver_fixture.h"

namespace sluice::test {
namespace {

using net::dns::Message;
using net::dns::Rcode;
using net::dns::Type;
using resolver::Resolver;
using resolver::ResolverOptions;
using resolver::RouteAnswer;
using routing::RouteOutcome;
using runtime::Task;
using ::testing::ElementsAre;

using Caching = ResolverFixture;

Result<std::vector<std::byte>> servfail(Message reply) {
  reply.header.rcode = Rcode::ServFail;
  reply.answers.clear();
  reply.authority.clear();
  return net::dns::build_message(reply);
}

TEST_F(Caching, LastsAsLongAsTheTtl) {
  dns_->add_mx("example", 10, "mx.example", 100s);
  dns_->add_a("mx.example", "192.0.2.1", 300s);
  EXPECT_EQ(ask("example").valid_until, time_.now() + 100s);
  time_.pass(99s);
  EXPECT_TRUE(ask("EXAMPLE").ok());
  EXPECT_EQ(dns_->asked(), 2u);
  time_.pass(1s);
  EXPECT_FALSE(resolver_->find_mail_hosts("example", options_).has_value());
  EXPECT_TRUE(ask("example").ok());
  EXPECT_THAT(dns_->log(), ElementsAre("example MX", "mx.example A", "example MX")) << "the address lives on";
}

TEST_F(Caching, FollowsAChangedZoneAfterTheTtl) {
  dns_->add_mx("example", 10, "old.example", 60s);
  dns_->add_a("old.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 old.example 192.0.2.1:25"));
  dns_->remove("example", Type::Mx);
  dns_->add_mx("example", 10, "new.example", 60s);
  dns_->add_a("new.example", "192.0.2.2");
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 old.example 192.0.2.1:25"));
  time_.pass(60s);
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 new.example 192.0.2.2:25"));
}

TEST_F(Caching, CachedAnswersDoNotSuspend) {
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_FALSE(resolver_->find_mail_hosts("example", options_).has_value());
  (void)ask("example");
  const auto found = resolver_->find_mail_hosts("Example", options_);
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(lines(*found), ElementsAre("10 mx.example 192.0.2.1:25"));
  EXPECT_EQ(resolver_->counters().answered_cached, 1u);
}

struct TtlRow {
  const char* name;
  std::chrono::seconds ttl;
  Duration lives;  // at least; one millisecond more is too late
};

TEST_F(Caching, TtlsAreBounded) {
  const TtlRow rows[] = {{"zero is a second", 0s, 1s},
                         {"a minute", 60s, 60s},
                         {"a year is a day", std::chrono::hours{24 * 365}, std::chrono::hours{24}}};
  for (const TtlRow& row : rows) {
    SCOPED_TRACE(row.name);
    make({});
    dns_->add_mx("example", 10, "mx.example", row.ttl);
    dns_->add_a("mx.example", "192.0.2.1", std::chrono::hours{24 * 7});
    (void)ask("example");
    time_.pass(row.lives - 1ms);
    EXPECT_TRUE(resolver_->find_mail_hosts("example", options_).has_value());
    time_.pass(2ms);
    EXPECT_FALSE(resolver_->find_mail_hosts("example", options_).has_value());
  }
}

TEST_F(Caching, NegativeAnswersLiveByTheSoa) {
  EXPECT_EQ(ask("gone.example").outcome, RouteOutcome::NoSuchDomain);
  time_.pass(59s);
  EXPECT_EQ(ask("gone.example").outcome, RouteOutcome::NoSuchDomain);
  EXPECT_EQ(dns_->asked(), 1u);
  dns_->add_a("gone.example", "192.0.2.1");
  time_.pass(1s);
  EXPECT_TRUE(ask("gone.example").ok()) << "a domain that has come up is found";
}

TEST_F(Caching, NegativeTtlIsCapped) {
  dns_->script("gone.example", Type::Mx, [](Message reply) {
    reply.authority[0].ttl = net::dns::kTtlMax;
    std::get<net::dns::SoaData>(reply.authority[0].data).minimum = net::dns::kTtlMax;
    return net::dns::build_message(reply);
  });
  (void)ask("gone.example");
  time_.pass(std::chrono::hours{1} - 1ms);
  (void)ask("gone.example");
  EXPECT_EQ(dns_->asked(), 1u);
  time_.pass(2ms);
  (void)ask("gone.example");
  EXPECT_EQ(dns_->asked(), 2u);
}

TEST_F(Caching, FailuresAreRememberedShortly) {
  dns_->script("example", Type::Mx, servfail);
  EXPECT_EQ(ask("example").outcome, RouteOutcome::TempFail);
  time_.pass(9s);
  EXPECT_EQ(ask("example").outcome, RouteOutcome::TempFail);
  EXPECT_EQ(dns_->asked(), 1u) << "no storm while the server is down";
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  dns_->script("example", Type::Mx, [](Message reply) { return net::dns::build_message(reply); });
  time_.pass(1s);
  EXPECT_TRUE(ask("example").ok());
}

TEST_F(Caching, StaleAnswersOnlyWhenAllowedAndNotForEver) {
  for (const bool allowed : {false, true}) {
    SCOPED_TRACE(allowed);
    ResolverOptions options;
    if (allowed) options.serve_stale_for = 5min;
    make(options);
    dns_->add_mx("example", 10, "mx.example", 60s);
    dns_->add_a("mx.example", "192.0.2.1", 600s);
    EXPECT_TRUE(ask("example").ok());
    dns_->script("example", Type::Mx, servfail);
    time_.pass(61s);
    EXPECT_EQ(ask("example").ok(), allowed);
    time_.pass(4min);
    EXPECT_EQ(ask("example").ok(), allowed);
    time_.pass(1min);
    EXPECT_EQ(ask("example").outcome, RouteOutcome::TempFail) << "the promise counts from the first expiry";
  }
}

TEST_F(Caching, ClearingForgets) {
  dns_->add_a("a.example", "192.0.2.1");
  dns_->add_a("b.example", "192.0.2.2");
  (void)ask("a.example");
  (void)ask("b.example");
  EXPECT_EQ(resolver_->counters().cache_entries, 4u);
  resolver_->clear_cache("A.example");
  EXPECT_FALSE(resolver_->find_mail_hosts("a.example", options_).has_value());
  EXPECT_TRUE(resolver_->find_mail_hosts("b.example", options_).has_value());
  resolver_->clear_cache();
  EXPECT_EQ(resolver_->counters().cache_entries, 0u);
  EXPECT_EQ(resolver_->counters().cache_bytes, 0u);
}

/// Starts questions without waiting for them.
struct Crowd {
  explicit Crowd(Resolver& resolver, resolver::RouteOptions the_options)
      : from(resolver), options(the_options) {}
  void ask(std::string domain) {
    answers.emplace_back();
    tasks.spawn(one(*this, std::move(domain), answers.size() - 1));
  }
  static Task<void> one(Crowd& self, std::string domain, std::size_t at) {
    self.order.push_back(at);
    auto answer = co_await self.from.resolve_mail_hosts(std::move(domain), self.options);
    self.answers[at] = std::move(answer);
    self.done.push_back(at);
  }
  static Task<void> join(Crowd& self) { co_await self.tasks.join(); }
  Resolver& from;
  resolver::RouteOptions options;
  runtime::TaskGroup tasks;
  std::deque<std::optional<RouteAnswer>> answers;
  std::vector<std::size_t> order;
  std::vector<std::size_t> done;
};

TEST_F(Caching, ConcurrentAsksShareOneFlight) {
  dns_->add_mx("example", 10, "mx.example", 0s);
  dns_->add_a("mx.example", "192.0.2.1", 0s);
  dns_->set_delay(10ms);
  Crowd crowd(*resolver_, options_);
  for (int i = 0; i < 50; ++i) crowd.ask("example");
  time_.run_task(Crowd::join(crowd));
  EXPECT_THAT(dns_->log(), ElementsAre("example MX", "mx.example A"));
  for (const auto& answer : crowd.answers) EXPECT_TRUE(answer->ok());
  EXPECT_EQ(resolver_->counters().joined, 98u);
}

TEST_F(Caching, QueriesInFlightAreCapped) {
  dns_->set_delay(10ms);
  Crowd crowd(*resolver_, options_);
  for (int i = 0; i < 5000; ++i) crowd.ask("d" + std::to_string(i) + ".example");
  EXPECT_EQ(resolver_->counters().in_flight, Resolver::kQueriesInFlightNewMax);
  time_.run_task(Crowd::join(crowd));
  EXPECT_EQ(dns_->under_way_most(), Resolver::kQueriesInFlightNewMax);
  EXPECT_EQ(dns_->asked(), 5000u);
  for (const auto& answer : crowd.answers) EXPECT_EQ(answer->outcome, RouteOutcome::NoSuchDomain);
}

TEST_F(Caching, AFloodOfDeadDomainsDoesNotHoldUpAKnownOne) {
  dns_->add_mx("busy.example", 10, "mx.busy.example", 60s);
  dns_->add_a("mx.busy.example", "192.0.2.1", 60s);
  EXPECT_TRUE(ask("busy.example").ok());
  time_.pass(61s);
  dns_->hold();  // every server is silent from here on
  const std::size_t first = dns_->asked();
  Crowd flood(*resolver_, options_);
  for (int i = 0; i < 20000; ++i) flood.ask("dead" + std::to_string(i) + ".example");
  time_.settle();
  const std::size_t before = dns_->asked();
  EXPECT_EQ(before, first + Resolver::kQueriesInFlightNewMax);
  Crowd known(*resolver_, options_);
  known.ask("busy.example");
  time_.settle();
  EXPECT_EQ(dns_->asked(), before + 1) << "its question leaves at once";
  EXPECT_EQ(dns_->log().back(), "busy.example MX");
  dns_->set_delay(10ms);
  dns_->release();
  time_.run_task(Crowd::join(known));
  EXPECT_TRUE(known.answers[0]->ok());
  EXPECT_LT(flood.done.size(), 2000u) << "and it does not wait for the flood";
  time_.run_task(Crowd::join(flood));
}

TEST_F(Caching, DomainsTakeTurns) {
  // One domain with many hosts must not delay others: with a small number of slots free, each gets its turn.
  for (int i = 0; i < 20; ++i) {
    const std::string host = "mx" + std::to_string(i) + ".large.example";
    dns_->add_mx("large.example", 10, host);
    dns_->add_a(host, "192.0.2.1");
  }
  dns_->set_delay(10ms);
  Crowd crowd(*resolver_, options_);
  crowd.ask("large.example");
  time_.pass(10ms);
  EXPECT_EQ(resolver_->counters().in_flight, Resolver::kQueriesPerAskerMax);
  EXPECT_EQ(resolver_->counters().waiting, 20 - Resolver::kQueriesPerAskerMax);
  crowd.ask("small.example");
  EXPECT_EQ(dns_->log().back(), "small.example MX") << "not behind the large domain's hosts";
  time_.run_task(Crowd::join(crowd));
}

TEST_F(Caching, AJoinedQuestionTakesTheBetterPlace) {
  dns_->add_mx("busy.example", 10, "mx.busy.example", 60s);
  dns_->add_a("mx.busy.example", "192.0.2.1", 10s);
  EXPECT_TRUE(ask("busy.example").ok());
  time_.pass(11s);
  dns_->hold();
  Crowd crowd(*resolver_, options_);
  for (std::size_t i = 0; i < Resolver::kQueriesInFlightNewMax; ++i)
    crowd.ask("dead" + std::to_string(i) + ".example");
  time_.settle();
  // Somebody new waits for the very host that the known domain needs.
  const auto list = routing::parse_host_list("unheard.example, mx.busy.example");
  struct Static {
    static Task<void> ask(Resolver& from, const routing::HostList& hosts, bool& good) {
      good = (co_await from.resolve_static_hosts(hosts, {})).ok();
    }
  };
  bool good = false;
  runtime::TaskGroup group;
  group.spawn(Static::ask(*resolver_, *list, good));
  time_.settle();
  EXPECT_EQ(resolver_->counters().waiting, 2u);
  crowd.ask("busy.example");
  time_.settle();
  EXPECT_EQ(dns_->log().back(), "mx.busy.example A");
  EXPECT_EQ(resolver_->counters().waiting, 1u);
  dns_->release();
  time_.run_task(Crowd::join(crowd));
  time_.pass(1s);
  EXPECT_TRUE(good) << "both have their answer";
}

TEST_F(Caching, TooManyAskersAreTurnedAway) {
  dns_->hold();
  Crowd crowd(*resolver_, options_);
  for (std::size_t i = 0; i < Resolver::kAskersMax; ++i) crowd.ask("same.example");
  EXPECT_EQ(dns_->asked(), 1u);
  const RouteAnswer answer = ask("other.example");
  EXPECT_EQ(answer.outcome, RouteOutcome::TempFail);
  EXPECT_TRUE(answer.busy);
  EXPECT_EQ(resolver_->counters().turned_away, 1u);
  dns_->release();
  time_.run_task(Crowd::join(crowd));
}

TEST_F(Caching, SlowBackupHostsAreWaitedForOnlyShortly) {
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_mx("example", 20, "slow.example");
  dns_->add_a("mx.example", "192.0.2.1");
  dns_->add_a("slow.example", "192.0.2.2");
  dns_->set_delay("slow.example", 20s);
  const MonoTime before = time_.now();
  const RouteAnswer answer = ask("example");
  EXPECT_EQ(time_.now() - before, ResolverOptions{}.laggard_wait);
  EXPECT_THAT(lines(answer), ElementsAre("10 mx.example 192.0.2.1:25"));
  EXPECT_TRUE(answer.incomplete);
  time_.pass(20s);
  EXPECT_THAT(lines(ask("example")),
              ElementsAre("10 mx.example 192.0.2.1:25", "20 slow.example 192.0.2.2:25"));
  EXPECT_EQ(dns_->asked(), 3u) << "the slow answer came into the cache by itself";
}

TEST_F(Caching, SlowBestHostsAreWaitedFor) {
  dns_->add_mx("example", 10, "slow.example");
  dns_->add_mx("example", 20, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  dns_->add_a("slow.example", "192.0.2.2");
  dns_->set_delay("slow.example", 20s);
  EXPECT_THAT(lines(ask("example")),
              ElementsAre("10 slow.example 192.0.2.2:25", "20 mx.example 192.0.2.1:25"));
}

TEST_F(Caching, NobodyWaitsForEver) {
  dns_->add_mx("example", 10, "slow.example");
  dns_->add_a("slow.example", "192.0.2.1");
  for (const char* slow : {"example", "slow.example"}) {
    SCOPED_TRACE(slow);
    resolver_->clear_cache();
    dns_->set_delay("example", 1s);
    dns_->set_delay("slow.example", 1s);
    dns_->set_delay(slow, 300s);
    const MonoTime before = time_.now();
    const RouteAnswer answer = ask("example");
    EXPECT_EQ(answer.outcome, RouteOutcome::TempFail);
    EXPECT_EQ(answer.failed_name, slow);
    EXPECT_EQ(time_.now() - before, ResolverOptions{}.answer_within);
    time_.pass(300s);
  }
  dns_->set_delay("text.example", 300s);
  const auto set = time_.run_task(resolver_->lookup("text.example", Type::Txt));
  EXPECT_EQ(set->kind(), resolver::Rrset::Kind::Failure);
  time_.pass(300s);
  EXPECT_EQ(resolver_->counters().in_flight, 0u);
}

TEST_F(Caching, StopAnswersEverybody) {
  dns_->hold();
  Crowd crowd(*resolver_, options_);
  for (int i = 0; i < 2000; ++i) crowd.ask("d" + std::to_string(i) + ".example");
  time_.run_task(resolver_->stop());
  EXPECT_EQ(crowd.done.size(), 2000u);
  for (const auto& answer : crowd.answers) EXPECT_EQ(answer->outcome, RouteOutcome::TempFail);
  EXPECT_EQ(ask("later.example").outcome, RouteOutcome::TempFail);
  EXPECT_EQ(dns_->asked(), Resolver::kQueriesInFlightNewMax);
}

TEST_F(Caching, MemoryPerDomain) {
  constexpr int kDomains = 20000;
  for (int i = 0; i < kDomains; ++i) {
    const std::string domain = "customer" + std::to_string(i) + ".example";
    dns_->add_mx(domain, 10, "mail." + domain);
    dns_->add_a("mail." + domain, "192.0.2.1");
  }
  options_.families = {true, true, false};
  for (int i = 0; i < kDomains; ++i) ASSERT_TRUE(ask("customer" + std::to_string(i) + ".example").ok());
  EXPECT_EQ(resolver_->counters().cache_entries, 3u * kDomains) << "MX, A and the absence of AAAA";
  EXPECT_LE(resolver_->counters().cache_bytes / kDomains, 300u);
}

TEST_F(Caching, EvictionKeepsTheBoundAndWhatIsUsed) {
  ResolverOptions options;
  options.cache_bytes_max = 256 * kKiB;
  make(options);
  dns_->add_a("hot.example", "192.0.2.1", std::chrono::hours{1});
  (void)ask("hot.example");
  for (int i = 0; i < 20000; ++i) {
    (void)ask("cold" + std::to_string(i) + ".example");
    ASSERT_LE(resolver_->counters().cache_bytes, options.cache_bytes_max);
    if (i % 50 == 0) {
      ASSERT_TRUE(resolver_->find_mail_hosts("hot.example", options_).has_value()) << i;
    }
  }
  EXPECT_GT(resolver_->counters().evictions, 10000u);
  EXPECT_GT(resolver_->counters().cache_entries, 1000u);
}

}  // namespace
}  // namespace sluice::test
