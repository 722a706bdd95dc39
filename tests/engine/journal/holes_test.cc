// Goal: whatever blocks of the last writes a disk has lost, whatever bits have rotted: a recipient that was
// acknowledged is queued or has ended after the next start, or the start says which stretch is damaged; what has been
// made good stays so.
// How: a stopped spool whose disk remembers what its last durable writes replaced; every subset of these 4-KiB blocks
// (a sample where there are many) is taken back, read, and put there again. A model beside it knows what was promised.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>

#include "engine/journal/recovered_impl.h"
#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

using runtime::sim::Disk;

// More when asked for: SLUICE_HOLE_SUBSETS=100000 engine_journal_holes_test.
std::size_t subsets_max() {
  const char* asked = std::getenv("SLUICE_HOLE_SUBSETS");
  return asked == nullptr ? 400 : std::strtoul(asked, nullptr, 10);
}

// And SLUICE_HOLE_SEEDS=200 for the runs.
int seeds() {
  const char* asked = std::getenv("SLUICE_HOLE_SEEDS");
  return asked == nullptr ? 6 : static_cast<int>(std::strtol(asked, nullptr, 10));
}

runtime::sim::WorldOptions remembering() {
  runtime::sim::WorldOptions options;
  options.machine.disk.keep_before = true;
  return options;
}

class HolesTest : public StorageRig {
 protected:
  explicit HolesTest(std::uint64_t seed = 1, std::size_t reactors = 1)
      : StorageRig(seed, reactors, remembering()), random(seed) {}

  struct Known {
    std::set<std::uint32_t> live;
    std::set<std::uint32_t> ended;  // durably
  };
  void accept(int recipients, std::size_t body = 500, std::size_t on_shard = 0) {
    std::vector<std::string> to;
    for (int i = 0; i < recipients; ++i)
      to.push_back("somebody.with.a.name" + std::to_string(i) + "@example.com");
    spool::StoredMessage* message = add(std::string(body, 'b'), to, on_shard);
    ASSERT_NE(message, nullptr);
    stored[message->id()] = message;
    for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(recipients); ++i)
      known[message->id()].live.insert(i);
  }
  void end_durably(MessageId id, std::uint32_t recipient) {
    end(*stored.at(id), recipient);
    flush();
    known[id].live.erase(recipient);
    known[id].ended.insert(recipient);
  }
  /// What was written since forget_written(), the last write to each page.
  std::vector<Disk::Block> blocks(std::string_view part) {
    std::map<std::pair<std::string, std::uint64_t>, Disk::Block> last;
    for (Disk::Block& one : world.disk().written(kRoot)) {
      if (one.path.find(part) != std::string::npos) last[{one.path, one.page}] = one;
    }
    std::vector<Disk::Block> out;
    for (auto& [key, one] : last) {
      // A new file is filled with zeros: nothing is lost with these.
      runtime::sim::FileImage::Page now{};
      (void)world.disk().find(one.path)->image.read(one.page * log::kBlockBytes, now);
      if (now != (one.before == nullptr ? runtime::sim::FileImage::Page{} : *one.before)) out.push_back(one);
    }
    return out;
  }
  /// Which of the blocks begin a group.
  std::vector<bool> heads_of(const std::vector<Disk::Block>& all) {
    std::vector<bool> out;
    for (const Disk::Block& block : all) {
      std::array<std::byte, 4> magic{};
      (void)world.disk().find(block.path)->image.read(block.page * log::kBlockBytes, magic);
      out.push_back(text_of(magic) == "SLGR");
    }
    return out;
  }
  /// Lost from some group on to the end of the log leaves no trace; anything else does. A segment's header alone is
  /// no loss: the first group tells what it said.
  static bool leaves_trace(const std::vector<Disk::Block>& all, const std::vector<bool>& heads,
                           std::vector<bool> is_lost) {
    for (std::size_t i = 0; i < all.size(); ++i) is_lost[i] = is_lost[i] && all[i].page != 0;
    for (std::size_t i = heads.size(); i-- > 0;) {
      if (is_lost[i] || !heads[i]) continue;
      const auto first = std::find(is_lost.begin(), is_lost.end(), true);
      const auto end = std::find(heads.begin() + static_cast<std::ptrdiff_t>(i) + 1, heads.end(), true);
      return first - is_lost.begin() < end - heads.begin();
    }
    return false;
  }
  Recovered look() {
    RecoveryOptions how{.directory = kRoot, .shards = 1, .read_only = true};
    auto found = test::finish(world, recover(world.reactor(), std::move(how)));
    EXPECT_TRUE(found && *found);
    return std::move(**found);
  }
  static bool is_said(const RecoveryReport& report) {
    return report.damage_count + report.torn_tails + report.lost_segment > 0;
  }
  std::size_t missing_in(const LiveSet& live) {
    std::size_t missing = 0;
    for (const auto& [id, one] : known) {
      for (const std::uint32_t i : one.live) {
        const LiveSet::Recipient* there = live.find(id, i);
        if (there == nullptr || there->ended) ++missing;
      }
    }
    return missing;
  }
  std::size_t revived_in(const LiveSet& live) {
    std::size_t revived = 0;
    for (const auto& [id, one] : known) {
      for (const std::uint32_t i : one.ended) {
        const LiveSet::Recipient* there = live.find(id, i);
        if (there != nullptr && there->received && !there->ended) ++revived;
      }
    }
    return revived;
  }
  /// Each subset of `all`, or a sample of them.
  void for_each_subset(std::vector<Disk::Block> all,
                       const std::function<void(const std::vector<bool>&)>& check) {
    const bool every = all.size() < 20 && (std::size_t{1} << all.size()) <= subsets_max();
    const std::size_t count = every ? std::size_t{1} << all.size() : subsets_max();
    for (std::size_t n = 0; n < count && !HasFailure(); ++n) {
      std::vector<bool> is_lost(all.size());
      const double chance = static_cast<double>(random() % 100) / 100;
      for (std::size_t i = 0; i < all.size(); ++i) {
        is_lost[i] = every ? (n >> i & 1) != 0 : static_cast<double>(random() % 1000) < chance * 1000;
      }
      std::string text;
      for (const bool one : is_lost) text += one ? '1' : '0';
      SCOPED_TRACE("seed " + std::to_string(world.seed()) + ", lost blocks " + text);
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (is_lost[i]) world.disk().lose(all[i]);
      }
      check(is_lost);
      for (std::size_t i = all.size(); i-- > 0;) {
        if (is_lost[i]) world.disk().lose(all[i]);
      }
    }
  }
  void forget_written() { world.disk().forget_written(kRoot); }
  void stop_dead() {
    world.run_for(1s);
    crash(runtime::sim::Crash::Kill);
    world.disk().make_all_durable();
    world.machine().boot();
  }

  std::mt19937_64 random;
  std::map<MessageId, spool::StoredMessage*> stored;
  std::map<MessageId, Known> known;
};

TEST_F(HolesTest, AHoleInTheLastJournalGroupIsMadeGoodFromTheMessages) {
  ASSERT_TRUE(boot());
  accept(1);
  world.run_for(1s);
  forget_written();
  accept(100);
  stop_dead();
  const auto all = blocks("/evt-");
  ASSERT_GE(all.size(), 4u);
  const std::vector<bool> heads = heads_of(all);
  for_each_subset(all, [&](const std::vector<bool>& is_lost) {
    Recovered found = look();
    EXPECT_EQ(missing_in(found.impl().live), 0u);
    EXPECT_EQ(is_said(found.report()), leaves_trace(all, heads, is_lost));
  });
}

TEST_F(HolesTest, JournalBlocksOfManyGroups) {
  ASSERT_TRUE(boot());
  accept(30);
  forget_written();
  for (int i = 0; i < 6; ++i) {
    accept(1 + static_cast<int>(random() % 40));
    world.run_for(100ms);
    if (i % 2 == 1) end_durably(known.rbegin()->first, 0);
  }
  end_durably(known.begin()->first, 3);
  stop_dead();
  const auto all = blocks("/evt-");
  const std::vector<bool> heads = heads_of(all);
  ASSERT_EQ(revived_in(look().impl().live), 0u);
  for_each_subset(all, [&](const std::vector<bool>& is_lost) {
    Recovered found = look();
    EXPECT_EQ(missing_in(found.impl().live), 0u) << "they are all in the messages";
    EXPECT_EQ(is_said(found.report()), leaves_trace(all, heads, is_lost));
  });
}

TEST_F(HolesTest, MessageBlocksThatTheJournalKnowsOf) {
  ASSERT_TRUE(boot());
  accept(2);
  forget_written();
  for (int i = 0; i < 5; ++i) accept(2, random() % 9000);
  flush();
  stop_dead();
  const auto all = blocks("/msg-");
  for_each_subset(all, [&](const std::vector<bool>&) {
    Recovered found = look();
    const std::size_t missing = missing_in(found.impl().live);
    EXPECT_TRUE(missing == 0 || missing <= found.report().lost_segment) << missing;
  });
}

// What both logs have lost nobody can name; but it is seen, unless everything is lost from some moment on.
TEST_F(HolesTest, BlocksOfBothLogs) {
  ASSERT_TRUE(boot());
  accept(2);
  forget_written();
  for (int i = 0; i < 8; ++i) {
    accept(1 + static_cast<int>(random() % 30), random() % 6000);
    if (random() % 2 == 0) world.run_for(100ms);
  }
  flush();
  stop_dead();
  const auto messages = blocks("/msg-");
  const std::vector<bool> heads = heads_of(messages);
  auto all = messages;
  for (const Disk::Block& one : blocks("/evt-")) all.push_back(one);
  for_each_subset(all, [&](const std::vector<bool>& is_lost) {
    Recovered found = look();
    if (missing_in(found.impl().live) == 0) return;
    const std::vector<bool> of_messages(is_lost.begin(),
                                        is_lost.begin() + static_cast<std::ptrdiff_t>(messages.size()));
    if (leaves_trace(messages, heads, of_messages)) EXPECT_TRUE(is_said(found.report()));
  });
}

TEST_F(HolesTest, RottenBitsInTheJournal) {
  ASSERT_TRUE(boot());
  accept(20);
  forget_written();
  for (int i = 0; i < 4; ++i) {
    accept(20);
    world.run_for(100ms);
  }
  stop_dead();
  const auto all = blocks("/evt-");
  for (std::size_t n = 0; n < subsets_max() && !HasFailure(); ++n) {
    std::vector<std::pair<std::string, std::uint64_t>> flips;
    for (std::size_t count = 1 + random() % 3; count > 0; --count) {
      const Disk::Block& block = all[random() % all.size()];
      flips.emplace_back(block.path, block.page * log::kBlockBytes + random() % log::kBlockBytes);
    }
    SCOPED_TRACE("seed " + std::to_string(world.seed()) + ", round " + std::to_string(n));
    for (const auto& [path, at] : flips) world.disk().flip_bit(path, at, 4);
    Recovered found = look();
    EXPECT_EQ(missing_in(found.impl().live), 0u);
    for (const auto& [path, at] : flips) world.disk().flip_bit(path, at, 4);
  }
}

TEST_F(HolesTest, WhatWasMadeGoodStaysSoAndIsSaidOnce) {
  ASSERT_TRUE(boot());
  accept(1);
  world.run_for(1s);
  forget_written();
  accept(100);
  stop_dead();
  auto all = blocks("/evt-");
  world.disk().lose(all[all.size() / 2]);
  ASSERT_TRUE(boot());
  EXPECT_EQ(missing_in(process->found.impl().live), 0u);
  EXPECT_TRUE(report().journal_holes);
  EXPECT_GT(report().received_found_again, 0u);
  crash();  // before any checkpoint: all of it once more
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.recipient_count(), 101u);
  EXPECT_EQ(report().received_found_again, 0u) << "their events are durable";
  const auto written = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(written && *written);
  crash();
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.recipient_count(), 101u);
  EXPECT_FALSE(is_said(report())) << "the checkpoint has passed the hole";
  EXPECT_FALSE(report().journal_holes);
}

TEST_F(HolesTest, NoCheckpointPassesAHoleThatRecoveryHasNotSeen) {
  ASSERT_TRUE(boot());
  accept(1);
  world.run_for(1s);
  forget_written();
  accept(100);
  world.run_for(1s);
  auto all = blocks("/evt-");
  const Disk::Block& middle = all[all.size() / 2];
  world.disk().flip_bit(middle.path, middle.page * log::kBlockBytes + 100, 1);
  const auto written = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(written.has_value());
  ASSERT_FALSE(written->has_value());
  EXPECT_EQ(written->error().code, Errc::Corrupt);
  stop_dead();
  world.machine().crash(runtime::sim::Crash::Kill);
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.recipient_count(), 101u);
}

class ManyRunsTest : public HolesTest, public ::testing::WithParamInterface<int> {
 protected:
  ManyRunsTest() : HolesTest(static_cast<std::uint64_t>(GetParam()) + 1, 2) {}

  // Who was accepted is there; an ending may have been lost, and then it is said.
  void compare() {
    std::size_t missing = 0, revived = 0;
    stored = process->back.messages;
    for (auto& [id, one] : known) {
      const auto& back = process->back.recipients[id];
      for (const std::uint32_t i : one.live) missing += back.contains(i) ? 0 : 1;
      for (const std::uint32_t i : std::exchange(one.ended, {})) {
        revived += back.contains(i) ? 1 : 0;
        (back.contains(i) ? one.live : one.ended).insert(i);
      }
    }
    EXPECT_EQ(missing, 0u);
    if (revived > last_endings) EXPECT_TRUE(is_said(report())) << revived;
  }

  std::size_t last_endings = 0;  // of the run before: all of them may be lost without a trace
};

// Every run loses some blocks of its journals, and the next one may have another number of shards: what one journal
// looked after for another is found again, too, however often.
TEST_P(ManyRunsTest, JournalBlocksAreLostInEachOfThem) {
  for (int run = 0; run < 12 && !HasFailure(); ++run) {
    SCOPED_TRACE("seed " + std::to_string(world.seed()) + ", run " + std::to_string(run));
    const auto shards = static_cast<std::uint32_t>(1 + random() % 2);
    ASSERT_TRUE(boot(shards));
    compare();
    forget_written();
    last_endings = 0;
    for (std::size_t n = random() % 12; n > 0; --n) {
      accept(1 + static_cast<int>(random() % 30), random() % 3000, random() % shards);
      if (random() % 3 == 0) world.run_for(20ms);
      const auto some = std::next(known.begin(), static_cast<std::ptrdiff_t>(random() % known.size()));
      auto& [id, one] = *some;
      if (one.live.empty() || random() % 2 == 0) continue;
      const std::uint32_t recipient = *one.live.begin();
      const std::size_t by = random() % shards;
      end(*stored.at(id), recipient, EventKind::Delivered, by);
      one.live.erase(recipient);
      one.ended.insert(recipient);
      ++last_endings;
      if (random() % 2 == 0) flush(by);
    }
    if (random() % 3 == 0) {
      for (std::size_t i = 0; i < shards; ++i) flush(i);
      const auto written = test::finish(world, process->checkpointer->write_now());
      EXPECT_TRUE(written && *written);
    }
    stop_dead();
    auto lost = blocks("/evt-");
    const std::uint64_t chance = random() % 100;
    for (Disk::Block& one : lost) {
      if (random() % 100 < chance) world.disk().lose(one);
    }
    world.machine().crash(runtime::sim::Crash::Kill);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ManyRunsTest, ::testing::Range(0, seeds()));

}  // namespace
}  // namespace sluice::journal
