// Goal: a disk that is full, fails, lies rotten or is cut does not cost more than what it holds itself: nothing is
// acknowledged that is not stored, the spool starts again, damaged things are kept aside and counted, the rest works.
// How: the simulated disk refuses, errs, flips bits, zeroes and cuts, under a running or a stopped spool.
#include <random>

#include "engine/journal/recovered_impl.h"
#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

class FaultTest : public StorageRig {
 protected:
  void fill(int count, std::size_t size = 3000) {
    for (int i = 0; i < count; ++i) {
      const std::string body = std::to_string(i) + std::string(size, static_cast<char>('a' + i % 26));
      spool::StoredMessage* message = add(body);
      ASSERT_NE(message, nullptr);
      want[message->id()] = body;
      live[message->id()] = message;
    }
  }
  // Of those that are back, every one is either whole or refused as corrupt.
  std::size_t count_whole() {
    std::size_t whole = 0;
    for (const auto& [id, message] : process->back.messages) {
      const auto body = test::finish(world, read_body(shard(), *message, nullptr));
      EXPECT_TRUE(body.has_value());
      if (*body) {
        EXPECT_TRUE(want.contains(id));
        EXPECT_EQ(**body, want[id]);
        ++whole;
      } else {
        EXPECT_EQ(body->error().code, Errc::Corrupt);
      }
    }
    return whole;
  }
  std::string newest(std::string_view part) {
    std::string found;
    for (const std::string& file : world.disk().files_below(kRoot)) {
      if (file.find(part) != std::string::npos && world.disk().content(file).starts_with("SLUICSEG")) found = file;
    }
    return found;
  }
  std::map<MessageId, std::string> want;
  std::map<MessageId, spool::StoredMessage*> live;
};

TEST_F(FaultTest, AFailedWriteIsNeverAcknowledgedAndNeverTrusted) {
  ASSERT_TRUE(boot());
  fill(10);
  world.faults().add({.kind = runtime::OpKind::Write, .path_contains = "/msg-", .times = 1});
  auto refused = test::finish(world, append_one(shard(), "x", {"a@b.example"}));
  ASSERT_TRUE(refused.has_value());
  ASSERT_FALSE(refused->has_value());
  EXPECT_EQ(refused->error().code, Errc::Io);
  EXPECT_TRUE(shard().spool.failed());
  EXPECT_FALSE(shard().spool.accepting());
  refused = test::finish(world, append_one(shard(), "y", {"a@b.example"}));
  EXPECT_FALSE(refused->has_value()) << "the disk works again, but what it says is not believed";
  // What was accepted is still delivered.
  EXPECT_EQ(body_of(*live.begin()->second), want.begin()->second);
  end(*live.begin()->second, 0);
  flush();
  crash();
  ASSERT_TRUE(boot());
  // What failed may have reached the disk all the same: a message that was refused may exist, once.
  for (const auto& [id, message] : process->back.messages) {
    if (!want.contains(id)) want[id] = "x";
  }
  EXPECT_GE(count_whole(), 9u);
  EXPECT_LE(process->back.messages.size(), 10u);
  EXPECT_TRUE(shard().spool.accepting());
}

TEST_F(FaultTest, AFailingJournalTurnsUnhealthyAndReleasesNothing) {
  ASSERT_TRUE(boot());
  fill(3);
  flush();
  world.faults().add({.kind = runtime::OpKind::Write, .path_contains = "/evt-", .times = 1});
  end(*live.begin()->second, 0);
  const auto status = test::finish(world, shard().journal.flush());
  ASSERT_TRUE(status.has_value());
  EXPECT_FALSE(status->has_value());
  EXPECT_FALSE(shard().journal.healthy());
  EXPECT_EQ(shard().spool.stats().messages_live, 3u);
  crash();
  ASSERT_TRUE(boot());
  EXPECT_GE(process->back.messages.size(), 2u);
}

class FullDiskTest : public StorageRig {
 protected:
  FullDiskTest() : StorageRig(1, 1, small_disk()) {}
  static runtime::sim::WorldOptions small_disk() {
    runtime::sim::WorldOptions options;
    options.machine.disk.capacity_bytes = 8 * kMiB;
    return options;
  }
};

TEST_F(FullDiskTest, AFullDiskRefusesEarlyKeepsDrainingAndRecovers) {
  ASSERT_TRUE(boot());
  std::vector<spool::StoredMessage*> stored;
  const std::string body(50'000, 'b');
  int refused = 0;
  for (int i = 0; i < 400 && refused < 3; ++i) {
    if (!shard().spool.accepting()) {
      ++refused;
      world.run_for(100ms);
      continue;
    }
    auto answer = test::finish(world, append_one(shard(), body, {"a@b.example"}));
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(answer->has_value()) << "accepting() said yes: " << answer->error().text();
    stored.push_back(**answer);
  }
  EXPECT_EQ(refused, 3);
  EXPECT_GT(stored.size(), 60u);
  EXPECT_TRUE(shard().journal.healthy()) << "endings can still be recorded";
  for (spool::StoredMessage* message : stored) {
    EXPECT_EQ(body_of(*message), body);
    end(*message, 0);
  }
  flush();
  world.run_for(3s);
  EXPECT_TRUE(shard().spool.accepting()) << "room came back by itself";
  EXPECT_NE(add(body), nullptr);
  crash();
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.messages.size(), 1u);
}

TEST_F(FullDiskTest, AFullDiskStillStarts) {
  ASSERT_TRUE(boot());
  while (shard().spool.accepting()) ASSERT_NE(add(std::string(50'000, 'b')), nullptr);
  const std::uint64_t messages = shard().spool.stats().messages_live;
  for (int round = 0; round < 3; ++round) {
    crash();
    ASSERT_TRUE(boot());
    EXPECT_EQ(process->back.messages.size(), messages);
  }
  for (const auto& [id, message] : process->back.messages) end(*message, 0);
  world.run_for(5s);
  EXPECT_TRUE(shard().spool.accepting());
}

TEST_F(FaultTest, AFlippedBitInABodyCostsThatMessageOnly) {
  ASSERT_TRUE(boot());
  fill(50);
  crash();
  const std::string file = newest("/msg-");
  world.disk().flip_bit(file, world.disk().content(file).find("7hhhhhhhh") + 100, 3);
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.messages.size(), 50u);
  EXPECT_EQ(count_whole(), 49u);
  EXPECT_FALSE(world.disk().files_below("/spool/damaged").empty()) << "its bytes are kept";
}

TEST_F(FaultTest, DamagedBytesAreNotKeptWhenTheOperatorSaysSo) {
  ASSERT_TRUE(boot());
  fill(50);
  const std::string odd = "/spool/shard-0000/msg-0000004711.seg";
  for (const bool deleted : {false, true}) {
    crash();
    world.disk().put(odd, std::string(8192, 'x'));
    delete_damaged = deleted;
    ASSERT_TRUE(boot());
    EXPECT_EQ(count_whole(), 50u) << "the rest is read all the same";
    ASSERT_EQ(report().damage.size(), 1u);
    EXPECT_EQ(report().damage.front().kept_as.empty(), deleted);
    const auto files = world.disk().files_below(kRoot);
    EXPECT_EQ(std::ranges::find(files, odd), files.end());
    EXPECT_EQ(world.disk().files_below("/spool/damaged").size(), 1u) << "from the first round";
  }
}

TEST_F(FaultTest, AZeroedJournalGroupDoesNotLoseItsMessages) {
  ASSERT_TRUE(boot());
  fill(50);
  spool::StoredMessage* ended = live.begin()->second;
  end(*ended, 0);
  flush();
  crash();
  const std::string file = newest("/evt-");
  std::string bytes = world.disk().content(file);
  std::fill(bytes.begin() + 5 * 4096, bytes.begin() + 12 * 4096, '\0');
  world.disk().put(file, bytes);
  ASSERT_TRUE(boot());
  EXPECT_GE(report().damage_count, 1u);
  EXPECT_EQ(process->back.messages.size(), 49u);
  EXPECT_EQ(count_whole(), 49u);
}

TEST_F(FaultTest, ALostCheckpointIsMadeUpForFromTheSpool) {
  options.journal.segment_bytes = 64 * kKiB;
  ASSERT_TRUE(boot());
  JournalCursor cursor;
  fill(400, 500);
  flush();
  (void)read_events(cursor);
  process->accounting->acknowledge(cursor);
  const auto status = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(status && *status);
  world.run_for(1s);
  crash();
  const std::string file = newest("checkpoint");
  ASSERT_FALSE(file.empty());
  std::string bytes = world.disk().content(file);
  std::fill(bytes.begin() + 4096, bytes.begin() + 8192, '\x55');
  world.disk().put(file, bytes);
  ASSERT_TRUE(boot(1, cursor));
  EXPECT_GE(report().damage_count, 1u);
  EXPECT_EQ(process->back.messages.size(), 400u);
  EXPECT_EQ(count_whole(), 400u);
}

TEST_F(FaultTest, ALostSegmentEndsItsRecipientsWithARecord) {
  ASSERT_TRUE(boot());
  fill(20);
  flush();
  JournalCursor cursor;
  (void)read_events(cursor);
  crash();
  const std::string file = newest("/msg-");
  world.disk().put(file, "");
  ASSERT_TRUE(boot(1, cursor));
  EXPECT_EQ(report().lost_segment, 20u);
  flush();
  const auto events = read_events(cursor);
  EXPECT_EQ(std::ranges::count(events, EventKind::Bounced, &Seen::kind), 20);
  crash();
  ASSERT_TRUE(boot(1, cursor));
  EXPECT_EQ(report().lost_segment, 0u) << "told once";
}

// The addresses stand in the segment, too: once the journal has been folded, only the checkpoint has them.
TEST_F(FaultTest, ALostSegmentsRecipientsAreNamedFromTheCheckpoint) {
  ASSERT_TRUE(boot());
  fill(20);
  flush();
  JournalCursor cursor;
  (void)read_events(cursor);
  process->accounting->acknowledge(cursor);
  const auto status = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(status && *status);
  crash();
  world.disk().put(newest("/msg-"), "");
  ASSERT_TRUE(boot(1, cursor));
  EXPECT_EQ(report().lost_segment, 20u);
  EXPECT_EQ(report().lost_unnamed, 0u);
  const LiveSet& live = process->found.impl().live;
  EXPECT_EQ(live.live_recipients(), 0u);
  flush();
  const auto events = read_events(cursor);
  ASSERT_EQ(events.size(), 20u);
  for (const Seen& one : events) {
    EXPECT_EQ(one.kind, EventKind::Bounced);
    EXPECT_EQ(one.rcpt, "user@example.com");
    EXPECT_EQ(one.orig, "sender@example.org");
    EXPECT_EQ(one.job, "job7");
  }
}

TEST_F(FaultTest, ANewerFormatIsRefusedAndNotTouched) {
  ASSERT_TRUE(boot());
  fill(3);
  crash();
  const std::string file = newest("/msg-");
  std::string bytes = world.disk().content(file);
  bytes[8] = log::kFormatVersion + 1;
  const std::uint64_t sum = log::checksum(bytes_of(bytes).first(64), log::SegmentSeed{});
  std::memcpy(bytes.data() + 64, &sum, sizeof sum);
  world.disk().put(file, bytes);
  world.machine().boot();
  const auto refused = test::finish(world, recover(world.reactor(), {.directory = kRoot, .shards = 1}));
  ASSERT_TRUE(refused.has_value());
  ASSERT_FALSE(refused->has_value());
  EXPECT_EQ(refused->error().code, Errc::Unsupported);
  EXPECT_EQ(world.disk().content(file), bytes);
  world.machine().crash(runtime::sim::Crash::Kill);
}

class MutationTest : public FaultTest, public ::testing::WithParamInterface<int> {};

// Random mutations of a stopped spool: bits, stretches, cuts; in any of its files.
TEST_P(MutationTest, ItAlwaysStartsAndNeverSendsSomethingElse) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  options.spool.segment_bytes = 256 * kKiB;
  options.journal.segment_bytes = 64 * kKiB;
  ASSERT_TRUE(boot());
  fill(150, 2000);
  for (auto& [id, message] : live) {
    if (random() % 3 == 0) end(*message, 0);
  }
  flush();
  if (random() % 2 == 0) (void)test::finish(world, process->checkpointer->write_now());
  crash();
  for (int round = 0; round < 3; ++round) {
    const std::vector<std::string> files = world.disk().files_below(kRoot);
    for (int n = 0; n < 5; ++n) {
      const std::string& file = files[random() % files.size()];
      const std::string bytes = world.disk().content(file);
      if (bytes.empty() || file.find("damaged") != std::string::npos) continue;
      const std::size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          world.disk().flip_bit(file, at, static_cast<unsigned>(random() % 8));
          break;
        case 1: {
          std::string zeroed = bytes;
          const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 20'000);
          std::fill_n(zeroed.begin() + static_cast<long>(at), size, '\0');
          world.disk().put(file, zeroed);
          break;
        }
        default:
          world.disk().cut(file, at);
      }
    }
    ASSERT_TRUE(boot());
    (void)count_whole();
    EXPECT_NE(add("still works"), nullptr);
    crash();
    // What was added is not in the model any more.
    ASSERT_TRUE(boot());
    for (const auto& [id, message] : process->back.messages) {
      if (!want.contains(id)) want[id] = "still works";
    }
    crash();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MutationTest, ::testing::Range(0, 20));

}  // namespace
}  // namespace sluice::journal
