// Goal: what was accepted comes back after a restart, once and unchanged, with its attempts; what ended does not.
// How: a storage process in a simulated machine appends, ends, stops or loses power, and starts again.
#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

class StorageTest : public StorageRig {};

TEST_F(StorageTest, AFreshMessageIsReadFromMemory) {
  ASSERT_TRUE(boot());
  spool::StoredMessage* message = add("hello");
  ASSERT_NE(message, nullptr);
  bool resident = false;
  EXPECT_EQ(body_of(*message, &resident), "hello");
  EXPECT_TRUE(resident);
  EXPECT_EQ(message->outstanding(), 1u);
  EXPECT_TRUE(stop());
}

TEST_F(StorageTest, EverythingComesBackAfterAPowerCut) {
  ASSERT_TRUE(boot());
  std::map<MessageId, std::string> want;
  for (int i = 0; i < 300; ++i) {
    std::string body(static_cast<std::size_t>(i) * 37, static_cast<char>('a' + i % 26));
    spool::StoredMessage* message = add(body, {"a@One.example", "b@two.example"});
    ASSERT_NE(message, nullptr);
    want[message->id()] = body;
  }
  crash();
  ASSERT_TRUE(boot());
  EXPECT_EQ(report().messages, 300u);
  EXPECT_EQ(report().damage_count, 0u);
  ASSERT_EQ(process->back.messages.size(), want.size());
  for (const auto& [id, body] : want) {
    ASSERT_TRUE(process->back.messages.contains(id));
    bool resident = true;
    EXPECT_EQ(body_of(*process->back.messages.at(id), &resident), body);
    EXPECT_FALSE(resident);
    const auto& recipients = process->back.recipients.at(id);
    ASSERT_EQ(recipients.size(), 2u);
    EXPECT_EQ(recipients.at(0).domain, "one.example");
    EXPECT_EQ(recipients.at(1).domain, "two.example");
    EXPECT_EQ(recipients.at(0).vmta, "vmta1");
    EXPECT_EQ(recipients.at(0).queue, "example.com/vmta1");
    EXPECT_EQ(recipients.at(0).attempts, 0u);
  }
  EXPECT_TRUE(stop());
}

TEST_F(StorageTest, EndedRecipientsStayEnded) {
  ASSERT_TRUE(boot());
  spool::StoredMessage* message = add("m", {"a@x.example", "b@x.example", "c@x.example"});
  const MessageId id = message->id();
  end(*message, 1);
  flush();
  EXPECT_EQ(message->outstanding(), 2u);
  crash();
  ASSERT_TRUE(boot());
  ASSERT_EQ(process->back.recipients.size(), 1u);
  EXPECT_EQ(process->back.recipients.at(id).size(), 2u);
  EXPECT_FALSE(process->back.recipients.at(id).contains(1));
  message = process->back.messages.at(id);
  end(*message, 0);
  end(*message, 2, EventKind::Bounced);
  EXPECT_TRUE(stop());
  ASSERT_TRUE(boot());
  EXPECT_TRUE(process->back.messages.empty());
  EXPECT_EQ(shard().spool.stats().messages_live, 0u);
}

TEST_F(StorageTest, AttemptsAndDueTimesComeBack) {
  ASSERT_TRUE(boot());
  spool::StoredMessage* message = add("m");
  const WallTime due = world.wall_now() + 10min;
  defer(*message, 0, 1, due - 5min);
  defer(*message, 0, 2, due);
  flush();
  const MessageId id = message->id();
  for (int round = 0; round < 3; ++round) {
    crash();
    ASSERT_TRUE(boot());
    const auto& one = process->back.recipients.at(id).at(0);
    EXPECT_EQ(one.attempts, 2u);
    EXPECT_EQ(one.next_due, due);
    EXPECT_EQ(one.first_attempt, WallTime(std::chrono::milliseconds(1'767'571'300'000)));
    if (round == 1) {
      const auto status = test::finish(world, process->checkpointer->write_now());
      ASSERT_TRUE(status && *status);
    }
  }
}

TEST_F(StorageTest, LazyEndingsBecomeDurableInFewerGroups) {
  ASSERT_TRUE(boot());
  std::uint64_t groups[2] = {};
  for (const bool hurry : {true, false}) {
    shard().journal.set_hurry(hurry);
    std::vector<spool::StoredMessage*> messages;
    for (int i = 0; i < 40; ++i) messages.push_back(add("m" + std::to_string(i)));
    world.run_for(1s);
    const std::uint64_t before = shard().journal.stats().groups_committed;
    for (spool::StoredMessage* one : messages) {
      end(*one, 0);
      world.run_for(5ms);
    }
    if (!hurry) EXPECT_GT(shard().spool.stats().messages_live, 0u) << "released before it is durable";
    world.run_for(300ms);
    EXPECT_EQ(shard().spool.stats().messages_live, 0u);
    groups[hurry ? 0 : 1] = shard().journal.stats().groups_committed - before;
  }
  EXPECT_GE(groups[0], 30u);
  EXPECT_LE(groups[1], 3u);
  // What a queue has to remember is in no less of a hurry.
  const std::uint64_t before = shard().journal.stats().groups_committed;
  shard().journal.put_state("k", "v");
  world.run_for(20ms);
  EXPECT_EQ(shard().journal.stats().groups_committed, before + 1);
  EXPECT_TRUE(stop());
}

TEST_F(StorageTest, MessageIdsNeverRepeat) {
  std::set<MessageId> ids;
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(boot());
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(ids.insert(add("x")->id()).second);
    EXPECT_TRUE(ids.insert(shard().spool.next_id()).second);
    crash();
  }
}

TEST_F(StorageTest, StatesComeBackAndCanBeForgotten) {
  ASSERT_TRUE(boot());
  shard().journal.put_state("queue/a", "backoff");
  shard().journal.put_state("queue/b", "1");
  world.run_for(10ms);
  shard().journal.put_state("queue/a", "normal");
  shard().journal.put_state("queue/c", "x");
  world.run_for(10ms);
  shard().journal.put_state("queue/b", "");
  flush();
  for (int round = 0; round < 2; ++round) {
    crash();
    ASSERT_TRUE(boot());
    EXPECT_EQ(process->found.state("queue/a"), "normal");
    EXPECT_EQ(process->found.state("queue/b"), "");
    std::string all;
    process->found.for_each_state(
        "queue/", [](void* to, std::string_view key, std::string_view) { *static_cast<std::string*>(to) += key; },
        &all);
    EXPECT_EQ(all, "queue/aqueue/c");
    const auto status = test::finish(world, process->checkpointer->write_now());
    ASSERT_TRUE(status && *status);
  }
}

TEST_F(StorageTest, LargeMessagesAreStoredAndRead) {
  ASSERT_TRUE(boot());
  const std::string body(700'000, 'L');
  spool::StoredMessage* message = add(body);
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(body_of(*message), body);
  const auto refused =
      test::finish(world, append_one(shard(), std::string(options.spool.segment_bytes, 'x'), {"a@b.example"}));
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->error().code, Errc::BadInput);
  const MessageId id = message->id();
  crash();
  ASSERT_TRUE(boot());
  EXPECT_EQ(body_of(*process->back.messages.at(id)), body);
}

TEST_F(StorageTest, SegmentsAreUsedAgain) {
  ASSERT_TRUE(boot());
  const std::string body(100'000, 'r');
  for (int i = 0; i < 200; ++i) {
    spool::StoredMessage* message = add(body);
    ASSERT_NE(message, nullptr);
    end(*message, 0);
    if (i % 10 == 9) flush();
  }
  flush();
  world.run_for(1s);
  const spool::Spool::Stats stats = shard().spool.stats();
  EXPECT_EQ(stats.messages_live, 0u);
  EXPECT_GT(stats.segments_recycled, 10u);
  EXPECT_LE(stats.disk_bytes, 6 * options.spool.segment_bytes);
  EXPECT_TRUE(stop());
}

TEST_F(StorageTest, StragglersAreMovedAndFound) {
  options.spool.move_from_segments = 4;
  options.spool.move_live_share = 0.3;
  ASSERT_TRUE(boot());
  const std::string body(100'000, 's');
  std::vector<spool::StoredMessage*> kept;
  for (int i = 0; i < 100; ++i) {
    spool::StoredMessage* message = add(body + std::to_string(i));
    ASSERT_NE(message, nullptr);
    if (i % 10 == 0) {
      kept.push_back(message);
    } else {
      end(*message, 0);
    }
  }
  flush();
  world.run_for(10s);
  EXPECT_GT(shard().spool.stats().messages_moved, 3u);
  EXPECT_LE(shard().spool.stats().segments_in_use, 5u);
  std::map<MessageId, std::string> want;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(body_of(*kept[i]), body + std::to_string(i * 10));
    want[kept[i]->id()] = body + std::to_string(i * 10);
  }
  crash();
  ASSERT_TRUE(boot());
  ASSERT_EQ(process->back.messages.size(), want.size());
  for (const auto& [id, text] : want) EXPECT_EQ(body_of(*process->back.messages.at(id)), text);
}

TEST_F(StorageTest, ReadersSeeEveryEventOnceAcrossRestarts) {
  JournalCursor cursor;
  std::multiset<Seen> all;
  std::vector<MessageId> ids;
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(boot(1, cursor));
    for (int i = 0; i < 400; ++i) {
      spool::StoredMessage* message = add("body", {"a@x.example", "b@x.example"});
      ids.push_back(message->id());
      end(*message, 0);
      end(*message, 1, EventKind::Bounced);
    }
    flush();
    if (round != 2) {  // one round is read only after the next start
      for (const Seen& one : read_events(cursor)) all.insert(one);
      const auto parsed = JournalCursor::parse(cursor.text());
      ASSERT_TRUE(parsed);
      EXPECT_EQ(*parsed, cursor);
    }
    process->accounting->acknowledge(cursor);
    const auto status = test::finish(world, process->checkpointer->write_now());
    ASSERT_TRUE(status && *status);
    crash();
  }
  EXPECT_EQ(all.size(), ids.size() * 4);
  for (const MessageId id : ids) {
    for (std::uint32_t recipient : {0u, 1u}) {
      const std::string rcpt = recipient == 0 ? "a@x.example" : "b@x.example";
      EXPECT_EQ(all.count({EventKind::Received, id, recipient, rcpt, "sender@example.org", "job7"}), 1u);
      EXPECT_EQ(all.count({recipient == 0 ? EventKind::Delivered : EventKind::Bounced, id, recipient,
                           "user@example.com"}), 1u);
    }
  }
}

TEST_F(StorageTest, JournalSegmentsGoWhenReadersAndCheckpointHavePassed) {
  ASSERT_TRUE(boot());
  JournalCursor cursor;
  std::uint64_t most = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 300; ++i) {
      spool::StoredMessage* message = add("body");
      end(*message, 0);
    }
    flush();
    (void)read_events(cursor);
    process->accounting->acknowledge(cursor);
    const auto status = test::finish(world, process->checkpointer->write_now());
    ASSERT_TRUE(status && *status);
    most = std::max(most, shard().journal.stats().segments);
  }
  EXPECT_LE(most, 3u);
}

TEST_F(StorageTest, AReaderIsWokenByNewEvents) {
  ASSERT_TRUE(boot());
  std::optional<Result<EventBatch>> answer;
  test::start(process->accounting->next(), answer);
  world.run_for(5s);
  EXPECT_FALSE(answer.has_value());
  add("x");
  world.run_for(5s);
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(answer->has_value());
  ASSERT_EQ((*answer)->events.size(), 1u);
  EXPECT_EQ((*answer)->events[0].orig, "sender@example.org");
  EXPECT_EQ((*answer)->events[0].job_id, "job7");
}

class ShardsTest : public StorageRig {
 protected:
  ShardsTest() : StorageRig(3, 4) {}
};

TEST_F(ShardsTest, AnyShardReadsAndEndsMessagesOfAnother) {
  ASSERT_TRUE(boot(3));
  spool::StoredMessage* message = add("from shard 1", {"a@x.example", "b@x.example"}, 1);
  bool resident = false;
  EXPECT_EQ(body_of(*message, &resident, 2), "from shard 1");
  EXPECT_TRUE(resident);
  end(*message, 0, EventKind::Delivered, 2);
  end(*message, 1, EventKind::Delivered, 0);
  flush(0);
  flush(2);
  world.run_for(10ms);
  EXPECT_EQ(shard(1).spool.stats().messages_live, 0u);
  crash();
  ASSERT_TRUE(boot(3));
  EXPECT_TRUE(process->back.messages.empty());
}

TEST_F(ShardsTest, DirectoriesOfVanishedShardsAreAdopted) {
  ASSERT_TRUE(boot(3));
  std::map<MessageId, std::string> want;
  for (std::size_t i = 0; i < 30; ++i) {
    const std::string body = "message " + std::to_string(i);
    want[add(body, {"u@x.example"}, i % 3)->id()] = body;
  }
  crash();
  JournalCursor cursor;
  ASSERT_TRUE(boot(1));
  EXPECT_EQ(report().adopted_directories, 2u);
  ASSERT_EQ(process->back.messages.size(), 30u);
  for (const auto& [id, body] : want) {
    EXPECT_EQ(process->back.messages.at(id)->home(), ShardId(0));
    EXPECT_EQ(body_of(*process->back.messages.at(id)), body);
  }
  EXPECT_EQ(read_events(cursor).size(), 30u);
  for (const auto& [id, message] : process->back.messages) end(*message, 0);
  flush();
  EXPECT_EQ(read_events(cursor).size(), 30u);
  process->accounting->acknowledge(cursor);
  const auto status = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(status && *status);
  world.run_for(1s);
  EXPECT_TRUE(stop());
  for (const std::string& file : world.disk().files_below(kRoot)) {
    EXPECT_FALSE(file.starts_with("/spool/shard-0001/msg-") && world.disk().content(file).starts_with("SLUICSEG"))
        << file;
  }
  ASSERT_TRUE(boot(4));
  EXPECT_TRUE(process->back.messages.empty());
}

}  // namespace
}  // namespace sluice::journal
