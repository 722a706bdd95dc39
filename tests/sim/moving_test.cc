// Goal: mail that another queue is to have goes there in slices: no turn of a shard moves more than a slice of
//       a queue, however long that is; nothing is lost, doubled or overtaken by what comes later.
// How:  a whole node in the simulated world; queues are watched after every step while reloads move them to
//       another shard or into another queue, then while mail, commands and reloads come in between by chance.
//       SLUICE_SIM_FIRST and SLUICE_SIM_SEEDS choose the runs of the last test.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/delivery/dispatcher.h"
#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

constexpr const char* kApart =
    "<virtual-mta m1>\n smtp-source-host 10.255.0.5 m1.sim\n</virtual-mta>\n"
    "<virtual-mta m2>\n smtp-source-host 10.255.0.6 m2.sim\n</virtual-mta>\n";
constexpr const char* kJoined =
    "<virtual-mta m1>\n smtp-source-host 10.255.0.5 m1.sim\n</virtual-mta>\n"
    "<virtual-mta m2>\n smtp-source-host 10.255.0.5 m2.sim\n</virtual-mta>\n";
constexpr const char* kInOrder = "<domain *>\n max-smtp-out 1\n max-rcpt-per-message 1\n</domain>\n";

struct Moving : Limited {
  using Limited::Limited;

  std::size_t size(const char* domain, const char* vmta, std::uint32_t shard) {
    const queue::Queue* found =
        scenario.node->node().shards()[shard]->dispatcher().queues().find({domain, vmta});
    return found == nullptr ? 0 : found->size();
  }
  std::size_t size(const char* domain, const char* vmta) {
    return size(domain, vmta, 0) + size(domain, vmta, 1);
  }

  /// Lets `time` pass; answers by how much the queues `names` grew or shrank in one step at most.
  std::size_t watch(const std::vector<const char*>& domains, const char* vmta, Duration time) {
    std::map<std::pair<std::string, std::uint32_t>, std::size_t> before;
    std::size_t most = 0;
    bool is_first = true;
    const MonoTime end = scenario.world.now() + time;
    scenario.world.run_until(
        [&] {
          for (const char* domain : domains) {
            for (const std::uint32_t shard : {0u, 1u}) {
              const std::size_t now = size(domain, vmta, shard);
              std::size_t& then = before[{domain, shard}];
              if (!is_first) most = std::max(most, now > then ? now - then : then - now);
              then = now;
            }
          }
          is_first = false;
          return scenario.world.now() >= end;
        },
        time);
    return most;
  }
  void load(const std::string& extra) { scenario.files.files["/etc/config"] = kConfig + extra; }
  std::vector<std::string> order() {
    std::vector<std::string> out;
    for (const Attempt& one : seen().tried) out.push_back(one.recipient);
    return out;
  }
  std::vector<std::string> sent() {
    std::vector<std::string> out;
    for (const Mail& mail : injected.accepted) {
      out.insert(out.end(), mail.recipients.begin(), mail.recipients.end());
    }
    return out;
  }
};

runtime::Task<void> reload_of(shard::Node& node) {
  const control::Answer answer = co_await node.reload();
  EXPECT_TRUE(answer.ok) << answer.text;
}

constexpr std::size_t kSlice = delivery::Dispatcher::kMovedAtOnce;

TEST(MovingQueues, GoToAnotherShardInSlicesAndInOrder) {
  Moving run(std::string(kInOrder) + kApart);
  ASSERT_TRUE(run.scenario.boot());
  run.send({.recipients = 1, .each = 1, .vmtas = {"m2"}});
  run.run_for(5s);
  run.scenario.ask({"pause", "queue", "a.test/m2"});
  run.send({.recipients = 3000, .each = 100, .vmtas = {"m2"}});
  EXPECT_EQ(run.size("a.test", "m2"), 3000u);
  run.load(std::string(kInOrder) + kJoined);
  bool loaded = false;
  start(reload_of(run.scenario.node->node()), loaded);
  EXPECT_LE(run.watch({"a.test"}, "m2", 2s), kSlice);
  EXPECT_TRUE(loaded);
  EXPECT_EQ(run.size("a.test", "m2"), 3000u);
  EXPECT_EQ(std::max(run.size("a.test", "m2", 0), run.size("a.test", "m2", 1)), 3000u) << "all on one shard";
  run.send({.recipients = 100, .each = 100, .vmtas = {"m2"}});
  run.scenario.ask({"resume", "queue", "a.test/m2"});
  ASSERT_TRUE(run.scenario.drain(1h));
  EXPECT_EQ(run.order(), run.sent());
  run.scenario.close();
}

TEST(MovingQueues, JoinAnotherInSlicesAndInOrder) {
  // By its virtual MTA's shard, and spread over both by domain.
  for (const char* vmta : {"m1", "{default}"}) {
    for (const char* target : {"b.test", "c.test"}) {
      SCOPED_TRACE(std::string(vmta) + ' ' + target);
      Moving run(std::string(kInOrder) + kApart);
      ASSERT_TRUE(run.scenario.boot());
      run.send({.recipients = 1, .each = 1, .vmtas = {vmta}});
      run.run_for(5s);
      run.scenario.ask({"pause", "queue", std::string("a.test/") + vmta});
      run.send({.recipients = 3000, .each = 100, .vmtas = {vmta}});
      run.reload(std::string(kInOrder) + kApart + "<domain a.test>\n queue-to " + target + "\n</domain>\n");
      run.scenario.ask({"pause", "queue", std::string(target) + '/' + vmta});
      run.send({.recipients = 10, .each = 10, .domains = {target}, .vmtas = {vmta}});
      run.scenario.ask({"pause", "queue", std::string(target) + '/' + vmta});
      run.scenario.ask({"resume", "queue", std::string("a.test/") + vmta});
      EXPECT_LE(run.watch({"a.test", target}, vmta, 2s), kSlice);
      EXPECT_EQ(run.size("a.test", vmta), 0u);
      run.send({.recipients = 100, .each = 100, .vmtas = {vmta}});
      run.scenario.ask({"resume", "queue", std::string(target) + '/' + vmta});
      ASSERT_TRUE(run.scenario.drain(1h));
      std::vector<std::string> order = run.order();
      std::erase_if(order, [](const std::string& one) { return !one.ends_with("@a.test"); });
      std::vector<std::string> sent = run.sent();
      std::erase_if(sent, [](const std::string& one) { return !one.ends_with("@a.test"); });
      EXPECT_EQ(order, sent);
      run.scenario.close();
    }
  }
}

TEST(MovingQueues, ManyMoveAtOnce) {
  Moving run(kApart, {.defer_rcpt = 1});
  run.scenario.extra_zone = [](resolver::TableTransport& dns) {
    for (int i = 0; i < 60; ++i) dns.add_mx("d" + std::to_string(i) + ".test", 10, "mx.a.test");
  };
  ASSERT_TRUE(run.scenario.boot());
  Limited::Load load{.recipients = 3000, .each = 50, .domains = {}, .vmtas = {"m2"}};
  for (int i = 0; i < 60; ++i) load.domains.push_back("d" + std::to_string(i) + ".test");
  run.send(load);
  run.run_for(10s);
  run.reload(kJoined);
  run.run_for(20s);
  const auto& shards = run.scenario.node->node().shards();
  EXPECT_EQ(std::min(shards[0]->dispatcher().recipients(), shards[1]->dispatcher().recipients()), 0u);
  EXPECT_EQ(shards[0]->dispatcher().recipients() + shards[1]->dispatcher().recipients(), 3000u);
  for (auto& one : run.scenario.receivers) one->set_mood({});
  ASSERT_TRUE(run.scenario.drain(1h));
  EXPECT_EQ(run.seen().delivered.size(), 3000u);
  run.scenario.close();
}

std::uint64_t number_of(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::strtoull(value, nullptr, 10);
}

void play(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  const std::string always =
      "invalid-virtual-mta-fallback m1\n<source 0/0>\n reject-invalid-virtual-mta no\n</source>\n"
      "<domain b.test>\n bounce-after 40s\n</domain>\n<domain *>\n retry-after 2s\n "
      "retry-recipients-after 3s\n</domain>\n";
  Moving run(always + kApart, {.defer_rcpt = 0.3, .refuse_rcpt = 0.05}, seed);
  ASSERT_TRUE(run.scenario.boot());
  auto& random = run.scenario.world.random();
  const auto a_queue = [&] {
    constexpr const char* kDomains[] = {"a.test", "b.test", "c.test", "*"};
    constexpr const char* kVmtas[] = {"m1", "m2", "{default}", "*"};
    return std::string(kDomains[random.below(4)]) + '/' + kVmtas[random.below(4)];
  };
  for (int turn = 0; turn < 40; ++turn) {
    switch (random.below(6)) {
      case 0:
      case 1: {
        std::string config = always;
        switch (random.below(3)) {
          case 0: config += kApart; break;
          case 1: config += kJoined; break;
          default: config += std::string(kApart).substr(0, std::string(kApart).find("<virtual-mta m2>"));
        }
        if (random.below(3) == 0) config += "<domain a.test>\n queue-to c.test\n</domain>\n";
        if (random.below(4) == 0) config += "<domain c.test>\n queue-to a.test\n</domain>\n";
        if (random.below(4) == 0) config += "<domain b.test>\n reroute-to-virtual-mta m1\n</domain>\n";
        run.reload(config);
        break;
      }
      case 2: run.scenario.ask({"pause", "queue", a_queue()}); break;
      case 3: run.scenario.ask({"resume", "queue", a_queue()}); break;
      case 4:
        if (random.below(4) == 0) run.scenario.ask({"delete", "--queue=" + a_queue()});
        break;
      default:
        run.send({.recipients = 50 + random.below(900),
                  .each = 50,
                  .domains = {"a.test", "b.test", "c.test"},
                  .vmtas = {"m2", "m1", "{default}"}});
    }
    if (random.below(2) == 0) run.run_for(std::chrono::milliseconds(random.below(2000)));
  }
  run.reload(always + kApart);
  run.scenario.ask({"resume", "queue", "*/*"});
  ASSERT_TRUE(run.scenario.drain(2h));
  run.scenario.close();
  const auto finals = run.scenario.finals();
  for (const Mail& mail : run.injected.accepted) {
    for (const std::string& recipient : mail.recipients) {
      const std::string key = '<' + mail.id + "@sim> " + recipient;
      const auto found = finals.find(key);
      ASSERT_EQ(found == finals.end() ? 0 : found->second, 1) << "endings of " << key;
      const auto delivered = run.seen().delivered.find(key);
      ASSERT_LE(delivered == run.seen().delivered.end() ? 0 : delivered->second, 1) << key;
    }
  }
}

TEST(MovingQueues, LoseAndDoubleNothingWhateverComesInBetween) {
  const std::uint64_t first = number_of("SLUICE_SIM_FIRST", 1);
  const std::uint64_t count = number_of("SLUICE_SIM_SEEDS", 1);
  for (std::uint64_t seed = first; seed < first + count && !testing::Test::HasFailure(); ++seed) play(seed);
}

}  // namespace
}  // namespace sluice::test
