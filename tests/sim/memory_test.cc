// Goal: where memory is short, or a library throws, one file, report, copy, notice or round ends, and the node goes
//       on: nothing that was acknowledged is lost, nothing is sent twice, and nothing is stuck afterwards.
// How:  a whole node in the simulated world whose memory fails in one part, always or by chance; and a model in which
//       it fails everywhere among them. Without the boundary of a part its test ends the program. Seeds are printed on
//       failure; SLUICE_MEMORY_SEEDS sets how many.
#include <cstdlib>
#include <set>

#include "tests/sim/failing_memory.h"
#include "tests/sim/pickup_run.h"

namespace sluice::test {
namespace {

using Throws = FailingMemory::Throws;

std::uint64_t seeds() {
  const char* wanted = std::getenv("SLUICE_MEMORY_SEEDS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 8;
}

std::uint64_t contained(Scenario& scenario) {
  const auto status = finish(scenario.world, scenario.node->node().total_status(), 1min);
  return status ? status->contained : 0;
}

std::string log_of(Scenario& scenario) { return scenario.world.disk().content("/var/log/sluice.log"); }

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

/// One message to each of `count` recipients of a domain.
std::vector<Mail> one_each(std::size_t count, const std::string& id, const std::string& domain) {
  std::vector<Mail> out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    out.push_back({.id = id + number, .recipients = {"no" + number + '@' + domain}, .vmta = "v1"});
  }
  return out;
}

// --- Pickup.

TEST(FailingMemory, PickupFilesWaitForMemory) {
  PickupRun run(21);
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/one", message("m1"));
  run.disk.put("/in/batch", batch_of(3));
  {
    const FailingMemory memory(1, 1, {"9injection6Pickup", "9injection10PickupMail"});
    run.scenario.world.run_for(30s);
    EXPECT_GT(memory.thrown(), 0u);
  }
  EXPECT_EQ(run.left().size(), 2u) << run.log();
  EXPECT_GT(contained(run.scenario), 0u);
  run.scenario.world.run_for(1min);
  EXPECT_TRUE(run.left().empty()) << run.log();
  EXPECT_TRUE(run.bad().empty());
  for (const char* id : {"m1", "b0", "b1", "b2"}) EXPECT_EQ(run.delivered(id), 1) << id;
  run.scenario.close();
}

TEST(FailingMemory, NoMessageOfABatchIsTakenTwiceOrLeftOut) {
  constexpr int kMessages = 30;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    PickupRun run(seed);
    ASSERT_TRUE(run.boot());
    {
      const FailingMemory memory(seed, 0.003 * static_cast<double>(seed),
                                 {"9injection6Pickup", "9injection10PickupMail", "9injection6Intake6submit"});
      for (const char* name : {"a", "b", "c"})
        run.disk.put('/' + std::string("in/") + name, batch_of(kMessages, name));
      run.scenario.world.run_for(2min);
      EXPECT_GT(memory.thrown(), 0u);
    }
    run.scenario.world.run_for(1min);
    EXPECT_TRUE(run.left().empty()) << run.left().front() << run.log();
    EXPECT_TRUE(run.bad().empty());
    // Who could not be queued when his message was stored is in the spool.
    run.scenario.crash(Crash::Kill);
    ASSERT_TRUE(run.boot());
    EXPECT_TRUE(run.scenario.drain(10min));
    for (const char* name : {"a", "b", "c"}) {
      for (int i = 0; i < kMessages; ++i)
        EXPECT_EQ(run.delivered(name + std::to_string(i)), 1) << name << i << '\n' << run.log();
    }
    run.scenario.close();
  }
}

TEST(FailingMemory, AFileThatALibraryThrowsAtIsSetAside) {
  constexpr int kMessages = 30;
  int cut = 0;
  // Until the exception has come between two messages.
  for (std::uint64_t seed = 1; seed <= 2 * seeds() || (cut == 0 && seed <= 50); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    PickupRun run(seed);
    ASSERT_TRUE(run.boot());
    {
      const FailingMemory memory(seed, seed == 1 ? 1 : 0.005,
                                 {"9injection10PickupMail", "9injection6Intake6submit"}, Throws::Library);
      run.disk.put("/in/batch", batch_of(kMessages));
      run.scenario.world.run_for(1min);
    }
    run.disk.put("/in/later", message("later"));
    run.scenario.world.run_for(1min);
    EXPECT_TRUE(run.left().empty()) << run.log();
    run.scenario.crash(Crash::Kill);  // who could not be queued when his message was stored is in the spool
    ASSERT_TRUE(run.boot());
    EXPECT_TRUE(run.scenario.drain(10min));
    EXPECT_EQ(run.delivered("later"), 1);
    const std::string kept = run.bad().empty() ? std::string() : run.disk.content("/bad/batch");
    EXPECT_EQ(run.bad().empty(), !run.logged("/bad/batch: internal error: a library is at a loss"))
        << run.log();
    for (int i = 0; i < kMessages; ++i) {
      const bool is_kept = kept.find("<b" + std::to_string(i) + "@sim>") != std::string::npos;
      EXPECT_EQ(run.delivered("b" + std::to_string(i)), is_kept ? 0 : 1) << i;
    }
    cut += !kept.empty() && run.delivered("b0") == 1 ? 1 : 0;
    run.scenario.close();
  }
  EXPECT_GT(cut, 0) << "none was cut in the middle";
}

// --- Reports, copies, notices.

/// Senders are told: their domain is at the mail host of c.test, and whoever is called no... is refused.
struct TellingRun {
  explicit TellingRun(const std::string& extra = {}, std::uint64_t seed = 1)
      : scenario(seed, "<source 0/0>\n suppress-local-dsn no\n</source>\n" + extra) {
    scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_mx("sim.test", 10, "mx.c.test"); };
    Mood mood;
    mood.judge = [this](const Asked& asked) -> std::string {
      const bool is_no = asked.at == Asked::At::Rcpt && asked.recipient.starts_with("no");
      return is_no && refuses ? "550 5.1.1 nobody of that name" : "";
    };
    scenario.open_receivers(mood);
  }
  /// How often a text stands in messages of our own.
  std::size_t told(const std::string& what) {
    std::size_t out = 0;
    for (const auto& [id, body] : scenario.ledger.bodies) out += count_of(body, what);
    return out;
  }
  std::size_t finals(const std::string& type) {
    return acct_rows(scenario.world.disk(), "acct", type).size();
  }

  bool refuses = true;
  Scenario scenario;
};

TEST(FailingMemory, RecipientsEndWithoutAReportThatCannotBeMade) {
  TellingRun run;
  ASSERT_TRUE(run.scenario.boot());
  Injected injected;
  {
    const FailingMemory memory(1, 1, {"5shard7Reports"});
    run.scenario.take_in(one_each(5, "r", "a.test"), injected);
    run.scenario.world.run_for(3min);
    EXPECT_GT(memory.thrown(), 0u);
  }
  EXPECT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.told("\r\nFinal-Recipient: "), 0u);
  EXPECT_EQ(count_of(log_of(run.scenario), "a report to a sender: internal error: "), 5u)
      << log_of(run.scenario);
  run.scenario.take_in(one_each(5, "later", "b.test"), injected);
  EXPECT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.told("\r\nFinal-Recipient: "), 5u);
  run.scenario.world.run_for(5s);
  EXPECT_EQ(run.finals("b"), 10u);
  run.scenario.close();
}

TEST(FailingMemory, EveryFailureIsReportedOnceWhenThereIsMemoryAgain) {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TellingRun run({}, seed);
    ASSERT_TRUE(run.scenario.boot());
    Injected injected;
    {
      const FailingMemory memory(seed, 0.02, {"5shard7Reports", "9injection6Intake6submit"});
      // What a session meets is the client's to repeat.
      finish(
          run.scenario.world,
          inject(run.scenario.peers.reactor(0), Scenario::listener(), one_each(20, "r", "a.test"), injected),
          1h);
      run.scenario.world.run_for(30s);
      EXPECT_GT(memory.thrown(), 0u);
    }
    run.scenario.world.run_for(10s);
    run.scenario.crash(Crash::Kill);  // who could not be queued when his message was stored is in the spool
    ASSERT_TRUE(run.scenario.boot());
    EXPECT_TRUE(run.scenario.drain(10min));
    run.scenario.world.run_for(5s);
    EXPECT_EQ(run.finals("b"), injected.accepted.size());
    std::size_t left_out = count_of(log_of(run.scenario), "a report to a sender: internal error");
    for (const Mail& mail : injected.accepted) {
      const std::size_t times = run.told("\r\nFinal-Recipient: rfc822;" + mail.recipients.front() + "\r\n");
      EXPECT_LE(times, 1u) << mail.id << '\n' << log_of(run.scenario);
      if (times == 0 && left_out > 0) {  // one that could not even begin
        --left_out;
        continue;
      }
      EXPECT_EQ(times, 1u) << mail.id << '\n' << log_of(run.scenario);
    }
    run.scenario.close();
  }
}

TEST(FailingMemory, ADeliveryCountsWithoutItsCopy) {
  for (const char* part : {"5shard6Copies", "8delivery7Settler4copy"}) {
    SCOPED_TRACE(part);
    TellingRun run("<domain a.test>\n bcc-upon-delivery archive@b.test\n</domain>\n");
    run.refuses = false;
    ASSERT_TRUE(run.scenario.boot());
    Injected injected;
    {
      const FailingMemory memory(1, 1, {part});
      run.scenario.take_in(one_each(5, "c", "a.test"), injected);
      run.scenario.world.run_for(1min);
    }
    EXPECT_TRUE(run.scenario.drain(10min));
    EXPECT_EQ(run.scenario.ledger.delivered.size(), 5u);
    EXPECT_EQ(count_of(log_of(run.scenario),
                       "Copy for bcc-upon-delivery is left out: archive@b.test: internal error"),
              5u)
        << log_of(run.scenario);
    run.scenario.take_in(one_each(5, "later", "a.test"), injected);
    EXPECT_TRUE(run.scenario.drain(10min));
    EXPECT_EQ(run.scenario.ledger.delivered.size(), 15u);
    run.scenario.close();
    run.scenario.check_promises(injected, false);
  }
}

TEST(FailingMemory, ANoticeThatCannotBeMadeIsCounted) {
  TellingRun run("<domain a.test>\n backoff-notify ops@c.test\n</domain>\n");
  ASSERT_TRUE(run.scenario.boot());
  run.scenario.ask({"pause", "queue", "a.test/*"});
  Injected injected;
  run.scenario.take_in(one_each(1, "n", "a.test"), injected);
  {
    const FailingMemory memory(1, 1, {"5shard7Notices"});
    run.scenario.ask({"set", "queue", "--mode=backoff", "a.test/*"});
    run.scenario.world.run_for(10s);
    EXPECT_GT(memory.thrown(), 0u);
  }
  EXPECT_NE(log_of(run.scenario).find("a notice by mail: internal error: "), std::string::npos);
  EXPECT_EQ(run.told("is now in"), 0u);
  run.scenario.ask({"set", "queue", "--mode=normal", "a.test/*"});
  run.scenario.world.run_for(10s);
  EXPECT_EQ(run.told("is now in normal mode\r\n"), 1u);
  EXPECT_EQ(run.told("1 more notices were left out before this one"), 1u);
  run.scenario.close();
}

TEST(FailingMemory, RecipientsThatCannotBeEndedAreEndedLater) {
  PickupRun run(5,
                "<source {pickup}>\n suppress-local-dsn yes\n</source>\n"
                "<domain b.test>\n bounce-after 1m\n</domain>\n");
  ASSERT_TRUE(run.boot());
  run.scenario.ask({"pause", "queue", "b.test/*"});
  run.disk.put("/in/late", message("late", "joe@b.test"));
  run.disk.put("/in/refused",
               "EHLO app.test\nXACK OFF\nMAIL FROM:<s@sim.test>\nRCPT TO:<a..b@a.test>\nDATA\n"
               "Message-ID: <refused@sim>\n\nx\n.\n");
  {
    const FailingMemory memory(1, 1, {"8delivery7Settler"});
    run.scenario.world.run_for(5min);
    EXPECT_GT(memory.thrown(), 5u);
  }
  EXPECT_TRUE(acct_rows(run.disk, "acct", "b").empty());
  EXPECT_TRUE(run.logged("ending a recipient of b.test/v2: internal error: ")) << run.log();
  EXPECT_TRUE(run.logged("bouncing a refused recipient of a.test/v2: internal error: ")) << run.log();
  EXPECT_TRUE(run.scenario.drain(10min));
  run.scenario.world.run_for(5s);
  std::multiset<std::string> ended;
  for (Row row : acct_rows(run.disk, "acct", "b"))
    ended.insert(row["rcpt"] + ' ' + row["dsnStatus"].substr(0, 5));
  EXPECT_EQ(ended, (std::multiset<std::string>{"a..b@a.test 5.1.3", "joe@b.test 4.4.7"}));
  EXPECT_TRUE(run.scenario.ledger.delivered.empty());
  run.scenario.close();
}

// --- What goes round for as long as the node lives.

TEST(FailingMemory, RoundsAndListenersGoOn) {
  TellingRun run("<dns>\n precached-domains-file /etc/domains\n precached-refresh-interval 1m\n</dns>\n");
  run.refuses = false;
  run.scenario.world.disk().put("/etc/domains", "a.test\nb.test\n");
  ASSERT_TRUE(run.scenario.boot());
  Injected nothing;  // outlives the client, which may try on
  bool done = false;
  {
    const FailingMemory memory(1, 1,
                               {"8resolver8Precache", "5shard4Node11look_around", "5shard4Node12total_status",
                                "9injection12SmtpListener5serve"});
    start(inject(run.scenario.peers.reactor(0), Scenario::listener(), one_each(2, "x", "a.test"), nothing),
          done);
    run.scenario.world.run_for(5min);
    EXPECT_TRUE(nothing.accepted.empty());
    EXPECT_GT(memory.thrown(), 100u);
  }
  run.scenario.world.run_until([&] { return done; }, 1h);
  ASSERT_TRUE(done);
  EXPECT_GT(contained(run.scenario), 100u);
  run.scenario.world.run_for(3min);
  const std::string cached = run.scenario.ask({"show", "precache"});
  EXPECT_EQ(cached.find("internal error"), std::string::npos) << cached;
  EXPECT_NE(cached.find("a.test"), std::string::npos) << cached;
  Injected injected;
  run.scenario.take_in(one_each(5, "later", "a.test"), injected);
  EXPECT_TRUE(run.scenario.drain(10min));
  EXPECT_NE(run.scenario.ask({"show", "status"}).find("\n     ERRORS  "), std::string::npos);
  const std::string tree = run.scenario.ask({"show", "status", "--dom"});
  EXPECT_NE(tree.find("status.internalErrors=\"" + std::to_string(contained(run.scenario)) + '"'),
            std::string::npos)
      << tree;
  run.scenario.close();
  run.scenario.check_promises(injected, false);
}

// --- All of it.

TEST(FailingMemory, NothingAcknowledgedIsLostWhereverItFails) {
  const std::vector<std::string> parts{
      "9injection6Pickup",        "9injection10PickupMail", "9injection6Intake", "9injection12SmtpListener",
      "5shard7Reports",           "5shard6Copies",          "5shard7Notices",    "8resolver8Precache",
      "5shard4Node11look_around", "8delivery7Settler4copy", "8delivery7Settler"};
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    PickupRun run(
        seed,
        "<source 0/0>\n suppress-local-dsn no\n</source>\n"
        "<dns>\n precached-domains-file /etc/domains\n precached-refresh-interval 1m\n</dns>\n"
        "<domain a.test>\n bcc-upon-delivery archive@b.test\n backoff-notify ops@c.test\n</domain>\n"
        "<domain c.test>\n bounce-after 2m\n</domain>\n");
    Scenario& scenario = run.scenario;
    scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_mx("sim.test", 10, "mx.c.test"); };
    for (auto& one : scenario.receivers) one->set_mood({.defer_rcpt = 0.3, .refuse_rcpt = 0.1});
    run.disk.put("/etc/domains", "a.test\nb.test\n");
    ASSERT_TRUE(run.boot());
    Injected injected;
    bool done = false;
    {
      const double chance = 0.0005 * static_cast<double>(1 + seed % 8);
      const FailingMemory memory(seed, chance, parts);
      start(inject(scenario.peers.reactor(0), Scenario::listener(), scenario.mails(150, "x"), injected),
            done);
      for (int i = 0; i < 5; ++i) {
        run.disk.put("/in/one" + std::to_string(i), message("m" + std::to_string(i)));
        run.disk.put("/in/batch" + std::to_string(i), batch_of(10, 'b' + std::to_string(i) + '-'));
        scenario.world.run_for(1min);
      }
      EXPECT_GT(memory.thrown(), 0u);
    }
    scenario.world.run_until([&] { return done; }, 1h);
    EXPECT_TRUE(done);
    for (auto& one : scenario.receivers) one->set_mood({.refuse_rcpt = 0.1});
    scenario.world.run_for(2min);
    EXPECT_GT(contained(scenario), 0u);
    EXPECT_TRUE(run.left().empty()) << run.log();
    EXPECT_TRUE(run.bad().empty()) << run.log();
    // Who could not be queued is in the spool.
    scenario.crash(Crash::Kill);
    ASSERT_TRUE(scenario.boot());
    EXPECT_TRUE(scenario.drain(6h)) << run.log();
    std::vector<std::string> ids;
    for (int i = 0; i < 5; ++i) {
      ids.push_back('m' + std::to_string(i));
      for (int k = 0; k < 10; ++k) ids.push_back('b' + std::to_string(i) + '-' + std::to_string(k));
    }
    scenario.close();
    auto finals = scenario.finals();
    for (const std::string& id : ids)
      EXPECT_EQ(finals['<' + id + "@sim> joe@a.test"], 1) << id << '\n' << run.log();
    for (const Mail& mail : injected.accepted) {
      for (const std::string& to : mail.recipients) {
        EXPECT_EQ(finals['<' + mail.id + "@sim> " + to], 1) << mail.id << ' ' << to << '\n' << run.log();
      }
    }
    EXPECT_TRUE(scenario.ledger.corrupt.empty());
  }
}

}  // namespace
}  // namespace sluice::test
