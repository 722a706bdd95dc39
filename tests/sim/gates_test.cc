// Goal: limits beyond a queue's own rate: volumes, source addresses, pools, mail hosts, shared domains,
//       ramp-up, errors, priorities; exact over shards, reloads and crashes.
// How:  a whole node with a backlog in the simulated world; what the receivers saw, by EHLO name, host and
// time.
#include <gtest/gtest.h>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

constexpr const char* kTwoSources =
    "<virtual-mta two>\n smtp-source-host 10.255.0.5 s5.sim\n smtp-source-host 10.255.0.6 "
    "s6.sim\n</virtual-mta>\n";

const auto everything = [](const Seen&) { return true; };
auto from(std::string name) {
  return [name](const Seen& one) { return one.from == name; };
}

TEST(Gates, VolumesCountWhatWasDelivered) {
  Limited run("<domain a.test>\n max-data-volume-rate 100k/m\n</domain>\n",
              {.refuse_rcpt = 0.4, .defer_data = 0.1});
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1500, .each = 1, .body_bytes = 2500});
  run.run_for(10min);
  const std::vector<Seen>& messages = run.seen().messages;
  expect_volume(messages, 100 * kKiB, 1min);
  EXPECT_GE(bytes_of(messages), 10 * 100 * kKiB * 95 / 100);
  run.scenario.close();
}

TEST(Gates, AVolumeHoldsOverCrashesAndReloads) {
  Limited run("<domain a.test>\n max-data-volume-rate 60k/m\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 400, .each = 1, .body_bytes = 1500});
  run.run_for(100s);
  run.scenario.crash(Crash::Kill);
  ASSERT_TRUE(run.scenario.boot());
  run.run_for(100s);
  expect_volume(run.seen().messages, 60 * kKiB, 1min);
  EXPECT_GE(bytes_of(run.seen().messages), 200 * kKiB * 90 / 100) << "goes on after the crash";
  run.reload("<domain a.test>\n max-data-volume-rate 20k/m\n</domain>\n");
  const std::size_t before = run.seen().messages.size();
  run.run_for(5min);
  expect_volume(
      {run.seen().messages.begin() + static_cast<std::ptrdiff_t>(before), run.seen().messages.end()},
      20 * kKiB, 1min);
  run.scenario.close();
}

TEST(Gates, TotalsOfAVirtualMtaAndAPool) {
  Limited run(
      "<virtual-mta p5>\n smtp-source-host 10.255.0.5 p5.sim\n max-smtp-data-volume-rate "
      "1m/h\n</virtual-mta>\n"
      "<virtual-mta p6>\n smtp-source-host 10.255.0.6 p6.sim\n</virtual-mta>\n"
      "<virtual-mta-pool pool>\n virtual-mta p5\n virtual-mta p6\n max-smtp-out 3\n max-smtp-msg-rate 25/s\n"
      "</virtual-mta-pool>\n<domain *>\n max-rcpt-per-message 1\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1200, .each = 4, .domains = {"a.test", "b.test", "c.test"}, .vmtas = {"pool"}});
  run.run_for(60s);
  expect_rate(times_of(run.seen().rcpts, everything), 25, 1s);
  EXPECT_LE(run.seen().connections_top, 3u);
  run.scenario.close();
}

TEST(Gates, EachSourceAddressHasItsOwn) {
  Limited run(
      std::string(kTwoSources) +
      "<domain a.test>\n max-smtp-out 20\n max-rcpt-per-message 1\n source-ip-max-smtp-out 10.255.0.5 1\n"
      " source-ip-max-smtp-out 0/0 3\n source-ip-max-msg-rate 10.255.0.6 5/s\n source-ip-max-msg-rate "
      "10.255.0.5 20/s\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1000, .each = 10, .vmtas = {"two"}});
  run.run_for(40s);
  EXPECT_EQ(run.seen().top["s5.sim"], 1u);
  EXPECT_EQ(run.seen().top["s6.sim"], 3u);
  const auto six = times_of(run.seen().rcpts, from("s6.sim"));
  expect_rate(six, 5, 1s);
  EXPECT_GE(six.size(), 150u);
  EXPECT_GE(run.seen().rcpts.size(), 600u) << "the other source goes on";
  run.scenario.close();
}

TEST(Gates, ConnectRateAndVolumeOfASource) {
  Limited run(
      std::string(kTwoSources) +
      "<domain a.test>\n max-msg-per-connection 2\n max-rcpt-per-message 1\n max-smtp-out 10\n"
      " source-ip-max-connect-rate 10.255.0.0/24 1/s\n source-ip-max-data-volume-rate 10.255.0.5 12k/m\n"
      "</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 600, .each = 1, .vmtas = {"two"}});
  run.run_for(2min);
  for (const char* source : {"s5.sim", "s6.sim"})
    expect_rate(times_of(run.seen().hellos, from(source)), 1, 1s);
  EXPECT_GE(times_of(run.seen().hellos, from("s6.sim")).size(), 117u);
  std::vector<Seen> five;
  for (const Seen& one : run.seen().messages) {
    if (one.from == "s5.sim") five.push_back(one);
  }
  expect_volume(five, 12 * kKiB, 1min);
  EXPECT_GE(five.size(), 20u);
  run.scenario.close();
}

TEST(Gates, WhatHoldsAQueueIsSaidToTheLetter) {
  struct Case {
    const char* vmta;
    const char* domain;
    const char* text;
  };
  const Case cases[] = {
      {"", "max-msg-rate 1/min", "(based on queue's max-msg-rate in configuration)"},
      {"", "max-data-volume-rate 1k/min", "(based on max-data-volume-rate in configuration)"},
      {"", "source-ip-max-msg-rate 0/0 1/min", "(based on source-ip-max-msg-rate in configuration)"},
      {"max-smtp-msg-rate 1/min", "", "(based on max-smtp-msg-rate in configuration)"},
      {"max-smtp-data-volume-rate 1k/min", "", "(based on max-smtp-data-volume-rate in configuration)"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.text);
    Limited run(std::string("<virtual-mta three>\n smtp-source-host 10.255.0.5 s5.sim\n ") + one.vmta +
                "\n</virtual-mta>\n<domain a.test>\n max-rcpt-per-message 1\n " + one.domain +
                "\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 5, .each = 1, .vmtas = {"three"}});
    run.run_for(2s);
    EXPECT_EQ(run.seen().messages.size(), 1u);
    const std::string shown = run.scenario.ask({"show", "queues", "a.test/three", "--errors"});
    EXPECT_NE(shown.find(std::string("message rate limit reached ") + one.text), std::string::npos) << shown;
    run.scenario.close();
  }
}

TEST(Gates, WhoWaitsForARateLetsOthersHaveTheSlot) {
  // Two queues of a pool's members use one recipient a second each; the third has mail and no slot.
  for (const char* held : {"max-msg-rate 1/s", "max-data-volume-rate 60k/m"}) {
    SCOPED_TRACE(held);
    Limited run(
        "<virtual-mta p5>\n smtp-source-host 10.255.0.5 p5.sim\n</virtual-mta>\n"
        "<virtual-mta p6>\n smtp-source-host 10.255.0.6 p6.sim\n</virtual-mta>\n"
        "<virtual-mta-pool pool>\n virtual-mta p5\n virtual-mta p6\n max-smtp-out 2\n"
        "</virtual-mta-pool>\n<domain a.test>\n max-rcpt-per-message 1\n " +
        std::string(held) + "\n</domain>\n<domain b.test>\n max-rcpt-per-message 1\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 200, .each = 1, .vmtas = {"pool"}, .body_bytes = 900});
    run.run_for(10s);
    const std::size_t before = run.seen().rcpts.size();
    run.send({.recipients = 40, .each = 1, .domains = {"b.test"}, .vmtas = {"pool"}, .body_bytes = 900});
    run.run_for(3s);
    const auto to_b = times_of(run.seen().rcpts, [](const Seen& one) { return one.host == 2; });
    EXPECT_EQ(to_b.size(), 40u);
    run.run_for(20s);
    EXPECT_GE(run.seen().rcpts.size(), before + 40 + 30) << "and they go on";
    EXPECT_LE(run.seen().connections_top, 2u);
    run.scenario.close();
  }
}

TEST(Gates, IdleConnectionsGiveTheirSlotsToWhoeverNeedsThem) {
  Limited run(
      "<virtual-mta three>\n smtp-source-host 10.255.0.5 s5.sim\n max-smtp-out 1\n</virtual-mta>\n"
      "<domain a.test>\n connection-idle-timeout 10m\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1, .each = 1, .vmtas = {"three"}});
  run.run_for(5s);
  EXPECT_EQ(run.seen().open[">1"], 1u);
  run.send({.recipients = 1, .each = 1, .domains = {"b.test"}, .vmtas = {"three"}});
  run.run_for(2s);
  EXPECT_EQ(run.seen().messages.size(), 2u);
  EXPECT_EQ(run.seen().connections_top, 1u);
  run.scenario.close();
}

TEST(Gates, ATransferIsCutAtShutdownOnlyWhereAllowed) {
  for (const bool allowed : {true, false}) {
    SCOPED_TRACE(allowed);
    Limited run(
        std::string(
            "<domain a.test>\n connection-idle-timeout 1s\n connect-timeout 1m\n smtp-greeting-timeout 1m\n"
            " smtp-multiple-line-response-timeout 1m\n smtp-data-termination-timeout 1m\n"
            " data-send-timeout 1m\n allow-cancel-during-transfer ") +
        (allowed ? "yes" : "no") + "\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 1, .each = 1});  // makes the queue
    ASSERT_TRUE(run.scenario.drain(1min));
    run.run_for(5s);  // its connection ends: a connection keeps the latency it began with
    EXPECT_NE(run.scenario.ask({"pause", "queue", "a.test/*"}).find("paused"), std::string::npos);
    run.send({.recipients = 1, .each = 1});
    // From here on no reply comes sooner than 15 s after its command; a shutdown waits for 10 s.
    run.scenario.world.network().default_link.latency = 15s;
    EXPECT_NE(run.scenario.ask({"resume", "queue", "a.test/*"}).find("resumed"), std::string::npos);
    ASSERT_EQ(run.scenario.world.run_until([&run] { return run.seen().rcpts.size() > 1; }, 5min),
              runtime::sim::Ended::Reached);
    ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
    run.scenario.crash(Crash::Kill);
    run.scenario.world.network().default_link.latency = 1ms;
    ASSERT_TRUE(run.scenario.boot());
    EXPECT_TRUE(run.scenario.drain(1h));
    EXPECT_EQ(run.seen().rcpts.size(), allowed ? 3u : 2u) << "what was cut is sent again";
    run.scenario.close();
  }
}

TEST(Gates, ConnectionsByMailHostAndByDestination) {
  Limited run(
      std::string(kTwoSources) +
      "mx-connection-limit *.test 9\nmx-connection-limit mx.a.test 2\nip-connection-limit 10.1.0.0/24 8\n"
      "ip-connection-limit 10.1.0.2 3\n<domain *>\n max-smtp-out 20\n max-rcpt-per-message 1\n"
      " max-msg-per-connection 5\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 3000, .each = 10, .domains = {"a.test", "b.test"}, .vmtas = {"two", "v2", ""}});
  EXPECT_TRUE(run.scenario.drain(20min));
  for (const char* source : {"s5.sim", "s6.sim", "v2.node.sim"})
    EXPECT_EQ(run.seen().top[std::string(source) + ">1"], 2u) << source;
  EXPECT_EQ(run.seen().top[">2"], 3u);
  EXPECT_LE(run.seen().top[">1"], 8u);
  // A queue that finds all hosts at their limit has not failed: nothing in retry, nothing deferred.
  EXPECT_EQ(run.seen().messages.size(), 3000u);
  run.scenario.close();
}

TEST(Gates, ADomainsLimitsOverAllVirtualMtas) {
  Limited run(
      "<domain a.test>\n share-limits-over-vmtas yes\n max-smtp-out 2\n max-msg-rate 20/s\n "
      "max-rcpt-per-message 1\n"
      "</domain>\n<domain b.test>\n max-rcpt-per-message 1\n max-msg-rate 20/s\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 3000, .each = 10, .domains = {"a.test", "b.test"}, .vmtas = {"v1", "v2", ""}});
  run.run_for(30s);
  const auto of_host = [](std::uint8_t host) { return [host](const Seen& one) { return one.host == host; }; };
  const auto shared = times_of(run.seen().rcpts, of_host(1));
  expect_rate(shared, 20, 1s);
  EXPECT_GE(shared.size(), 580u);
  EXPECT_EQ(run.seen().top[">1"], 2u);
  EXPECT_GE(times_of(run.seen().rcpts, of_host(2)).size(), 1000u) << "without it each queue has its own 20/s";
  run.scenario.crash(Crash::Kill);
  ASSERT_TRUE(run.scenario.boot());
  run.run_for(10s);
  expect_rate(times_of(run.seen().rcpts, of_host(1)), 20, 1s);
  run.scenario.close();
}

TEST(Gates, ConnectionsRampUp) {
  Limited run(
      "<domain a.test>\n smtp-out-rampup-interval 2s\n max-smtp-out 10\n max-rcpt-per-message 1\n "
      "max-msg-rate 40/s\n</domain>\n");
  run.fill(2000, 10);
  run.run_for(15s);
  const auto opened = times_of(run.seen().hellos, everything);
  expect_rate(opened, 1, 2s);
  EXPECT_EQ(opened.size(), 8u);
  run.scenario.close();
}

TEST(Gates, IdleConnectionsStayAsLongAsTheyMay) {
  Limited run("<domain a.test>\n connection-idle-timeout 30s\n</domain>\n<domain b.test>\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  for (int i = 0; i < 4; ++i) {
    run.send({.recipients = 2, .each = 1, .domains = {"a.test", "b.test"}});
    run.run_for(20s);
  }
  const auto to = [&run](std::uint8_t host) {
    return times_of(run.seen().hellos, [host](const Seen& one) { return one.host == host; }).size();
  };
  EXPECT_EQ(to(1), 1u);
  EXPECT_EQ(to(2), 4u);
  run.run_for(40s);
  EXPECT_EQ(run.seen().open[">1"], 0u);
  run.scenario.close();
}

TEST(Gates, ErrorsPerConnectionAreCountedStrictly) {
  Limited run("<domain a.test>\n max-errors-per-connection 3\n max-smtp-out 1\n</domain>\n",
              {.refuse_rcpt = 1});
  run.fill(30, 1);
  EXPECT_TRUE(run.scenario.drain(5min));
  EXPECT_EQ(run.seen().rcpts.size(), 30u);
  EXPECT_EQ(run.seen().hellos.size(), 10u);
  run.scenario.close();
}

TEST(Gates, ALoweredLimitHoldsAtOnceForWhatIsNew) {
  const std::string limits = "<domain a.test>\n max-rcpt-per-message 1\n max-msg-per-connection 20\n";
  Limited run(limits + " max-smtp-out 8\n max-msg-rate 100/s\n</domain>\n");
  run.fill(4000, 10);
  run.run_for(5s);
  EXPECT_EQ(run.seen().top[">1"], 8u);
  run.reload(limits + " max-smtp-out 2\n max-msg-rate 10/s\n</domain>\n");
  const std::size_t before = run.seen().rcpts.size();
  run.run_for(20s);
  run.seen().top.clear();
  run.run_for(20s);
  EXPECT_LE(run.seen().top[">1"], 2u);
  std::vector<MonoTime> after;
  for (std::size_t i = before; i < run.seen().rcpts.size(); ++i) after.push_back(run.seen().rcpts[i].at);
  expect_rate(after, 10, 1s);
  EXPECT_GE(after.size(), 390u);
  run.scenario.close();
}

TEST(Gates, ALoweredOrNewLimitByHostEndsWhatIsTooMuch) {
  const std::string rest =
      "<domain a.test>\n max-rcpt-per-message 1\n max-smtp-out 8\n max-msg-rate 100/s\n</domain>\n";
  for (const char* limit : {"mx-connection-limit mx.a.test ", "ip-connection-limit 10.1.0.1 "}) {
    for (const char* before : {"8", "", "3"}) {
      SCOPED_TRACE(std::string(limit) + before);
      const auto with = [&](const std::string& count) {
        return count.empty() ? rest : limit + count + "\n" + rest;
      };
      const std::size_t had = *before == '3' ? 3 : 8;
      Limited run(with(before));
      run.fill(9000, 10);
      run.run_for(5s);
      EXPECT_EQ(run.seen().connections, had);
      for (const std::size_t now : {2u, 6u}) {
        const std::size_t open = run.seen().connections;
        const std::size_t opened = run.seen().hellos.size();
        run.reload(with(std::to_string(now)));
        run.run_for(2s);  // what is under way ends
        run.seen().connections_top = run.seen().connections;
        const std::size_t sent = run.seen().rcpts.size();
        run.run_for(10s);
        EXPECT_EQ(run.seen().connections, now);
        EXPECT_EQ(run.seen().connections_top, now);
        EXPECT_GE(run.seen().rcpts.size() - sent, 900u);
        EXPECT_EQ(run.seen().hellos.size() - opened, now > open ? now - open : 0)
            << "no more ended than had to";
      }
      run.scenario.close();
    }
  }
}

/// Connections that shards have begun by now, in vain or not. Counts itself.
std::uint64_t connections_begun(Limited& run) {
  std::uint64_t sum = 0;
  for (shard::DataShard* one : run.scenario.node->node().shards())
    sum += one->dispatcher().next_connection_number() / run.scenario.node->node().shards().size();
  return sum;
}

TEST(Gates, QueuesAtAHostsLimitWaitToBeWoken) {
  // Forty domains at one host that takes one connection and hangs.
  for (const char* limit : {"mx-connection-limit mx.a.test 1\n", "ip-connection-limit 10.1.0.1 1\n"}) {
    SCOPED_TRACE(limit);
    Limited run(std::string(limit) +
                    "<domain *>\n smtp-data-termination-timeout 3m\n smtp-multiple-line-response-timeout 3m\n"
                    " data-send-timeout 3m\n</domain>\n",
                {.stalls = true});
    std::vector<std::string> domains;
    for (int i = 0; i < 40; ++i) domains.push_back("d" + std::to_string(i) + ".test");
    run.scenario.extra_zone = [domains](resolver::TableTransport& dns) {
      for (const std::string& one : domains) dns.add_mx(one, 10, "mx.a.test");
    };
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 80, .each = 1, .domains = domains, .vmtas = {"v1", "v2"}});
    run.run_for(1min);
    const std::uint64_t before = connections_begun(run);
    run.run_for(1min);
    EXPECT_LE(connections_begun(run) - before, 10u) << "nothing moves, nothing costs";
    for (auto& one : run.scenario.receivers) one->set_mood({});
    // The hanging ones end and are tried again after 20 s; all others have gone by then.
    run.scenario.world.run_until([&run] { return run.seen().messages.size() >= 78; }, 90s);
    EXPECT_GE(run.seen().messages.size(), 78u);
    EXPECT_LE(connections_begun(run) - before, 400u) << "woken one by one, not all at once";
    EXPECT_TRUE(run.scenario.drain(5min));
    EXPECT_LE(run.seen().top[">1"], std::string_view(limit).starts_with("ip") ? 1u : 2u);
    run.scenario.close();
  }
}

TEST(Gates, ADaysRateWarmsUpEvenly) {
  Limited run("<domain a.test>\n max-rcpt-per-message 1\n max-msg-rate 500/d\n bounce-after 5d\n</domain>\n");
  run.fill(1000);
  run.run_for(24h);
  const auto seen = times_of(run.seen().rcpts, everything);
  expect_rate(seen, 500, 24h);
  EXPECT_GE(seen.size(), 496u);
  // Evenly: no hour has a clump.
  expect_rate(seen, 21, 1h);
  run.scenario.close();
}

TEST(Gates, HigherPriorityGetsTheSlot) {
  struct Case {
    const char* settings;  ///< of the queue that has the slots
    bool gives_way;
  };
  const std::string rate = "<domain a.test>\n max-msg-rate 20/s\n max-rcpt-per-message 1\n ";
  const std::string lower = rate + "queue-priority 40\n ";
  const std::string refuses = lower + "allow-priority-interruption no\n ";  // but after its turn
  const std::string higher = rate + "queue-priority 60\n ";
  const Case cases[] = {
      {lower.c_str(), true}, {refuses.c_str(), true}, {rate.c_str(), true}, {higher.c_str(), false}};
  for (const char* total : {"total-max-smtp-out 2\n", ""}) {
    for (const Case& one : cases) {
      SCOPED_TRACE(one.settings);
      Limited run(std::string(total) + "<virtual-mta one>\n smtp-source-host 10.255.0.5 one.sim\n" +
                  (*total == '\0' ? " max-smtp-out 2\n" : "") + "</virtual-mta>\n" + one.settings +
                  "</domain>\n");
      ASSERT_TRUE(run.scenario.boot());
      run.send({.recipients = 600, .each = 1, .domains = {"a.test"}, .vmtas = {"one"}});
      run.run_for(5s);
      // With the daemon's limit full, a queue of another shard has to ask for room, too.
      run.send({.recipients = 4, .each = 1, .domains = {"b.test"}, .vmtas = {*total == '\0' ? "one" : "v2"}});
      run.run_for(300ms);
      const auto high = times_of(run.seen().rcpts, [](const Seen& seen) { return seen.host == 2; });
      EXPECT_EQ(high.size() == 4, one.gives_way) << high.size();
      run.scenario.close();
    }
  }
}

}  // namespace
}  // namespace sluice::test
