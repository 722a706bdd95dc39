// Goal: the listed domains' mail hosts are in the cache at every moment after the first round, whatever their
//       TTL, and the file may change under way.
// How:  a Resolver over a table in the simulated world, the list on the simulated disk, days of virtual time.
#include "engine/resolver/precache.h"

#include "engine/resolver/table_transport.h"
#include "tests/support/sim_test.h"

namespace sluice::test {
namespace {

using resolver::parse_domain_list;
using resolver::Precache;
using resolver::Resolver;
using resolver::TableTransport;

TEST(DomainList, TakesWhatAnOperatorWrites) {
  const auto list = parse_domain_list(
      "Gmail.com  # the large ones\n\n# none\r\n  yahoo.com.\r\ngmail.com\nnot a "
      "name\n[1.2.3.4]\nlast.example",
      10);
  EXPECT_EQ(list, (std::vector<std::string>{"gmail.com", "yahoo.com", "last.example"}));
  EXPECT_EQ(parse_domain_list("a.b\nc.d\ne.f\n", 2).size(), 2u);
  EXPECT_TRUE(parse_domain_list("", 5).empty());
}

struct Precaching : SimTest {
  Precaching()
      : dns(here()),
        names(here(), dns),
        precache(here(), names, [this](std::string text) { complaints.push_back(std::move(text)); }) {
    for (int i = 0; i < 40; ++i) {
      const std::string domain = "d" + std::to_string(i) + ".test";
      // From seconds to a day.
      dns.add_mx(domain, 10, "mx." + domain, std::chrono::seconds(20 << i / 3));
      dns.add_a("mx." + domain, "192.0.2.1", std::chrono::seconds(30 << i / 4));
      list += domain + "\n";
    }
    dns.set_delay(50ms);
  }
  ~Precaching() override {
    EXPECT_TRUE(finish(world, precache.stop()));
    EXPECT_TRUE(finish(world, names.stop()));
  }
  int missing() {
    int count = 0;
    for (int i = 0; i < 40; ++i) {
      if (!names.find_mail_hosts("d" + std::to_string(i) + ".test", {})) ++count;
    }
    return count;
  }
  TableTransport dns;
  Resolver names;
  std::vector<std::string> complaints;
  Precache precache;
  std::string list;
};

TEST_F(Precaching, NothingRunsOutBetweenRounds) {
  world.disk().put("/etc/list", list);
  precache.configure({.path = "/etc/list", .interval = 10s, .domains_max = 500, .families = {}});
  world.run_for(5s);
  EXPECT_EQ(missing(), 0);
  for (int i = 0; i < 2000; ++i) {
    world.run_for(7s);
    ASSERT_EQ(missing(), 0) << i;
  }
  // And not more often than the TTLs ask for: a day's TTL is not asked for every ten seconds.
  EXPECT_LE(std::ranges::count(dns.log(), "d39.test MX"), 3);
}

TEST_F(Precaching, AtMostSoManyAndNotTooManyAtATime) {
  world.disk().put("/etc/list", list);
  precache.configure({.path = "/etc/list", .interval = 1min, .domains_max = 25, .families = {}});
  world.run_for(30s);
  EXPECT_EQ(std::ranges::count(dns.log(), "d24.test MX"), 1);
  EXPECT_EQ(std::ranges::count(dns.log(), "d25.test MX"), 0);
  EXPECT_LE(dns.under_way_most(), Precache::kLookupsMax);
}

TEST_F(Precaching, TheFileMayComeLateAndChange) {
  precache.configure({.path = "/etc/list", .interval = 1min, .domains_max = 500, .families = {}});
  world.run_for(5min + 10s);
  ASSERT_EQ(complaints.size(), 1u) << "once, not every round";
  EXPECT_NE(complaints[0].find("/etc/list"), std::string::npos);
  world.disk().put("/etc/list", "d0.test\n");
  world.run_for(1min);
  EXPECT_EQ(std::ranges::count(dns.log(), "d0.test MX"), 1);
  // Another file by reload: at once, without waiting for the round.
  world.disk().put("/etc/other", "d39.test\n");
  precache.configure({.path = "/etc/other", .interval = 1min, .domains_max = 500, .families = {}});
  world.run_for(1s);
  EXPECT_EQ(std::ranges::count(dns.log(), "d39.test MX"), 1);
  const std::uint64_t rounds = precache.rounds();
  precache.configure({});
  world.run_for(10min);
  EXPECT_LE(precache.rounds(), rounds + 1);
}

}  // namespace
}  // namespace sluice::test
