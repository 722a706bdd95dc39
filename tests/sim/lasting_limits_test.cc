// Goal: no rate, volume or count begins anew at a restart, a crash or a reload: every kind of limit, in every
// scope. How:  a whole node in the simulated world with a backlog; it is killed, stopped, cut from power and
//       reloaded in turn, and the receivers' view of all of it together is held against the limit.
#include <gtest/gtest.h>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

enum class What : std::uint8_t { Recipients, Connections, Bytes };

struct Case {
  const char* where;  ///< vmta, pool or domain
  const char* line;
  What what;
  std::size_t events;  ///< or bytes
  Duration per;
  Duration round;  ///< between two disturbances
};

constexpr Case kCases[] = {
    {"domain", "max-msg-rate 6/min", What::Recipients, 6, 1min, 25s},
    {"domain", "max-msg-rate 50/s", What::Recipients, 50, 1s, 2s},
    {"domain", "max-msg-rate 500/d", What::Recipients, 500, 24h, 2h},
    {"domain", "share-limits-over-vmtas yes\n max-msg-rate 6/min", What::Recipients, 6, 1min, 25s},
    {"domain", "source-ip-max-msg-rate 0/0 6/min", What::Recipients, 6, 1min, 25s},
    {"vmta", "max-smtp-msg-rate 6/min", What::Recipients, 6, 1min, 25s},
    {"pool", "max-smtp-msg-rate 6/min", What::Recipients, 6, 1min, 25s},
    {"domain", "max-msg-per-connection 1\n max-connect-rate 6/min", What::Connections, 6, 1min, 25s},
    {"domain", "max-msg-per-connection 1\n source-ip-max-connect-rate 0/0 6/min", What::Connections, 6, 1min,
     25s},
    {"domain", "max-data-volume-rate 60k/min", What::Bytes, 60 * kKiB, 1min, 25s},
    {"domain", "source-ip-max-data-volume-rate 0/0 60k/min", What::Bytes, 60 * kKiB, 1min, 25s},
    {"domain", "max-data-volume-rate 600k/d", What::Bytes, 600 * kKiB, 24h, 2h},
    {"vmta", "max-smtp-data-volume-rate 60k/min", What::Bytes, 60 * kKiB, 1min, 25s},
    {"pool", "max-smtp-data-volume-rate 60k/min", What::Bytes, 60 * kKiB, 1min, 25s},
};

std::string config_of(const Case& one, int turn) {
  const auto setting = [&one](std::string_view where) {
    return one.where == where ? ' ' + std::string(one.line) + '\n' : std::string();
  };
  return "<virtual-mta lim>\n smtp-source-host 10.255.0.5 lim.sim\n" + setting("vmta") +
         "</virtual-mta>\n<virtual-mta-pool pool>\n virtual-mta lim\n" + setting("pool") +
         "</virtual-mta-pool>\n<domain a.test>\n max-rcpt-per-message 1\n bounce-after 30d\n "
         "max-events-recorded " +
         std::to_string(turn + 5) + '\n' + setting("domain") + "</domain>\n";
}

class LastingLimits : public ::testing::TestWithParam<Case> {};

TEST_P(LastingLimits, HoldOverCrashesStopsAndReloads) {
  const Case& one = GetParam();
  Limited run(config_of(one, 0));
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 600,
            .each = one.what == What::Bytes ? 1u : 100u,
            .vmtas = {"pool"},
            .body_bytes = 2500});
  for (int turn = 1; turn <= 8; ++turn) {
    run.run_for(one.round);
    switch (turn % 4) {
      case 0: run.scenario.crash(Crash::PowerCut); break;
      case 1: run.reload(config_of(one, turn)); continue;
      case 2: run.scenario.crash(Crash::Kill); break;
      default:
        ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
        run.scenario.crash(Crash::Kill);
    }
    ASSERT_TRUE(run.scenario.boot());
  }
  run.run_for(one.round);
  const auto everything = [](const Seen&) { return true; };
  const double windows = 9.0 * static_cast<double>(one.round.count()) / static_cast<double>(one.per.count());
  const double used = std::min(1.0, windows) * static_cast<double>(one.events);
  switch (one.what) {
    case What::Recipients:
      expect_rate(times_of(run.seen().rcpts, everything), one.events, one.per);
      EXPECT_GE(run.seen().rcpts.size(), used / 2);
      break;
    case What::Connections:
      expect_rate(run.seen().opened, one.events, one.per);
      EXPECT_GE(run.seen().opened.size(), used / 2);
      break;
    case What::Bytes:
      expect_volume(run.seen().messages, one.events, one.per);
      EXPECT_GE(bytes_of(run.seen().messages), used / 2);
      break;
  }
  run.scenario.close();
}

INSTANTIATE_TEST_SUITE_P(EveryKind, LastingLimits, ::testing::ValuesIn(kCases));

}  // namespace
}  // namespace sluice::test
