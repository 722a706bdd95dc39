// Goal: what an operator or a receiver has set on queues (pauses by name and pattern, modes, disabled sources, retry
//       times) holds for mail that comes later, outlives restarts and reloads, is listed while the queue is empty, and
//       can be taken back by name.
// How:  a whole node in the simulated world. The last test draws commands, mail, restarts and reloads by chance and
//       holds lists and deliveries against a plain model: the history of commands. SLUICE_SIM_FIRST and
//       SLUICE_SIM_SEEDS choose its runs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

std::string config_of(int turn) {
  // v1 changes its shard with every reload, in the company of another one.
  return std::string("<virtual-mta m1>\n smtp-source-host 10.255.0.5 m1.sim\n</virtual-mta>\n") +
         "<virtual-mta m2>\n smtp-source-host 10.255.0." + (turn % 2 == 0 ? "5" : "6") +
         " m2.sim\n</virtual-mta>\n<domain *>\n max-events-recorded " + std::to_string(turn + 5) +
         "\n</domain>\n";
}

struct States : Limited {
  explicit States(Mood mood = {}, std::uint64_t seed = 3) : Limited(config_of(0), std::move(mood), seed) {}

  std::string ask(const std::vector<std::string>& words) { return scenario.ask(words); }
  bool says(const std::vector<std::string>& words, const std::string& part) {
    return ask(words).find(part) != std::string::npos;
  }
  void restart(Crash how) {
    run_for(1s);  // a change counts once it is durable
    if (how == Crash::Kill) {
      scenario.crash(how);
    } else {
      ASSERT_TRUE(finish(scenario.world, scenario.node->stop(), 5min));
      scenario.crash(Crash::Kill);
    }
    ASSERT_TRUE(scenario.boot());
  }
  void mail(const std::string& domain, const std::string& vmta) {
    send({.recipients = 1, .each = 1, .domains = {domain}, .vmtas = {vmta}});
  }
  std::size_t delivered() { return seen().messages.size(); }
  /// Ends the test: nothing is paused any more, and `all` messages are delivered by then.
  void resume_all(const std::string& pattern, std::size_t all) {
    EXPECT_TRUE(says({"resume", "queue", pattern}, "Queue(s) resumed.\n"));
    EXPECT_TRUE(says({"show", "pauses"}, "\n0 pattern(s)"));
    run_for(10s);
    EXPECT_EQ(delivered(), all);
    scenario.close();
  }
};

constexpr Crash kInPeace = Crash::PowerCut;  // States::restart

TEST(LastingPauses, HoldForWhatComesLater) {
  States run;
  ASSERT_TRUE(run.scenario.boot());
  EXPECT_TRUE(run.says({"pause", "queue", "*/m1"}, "Queue(s) paused.\n"));
  run.mail("a.test", "m1");
  run.mail("a.test", "m2");
  run.run_for(10s);
  EXPECT_EQ(run.delivered(), 1u);
  for (const Crash how : {Crash::Kill, kInPeace}) {
    run.restart(how);
    run.mail("b.test", "m1");
    run.run_for(10s);
    EXPECT_EQ(run.delivered(), 1u);
    EXPECT_TRUE(run.says({"show", "pauses"}, "*/m1 ")) << run.ask({"show", "pauses"});
  }
  run.resume_all("*/M1", 4);
}

TEST(LastingPauses, AnExceptionIsMadeByName) {
  States run;
  ASSERT_TRUE(run.scenario.boot());
  run.ask({"pause", "queue", "*/m1"});
  EXPECT_TRUE(run.says({"resume", "queue", "a.test/m1"}, "an exception to a pause that goes on"));
  run.restart(Crash::Kill);
  run.mail("a.test", "m1");
  run.mail("b.test", "m1");
  run.run_for(10s);
  EXPECT_EQ(run.delivered(), 1u);
  const std::string list = run.ask({"show", "pauses"});
  EXPECT_NE(list.find("a.test/m1"), std::string::npos) << list;
  EXPECT_NE(list.find("\n2 pattern(s)"), std::string::npos) << list;
  run.resume_all("*", 2);
}

TEST(LastingPauses, SayWhatTheyMean) {
  States run;
  ASSERT_TRUE(run.scenario.boot());
  EXPECT_TRUE(run.says({"pause", "queue", "new.test/m1"}, "new.test/m1 is paused when its mail comes"));
  EXPECT_TRUE(run.says({"pause", "queue", "new.test"}, "new.test/{default} is paused when its mail comes"));
  EXPECT_TRUE(run.says({"pause", "queue", "new.test/nosuch"}, "there is no virtual MTA \"nosuch\""));
  EXPECT_TRUE(run.says({"pause", "queue", "*/nosuch"}, "there is no virtual MTA \"nosuch\""));
  EXPECT_TRUE(run.says({"pause", "queue", std::string(2000, 'a')}, "at most 512 characters"));
  EXPECT_TRUE(run.says({"pause", "job", std::string(2000, 'a')}, "at most 1000 characters"));
  EXPECT_TRUE(run.says({"resume", "queue", "other.test/m1"}, "no queue matches \"other.test/m1\""));
  EXPECT_TRUE(run.says({"show", "queues"}, "0 of 0 matching queues"));
  run.restart(Crash::Kill);
  // Paused by name, and so seen by name.
  EXPECT_TRUE(run.says({"show", "queues", "new.test/*"}, "2 of 2 matching queues"))
      << run.ask({"show", "queues"});
  EXPECT_TRUE(run.says({"resume", "queue", "new.test/*"}, "Queue(s) resumed.\n"));
  run.scenario.close();
}

TEST(LastingStates, AreSeenAndTakenBackWhileTheQueueIsEmpty) {
  bool refuses = true;
  States run({.judge = [&refuses](const Asked& asked) {
    return refuses && asked.at == Asked::At::Rcpt ? std::string("550 5.1.1 nobody here") : std::string();
  }});
  ASSERT_TRUE(run.scenario.boot());
  for (const char* domain : {"a.test", "b.test"}) run.mail(domain, "m1");
  run.run_for(10s);
  ASSERT_EQ(run.scenario.queued(), 0u);
  run.ask({"set", "queue", "--mode=backoff", "a.test/m1"});
  run.ask({"disable", "source", "10.255.0.5", "b.test/m1"});
  run.run_for(1s);
  for (const Crash how : {Crash::Kill, kInPeace, Crash::Kill}) {
    run.restart(how);
    EXPECT_TRUE(run.says({"show", "queues", "--mode=backoff"}, "a.test/m1")) << run.ask({"show", "queues"});
    EXPECT_TRUE(run.says({"show", "disabled", "sources"}, "b.test/m1"))
        << run.ask({"show", "disabled", "sources"});
    run.run_for(5min);
    EXPECT_TRUE(run.says({"show", "queues", "--mode=backoff"}, "a.test/m1")) << "it stays";
  }
  EXPECT_TRUE(run.says({"set", "queue", "--mode=normal", "a.test/m1"}, "Queue(s) set to normal mode."));
  EXPECT_TRUE(run.says({"enable", "source", "10.255.0.5", "b.test/m1"}, "Source enabled."));
  run.restart(Crash::Kill);
  EXPECT_TRUE(run.says({"show", "queues"}, "0 of 0 matching queues")) << run.ask({"show", "queues"});
  refuses = false;
  for (const char* domain : {"a.test", "b.test"}) run.mail(domain, "m1");
  run.run_for(10s);
  EXPECT_EQ(run.delivered(), 2u);
  run.scenario.close();
}

TEST(LastingStates, ARetryOfAnEmptyQueueIsSeenAndEnded) {
  States run;
  run.scenario.files.files["/etc/config"] =
      kConfig + config_of(0) + "<domain a.test>\n retry-after 3h\n</domain>\n";
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Refusing);
  ASSERT_TRUE(run.scenario.boot());
  run.mail("a.test", "m1");
  run.run_for(10s);
  run.ask({"delete", "--queue=a.test/m1"});
  run.run_for(1s);
  ASSERT_EQ(run.scenario.queued(), 0u);
  run.restart(Crash::Kill);
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.1"), runtime::sim::HostState::Up);
  EXPECT_TRUE(run.says({"show", "queues"}, "a.test/m1")) << run.ask({"show", "queues"});
  EXPECT_FALSE(run.says({"schedule", "a.test/m1"}, "no queue matches"));
  run.mail("a.test", "m1");
  run.run_for(10s);
  EXPECT_EQ(run.delivered(), 1u);
  run.scenario.close();
}

// --- By chance.

std::uint64_t number_of(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::strtoull(value, nullptr, 10);
}

/// Every command that was given, and what follows from them for one queue.
struct Model {
  struct Pause {
    std::string domain, vmta;  ///< each a name or "*"
    bool paused;
  };
  std::vector<Pause> pauses;
  std::set<std::string> backoff;
  std::set<std::string> disabled;  ///< all the sources of its virtual MTA

  [[nodiscard]] bool is_paused(const std::string& domain, const std::string& vmta) const {
    bool out = false;
    for (const Pause& one : pauses) {
      const bool matches =
          (one.domain == "*" || one.domain == domain) && (one.vmta == "*" || one.vmta == vmta);
      if (matches) out = one.paused;
    }
    return out;
  }
};

void play(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  States run({}, seed);
  auto& random = run.scenario.world.random();
  ASSERT_TRUE(run.scenario.boot());
  const std::vector<std::string> domains{"a.test", "b.test", "c.test"};
  const std::vector<std::string> vmtas{"m1", "m2"};
  const auto any_of = [&random](const std::vector<std::string>& all) {
    return all[random.below(all.size())];
  };
  Model model;
  std::map<std::string, std::size_t> waiting;  // by queue
  std::size_t delivered = 0;
  int reloads = 0;
  std::string history;
  const auto name_of = [](const std::string& domain, const std::string& vmta) { return domain + '/' + vmta; };
  const auto goes = [&](const std::string& domain, const std::string& vmta) {
    return !model.is_paused(domain, vmta) && !model.disabled.contains(name_of(domain, vmta));
  };
  const auto let_go = [&] {
    for (const std::string& domain : domains) {
      for (const std::string& vmta : vmtas) {
        if (goes(domain, vmta)) delivered += std::exchange(waiting[name_of(domain, vmta)], 0);
      }
    }
  };
  for (int turn = 0; turn < 40 && !::testing::Test::HasFailure(); ++turn) {
    const std::string domain = any_of(domains);
    const std::string vmta = any_of(vmtas);
    const std::string name = name_of(domain, vmta);
    const std::string queue_in_memory = run.ask({"show", "queues", name});
    const bool is_there = queue_in_memory.find("1 of 1") != std::string::npos;
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2: {
        Model::Pause one{random.below(3) == 0 ? "*" : domain, random.below(3) == 0 ? "*" : vmta,
                         random.below(2) == 0};
        history += (one.paused ? "pause " : "resume ") + one.domain + '/' + one.vmta + '\n';
        run.ask({one.paused ? "pause" : "resume", "queue", one.domain + '/' + one.vmta});
        model.pauses.push_back(one);
        break;
      }
      case 3: {
        const bool backoff = random.below(2) == 0;
        history += (backoff ? "backoff " : "normal ") + name + '\n';
        const std::string answer =
            run.ask({"set", "queue", backoff ? "--mode=backoff" : "--mode=normal", name});
        if (answer.find("no queue matches") != std::string::npos) {
          EXPECT_FALSE(is_there || model.backoff.contains(name)) << answer;
        } else if (backoff) {
          model.backoff.insert(name);
        } else {
          model.backoff.erase(name);
        }
        break;
      }
      case 4: {
        const bool disable = random.below(2) == 0;
        history += (disable ? "disable " : "enable ") + name + '\n';
        const std::string answer = run.ask({disable ? "disable" : "enable", "source", "10.255.0.5", name});
        const bool had = model.disabled.contains(name);
        if (answer.find("Source") != 0) {
          EXPECT_FALSE(!disable && had) << answer;
        } else if (disable) {
          model.disabled.insert(name);
        } else {
          model.disabled.erase(name);
        }
        break;
      }
      case 5:
        history += "kill\n";
        run.restart(Crash::Kill);
        break;
      case 6:
        history += "stop\n";
        run.restart(kInPeace);
        break;
      case 7:
        // m2 keeps its address: only pauses and modes go with it to and fro.
        history += "reload\n";
        ++reloads;
        run.reload("<virtual-mta x" + std::to_string(reloads) + ">\n smtp-source-host 10.255.0." +
                   std::to_string(20 + reloads) + " x.sim\n</virtual-mta>\n" + config_of(2));
        break;
      default:
        history += "mail " + name + '\n';
        run.mail(domain, vmta);
        ++waiting[name];
    }
    SCOPED_TRACE(history);
    run.run_for(3s);
    let_go();
    EXPECT_EQ(run.delivered(), delivered);
    const std::string in_backoff = run.ask({"show", "queues", "--mode=backoff", "--maxitems=100"});
    const std::string shut = run.ask({"show", "disabled", "sources"});
    for (const std::string& one : domains) {
      for (const std::string& other : vmtas) {
        const std::string both = name_of(one, other);
        EXPECT_EQ(in_backoff.find(both) != std::string::npos, model.backoff.contains(both)) << both;
        EXPECT_EQ(shut.find(both) != std::string::npos, model.disabled.contains(both)) << both;
      }
    }
  }
  SCOPED_TRACE(history);
  // Everything is taken back by name.
  for (const std::string& domain : domains) {
    for (const std::string& vmta : vmtas) {
      const std::string name = name_of(domain, vmta);
      if (model.is_paused(domain, vmta))
        EXPECT_TRUE(run.says({"resume", "queue", name}, "Queue(s) resumed.")) << name;
      if (model.backoff.contains(name))
        EXPECT_TRUE(run.says({"set", "queue", "--mode=normal", name}, "normal mode")) << name;
      if (model.disabled.contains(name))
        EXPECT_TRUE(run.says({"enable", "source", "10.255.0.5", name}, "Source enabled.")) << name;
    }
  }
  run.run_for(10s);
  EXPECT_EQ(run.scenario.queued(), 0u);
  EXPECT_EQ(run.delivered(), run.mails_sent);
  run.ask({"resume", "queue", "*"});
  EXPECT_TRUE(run.says({"show", "pauses"}, "\n0 pattern(s)")) << run.ask({"show", "pauses"});
  run.scenario.close();
}

TEST(LastingStates, AreThoseOfAPlainModelWhateverHappens) {
  const std::uint64_t first = number_of("SLUICE_SIM_FIRST", 1);
  const std::uint64_t count = number_of("SLUICE_SIM_SEEDS", 6);
  for (std::uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) play(seed);
}

}  // namespace
}  // namespace sluice::test
