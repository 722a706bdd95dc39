// Goal: a shutdown waits for nobody who has nothing of ours: whatever stage a connection is in before a host has
//       greeted it, it ends at once, costs its mail no attempt, and the mail goes out after the next start.
// How:  a whole node in the simulated world; DNS, mail hosts and proxies that never answer, with time-outs of
//       minutes; the time the stop takes.
#include <gtest/gtest.h>

#include "tests/sim/limited.h"
#include "tests/sim/proxy_host.h"

namespace sluice::test {
namespace {

constexpr const char* kPatient =
    "<domain *>\n connect-timeout 5m\n smtp-greeting-timeout 5m\n smtp-multiple-line-response-timeout 5m\n"
    "</domain>\n";

struct Stage {
  const char* name;
  const char* extra;
  const char* silent;  ///< addresses that answer nothing
  bool dns_is_silent;
  bool hosts_are_mute;
};

TEST(Shutdown, NoStageBeforeTheGreetingHoldsItUp) {
  const Stage stages[] = {
      {"DNS", "", nullptr, true, false},
      {"DNS, for a rollup", "<mx-rollup-list>\n mx mx.b.test b.rollup\n</mx-rollup-list>\n", nullptr, true,
       false},
      {"connect", "", "10.1.0.0/24", false, false},
      {"greeting", "", nullptr, false, true},
      {"connect to a proxy",
       "<proxy first>\n server 10.9.0.1:5000\n client 10.9.0.11 p1.sim\n</proxy>\n<virtual-mta edge>\n"
       " smtp-source-host 10.255.0.7 edge.sim\n use-proxy first\n</virtual-mta>\n",
       "10.9.0.0/24", false, false},
      {"connect for http-delivery",
       "<domain a.test>\n type http-delivery\n http-delivery-url http://10.1.0.9:80/\n</domain>\n",
       "10.1.0.0/24", false, false},
  };
  for (const Stage& stage : stages) {
    SCOPED_TRACE(stage.name);
    Limited run(std::string(kPatient) + stage.extra, {.takes_nothing = stage.hosts_are_mute});
    std::vector<resolver::TableTransport*> tables;
    run.scenario.extra_zone = [&tables](resolver::TableTransport& dns) { tables.push_back(&dns); };
    if (stage.silent != nullptr)
      run.scenario.world.network().set_host(*Cidr::parse(stage.silent), runtime::sim::HostState::Silent);
    ASSERT_TRUE(run.scenario.boot());
    if (stage.dns_is_silent) {
      for (resolver::TableTransport* dns : tables) dns->hold();
    }
    const char* vmta = std::string_view(stage.extra).contains("edge") ? "edge" : "v1";
    run.send({.recipients = 5, .each = 1, .vmtas = {vmta}});
    run.run_for(2s);
    EXPECT_EQ(run.seen().messages.size(), 0u);
    const MonoTime before = run.scenario.world.now();
    ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 30min));
    EXPECT_LE(run.scenario.world.now() - before, 2s);
    run.scenario.crash(Crash::Kill);
    // Nothing was an attempt: the queue does not rest, and mail goes out at once where it can.
    if (stage.silent != nullptr)
      run.scenario.world.network().set_host(*Cidr::parse(stage.silent), runtime::sim::HostState::Up);
    for (auto& one : run.scenario.receivers) one->set_mood({});
    run.scenario.files.files["/etc/config"] =
        std::string(kConfig) + "<virtual-mta edge>\n smtp-source-host 10.255.0.7 edge.sim\n</virtual-mta>\n";
    ASSERT_TRUE(run.scenario.boot());
    run.run_for(5s);
    EXPECT_EQ(run.seen().messages.size(), 5u);
    run.scenario.close();
  }
}

}  // namespace
}  // namespace sluice::test
