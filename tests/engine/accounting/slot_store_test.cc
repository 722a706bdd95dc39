// Goal: a saved text survives crashes at any moment; one that was not acknowledged never replaces half of it.
// How: saves in a simulated world that is cut at every step; damaged slots made by hand.
#include "engine/accounting/slot_store.h"

#include <gtest/gtest.h>

#include "engine/accounting/acct_state.h"
#include "tests/support/sim_test.h"

namespace sluice::accounting {
namespace {

using runtime::Task;

Task<std::string> save_all(runtime::Reactor& reactor, int count, int& acknowledged) {
  Result<SlotStore> store = co_await SlotStore::open(reactor, "/state");
  if (!store) co_return store.error().text();
  int next = store->text() ? std::stoi(*store->text()) + 1 : 1;
  for (; next <= count; ++next) {
    const Status saved = co_await store->save(std::to_string(next));
    if (!saved) co_return saved.error().text();
    acknowledged = next;
  }
  co_return std::string();
}

Task<std::string> load(runtime::Reactor& reactor) {
  Result<SlotStore> store = co_await SlotStore::open(reactor, "/state");
  if (!store) co_return "error: " + store.error().text();
  co_return store->text().value_or("none");
}

TEST(SlotStore, KeepsTheLastTextOverACrashAtEveryStep) {
  for (const auto how : {runtime::sim::Crash::Kill, runtime::sim::Crash::PowerCut}) {
    for (std::uint64_t step = 1; step < 60; ++step) {
      SCOPED_TRACE(step);
      runtime::sim::World world(step);
      int acknowledged = 0;
      auto answer = std::make_unique<std::optional<std::string>>();
      test::start(save_all(world.reactor(), 6, acknowledged), *answer);
      world.run_until([&] { return world.steps() >= step || answer->has_value(); });
      const bool ended = answer->has_value();
      world.machine().bury(std::move(answer));
      world.crash(how);
      world.machine().boot();
      const auto got = test::finish(world, load(world.reactor()));
      ASSERT_TRUE(got);
      const int value = *got == "none" ? 0 : std::stoi(*got);
      EXPECT_GE(value, acknowledged);
      EXPECT_LE(value, acknowledged + 1);
      if (ended) {
        EXPECT_EQ(value, 6);
      }
    }
  }
}

TEST(SlotStore, DamageIsNoticed) {
  runtime::sim::World world(1);
  int acknowledged = 0;
  ASSERT_EQ(test::finish(world, save_all(world.reactor(), 3, acknowledged)), "");
  world.disk().flip_bit("/state", SlotStore::kHeaderBytes, 0);
  EXPECT_EQ(test::finish(world, load(world.reactor())), "2") << "slot 1 held 3";
  world.disk().flip_bit("/state", SlotStore::kSlotBytes + 9, 3);
  EXPECT_TRUE(test::finish(world, load(world.reactor()))->starts_with("error:"));
}

TEST(SlotStore, SavesOnAFullDisk) {
  runtime::sim::World world(1);
  int acknowledged = 0;
  ASSERT_EQ(test::finish(world, save_all(world.reactor(), 1, acknowledged)), "");
  world.disk().options.capacity_bytes = 4096;
  EXPECT_EQ(test::finish(world, save_all(world.reactor(), 9, acknowledged)), "");
  EXPECT_EQ(acknowledged, 9);
}

TEST(AcctState, TextComesBack) {
  AcctState state;
  state.cursor.set(0, {12, 4096});
  state.cursor.set(5, {1, 0});
  const std::chrono::local_days day{std::chrono::days(20458)};
  state.files.push_back({"/var/log/a b.csv",
                         0xfedcba9876543210,
                         {day, 7},
                         AcctFileState::Current{{day, 7}, 123, WallTime{5ms}, 42},
                         {{{day, 5}, "/done here", 17}, {{day, 6}, "/other", 0}}});
  state.files.push_back({"/x.csv", 0, {}, std::nullopt, {}});
  const auto again = AcctState::parse(state.text());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, state);
  EXPECT_EQ(again->text(), state.text());
  // Every shortened text either is refused or reads as something shorter, never crashes.
  const std::string text = state.text();
  for (std::size_t size = 0; size < text.size(); ++size) (void)AcctState::parse(text.substr(0, size));
  for (const char* bad :
       {"", "sluice-accounting 2\ncursor 1\n", "sluice-accounting 1\n", "sluice-accounting 1\ncursor x\n",
        "sluice-accounting 1\ncursor 1\nlast 1 1\n", "sluice-accounting 1\ncursor 1\nfile /a\ncurrent 1 1\n",
        "sluice-accounting 1\ncursor 1\nfile /a\ncurrent 1 1 -1 1\n",
        "sluice-accounting 1\ncursor 1\nfile /a\nmove 1 1\n",
        "sluice-accounting 1\ncursor 1\nfile /a\nmove\n", "sluice-accounting 1\ncursor 1\nfile /a\nrows 3\n",
        "sluice-accounting 1\ncursor 1\nfile /a\nlast 99999999 1\n"}) {
    EXPECT_FALSE(AcctState::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace sluice::accounting
