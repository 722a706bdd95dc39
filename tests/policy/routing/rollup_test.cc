// Goal: domains share a queue exactly when PowerMTA's rules say so, and automatic site names are the same for
//       the same MX records and different for others.
// How:  the table of the guide's chapter on MX rollup, then one table per rule beyond it.
#include "policy/routing/rollup.h"

#include <gtest/gtest.h>

namespace sluice::routing {
namespace {

config::MxRollup line(std::string_view mx, std::string target, bool by_ip = false) {
  return {*config::DomainPattern::parse(mx), std::move(target), by_ip, {}};
}

struct Case {
  const char* what;
  std::vector<MxName> mx;
  const char* target;  // null: not rolled up
  std::vector<std::string> hosts;
};

TEST(Rollup, TheTableOfTheGuide) {
  const std::vector<config::MxRollup> lines = {line("mx1.d", "r1.rollup"), line("mx2.d", "r1.rollup"),
                                               line("mx1.d2", "r2.rollup")};
  const RollupTable table(lines);
  const std::vector<std::string> both = {"mx1.d", "mx2.d"};
  const Case cases[] = {
      {"both at one preference", {{10, "mx1.d"}, {10, "mx2.d"}}, "r1.rollup", both},
      {"one of them is second choice", {{10, "mx1.d"}, {20, "mx2.d"}}, nullptr, {}},
      {"one more host", {{10, "mx1.d"}, {10, "mx2.d"}, {10, "mx3.d"}}, "r1.rollup", both},
      {"one is missing", {{10, "mx1.d"}}, nullptr, {}},
      {"one more host, other list", {{10, "mx1.d2"}, {10, "mx2.d2"}}, "r2.rollup", {"mx1.d2"}},
      {"second choice beside it", {{10, "mx1.d2"}, {20, "mx2.d2"}}, "r2.rollup", {"mx1.d2"}},
      {"a longer name", {{10, "mx1.mail.d"}}, nullptr, {}},
      {"the order of records does not matter",
       {{20, "x.d"}, {10, "mx2.d"}, {10, "mx1.d"}},
       "r1.rollup",
       both},
      {"no MX", {}, nullptr, {}},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    const RollupTable::Target* found = table.match(best_names(one.mx));
    ASSERT_EQ(found == nullptr, one.target == nullptr);
    if (found == nullptr) continue;
    EXPECT_EQ(found->name, one.target);
    std::vector<std::string> names;
    for (const StaticHost& host : hosts_of(*found).hosts) {
      EXPECT_EQ(host.group, 0);
      names.push_back(host.name);
    }
    EXPECT_EQ(names, one.hosts);
  }
}

TEST(Rollup, WildcardsNeedAHostEach) {
  const std::vector<config::MxRollup> lines = {line("*.mail.protection.outlook.com", "outlook.rollup", true),
                                               line("*.a.net", "pair.rollup"),
                                               line("*.b.net", "pair.rollup"),
                                               line("[*.]c.net", "c.rollup"),  //
                                               line("mx1.d.net", "d.rollup"),
                                               line("mx2.d.net", "d.rollup"),
                                               line("*.d.org", "d.rollup")};
  const RollupTable table(lines);
  const auto target_of = [&table](std::vector<std::string_view> best) {
    const RollupTable::Target* found = table.match(best);
    return found == nullptr ? std::string() : found->name;
  };
  EXPECT_EQ(target_of({"x-com.mail.protection.outlook.com"}), "outlook.rollup");
  EXPECT_EQ(target_of({"mail.protection.outlook.com"}), "");  // *.d is subdomains only
  EXPECT_EQ(target_of({"1.a.net"}), "pair.rollup") << "wildcards are alternatives";
  EXPECT_EQ(target_of({"1.a.net", "2.b.net", "other.example"}), "pair.rollup");
  EXPECT_EQ(target_of({"mx1.d.net"}), "") << "explicit names are listed as a whole";
  EXPECT_EQ(target_of({"mx1.d.net", "mx2.d.net"}), "d.rollup");
  EXPECT_EQ(target_of({"x.d.org"}), "d.rollup") << "also beside explicit names";
  EXPECT_EQ(target_of({"c.net"}), "c.rollup");
  EXPECT_TRUE(table.find("outlook.rollup")->by_ip);
  EXPECT_TRUE(hosts_of(*table.find("outlook.rollup")).hosts.empty());
  EXPECT_EQ(table.find("none.rollup"), nullptr);
}

TEST(Rollup, TheFirstTargetInTheFileWins) {
  const std::vector<config::MxRollup> lines = {line("*.x", "wide.rollup"), line("mx.x", "narrow.rollup")};
  const RollupTable table(lines);
  EXPECT_EQ(table.match(std::vector<std::string_view>{"mx.x"})->name, "wide.rollup");
}

TEST(Rollup, AProvidersOwnDomainTakesItsCustomersIn) {
  const std::vector<std::string_view> provider = {"mx1.p", "mx2.p"};
  EXPECT_TRUE(served_by(std::vector<std::string_view>{"mx2.p", "mx1.p"}, provider));
  EXPECT_TRUE(served_by(std::vector<std::string_view>{"mx0.p", "mx2.p", "mx1.p"}, provider));
  EXPECT_FALSE(served_by(std::vector<std::string_view>{"mx1.p"}, provider));
  EXPECT_FALSE(served_by(std::vector<std::string_view>{"mx1.p"}, {}));
}

TEST(Rollup, SitesAreNamedByTheirMxRecords) {
  const std::vector<MxName> google = {{1, "aspmx.l.google.com"}, {5, "alt1.aspmx.l.google.com"}};
  const auto name = site_name("shop.example", google);
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->ends_with(".aspmx.l.google.com.rollup")) << *name;
  EXPECT_EQ(*name, "rhtkibvq.aspmx.l.google.com.rollup");  // names outlive releases: queues carry them
  // The same hosts in the same order, whatever the numbers and the order of the records.
  const std::vector<MxName> same = {{20, "alt1.aspmx.l.google.com"}, {10, "aspmx.l.google.com"}};
  EXPECT_EQ(site_name("other.example", same), name);
  const std::vector<std::vector<MxName>> others = {
      {{1, "aspmx.l.google.com"}},
      {{1, "aspmx.l.google.com"}, {1, "alt1.aspmx.l.google.com"}},
      {{1, "aspmx.l.google.com"}, {5, "alt2.aspmx.l.google.com"}},
      {{1, "aspmx.l.google.com"}, {5, "alt1.aspmx.l.google.com"}, {5, "x"}},
  };
  for (const auto& other : others) EXPECT_NE(site_name("shop.example", other), name);
  EXPECT_EQ(hosts_of(same).text(), "aspmx.l.google.com; alt1.aspmx.l.google.com");
  EXPECT_EQ(hosts_of(others[1]).text(), "alt1.aspmx.l.google.com, aspmx.l.google.com");
}

TEST(Rollup, WhoServesItselfKeepsItsQueue) {
  EXPECT_FALSE(site_name("own.example", std::vector<MxName>{{10, "mail.own.example"}}));
  EXPECT_FALSE(site_name("own.example", std::vector<MxName>{{10, "own.example"}}));
  EXPECT_FALSE(site_name("own.example", {}));
  EXPECT_TRUE(site_name("own.example", std::vector<MxName>{{10, "mail.notown.example"}}));
}

}  // namespace
}  // namespace sluice::routing
