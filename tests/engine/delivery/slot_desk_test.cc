// Goal: slots of connections are never more than their counts allow, none is free while a queue that could use it
//       waits, and the line goes round: priorities first, then who has fewest, in turns of queues and groups.
// How:  desks of several shards with mail between them that comes late, and queues that want, get, keep and lose
//       connections at random, beside a model that counts; SLUICE_RANDOM_RUNS takes more seeds.
#include "engine/delivery/slot_desk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <random>
#include <string>

namespace sluice::delivery {
namespace {

using queue::SharedBudget;

struct Party {
  std::unique_ptr<queue::Queue> queue;
  std::vector<Budget> budgets;
  std::size_t wants = 0;  // connections, those it has among them
  std::list<Slots> has;
  bool paused = false;
};

/// The desks of some shards, and what they deal out.
struct Desks {
  explicit Desks(std::size_t shards) {
    for (std::uint32_t i = 0; i < shards; ++i) {
      desks.push_back(std::make_unique<SlotDesk>(
          i, SlotDesk::Links{.offer = [this](queue::Queue& queue) { consider(of(queue)); },
                             .tell = [this](std::uint32_t shard,
                                            Budget unit) { mail.emplace_back(shard, std::move(unit)); }}));
    }
  }
  ~Desks() {
    for (auto& desk : desks) desk->close();
    for (auto& [key, party] : parties) {
      for (Slots& slots : party.has) desk_of(party).give_back(slots);
    }
  }
  static Budget budget(std::uint32_t limit) {
    auto made = std::make_shared<SharedBudget>();
    made->set_limit(limit);
    return made;
  }
  Party& add(std::uint32_t shard, const std::string& name, std::vector<Budget> budgets,
             std::uint32_t priority = 50) {
    Party party;
    party.queue =
        std::make_unique<queue::Queue>(name, std::to_string(shard), [](runtime::Timer&) {}, nullptr);
    auto settings = std::make_shared<config::DomainSettings>();
    settings->queue_priority = priority;
    party.queue->settings = std::move(settings);
    party.budgets = std::move(budgets);
    const queue::Queue* key = party.queue.get();
    return parties.emplace(key, std::move(party)).first->second;
  }
  Party& of(const queue::Queue& queue) { return parties.at(&queue); }
  SlotDesk& desk_of(const Party& party) { return *desks[std::stoul(std::string(party.queue->vmta_name()))]; }

  /// What the dispatcher does: opens as many connections as the queue wants.
  void consider(Party& party) {
    while (!party.paused && party.has.size() < party.wants) {
      auto slots = desk_of(party).take(*party.queue, party.budgets);
      if (!slots) return;
      party.has.push_back(std::move(*slots));
      ++party.queue->connections;
      served.push_back(&party);
    }
  }
  void want(Party& party, std::size_t connections) {
    party.wants = connections;
    consider(party);
  }
  void end(Party& party, std::list<Slots>::iterator which) {
    Slots slots = std::move(*which);
    party.has.erase(which);
    --party.queue->connections;
    desk_of(party).give_back(slots);
    consider(party);
  }
  void end_one(Party& party) { end(party, party.has.begin()); }
  bool deliver(std::size_t which) {
    if (which >= mail.size()) return false;
    // Mail to one shard keeps its order, as mailboxes do; shards overtake each other.
    const auto first = std::find_if(mail.begin(), mail.end(),
                                    [&](const auto& one) { return one.first == mail[which].first; });
    auto [shard, unit] = std::move(*first);
    mail.erase(first);
    desks[shard]->turn_has_come(unit);
    return true;
  }
  void settle() {
    for (std::size_t turns = 0; deliver(0); ++turns) ASSERT_LT(turns, 10'000u) << "everybody tells everybody";
  }

  std::vector<std::unique_ptr<SlotDesk>> desks;
  std::deque<std::pair<std::uint32_t, Budget>> mail;
  std::map<const queue::Queue*, Party> parties;
  std::vector<Party*> served;
};

TEST(SlotDesk, ALongBacklogGetsNoSecondSlotWhileOthersHaveNone) {
  Desks run(1);
  const Budget all = Desks::budget(2);
  Party& big = run.add(0, "big", {all});
  Party& small = run.add(0, "small", {all});
  run.want(big, 1000);
  EXPECT_EQ(big.has.size(), 2u);
  run.want(small, 1);
  EXPECT_EQ(run.desks[0]->waits_for(*small.queue), all.get());
  run.end_one(big);
  run.settle();
  EXPECT_EQ(small.has.size(), 1u);
  EXPECT_EQ(big.has.size(), 1u);
  run.want(small, 0);
  run.end_one(small);
  run.settle();
  EXPECT_EQ(big.has.size(), 2u);
}

TEST(SlotDesk, GroupsTakeTurnsHoweverManyQueuesTheyHave) {
  Desks run(1);
  const Budget all = Desks::budget(4);
  const Budget one_vmta = Desks::budget(100);
  const Budget other_vmta = Desks::budget(100);
  Party& first = run.add(0, "first", {all, one_vmta});
  run.want(first, 4);
  std::vector<Party*> many;
  for (int i = 0; i < 1000; ++i) many.push_back(&run.add(0, "m" + std::to_string(i), {all, one_vmta}));
  for (Party* one : many) run.want(*one, 1);
  Party& late = run.add(0, "late", {all, other_vmta});
  run.want(late, 1);
  first.wants = 0;
  for (int i = 0; i < 3; ++i) {
    run.end_one(first);
    run.settle();
  }
  EXPECT_EQ(late.has.size(), 1u);
}

TEST(SlotDesk, AHolderYieldsOnlyToWhoHasFewer) {
  Desks run(2);
  const Budget all = Desks::budget(4);
  Party& a = run.add(0, "a", {all});
  Party& b = run.add(1, "b", {all});
  run.want(a, 10);
  run.want(b, 10);
  const auto yields = [](Party& party, bool had_turn = true) {
    return SlotDesk::must_yield(
        party.has.front(), {.priority = 50, .holds = party.queue->connections, .has_had_turn = had_turn});
  };
  EXPECT_FALSE(yields(a, false)) << "not before its turn is over";
  EXPECT_TRUE(yields(a));
  EXPECT_FALSE(SlotDesk::must_yield(*std::next(a.has.begin()), {.priority = 50, .holds = 4}))
      << "one waits, one ends";
  run.end_one(a);
  run.settle();
  EXPECT_EQ(b.has.size(), 1u);
  EXPECT_TRUE(yields(a)) << "3 and 1";
  run.end_one(a);
  run.settle();
  EXPECT_EQ(b.has.size(), 2u);
  EXPECT_FALSE(yields(a)) << "2 and 2: both want more, and neither gains by a change";
  EXPECT_FALSE(yields(b));
}

TEST(SlotDesk, HigherPrioritiesComeFirst) {
  Desks run(2);
  const Budget all = Desks::budget(1);
  Party& holder = run.add(0, "holder", {all}, 50);
  Party& low = run.add(0, "low", {all}, 40);
  Party& high = run.add(1, "high", {all}, 60);
  run.want(holder, 1);
  run.want(low, 1);
  EXPECT_FALSE(SlotDesk::must_yield(holder.has.front(), {.priority = 50, .holds = 1}));
  run.want(high, 1);
  EXPECT_TRUE(SlotDesk::must_yield(holder.has.front(), {.priority = 50, .holds = 1, .has_had_turn = false}));
  holder.wants = 0;
  run.end_one(holder);
  run.settle();
  EXPECT_EQ(high.has.size(), 1u);
  EXPECT_EQ(low.has.size(), 0u);
}

TEST(SlotDesk, NothingMovesNothingIsLookedAt) {
  Desks run(1);
  const Budget all = Desks::budget(1);
  Party& holder = run.add(0, "holder", {all});
  run.want(holder, 1);
  std::size_t looks = 0;
  std::vector<Party*> many;
  for (int i = 0; i < 50'000; ++i) many.push_back(&run.add(0, "q" + std::to_string(i), {all}));
  for (Party* one : many) run.want(*one, 1);
  looks = run.served.size();
  holder.wants = 0;
  run.end_one(holder);
  EXPECT_EQ(run.mail.size(), 1u);
  run.settle();
  EXPECT_EQ(run.served.size(), looks + 1);
  EXPECT_EQ(many[0]->has.size(), 1u);
}

TEST(SlotDesk, AClosedDeskPassesUnitsOn) {
  Desks run(2);
  const Budget all = Desks::budget(1);
  Party& holder = run.add(0, "holder", {all});
  Party& here = run.add(0, "here", {all});
  Party& there = run.add(1, "there", {all});
  run.want(holder, 1);
  run.want(here, 1);
  run.want(there, 1);
  holder.wants = 0;
  run.end_one(holder);  // its unit is on its way to somebody
  run.desks[0]->close();
  run.settle();
  EXPECT_EQ(there.has.size(), 1u);
}

/// Everything at random, and after each step the promises.
void run_random(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t shards = 1 + below(3);
  Desks run(shards);
  const Budget all = Desks::budget(static_cast<std::uint32_t>(1 + below(12)));
  std::vector<Budget> vmtas;
  std::vector<Budget> budgets{all};
  for (std::size_t i = 0; i < 4; ++i) {
    vmtas.push_back(Desks::budget(static_cast<std::uint32_t>(1 + below(8))));
    budgets.push_back(vmtas.back());
  }
  const Budget pool = Desks::budget(static_cast<std::uint32_t>(1 + below(8)));
  budgets.push_back(pool);
  std::vector<Party*> parties;
  for (std::size_t i = 0; i < 30; ++i) {
    std::vector<Budget> mine{all, vmtas[below(vmtas.size())]};
    if (below(2) == 0) mine.push_back(pool);
    parties.push_back(&run.add(static_cast<std::uint32_t>(below(shards)), "q" + std::to_string(i),
                               std::move(mine), below(4) == 0 ? 60 : 50));
  }
  std::vector<std::pair<Party*, std::list<Slots>::iterator>> open;
  for (int step = 0; step < 3000; ++step) {
    Party& one = *parties[below(parties.size())];
    switch (below(8)) {
      case 0: run.want(one, below(6)); break;
      case 1:
        one.paused = !one.paused;
        run.consider(one);
        break;
      case 2:
      case 3:
        if (!one.has.empty())
          run.end(one, std::next(one.has.begin(), static_cast<std::ptrdiff_t>(below(one.has.size()))));
        break;
      case 4:
        if (!one.has.empty()) {
          std::ignore =
              SlotDesk::must_yield(one.has.front(), {.priority = one.queue->settings->queue_priority,
                                                     .holds = one.queue->connections,
                                                     .has_had_turn = below(2) == 0,
                                                     .rests = below(8) == 0});
        }
        break;
      case 5:
        if (below(20) == 0) {
          for (queue::Queue* left : run.desks[below(shards)]->clear()) run.consider(run.of(*left));
        } else if (below(10) == 0) {
          run.desk_of(one).leave(*one.queue);
          one.wants = one.has.size();
        }
        break;
      default: run.deliver(below(run.mail.size() + 1)); break;
    }
    std::map<const SharedBudget*, std::uint32_t> held;
    for (const Party* party : parties) {
      for (const Slots& slots : party->has) {
        ASSERT_EQ(slots.held.size(), party->budgets.size());
        for (const Slots::Held& unit : slots.held) ++held[unit.budget.get()];
      }
    }
    for (const Budget& budget : budgets) {
      ASSERT_LE(budget->used(), budget->limit()) << "step " << step;
      ASSERT_EQ(budget->used(), held[budget.get()]) << "units are neither lost nor made, step " << step;
    }
    if (step % 10 != 0) continue;
    run.settle();
    for (const Party* party : parties) {
      if (party->paused || party->has.size() >= party->wants) continue;
      const SharedBudget* full = run.desk_of(*party).waits_for(*party->queue);
      const bool some_full = std::any_of(party->budgets.begin(), party->budgets.end(),
                                         [](const Budget& b) { return b->used() == b->limit(); });
      ASSERT_TRUE(some_full) << party->queue->name() << " waits though nothing is full, step " << step;
      ASSERT_NE(full, nullptr) << party->queue->name() << " wants and does not stand in line, step " << step;
      ASSERT_EQ(full->used(), full->limit()) << "a unit is free while somebody waits for it, step " << step;
    }
  }
}

TEST(SlotDesk, RandomQueuesNeverExceedACountNorWaitBesideAFreeUnit) {
  const char* runs = std::getenv("SLUICE_RANDOM_RUNS");
  const std::uint64_t count = runs == nullptr ? 40 : std::stoull(runs);
  for (std::uint64_t seed = 1; seed <= count && !::testing::Test::HasFatalFailure(); ++seed) run_random(seed);
}

TEST(SlotDesk, EverybodyHasATurnWithinOneRound) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const std::size_t shards = 1 + below(3);
    Desks run(shards);
    const Budget all = Desks::budget(static_cast<std::uint32_t>(1 + below(5)));
    std::vector<Budget> vmtas{Desks::budget(50), Desks::budget(50), Desks::budget(50)};
    std::vector<Party*> parties;
    for (std::size_t i = 0; i < 40; ++i)
      parties.push_back(&run.add(static_cast<std::uint32_t>(below(shards)), "q" + std::to_string(i),
                                 {all, vmtas[below(vmtas.size())]}));
    for (Party* one : parties) run.want(*one, 1000);
    // Connections end as soon as they have to; every queue goes on wanting more.
    for (int step = 0; step < 4000; ++step) {
      std::vector<Party*> holders;
      for (Party* one : parties) {
        if (!one->has.empty()) holders.push_back(one);
      }
      if (holders.empty()) {
        run.settle();
        continue;
      }
      Party& one = *holders[below(holders.size())];
      if (SlotDesk::must_yield(one.has.front(), {.priority = 50, .holds = one.queue->connections}))
        run.end_one(one);
      if (below(3) == 0) run.settle();
    }
    ASSERT_GT(run.served.size(), 1000u) << "slots go round";
    // Groups and shards take turns, so a queue of a large group waits longer: as many turns as the largest has
    // queues, times groups and shards.
    std::map<Party*, std::size_t> before;
    const std::size_t bound = parties.size() * vmtas.size() * shards + 10;
    for (std::size_t i = 0; i < run.served.size(); ++i) {
      const auto [at, first] = before.try_emplace(run.served[i], i);
      if (!first) {
        ASSERT_LE(i - at->second, bound) << run.served[i]->queue->name();
        at->second = i;
      }
    }
    EXPECT_EQ(before.size(), parties.size());
  }
}

}  // namespace
}  // namespace sluice::delivery
