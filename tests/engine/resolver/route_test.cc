// Goal: what a domain's DNS means for its mail: every RouteOutcome, fallback, order, literals, static hosts.
// How: a Resolver over a table of answers in virtual time; one case is one zone and the hops expected from
//      it.

#include <gmock/gmock.h>

#include "tests/engine/resolver/resolver_fixture.h"

namespace sluice::test {
namespace {

using net::dns::Message;
using net::dns::Rcode;
using net::dns::Type;
using resolver::RouteAnswer;
using routing::RouteOutcome;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using Route = ResolverFixture;

Result<std::vector<std::byte>> with_rcode(Message reply, Rcode rcode) {
  reply.header.rcode = rcode;
  reply.answers.clear();
  reply.authority.clear();
  return net::dns::build_message(reply);
}

TEST_F(Route, MxHostsInOrderOfPreference) {
  dns_->add_mx("example.com", 20, "backup.example.com");
  dns_->add_mx("example.com", 10, "mx.example.com");
  dns_->add_a("mx.example.com", "192.0.2.1");
  dns_->add_a("backup.example.com", "192.0.2.2");
  const RouteAnswer answer = ask("Example.COM.");
  ASSERT_TRUE(answer.ok()) << answer.error_text();
  EXPECT_THAT(lines(answer),
              ElementsAre("10 mx.example.com 192.0.2.1:25", "20 backup.example.com 192.0.2.2:25"));
  EXPECT_FALSE(answer.no_mx);
  EXPECT_FALSE(answer.incomplete);
  EXPECT_NE(answer.hops[0].host, answer.hops[1].host);
}

TEST_F(Route, EqualPreferenceIsShuffled) {
  for (const char* host : {"a.example", "b.example", "c.example", "d.example"}) {
    dns_->add_mx("example", 10, host);
    dns_->add_a(host, "192.0.2.1");
  }
  std::map<std::string, int> first;
  for (int i = 0; i < 400; ++i) {
    const RouteAnswer answer = ask("example");
    ASSERT_EQ(answer.hops.size(), 4u);
    ++first[std::string(answer.host_of(answer.hops[0]))];
  }
  ASSERT_EQ(first.size(), 4u);
  for (const auto& [host, times] : first) EXPECT_GT(times, 60) << host;
}

TEST_F(Route, BothFamiliesWhenBothHaveASource) {
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  dns_->add_a("mx.example", "2001:db8::1");
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 mx.example 192.0.2.1:25"));
  EXPECT_THAT(dns_->log(), ElementsAre("example MX", "mx.example A"))
      << "AAAA is not asked for without an IPv6 source";
  options_.families = {true, true, true};
  EXPECT_THAT(lines(ask("example")),
              ElementsAre("10 mx.example [2001:db8::1]:25", "10 mx.example 192.0.2.1:25"));
  options_.families = {false, true, false};
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 mx.example [2001:db8::1]:25"));
}

TEST_F(Route, NullMx) {
  dns_->add_mx("example", 0, "");
  const RouteAnswer answer = ask("example");
  EXPECT_EQ(answer.outcome, RouteOutcome::NullMx);
  EXPECT_EQ(answer.status().text(), "5.1.10");
  EXPECT_THAT(dns_->log(), ElementsAre("example MX"));
}

TEST_F(Route, RootAmongOtherHostsIsOnlyIgnored) {
  dns_->add_mx("example", 0, "");
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 mx.example 192.0.2.1:25"));
}

TEST_F(Route, NoSuchDomain) {
  const RouteAnswer answer = ask("nowhere.example");
  EXPECT_EQ(answer.outcome, RouteOutcome::NoSuchDomain);
  EXPECT_EQ(answer.status().text(), "5.1.2");
  EXPECT_EQ(answer.error_text(), "bad destination system: no such domain");
}

TEST_F(Route, NxdomainNobodyVouchesForIsOnlyAFailure) {
  dns_->script("example", Type::Mx,
               [](Message reply) { return with_rcode(std::move(reply), Rcode::NxDomain); });
  EXPECT_EQ(ask("example").outcome, RouteOutcome::TempFail);
  make({});
  dns_->script("example", Type::Mx, [](Message reply) {
    reply.header.authoritative = true;
    return with_rcode(std::move(reply), Rcode::NxDomain);
  });
  EXPECT_EQ(ask("example").outcome, RouteOutcome::NoSuchDomain);
}

TEST_F(Route, WithoutMxTheDomainItselfIsTheHost) {
  dns_->add_a("example", "192.0.2.7");
  const RouteAnswer answer = ask("example");
  EXPECT_THAT(lines(answer), ElementsAre("0 example 192.0.2.7:25"));
  EXPECT_TRUE(answer.no_mx);
}

TEST_F(Route, WithoutMxAndAddress) {
  dns_->add({"example", Type::Txt, 1, 300s, net::dns::RawData{{std::byte{1}, std::byte{'x'}}}});
  const RouteAnswer answer = ask("example");
  EXPECT_EQ(answer.outcome, RouteOutcome::NoAddress);
  EXPECT_EQ(answer.status().text(), "5.4.4");
  EXPECT_TRUE(answer.no_mx);
}

TEST_F(Route, MxHostsThatDoNotExist) {
  dns_->add_mx("example", 10, "gone.example");
  dns_->add_mx("example", 20, "10.0.0.1");
  EXPECT_EQ(ask("example").outcome, RouteOutcome::NoAddress);
  EXPECT_THAT(dns_->log(), ElementsAre("example MX", "gone.example A")) << "an address is no host name";
}

TEST_F(Route, DomainBehindAlias) {
  dns_->add_alias("www.example", "example");
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("www.example")), ElementsAre("10 mx.example 192.0.2.1:25"));
}

TEST_F(Route, AliasThatTheServerDoesNotFollowIsChased) {
  dns_->script("www.example", Type::Mx, [](Message reply) {
    reply.answers.resize(1);
    reply.authority.clear();
    reply.header.rcode = Rcode::NoError;
    return net::dns::build_message(reply);
  });
  dns_->add_alias("www.example", "example");
  dns_->add_mx("example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("www.example")), ElementsAre("10 mx.example 192.0.2.1:25"));
}

struct FailureRow {
  const char* name;
  resolver::TableTransport::Script script;
};

TEST_F(Route, FailuresOfEveryKindAreTemporary) {
  const FailureRow rows[] = {
      {"SERVFAIL", [](Message reply) { return with_rcode(std::move(reply), Rcode::ServFail); }},
      {"REFUSED", [](Message reply) { return with_rcode(std::move(reply), Rcode::Refused); }},
      {"timeout", [](Message) -> Result<std::vector<std::byte>> { return fail(Errc::Timeout, "test"); }},
      {"unreachable", [](Message) -> Result<std::vector<std::byte>> { return fail(Errc::Refused, "test"); }},
      {"empty answer", [](Message) -> Result<std::vector<std::byte>> { return std::vector<std::byte>(); }},
      {"noise",
       [](Message) -> Result<std::vector<std::byte>> { return std::vector<std::byte>(64, std::byte{0xc0}); }},
      {"other question",
       [](Message reply) {
         reply.questions[0].name = "other.example";
         return net::dns::build_message(reply);
       }},
      {"a query comes back",
       [](Message reply) {
         reply.header.response = false;
         return net::dns::build_message(reply);
       }},
      {"truncated",
       [](Message reply) {
         reply.header.truncated = true;
         return net::dns::build_message(reply);
       }},
      {"referral",
       [](Message reply) {
         reply.header.recursion_available = false;
         reply.header.rcode = Rcode::NoError;
         reply.answers.clear();
         reply.authority = {{"example", Type::Ns, 1, 300s, net::dns::NameData{"ns.example"}}};
         return net::dns::build_message(reply);
       }},
      {"alias to itself",
       [](Message reply) {
         reply.header.rcode = Rcode::NoError;
         reply.answers = {{"example", Type::Cname, 1, 300s, net::dns::NameData{"example"}}};
         reply.authority.clear();
         return net::dns::build_message(reply);
       }},
  };
  for (const FailureRow& row : rows) {
    SCOPED_TRACE(row.name);
    make({});
    dns_->add_a("example", "192.0.2.1");
    dns_->script("example", Type::Mx, row.script);
    const RouteAnswer answer = ask("example");
    EXPECT_EQ(answer.outcome, RouteOutcome::TempFail);
    EXPECT_EQ(answer.status().text(), "4.4.3");
    EXPECT_EQ(answer.error_text(), "StatusDnsQueryFailed resolving example");
    EXPECT_FALSE(answer.busy);
  }
}

TEST_F(Route, AliasCircleOverSeveralAnswersEnds) {
  dns_->script_all([](Message reply) {
    const std::string next = reply.questions[0].name == "a.example" ? "b.example" : "a.example";
    reply.header.rcode = Rcode::NoError;
    reply.authority.clear();
    reply.answers = {{reply.questions[0].name, Type::Cname, 1, 300s, net::dns::NameData{next}}};
    return net::dns::build_message(reply);
  });
  EXPECT_EQ(ask("a.example").outcome, RouteOutcome::TempFail);
  EXPECT_EQ(dns_->asked(), resolver::Resolver::kCnameChaseMax + 1);
}

TEST_F(Route, OneFailingHostDoesNotHideTheOthers) {
  dns_->add_mx("example", 10, "mx1.example");
  dns_->add_mx("example", 20, "mx2.example");
  dns_->add_a("mx2.example", "192.0.2.2");
  dns_->script("mx1.example", Type::A,
               [](Message reply) { return with_rcode(std::move(reply), Rcode::ServFail); });
  const RouteAnswer answer = ask("example");
  EXPECT_THAT(lines(answer), ElementsAre("20 mx2.example 192.0.2.2:25"));
  EXPECT_TRUE(answer.incomplete);
}

TEST_F(Route, NothingIsPermanentWhileAHostIsUnknown) {
  dns_->add_mx("example", 10, "mx1.example");
  dns_->add_mx("example", 20, "gone.example");
  dns_->script("mx1.example", Type::A,
               [](Message reply) { return with_rcode(std::move(reply), Rcode::ServFail); });
  const RouteAnswer answer = ask("example");
  EXPECT_EQ(answer.outcome, RouteOutcome::TempFail);
  EXPECT_EQ(answer.error_text(), "StatusDnsQueryFailed resolving mx1.example");
}

TEST_F(Route, AThousandMxAreBounded) {
  for (unsigned i = 0; i < 1000; ++i) {
    const std::string host = "mx" + std::to_string(i) + ".example";
    dns_->add_mx("example", static_cast<std::uint16_t>(1000 - i), host);
    dns_->add_a(host, "192.0.2.1");
  }
  const RouteAnswer answer = ask("example");
  ASSERT_EQ(answer.hops.size(), resolver::Resolver::kMailHostsMax);
  EXPECT_EQ(answer.hops[0].preference, 1) << "the most preferred stay";
  EXPECT_EQ(answer.hops.back().preference, resolver::Resolver::kMailHostsMax);
  EXPECT_LE(dns_->asked(), 1 + resolver::Resolver::kMailHostsMax);
  EXPECT_LE(dns_->under_way_most(), resolver::Resolver::kQueriesPerAskerMax);
}

TEST_F(Route, LoopsAndForbiddenTargets) {
  dns_->add_mx("example", 10, "mx1.example");
  dns_->add_mx("example", 20, "us.example");
  dns_->add_mx("example", 30, "mx3.example");
  dns_->add_a("mx1.example", "127.0.0.1");
  dns_->add_a("us.example", "192.0.2.99");
  dns_->add_a("mx3.example", "198.51.100.3");
  const IpAddress own[] = {*IpAddress::parse("192.0.2.99")};
  options_.own_addresses = own;
  EXPECT_THAT(lines(ask("example")), ElementsAre("10 mx1.example 127.0.0.1:25"));
  options_.guard = routing::TargetGuard::Special;
  EXPECT_EQ(ask("example").outcome, RouteOutcome::LoopsBack);
  options_.own_addresses = {};
  EXPECT_EQ(ask("example").outcome, RouteOutcome::TargetRefused) << "documentation networks are special too";
}

TEST_F(Route, DomainOutsideAsciiIsAskedForByItsALabel) {
  dns_->add_mx("xn--bcher-kva.example", 10, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("b\xc3\xbc"
                        "cher.example")),
              ElementsAre("10 mx.example 192.0.2.1:25"));
  EXPECT_THAT(lines(ask("B\xc3\x9c"
                        "CHER.example.")),
              ElementsAre("10 mx.example 192.0.2.1:25"));
  EXPECT_EQ(ask("b\xfc"
                "cher.example")
                .outcome,
            RouteOutcome::BadName);
}

TEST_F(Route, AddressLiterals) {
  EXPECT_THAT(lines(ask("[192.0.2.5]")), ElementsAre("0 [192.0.2.5] 192.0.2.5:25"));
  options_.families = {true, true, false};
  options_.port = 2525;
  EXPECT_THAT(lines(ask("[IPv6:2001:db8::5]")), ElementsAre("0 [IPv6:2001:db8::5] [2001:db8::5]:2525"));
  EXPECT_EQ(ask("[nonsense]").outcome, RouteOutcome::BadName);
  EXPECT_EQ(ask("192.0.2.5").outcome, RouteOutcome::BadName) << "without brackets it is a mistake";
  options_.guard = routing::TargetGuard::Special;
  EXPECT_EQ(ask("[127.0.0.1]").outcome, RouteOutcome::TargetRefused);
  EXPECT_EQ(dns_->asked(), 0u);
}

TEST_F(Route, HostsThatAreNoHostNamesAreNoHosts) {
  dns_->add_mx("example", 10, "mail+1.example");
  dns_->add_mx("example", 20, "mx.example");
  dns_->add_a("mx.example", "192.0.2.1");
  EXPECT_THAT(lines(ask("example")), ElementsAre("20 mx.example 192.0.2.1:25"));
  dns_->add_mx("nonsense.example", 10, "mail+1.example");
  dns_->add_a("nonsense.example", "192.0.2.2");
  EXPECT_THAT(lines(ask("nonsense.example")), ElementsAre("0 nonsense.example 192.0.2.2:25"))
      << "such a set says as little as none";
}

TEST_F(Route, BadNames) {
  for (const char* name : {"", ".", "a..b", "a b.example", "-\xc3\xa4.example", "example/"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(ask(name).outcome, RouteOutcome::BadName);
  }
  EXPECT_EQ(ask(std::string(300, 'a')).outcome, RouteOutcome::BadName);
  EXPECT_EQ(dns_->asked(), 0u);
}

TEST_F(Route, StaticHosts) {
  dns_->add_a("h1.example", "192.0.2.1");
  dns_->add_a("h2.example", "192.0.2.2");
  dns_->add_mx("dom.example", 20, "mx2.dom.example");
  dns_->add_mx("dom.example", 10, "mx1.dom.example");
  dns_->add_a("mx1.dom.example", "192.0.2.11");
  dns_->add_a("mx2.dom.example", "192.0.2.12");
  const auto list = routing::parse_host_list(
      "h1.example:26, gone.example; [192.0.2.9]:2525; lookup-mx:dom.example; h2.example");
  ASSERT_TRUE(list);
  const RouteAnswer answer = time_.run_task(resolver_->resolve_static_hosts(*list, options_));
  EXPECT_THAT(lines(answer), ElementsAre("0 h1.example 192.0.2.1:26", "0 [192.0.2.9] 192.0.2.9:2525",
                                         "10 mx1.dom.example 192.0.2.11:25",
                                         "20 mx2.dom.example 192.0.2.12:25", "0 h2.example 192.0.2.2:25"));
  EXPECT_FALSE(answer.no_mx);
}

TEST_F(Route, StaticHostsWithoutAny) {
  const auto list = routing::parse_host_list("gone.example, lookup-mx:gone2.example");
  ASSERT_TRUE(list);
  EXPECT_EQ(time_.run_task(resolver_->resolve_static_hosts(*list, options_)).outcome,
            RouteOutcome::NoAddress);
  dns_->script_all([](Message reply) { return with_rcode(std::move(reply), Rcode::ServFail); });
  resolver_->clear_cache();
  EXPECT_EQ(time_.run_task(resolver_->resolve_static_hosts(*list, options_)).outcome, RouteOutcome::TempFail);
}

TEST_F(Route, StaticNamesThatAreNone) {
  dns_->add_a("h.example", "192.0.2.1");
  routing::HostList list;
  const auto add = [&](routing::StaticHost::Kind kind, std::string name) {
    list.hosts.push_back({kind, std::move(name), {}, std::nullopt, 0});
  };
  add(routing::StaticHost::Kind::Host, std::string(300, 'x'));
  add(routing::StaticHost::Kind::LookupMx, "not a name");
  add(routing::StaticHost::Kind::Host, "h.example");
  add(routing::StaticHost::Kind::LookupMx, "h.example");
  EXPECT_THAT(lines(time_.run_task(resolver_->resolve_static_hosts(list, options_))),
              ElementsAre("0 h.example 192.0.2.1:25", "0 h.example 192.0.2.1:25"));
}

TEST_F(Route, LookupOfOtherTypes) {
  dns_->add({"_25._tcp.mx.example", Type::Tlsa, 1, 300s,
             net::dns::RawData{{std::byte{3}, std::byte{1}, std::byte{1}}}});
  const resolver::RrsetRef set = time_.run_task(resolver_->lookup("_25._TCP.mx.example", Type::Tlsa));
  ASSERT_EQ(set->kind(), resolver::Rrset::Kind::Records);
  std::size_t cursor = 0;
  std::span<const std::byte> raw;
  ASSERT_TRUE(set->next_raw(cursor, raw));
  EXPECT_EQ(raw.size(), 3u);
  EXPECT_FALSE(set->next_raw(cursor, raw));
  EXPECT_EQ(time_.run_task(resolver_->lookup("gone.example", Type::Txt))->kind(),
            resolver::Rrset::Kind::NxDomain);
}

}  // namespace
}  // namespace sluice::test
