// Goal: reloads forget nothing that was counted: limits that are changed, taken away and brought back, shared
//       and unshared, on virtual MTAs that change their shard; and volume that comes back wakes who waits.
// How:  a whole node with a backlog in the simulated world. Configurations are drawn by chance and loaded at
//       chance moments; what the receivers saw is held against the limits in force at the time.
//       SLUICE_SIM_FIRST and SLUICE_SIM_SEEDS choose the runs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

std::uint64_t number_of(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::strtoull(value, nullptr, 10);
}

/// A limit in every scope it can have; "%" stands for the rate.
struct Kind {
  const char* where;  ///< domain, vmta or pool
  const char* line;
  bool counts_connections = false;
  bool is_volume = false;
};
constexpr Kind kKinds[] = {
    {"domain", "max-msg-rate %"},
    {"domain", "source-ip-max-msg-rate 0/0 %"},
    {"vmta", "max-smtp-msg-rate %"},
    {"pool", "max-smtp-msg-rate %"},
    {"domain", "max-connect-rate %", true},
    {"domain", "source-ip-max-connect-rate 0/0 %", true},
    {"domain", "max-data-volume-rate %", false, true},
    {"domain", "source-ip-max-data-volume-rate 0/0 %", false, true},
    {"vmta", "max-smtp-data-volume-rate %", false, true},
    {"pool", "max-smtp-data-volume-rate %", false, true},
};

struct Setting {
  const char* text;
  double events;  ///< or bytes
  Duration per;
};
constexpr Setting kRates[] = {{"12/min", 12, 1min}, {"6/min", 6, 1min}, {"1/5s", 1, 5s}, {"360/h", 360, 1h}};
constexpr Setting kVolumes[] = {{"60k/min", 60 * 1024, 1min}, {"30k/min", 30 * 1024, 1min}};

struct Drawn {
  std::optional<Setting> limit;
  bool shared = false;
  std::string text;
};

class Configurations {
 public:
  Configurations(const Kind& kind, runtime::sim::Random& random) : kind_(kind), random_(random) {}

  Drawn draw() {
    Drawn out;
    if (random_.below(4) != 0) {
      out.limit = kind_.is_volume ? kVolumes[random_.below(std::size(kVolumes))]
                                  : kRates[random_.below(std::size(kRates))];
    }
    out.shared = random_.below(2) == 0;
    std::string line;
    if (out.limit) {
      line = kind_.line;
      line.replace(line.find('%'), 1, out.limit->text);
      line = ' ' + line + '\n';
    }
    const auto setting = [&](std::string_view where) { return kind_.where == where ? line : std::string(); };
    // Both on one address, and so on one shard; or each on its own.
    const char* second = random_.below(2) == 0 ? "10.255.0.5 x6.sim" : "10.255.0.6 x6b.sim";
    out.text = "<virtual-mta x5>\n smtp-source-host 10.255.0.5 x5.sim\n" + setting("vmta") +
               "</virtual-mta>\n<virtual-mta x6>\n smtp-source-host " + second + '\n' + setting("vmta") +
               "</virtual-mta>\n<virtual-mta-pool pool>\n virtual-mta x5\n virtual-mta x6\n" +
               setting("pool") + "</virtual-mta-pool>\n";
    // Others come and go meanwhile.
    if (random_.below(2) == 0)
      out.text += "<virtual-mta x7>\n smtp-source-host 10.255.0.7 x7\n</virtual-mta>\n";
    if (random_.below(2) == 0) out.text += "<mx-rollup-list>\n mx *.b.test b.rollup\n</mx-rollup-list>\n";
    out.text += "<domain a.test>\n max-rcpt-per-message 1\n bounce-after 30d\n max-smtp-out " +
                std::to_string(2 + random_.below(4)) + "\n share-limits-over-vmtas " +
                (out.shared ? "yes\n" : "no\n") +
                (kind_.counts_connections ? " max-msg-per-connection 1\n" : "") + setting("domain") +
                "</domain>\n";
    return out;
  }

 private:
  const Kind& kind_;
  runtime::sim::Random& random_;
};

/// The configuration that was in force from `begin` to `end`; between two of them one followed the other, and
/// what was sent before was still on its way.
struct Stretch {
  MonoTime begin;
  MonoTime end;
  Drawn drawn;
};

/// From one limit to another of the same scope the faster of the two holds: a limit that begins anew would let
/// something go at that very moment. Nothing: one of them has none.
std::optional<Drawn> between(const Drawn& before, const Drawn& after) {
  if (!before.limit || !after.limit || before.shared != after.shared) return std::nullopt;
  const auto speed = [](const Drawn& one) {
    return one.limit->events / static_cast<double>(one.limit->per.count());
  };
  return speed(before) > speed(after) ? before : after;
}

struct Event {
  MonoTime at;
  double weight = 1;
  const Setting* limit = nullptr;  ///< in force at the time
};

/// Of what was seen, what lies in a stretch with a limit (and shared limits, where asked for).
std::vector<Event> limited(const std::vector<Seen>& seen, const std::vector<Stretch>& stretches,
                           bool only_shared, bool by_bytes) {
  std::vector<Event> out;
  for (const Seen& one : seen) {
    for (const Stretch& stretch : stretches) {
      if (one.at < stretch.begin || one.at > stretch.end) continue;
      if (stretch.drawn.limit && (stretch.drawn.shared || !only_shared))
        out.push_back({one.at, by_bytes ? static_cast<double>(one.bytes) : 1, &*stretch.drawn.limit});
    }
  }
  return out;
}

/// Each event as far from those before it as the fastest limit in force among them allows.
void expect_kept(const std::vector<Event>& events) {
  for (std::size_t last = 0; last < events.size(); ++last) {
    Duration gap = Duration::max();
    for (std::size_t first = last; first-- > 0;) {
      const Setting& limit = *events[first].limit;
      for (const Setting* one : {&limit, events[last].limit})
        gap = std::min(
            gap, Duration{static_cast<std::int64_t>(static_cast<double>(one->per.count()) / one->events)});
      ASSERT_GE(events[last].at - events[first].at, gap * static_cast<int>(last - first) - 20ms)
          << "events " << first << " to " << last;
    }
  }
}
void expect_volume_kept(const std::vector<Event>& events, Duration per) {
  for (std::size_t last = 0; last < events.size(); ++last) {
    double sum = 0;
    double most = 0;
    for (std::size_t i = last + 1; i-- > 0 && events[last].at - events[i].at < per - 20ms;) {
      sum += events[i].weight;
      most = std::max(most, events[i].limit->events);
    }
    ASSERT_LE(sum, most) << "window ending with message " << last;
  }
}

void play(const Kind& kind, std::uint64_t seed) {
  SCOPED_TRACE(std::string(kind.where) + ' ' + kind.line + ", seed " + std::to_string(seed));
  Limited run("", {}, seed);
  auto& world = run.scenario.world;
  Configurations configurations(kind, world.random());
  std::vector<Stretch> stretches{{world.now(), {}, configurations.draw()}};
  run.scenario.files.files["/etc/config"] = kConfig + stretches.back().drawn.text;
  // So far away that little gets through while there is no limit.
  world.network().default_link.latency = 30ms;
  ASSERT_TRUE(run.scenario.boot());
  run.send(
      {.recipients = 4000, .each = kind.is_volume ? 5u : 100u, .vmtas = {"x5", "x6"}, .body_bytes = 1500});
  for (int turn = 0; turn < 20; ++turn) {
    run.run_for(std::chrono::milliseconds(50 + world.random().below(turn % 4 == 0 ? 9000 : 900)));
    const MonoTime begin = world.now();
    Drawn next = configurations.draw();
    // Without a limit a backlog is gone in no time: not for long.
    stretches.back().end = begin;
    if (stretches.size() > 1) stretches.end()[-2].end = std::min(stretches.end()[-2].end, begin);
    run.reload(next.text);
    if (const auto both = between(stretches.back().drawn, next))
      stretches.push_back({begin + 1ns, world.now() + 250ms - 1ns, *both});
    stretches.push_back({world.now() + 250ms, {}, next});
    if (!next.limit) {
      run.run_for(30ms);
      stretches.back().end = world.now();
      stretches.back().drawn.limit.reset();
      while (!next.limit) next = configurations.draw();
      run.reload(next.text);
      stretches.push_back({world.now() + 250ms, {}, next});
    }
  }
  run.run_for(30s);
  stretches.back().end = world.now();
  const std::vector<Seen>& seen = kind.is_volume            ? run.seen().messages
                                  : kind.counts_connections ? run.seen().hellos
                                                            : run.seen().rcpts;
  const bool of_pool = std::string_view(kind.where) == "pool";
  const bool of_source = std::string_view(kind.line).starts_with("source");
  const auto check = [&](const std::vector<Seen>& some, bool only_shared) {
    const std::vector<Event> events = limited(some, stretches, only_shared, kind.is_volume);
    if (kind.is_volume) {
      expect_volume_kept(events, 1min);
    } else {
      expect_kept(events);
    }
    return events.size();
  };
  std::size_t checked = 0;
  // A source address is a scope of its own; else both of x6 are one.
  for (const char* from : {"x5.sim", "x6.sim", "x6b.sim"}) {
    std::vector<Seen> some = seen;
    std::erase_if(some, [&](const Seen& one) {
      return one.from != from && (of_source || from[1] != '6' || one.from[1] != '6');
    });
    checked += check(some, false);
  }
  EXPECT_GE(checked, 10u);
  if (of_pool) check(seen, false);
  if (!of_pool && !of_source && std::string_view(kind.where) == "domain") check(seen, true);
  run.scenario.close();
}

class LimitReloads : public ::testing::TestWithParam<Kind> {};

TEST_P(LimitReloads, ForgetNothing) {
  const std::uint64_t first = number_of("SLUICE_SIM_FIRST", 1);
  const std::uint64_t count = number_of("SLUICE_SIM_SEEDS", 1);
  for (std::uint64_t seed = first; seed < first + count && !HasFatalFailure(); ++seed) play(GetParam(), seed);
}

INSTANTIATE_TEST_SUITE_P(EveryScope, LimitReloads, ::testing::ValuesIn(kKinds));

TEST(LimitReloads, ReturnedVolumeWakesWhoWaitsForIt) {
  // A day's volume is held by one large message; when that comes back, nobody sleeps for the rest of the day.
  for (const char* second : {"10.255.0.6", "10.255.0.5"}) {  // on another shard, on the same
    SCOPED_TRACE(second);
    Limited run(
        "<virtual-mta x5>\n smtp-source-host 10.255.0.5 x5.sim\n</virtual-mta>\n<virtual-mta x6>\n "
        "smtp-source-host " +
        std::string(second) +
        " x6.sim\n</virtual-mta>\n<virtual-mta-pool pool>\n virtual-mta x5\n virtual-mta x6\n "
        "max-smtp-data-volume-rate 1m/d\n</virtual-mta-pool>\n<domain a.test>\n retry-after 5h\n "
        "retry-recipients-after 5h\n data-send-timeout 4m\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 1, .each = 1, .domains = {"c.test"}, .vmtas = {"x5"}, .body_bytes = 1000});
    run.run_for(5min);  // the pace of it is over
    ASSERT_EQ(run.seen().messages.size(), 1u);
    run.send({.recipients = 1, .each = 1, .vmtas = {"x5"}, .body_bytes = 900'000});
    run.scenario.world.run_until([&run] { return run.seen().rcpts.size() == 2; }, 1min);
    run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Silent);
    run.send({.recipients = 1, .each = 1, .domains = {"b.test"}, .vmtas = {"x6"}, .body_bytes = 300'000});
    run.run_for(1min);
    EXPECT_EQ(run.seen().messages.size(), 1u) << "what is under way may be delivered yet";
    const auto is_under_way = [&run] {
      for (shard::DataShard* one : run.scenario.node->node().shards()) {
        const queue::Queue* of = one->dispatcher().queues().find({"a.test", "x5"});
        if (of != nullptr && of->taken() > 0) return true;
      }
      return false;
    };
    ASSERT_TRUE(is_under_way());
    run.scenario.world.run_until([&] { return !is_under_way(); }, 5min);
    ASSERT_FALSE(is_under_way()) << "four minutes, says data-send-timeout";
    ASSERT_EQ(run.seen().messages.size(), 1u);
    run.run_for(1s);  // a look by itself comes within ten
    EXPECT_EQ(run.seen().messages.size(), 2u) << "it came back and woke who waits";
    // What hangs between the two hosts ends with them.
    run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Up);
    run.run_for(1min);
    run.scenario.close();
  }
}

}  // namespace
}  // namespace sluice::test
