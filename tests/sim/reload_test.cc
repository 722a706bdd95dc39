// Goal: a reload is all or nothing; what runs ends politely when it has to; queued mail follows the new
// configuration, also to another shard; limits hold meanwhile; and a thousand reloads under load lose and
// leak nothing. How:  a whole node in the simulated world, whose configuration file the tests change.
#include <gtest/gtest.h>

#include "tests/sim/identity_rig.h"
#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

constexpr const char* kRows = R"(
<acct-file /var/log/all.csv>
    records d,b,t,tq
    record-fields d timeLogged,rcpt,dsnStatus,dsnDiag,dlvSourceIp,vmta,queue
    record-fields b timeLogged,rcpt,dsnStatus,dsnDiag,vmta,queue
    record-fields t timeLogged,rcpt,dsnStatus,dsnDiag,dlvSourceIp,queue
    record-fields tq timeLogged,dsnStatus,dsnDiag,dlvSourceIp,queue
</acct-file>
)";

struct ReloadRun {
  explicit ReloadRun(const std::string& extra = {}, Mood mood = {}, std::uint64_t seed = 1)
      : scenario(seed, kRows + extra) {
    scenario.open_receivers(mood);
  }
  [[nodiscard]] std::string& config() { return scenario.files.files["/etc/config"]; }
  std::string command(std::vector<std::string> words) {
    const auto made = control::Command::of(words);
    EXPECT_TRUE(made.has_value());
    const auto answer = finish(scenario.world, scenario.node->node().execute(*made), 5min);
    return answer ? answer->text : std::string();
  }
  std::string reload() { return command({"reload"}); }
  void must_reload() {
    const std::string said = reload();
    EXPECT_NE(said.find("Configuration reloaded."), std::string::npos) << said;
  }
  void replace(const std::string& what, const std::string& by) {
    const std::size_t at = config().find(what);
    ASSERT_NE(at, std::string::npos) << what;
    config().replace(at, what.size(), by);
  }
  /// One message to `count` recipients each at a.test by way of `vmta`.
  std::vector<Mail> batch(std::size_t count, const std::string& vmta, const std::string& prefix = "r") {
    std::vector<Mail> out;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string id = prefix + std::to_string(i);
      out.push_back({.id = id, .recipients = {id + "@a.test"}, .vmta = vmta});
    }
    return out;
  }
  /// Boots when that has not happened; false when something was refused.
  bool inject_all(std::vector<Mail> mails) {
    if (!scenario.node && !scenario.boot()) return false;
    return finish(scenario.world,
                  inject(scenario.peers.reactor(0), Scenario::listener(), std::move(mails), injected), 1h) &&
           injected.refusals.empty();
  }
  /// All rows so far of a type; the run goes on.
  std::vector<Row> rows(const std::string& type) {
    scenario.world.run_for(5s);  // accounting follows within a second
    return acct_rows(scenario.world.disk(), "all", type);
  }
  void close() { scenario.close(); }

  Scenario scenario;
  Injected injected;
};

constexpr const char* kJoined = "<virtual-mta v2>\n    smtp-source-host 10.255.0.1 v1.node.sim\n";
constexpr const char* kApart = "<virtual-mta v2>\n    smtp-source-host 10.255.0.3 v2.node.sim\n";

TEST(Reload, IsAllOrNothing) {
  ReloadRun run;
  ASSERT_TRUE(run.scenario.boot());
  run.scenario.world.run_for(5s);  // what a start opens for a moment is closed
  const std::string good = run.config();
  const struct {
    const char* lines;
    const char* complaint;
  } kBad[] = {
      {"max-smtp-ouf 3\n", "/etc/config:"},
      {"log-file /no/such/folder/log\n", "cannot open log-file /no/such/folder/log"},
      {"smtp-listener 10.9.9.9:2525\n", "cannot listen on 10.9.9.9:2525"},
      {"<bounce-category-patterns>\n /(unclosed/ other\n</bounce-category-patterns>\n", ""},
  };
  for (const auto& bad : kBad) {
    SCOPED_TRACE(bad.lines);
    // New limits, a new listener and a new virtual MTA beside what is wrong: none of it may come.
    run.config() = good +
                   "smtp-listener 10.255.0.1:2526\n<domain a.test>\n max-smtp-out 7\n</domain>\n"
                   "<virtual-mta v9>\n smtp-source-host 10.255.0.9 x\n max-smtp-out 1\n</virtual-mta>\n" +
                   bad.lines;
    const std::size_t descriptors = run.scenario.world.machine().descriptors_open();
    const std::size_t logged = run.scenario.world.disk().content("/var/log/sluice.log").size();
    const std::string said = run.reload();
    EXPECT_NE(said.find(bad.complaint), std::string::npos) << said;
    EXPECT_NE(said.find("Configuration not reloaded."), std::string::npos) << said;
    run.scenario.world.run_for(1s);  // the log follows
    const std::string log = run.scenario.world.disk().content("/var/log/sluice.log");
    EXPECT_NE(log.substr(logged).find(bad.complaint), std::string::npos) << log.substr(logged);
    EXPECT_NE(log.substr(logged).find("Reload refused, the old configuration stays"), std::string::npos);
    EXPECT_NE(run.command({"show", "settings", "a.test/v1"}).find("max-smtp-out 4\n"), std::string::npos);
    EXPECT_EQ(run.command({"show", "vmtas"}).find("v9"), std::string::npos);
    run.scenario.world.run_for(5s);
    EXPECT_EQ(run.scenario.world.machine().descriptors_open(), descriptors);
  }
  run.config() = good;
  run.must_reload();
  ASSERT_TRUE(run.inject_all(run.batch(3, "v1")));
  ASSERT_TRUE(run.scenario.drain(1h));
  run.close();
}

TEST(Reload, ListenersComeAndGo) {
  ReloadRun run;
  ASSERT_TRUE(run.scenario.boot());
  run.config() += "smtp-listener 10.255.0.1:2526\n";
  run.must_reload();
  const Endpoint added = *Endpoint::parse("10.255.0.1:2526");
  ASSERT_TRUE(finish(run.scenario.world,
                     inject(run.scenario.peers.reactor(0), added, run.batch(5, "v1"), run.injected), 1h));
  EXPECT_EQ(run.injected.accepted.size(), 5u);
  run.replace("smtp-listener 10.255.0.1:2526\n", "");
  run.must_reload();
  run.scenario.world.run_for(1s);  // the log follows
  const std::string log = run.scenario.world.disk().content("/var/log/sluice.log");
  for (const char* line :
       {" Listening for SMTP on 10.255.0.1:2525\n", " Listening for SMTP on 10.255.0.1:2526\n",
        " No longer listening for SMTP on 10.255.0.1:2526\n"}) {
    EXPECT_NE(log.find(line), std::string::npos) << line << log;
    EXPECT_EQ(log.find(line), log.rfind(line)) << line << log;
  }
  run.scenario.world.run_for(2min);
  const auto refused = finish(
      run.scenario.world, runtime::Stream::connect(run.scenario.peers.reactor(0), added, nullptr, 5s), 1min);
  ASSERT_TRUE(refused.has_value());
  EXPECT_FALSE(refused->has_value());
  ASSERT_TRUE(run.inject_all(run.batch(5, "v1", "s")));  // the other one never closed
  ASSERT_TRUE(run.scenario.drain(1h));
  EXPECT_EQ(run.rows("d").size(), 10u);
  run.close();
}

TEST(Reload, MailOfAVirtualMtaThatIsGoneBounces) {
  ReloadRun run({}, {.defer_rcpt = 1});
  ASSERT_TRUE(run.inject_all(run.batch(20, "v2")));
  run.scenario.world.run_for(5s);  // all of it waits for its retry now
  EXPECT_EQ(run.scenario.queued(), 20u);
  run.replace(std::string(kApart) + "</virtual-mta>\n", "");
  run.must_reload();
  run.scenario.world.run_for(2s);
  EXPECT_EQ(run.scenario.queued(), 0u);
  auto bounced = run.rows("b");
  ASSERT_EQ(bounced.size(), 20u);
  EXPECT_EQ(bounced[0]["dsnStatus"].substr(0, 5), "5.3.5");
  EXPECT_EQ(bounced[0]["dsnDiag"], "smtp;specified VirtualMTA does not exist");
  run.close();
}

TEST(Reload, MailOfAVirtualMtaThatIsGoneFindsItsPoolOrTheFallback) {
  ReloadRun run("<virtual-mta-pool p>\n virtual-mta v1\n virtual-mta v2\n</virtual-mta-pool>\n",
                {.defer_rcpt = 1});
  ASSERT_TRUE(run.inject_all(run.batch(20, "p")));
  ASSERT_TRUE(run.inject_all(run.batch(10, "v2", "s")));
  run.scenario.world.run_for(5s);
  EXPECT_EQ(run.scenario.queued(), 30u);
  run.replace(std::string(kApart) + "</virtual-mta>\n", "invalid-virtual-mta-fallback {default}\n");
  run.replace(" virtual-mta v2\n", "");
  run.must_reload();
  run.scenario.world.run_for(2s);
  EXPECT_EQ(run.scenario.queued(), 30u);
  for (auto& one : run.scenario.receivers) one->set_mood({});
  ASSERT_TRUE(run.scenario.drain(1h));
  std::map<std::string, int> by;
  for (Row& row : run.rows("d")) ++by[row["queue"]];
  EXPECT_EQ(by["a.test/v1"], 20);
  EXPECT_EQ(by["a.test/{default}"], 10);
  EXPECT_TRUE(run.rows("b").empty());
  run.close();
}

TEST(Reload, LowerLimitsHoldAtOnce) {
  ReloadRun run(
      "<domain a.test>\n max-smtp-out 10\n max-rcpt-per-message 1\n max-msg-rate 40/s\n</domain>\n");
  ASSERT_TRUE(run.inject_all(run.batch(600, "v1")));
  run.scenario.world.run_for(3s);
  auto& ledger = run.scenario.ledger;
  ASSERT_EQ(ledger.open["v1.node.sim"], 10u);
  const std::string host = "smtp-source-host 10.255.0.1 v1.node.sim\n";
  run.replace(host, host + "    max-smtp-out 6\n");
  run.must_reload();
  run.scenario.world.run_for(1s);
  EXPECT_EQ(ledger.open["v1.node.sim"], 6u);  // as many as that, not fewer
  run.replace(" max-smtp-out 10\n", " max-smtp-out 2\n");
  run.must_reload();
  run.scenario.world.run_for(1s);
  EXPECT_EQ(ledger.open["v1.node.sim"], 2u);
  ledger.top.clear();
  ASSERT_TRUE(run.scenario.drain(1h));
  EXPECT_LE(ledger.top["v1.node.sim"], 2u);
  ASSERT_EQ(ledger.attempts.size(), 600u);
  expect_rate(ledger.attempts, 40, 1s);  // over both reloads
  EXPECT_TRUE(run.rows("t").empty());
  run.close();
}

TEST(Reload, AnotherNameServerIsAskedAtOnce) {
  ReloadRun run;
  bool moved = false;
  run.scenario.extra_zone = [&moved](resolver::TableTransport& dns) {
    if (!moved) return;
    dns.remove("mx.a.test", net::dns::Type::A);
    dns.add_a("mx.a.test", "10.1.0.3");
  };
  ASSERT_TRUE(run.inject_all(run.batch(5, "v1")));
  ASSERT_TRUE(run.scenario.drain(1h));
  moved = true;
  run.must_reload();  // the same name server: what is cached stays
  ASSERT_TRUE(run.inject_all(run.batch(5, "v1", "s")));
  ASSERT_TRUE(run.scenario.drain(1h));
  run.config() += "name-server 10.9.9.9\n";
  run.must_reload();
  ASSERT_TRUE(run.inject_all(run.batch(5, "v1", "t")));
  ASSERT_TRUE(run.scenario.drain(1h));
  for (const Attempt& one : run.scenario.ledger.tried) {
    const char* where = one.recipient.front() == 't' ? "10.1.0.3" : "10.1.0.1";
    EXPECT_EQ(one.host.text(), where) << one.recipient;
  }
  EXPECT_EQ(run.scenario.ledger.tried.size(), 15u);
  run.close();
}

TEST(Reload, AGuestWhoseSourceIsDisabledLeaves) {
  ReloadRun run(
      "total-max-smtp-out 1\n<domain *>\n max-smtp-out 1\n max-rcpt-per-message 1\n max-msg-rate 100/s\n"
      "</domain>\n");
  run.scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
  run.scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_mx("d.test", 10, "mx.a.test"); };
  std::vector<Mail> mails = run.batch(2000, "v2");
  for (std::size_t i = 1; i < mails.size(); i += 2) mails[i].recipients = {mails[i].id + "@d.test"};
  ASSERT_TRUE(run.inject_all(std::move(mails)));
  const auto tried = [&run](const std::string& domain) {
    return std::ranges::count_if(run.scenario.ledger.tried,
                                 [&](const Attempt& one) { return one.recipient.ends_with(domain); });
  };
  run.scenario.world.run_until([&] { return tried("@d.test") > 200; }, 1h);
  const auto before_a = tried("@a.test");
  run.command({"disable", "source", "10.255.0.3", "d.test/v2"});
  const auto before_d = tried("@d.test");
  run.scenario.world.run_until([&] { return tried("@a.test") >= before_a + 100; }, 1h);
  EXPECT_LE(tried("@d.test"), before_d + 4);  // what was under way
  run.command({"enable", "source", "10.255.0.3", "d.test/v2"});
  ASSERT_TRUE(run.scenario.drain(1h));
  EXPECT_EQ(run.rows("d").size(), 2000u);
  run.close();
}

TEST(Reload, AVirtualMtaMovesToAnotherShardWithItsMail) {
  ReloadRun run(
      "<domain a.test>\n max-smtp-out 3\n max-rcpt-per-message 1\n max-msg-rate 20/s\n</domain>\n"
      "<domain b.test>\n retry-after 1h\n</domain>\n");
  run.scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.2"), runtime::sim::HostState::Refusing);
  std::vector<Mail> mails = run.batch(400, "v2");
  for (int i = 0; i < 10; ++i) {  // these wait for a dead host
    mails.push_back({.id = "w" + std::to_string(i), .recipients = {"w@b.test"}, .vmta = "v2"});
  }
  ASSERT_TRUE(run.inject_all(std::move(mails)));
  const auto home = [&run] {
    const queue::Snapshot& snapshot = *run.scenario.node->node().snapshot();
    return *snapshot.identity(*snapshot.config->find_vmta("v2")).home;
  };
  const ShardId first = home();
  run.scenario.world.run_for(3s);
  const std::string paused = run.command({"pause", "queue", "b.test/v2"});
  EXPECT_NE(paused.find("paused"), std::string::npos);
  for (int round = 0; round < 6; ++round) {
    if (round % 2 == 0) {
      run.replace(kApart, kJoined);
    } else {
      run.replace(kJoined, kApart);
    }
    run.must_reload();
    run.scenario.world.run_for(1s);
    if (round == 0) EXPECT_NE(home(), first);
  }
  const auto& shards = run.scenario.node->node().shards();
  const queue::Queue* waiting = shards[home().raw()]->dispatcher().queues().find({"b.test", "v2"});
  ASSERT_NE(waiting, nullptr);
  EXPECT_TRUE(waiting->paused);
  EXPECT_EQ(waiting->size(), 10u);
  EXPECT_EQ(shards[1 - home().raw()]->dispatcher().queues().find({"a.test", "v2"}), nullptr);
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.scenario.queued(), 10u);
  EXPECT_EQ(run.rows("d").size(), 400u);
  EXPECT_LE(run.scenario.ledger.connections_top, 3u);
  const std::vector<MonoTime>& seen = run.scenario.ledger.attempts;
  ASSERT_EQ(seen.size(), 400u);
  for (std::size_t i = 20; i < seen.size(); ++i) ASSERT_GE(seen[i] - seen[i - 20], 1s) << i;
  EXPECT_LE(seen.back() - seen.front(), 26s);
  run.close();
}

TEST(Reload, ConnectionsFromAnAddressThatIsGoneEndPolitely) {
  ReloadRun run("<domain a.test>\n max-smtp-out 2\n max-rcpt-per-message 1\n max-msg-rate 20/s\n</domain>\n");
  ASSERT_TRUE(run.inject_all(run.batch(100, "v2")));
  run.scenario.world.run_for(1s);
  run.replace(kApart, "<virtual-mta v2>\n    smtp-source-host 10.255.0.7 v7.node.sim\n");
  run.must_reload();
  run.scenario.world.run_for(1s);
  EXPECT_EQ(run.scenario.world.network().open_connections(*Cidr::parse("10.255.0.3")), 0u);
  ASSERT_TRUE(run.scenario.drain(1h));
  const auto delivered = run.rows("d");
  ASSERT_EQ(delivered.size(), 100u);  // each once, and nothing was disturbed
  EXPECT_TRUE(run.rows("t").empty());
  EXPECT_TRUE(run.rows("tq").empty());
  EXPECT_EQ(delivered.front().at("dlvSourceIp"), "10.255.0.3");
  EXPECT_EQ(delivered.back().at("dlvSourceIp"), "10.255.0.7");
  run.close();
}

TEST(Reload, QueueToTakesWaitingMailAlong) {
  ReloadRun run("<domain a.test>\n retry-after 1h\n</domain>\n");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Refusing);
  ASSERT_TRUE(run.inject_all(run.batch(10, "v1")));
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.scenario.queued(), 10u);
  run.config() += "<domain a.test>\n queue-to c.test\n</domain>\n";
  run.must_reload();
  run.scenario.world.run_for(30s);
  auto delivered = run.rows("d");
  ASSERT_EQ(delivered.size(), 10u);
  EXPECT_EQ(delivered[0]["queue"], "c.test/v1");
  run.close();
}

TEST(Reload, ADryRunSaysWhatWouldChangeAndChangesNothing) {
  ReloadRun run("<domain a.test>\n max-smtp-out 4\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  EXPECT_EQ(run.command({"reload", "--dry-run"}),
            "Nothing would change.\nDry run: configuration not reloaded.\n");
  run.replace("<domain a.test>\n max-smtp-out 4\n", "<domain a.test>\n max-smtp-out 9\n");
  run.replace("total-max-smtp-in 1000", "total-max-smtp-in 900");
  run.replace(kApart, "<virtual-mta v3>\n    smtp-source-host 10.255.0.3 v2.node.sim\n max-smtp-out 5\n");
  run.replace("run-dir /run/sluice", "run-dir /run/other");
  const std::string said = run.command({"reload", "--dry-run"});
  for (const char* line :
       {"takes effect at the next start: run-dir /run/sluice -> /run/other (/etc/config:5)\n",
        "total-max-smtp-in 1000 -> 900 (/etc/config:7)\n", "<virtual-mta v2> (/etc/config:18) is gone\n",
        "<virtual-mta v3> (/etc/config:18) is new\n",
        "<domain a.test>\n    max-smtp-out 4 -> 9 (/etc/config:48)\nDry run"}) {
    EXPECT_NE(said.find(line), std::string::npos) << line << "in\n" << said;
  }
  EXPECT_TRUE(said.ends_with("Dry run: configuration not reloaded.\n"));
  EXPECT_NE(run.command({"show", "settings", "a.test/v2"}).find("max-smtp-out 4\n"), std::string::npos);
  run.close();
}

/// A configuration by chance. Always the same: b.test's limits, and that nothing is refused.
std::string by_chance(const std::string& base, runtime::sim::Random& random) {
  std::string out = base;
  const auto often = [&random] { return random.below(2) == 0; };
  const std::size_t at = out.find(kApart);
  constexpr std::string_view kEnd = "</virtual-mta>\n";
  const std::string block = std::string(kApart) + std::string(kEnd);
  switch (random.below(5)) {
    case 0: out.replace(at, block.size(), ""); break;
    case 1: out.replace(at, block.size(), kJoined + std::string(kEnd)); break;
    case 2:
      out.replace(at, block.size(), "<virtual-mta v2>\n host-name v2.node.sim\n" + std::string(kEnd));
      break;
    case 3: out.replace(at, block.size(), kApart + ("    max-smtp-out 4\n" + std::string(kEnd))); break;
    default: break;
  }
  if (often()) out += "<virtual-mta v3>\n smtp-source-host 10.255.0.9 v3.node.sim\n</virtual-mta>\n";
  if (often()) out += "smtp-listener 10.255.0.1:2526\n";
  if (often()) out += "name-server 10.9.9." + std::to_string(random.below(9)) + '\n';
  if (often()) out += "<acct-file /var/log/more.csv>\n records d\n</acct-file>\n";
  if (often()) out += "<smtp-pattern-list p>\n reply /busy/ mode=backoff\n</smtp-pattern-list>\n";
  out += "<domain a.test>\n max-smtp-out " + std::to_string(1 + random.below(6)) + "\n";
  if (often()) out += " queue-to c.test\n";
  if (often()) out += " ignore-pipelining yes\n";
  if (often()) out += " bounce-after 11h\n";
  return out + "</domain>\n";
}

TEST(Reload, AThousandUnderLoadLoseAndLeakNothing) {
  ReloadRun run(
      "invalid-virtual-mta-fallback {default}\n<source 0/0>\n reject-invalid-virtual-mta no\n</source>\n"
      "<domain *>\n max-smtp-out 6\n connection-idle-timeout 1s\n</domain>\n"
      "<domain b.test>\n max-smtp-out 3\n max-msg-rate 40/s\n max-rcpt-per-message 1\n</domain>\n",
      {.defer_rcpt = 0.05, .refuse_rcpt = 0.05});
  auto& world = run.scenario.world;
  world.network().default_link = {.jitter = 0us, .read_cut = 0};
  ASSERT_TRUE(run.scenario.boot());
  const std::string base = run.config();
  std::vector<std::weak_ptr<const queue::Snapshot>> snapshots;
  std::vector<std::size_t> descriptors;
  for (const char* round : {"k", "l"}) {
    bool injected = false;
    start(inject(run.scenario.peers.reactor(0), Scenario::listener(), run.scenario.mails(1500, round),
                 run.injected),
          injected);
    for (int i = 0; i < 500; ++i) {
      run.config() = by_chance(base, world.random());
      run.must_reload();
      snapshots.push_back(run.scenario.node->node().snapshot());
      world.run_for(std::chrono::milliseconds(world.random().below(40)));
    }
    world.run_until([&] { return injected; }, 1h);
    EXPECT_TRUE(injected);
    EXPECT_TRUE(run.injected.refusals.empty());
    run.config() = base;
    run.must_reload();
    ASSERT_TRUE(run.scenario.drain(12h));
    world.run_for(5min);
    descriptors.push_back(world.machine().descriptors_open());
    EXPECT_EQ(world.network().open_connections(*Cidr::parse("10.1.0.0/24")), 0u);
  }
  // Nobody holds what was replaced. Segments of spool and journals come and go.
  EXPECT_EQ(std::ranges::count_if(snapshots, [](const auto& weak) { return !weak.expired(); }), 0);
  EXPECT_LT(descriptors[1], descriptors[0] + 50);  // over 500 reloads
  auto& ledger = run.scenario.ledger;
  const auto is_limited = [](const Seen& one) { return one.from == "v2.node.sim" && one.host == 2; };
  EXPECT_GT(times_of(ledger.rcpts, is_limited).size(), 100u);
  expect_rate(times_of(ledger.rcpts, is_limited), 40, 1s);
  EXPECT_LE(ledger.top["v2.node.sim>2"], 3u);
  run.close();
  run.scenario.check_promises(run.injected, false);
}

}  // namespace
}  // namespace sluice::test
