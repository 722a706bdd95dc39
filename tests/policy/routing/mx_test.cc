// Goal: the order of hops, what is left out of it, and the name of the result when nothing is left.
// How: order_mail_hosts() is pure, so each row is one complete case; shuffles are judged over many seeds.

#include <gmock/gmock.h>

#include <map>

#include "policy/routing/mx.h"

namespace sluice::routing {
namespace {

using ::testing::ElementsAre;

/// Owns what a MailHost borrows.
struct Host {
  std::uint16_t preference;
  std::string name;
  std::vector<std::string> addresses;
  std::uint16_t group = 0;
};

/// The decision with hops as addresses.
struct Ordered {
  RouteOutcome outcome;
  std::vector<std::string> hops;
};

Ordered order(const std::vector<Host>& hosts, const MxRules& rules, std::uint64_t random = 1) {
  std::vector<std::vector<IpAddress>> addresses;
  for (const Host& host : hosts) {
    auto& list = addresses.emplace_back();
    for (const auto& text : host.addresses) list.push_back(*IpAddress::parse(text));
  }
  std::vector<MailHost> views;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    views.push_back({hosts[i].group, hosts[i].preference, hosts[i].name, 25, addresses[i]});
  }
  const MxDecision decision = order_mail_hosts(views, rules, random);
  Ordered out{decision.outcome, {}};
  for (const HopChoice& hop : decision.hops) out.hops.push_back(addresses[hop.host][hop.address].text());
  return out;
}

TEST(MxOrder, ByPreferenceAndGroup) {
  const Ordered got =
      order({{20, "b", {"192.0.2.2"}}, {10, "a", {"192.0.2.1"}}, {5, "c", {"192.0.2.3"}, 1}}, {});
  EXPECT_EQ(got.outcome, RouteOutcome::Ok);
  EXPECT_THAT(got.hops, ElementsAre("192.0.2.1", "192.0.2.2", "192.0.2.3"));
}

TEST(MxOrder, EqualHostsAreShuffledEvenly) {
  const std::vector<Host> hosts = {
      {10, "a", {"192.0.2.1"}}, {10, "b", {"192.0.2.2"}}, {10, "c", {"192.0.2.3"}}};
  std::map<std::vector<std::string>, int> seen;
  for (std::uint64_t random = 0; random < 6000; ++random) ++seen[order(hosts, {}, random).hops];
  ASSERT_EQ(seen.size(), 6u) << "every order comes up";
  for (const auto& [hops, times] : seen) {
    EXPECT_GT(times, 850);
    EXPECT_LT(times, 1150);
  }
  EXPECT_EQ(order(hosts, {}, 42).hops, order(hosts, {}, 42).hops) << "the same chance, the same order";
}

TEST(MxOrder, ADeadHostCostsOneAttemptPerRound) {
  const std::vector<Host> hosts = {{10, "a", {"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
                                   {10, "b", {"198.51.100.1"}},
                                   {20, "c", {"203.0.113.1"}}};
  for (std::uint64_t random = 0; random < 50; ++random) {
    const Ordered got = order(hosts, {}, random);
    ASSERT_EQ(got.hops.size(), 5u);
    EXPECT_EQ(got.hops[4], "203.0.113.1");
    const bool b_among_first_two = got.hops[0] == "198.51.100.1" || got.hops[1] == "198.51.100.1";
    EXPECT_TRUE(b_among_first_two);
  }
}

TEST(MxOrder, Families) {
  const std::vector<Host> hosts = {{10, "a", {"192.0.2.1", "2001:db8::1", "192.0.2.2"}}};
  MxRules rules;
  rules.families = {true, false, false};
  EXPECT_EQ(order(hosts, rules).hops.size(), 2u);
  rules.families = {false, true, false};
  EXPECT_THAT(order(hosts, rules).hops, ElementsAre("2001:db8::1"));
  for (std::uint64_t random = 0; random < 20; ++random) {
    rules.families = {true, true, false};
    EXPECT_EQ(order(hosts, rules, random).hops[2], "2001:db8::1");
    rules.families = {true, true, true};
    EXPECT_EQ(order(hosts, rules, random).hops[0], "2001:db8::1");
  }
}

TEST(MxOrder, OwnHostCutsItsRankAndWorse) {
  const std::vector<Host> hosts = {{10, "a", {"192.0.2.1"}},
                                   {20, "us", {"192.0.2.99"}},
                                   {20, "b", {"192.0.2.2"}},
                                   {30, "c", {"192.0.2.3"}}};
  const IpAddress own[] = {*IpAddress::parse("192.0.2.99")};
  MxRules rules;
  rules.own_addresses = own;
  EXPECT_THAT(order(hosts, rules).hops, ElementsAre("192.0.2.1"));
  const std::string names[] = {"US"};
  MxRules by_name;
  by_name.own_names = names;
  EXPECT_THAT(order(hosts, by_name).hops, ElementsAre("192.0.2.1"));
}

struct OutcomeRow {
  const char* name;
  std::vector<Host> hosts;
  TargetGuard guard;
  RouteOutcome outcome;
};

TEST(MxOrder, Outcomes) {
  // clang-format off
  const OutcomeRow rows[] = {
      {"no host", {}, TargetGuard::Off, RouteOutcome::NoAddress},
      {"host without address", {{10, "a", {}}}, TargetGuard::Off, RouteOutcome::NoAddress},
      {"only the other family", {{10, "a", {"2001:db8::1"}}}, TargetGuard::Off, RouteOutcome::NoUsableAddress},
      {"loopback allowed", {{10, "a", {"127.0.0.1"}}}, TargetGuard::Off, RouteOutcome::Ok},
      {"loopback refused", {{10, "a", {"127.0.0.1"}}}, TargetGuard::Special, RouteOutcome::TargetRefused},
      {"never the unspecified address", {{10, "a", {"0.0.0.0"}}}, TargetGuard::Off, RouteOutcome::TargetRefused},
      {"refused weighs more than family", {{10, "a", {"127.0.0.1", "2001:db8::1"}}}, TargetGuard::Special, RouteOutcome::TargetRefused},
      {"one good host is enough", {{10, "a", {"10.0.0.1"}}, {20, "b", {"8.8.8.8"}}}, TargetGuard::Private, RouteOutcome::Ok},
  };
  // clang-format on
  for (const OutcomeRow& row : rows) {
    SCOPED_TRACE(row.name);
    MxRules rules;
    rules.guard = row.guard;
    EXPECT_EQ(order(row.hosts, rules).outcome, row.outcome);
  }
}

TEST(MxOrder, IsBounded) {
  Host large{10, "a", {}};
  for (int i = 0; i < 200; ++i) large.addresses.push_back("192.0.2." + std::to_string(i));
  EXPECT_EQ(order({large}, {}).hops.size(), MxRules::kHopsMaxDefault);
}

struct GuardRow {
  const char* address;
  bool off;
  bool special;
  bool private_too;
};

TEST(TargetGuards, Table) {
  // clang-format off
  const GuardRow rows[] = {
      {"8.8.8.8", false, false, false},          {"0.0.0.0", true, true, true},        {"0.1.2.3", false, true, true},
      {"127.0.0.1", false, true, true},          {"127.255.0.1", false, true, true},   {"126.255.255.255", false, false, false},
      {"128.0.0.1", false, false, false},        {"169.254.1.1", false, true, true},   {"169.253.1.1", false, false, false},
      {"224.0.0.1", true, true, true},           {"239.255.255.255", true, true, true}, {"223.255.255.255", false, false, false},
      {"240.0.0.1", false, true, true},          {"255.255.255.255", true, true, true}, {"192.0.2.1", false, true, true},
      {"198.18.0.1", false, true, true},         {"198.19.255.255", false, true, true}, {"198.20.0.1", false, false, false},
      {"10.1.2.3", false, false, true},          {"172.16.0.1", false, false, true},    {"172.31.255.255", false, false, true},
      {"172.32.0.1", false, false, false},       {"192.168.1.1", false, false, true},   {"100.64.0.1", false, false, true},
      {"100.127.255.255", false, false, true},   {"100.128.0.1", false, false, false},  {"::", true, true, true},
      {"::1", false, true, true},                {"2a00:1450::1", false, false, false}, {"fe80::1", false, true, true},
      {"febf::1", false, true, true},            {"fec0::1", false, true, true},        {"ff02::1", true, true, true},
      {"2001:db8::1", false, true, true},        {"2001:db9::1", false, false, false},  {"fc00::1", false, false, true},
      {"fd12::1", false, false, true},           {"100::1", false, true, true},
      {"::127.0.0.1", false, true, true},
  };
  // clang-format on
  for (const GuardRow& row : rows) {
    SCOPED_TRACE(row.address);
    const IpAddress address = *IpAddress::parse(row.address);
    EXPECT_EQ(is_refused_target(address, TargetGuard::Off), row.off);
    EXPECT_EQ(is_refused_target(address, TargetGuard::Special), row.special);
    EXPECT_EQ(is_refused_target(address, TargetGuard::Private), row.private_too);
  }
}

TEST(RouteOutcomes, EveryOneHasStatusAndText) {
  for (const auto outcome : {RouteOutcome::NullMx, RouteOutcome::NoSuchDomain, RouteOutcome::NoAddress,
                             RouteOutcome::NoUsableAddress, RouteOutcome::LoopsBack,
                             RouteOutcome::TargetRefused, RouteOutcome::BadName, RouteOutcome::TempFail}) {
    EXPECT_EQ(status_of(outcome).klass, is_permanent(outcome) ? 5 : 4);
    EXPECT_FALSE(text_of(outcome).empty());
  }
  EXPECT_FALSE(is_permanent(RouteOutcome::Ok));
  EXPECT_FALSE(is_permanent(RouteOutcome::TempFail));
  EXPECT_EQ(status_of(RouteOutcome::NullMx).text(), "5.1.10");
  EXPECT_EQ(status_of(RouteOutcome::NoSuchDomain).text(), "5.1.2");
}

}  // namespace
}  // namespace sluice::routing
