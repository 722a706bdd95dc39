// Goal: what one file of a spool knows of another is compared at a start: journals and checkpoints that are missing,
// cut or changed since are never taken for what there was, and the start is refused where it would send twice.
// How: a spool that has stopped in peace, with a mark; the test changes one file, asks what recovery says of it, and
// puts the file back. What recovery finds again in the messages is no reason to refuse.
#include "engine/journal/recovered_impl.h"
#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

class DoubtsTest : public StorageRig {
 protected:
  /// Ten recipients, the first five of which have had their mail.
  void run_once() {
    ASSERT_TRUE(boot());
    std::vector<spool::StoredMessage*> all;
    for (int i = 0; i < 10; ++i) all.push_back(add("body " + std::to_string(i)));
    flush();
    for (std::size_t i = 0; i < 5; ++i) end(*all[i], 0);
    flush();
    for (const auto& track : process->world->directory().tracks())
      ends.set(track->directory_shard, track->end());
    incarnation = process->found.incarnation();
    ASSERT_TRUE(stop());
    world.run_for(1s);
  }
  void leave_mark() {
    CleanStop mark{.incarnation = incarnation, .messages = 5, .journals = ends, .accounted = ends};
    const auto written = test::finish(world, write_clean_stop(world.reactor(), kRoot, mark));
    ASSERT_TRUE(written && *written);
  }
  Recovered look(JournalCursor accounted = {}) {
    RecoveryOptions how{
        .directory = kRoot, .shards = 1, .read_only = true, .accounted = std::move(accounted)};
    auto found = test::finish(world, recover(world.reactor(), std::move(how)));
    EXPECT_TRUE(found && *found);
    return std::move(**found);
  }
  std::size_t doubts(JournalCursor accounted = {}) {
    return look(std::move(accounted)).report().doubts.size();
  }
  std::string journal() {
    for (const std::string& file : world.disk().files_below(kRoot)) {
      if (file.find("/evt-") != std::string::npos && world.disk().content(file).starts_with("SLUICSEG"))
        return file;
    }
    return {};
  }
  /// Where the records of the group that was written last begin.
  std::size_t last_group() { return world.disk().content(journal()).rfind("SLGR"); }

  JournalCursor ends;
  std::uint32_t incarnation = 0;
};

TEST_F(DoubtsTest, WhatStoppedInPeaceIsNotDoubted) {
  run_once();
  EXPECT_EQ(doubts(), 0u);
  EXPECT_EQ(doubts(ends), 0u);
  leave_mark();
  Recovered found = look(ends);
  EXPECT_TRUE(found.report().doubts.empty());
  EXPECT_EQ(found.report().messages, 5u);
  EXPECT_FALSE(found.report().messages_at_stop);
}

TEST_F(DoubtsTest, AJournalThatIsCutOrGoneIsMissed) {
  run_once();
  const std::string file = journal();
  const std::string whole = world.disk().content(file);
  const std::vector<std::string> lesser = {"", whole.substr(0, 4096), whole.substr(0, 8192),
                                           whole.substr(0, last_group()), whole.substr(0, last_group() + 64)};
  for (const bool marked : {false, true}) {
    if (marked) leave_mark();
    for (const std::string& one : lesser) {
      SCOPED_TRACE(std::to_string(one.size()) + (marked ? " bytes, marked" : " bytes"));
      world.disk().put(file, one);
      EXPECT_GT(doubts(marked ? JournalCursor() : ends), 0u);
      world.disk().put(file, whole);
      EXPECT_EQ(doubts(ends), 0u);
    }
  }
}

TEST_F(DoubtsTest, AChangedByteInTheLastGroupIsNoTornWriteAfterAStop) {
  run_once();
  world.disk().flip_bit(journal(), last_group() + 80, 1);
  EXPECT_EQ(doubts(), 0u) << "it may have been torn by a crash, as far as anything tells";
  EXPECT_EQ(look().report().recipients, 6u);
  EXPECT_GT(doubts(ends), 0u) << "accounting has read it";
  leave_mark();
  EXPECT_GT(doubts(), 0u);
}

TEST_F(DoubtsTest, ALostReceptionIsNoDoubt) {
  run_once();
  leave_mark();
  // The first group holds a received event.
  world.disk().flip_bit(journal(), 4096 + 80, 1);
  Recovered found = look(ends);
  EXPECT_TRUE(found.report().doubts.empty()) << found.report().doubts.front();
  EXPECT_EQ(found.report().damage_count, 1u) << "it is said";
  EXPECT_EQ(found.report().recipients, 5u);
}

TEST_F(DoubtsTest, AMarkThatARunHasComeAfterSaysNothing) {
  run_once();
  incarnation = 1;
  ends.set(0, {7, 4096});
  leave_mark();
  EXPECT_EQ(doubts(), 0u);
}

TEST_F(DoubtsTest, ACheckpointThatIsMissingOrDamagedIsMissed) {
  options.journal.segment_bytes = 64 * kKiB;
  ASSERT_TRUE(boot());
  JournalCursor cursor;
  std::vector<spool::StoredMessage*> all;
  for (int i = 0; i < 400; ++i) {
    all.push_back(add("body"));
    world.run_for(3ms);  // a group for each: many segments, of which only a few are kept as spares
  }
  for (std::size_t i = 0; i < 390; ++i) end(*all[i], 0);
  flush();
  (void)read_events(cursor);
  process->accounting->acknowledge(cursor);
  const auto written = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(written && *written);
  world.run_for(1s);
  ASSERT_TRUE(stop());
  EXPECT_EQ(doubts(), 0u);
  std::string file;
  for (const std::string& one : world.disk().files_below(kRoot)) {
    if (one.find("checkpoint-") != std::string::npos) file = one;
  }
  ASSERT_FALSE(file.empty());
  const std::string whole = world.disk().content(file);
  world.disk().put(file, "");
  EXPECT_GT(doubts(), 0u);
  world.disk().put(file, whole);
  world.disk().flip_bit(file, 4096 + 200, 1);
  EXPECT_GT(doubts(), 0u);
}

TEST_F(DoubtsTest, ARefusedStartChangesNothingAndAnAcceptedOneIsAcceptedOnce) {
  run_once();
  leave_mark();
  const std::string file = journal();
  world.disk().put(file, "rubbish" + std::string(8192, 'x'));
  const auto before = world.disk().files_below(kRoot);
  RecoveryOptions how{.directory = kRoot, .shards = 1, .accounted = ends};
  const RecoveryOptions asked = how;
  auto refused = test::finish(world, recover(world.reactor(), std::move(how)));
  ASSERT_TRUE(refused && *refused);
  EXPECT_TRUE((*refused)->report().is_refused(asked));
  EXPECT_EQ(world.disk().files_below(kRoot), before);
  // The rig is an operator who accepts.
  ASSERT_TRUE(boot());
  EXPECT_EQ(process->back.recipient_count(), 10u) << "five of them for the second time, as he was told";
  EXPECT_GT(process->found.impl().journals[0].next_segment, ends.at(0).segment) << "no number is used twice";
  const auto written = test::finish(world, process->checkpointer->write_now());
  ASSERT_TRUE(written && *written);
  const auto gone = test::finish(world, remove_clean_stop(world.reactor(), kRoot));
  ASSERT_TRUE(gone && *gone);
  ASSERT_TRUE(stop());
  EXPECT_EQ(doubts(), 0u);
}

TEST(CleanStop, IsReadAsItWasWrittenOrNotAtAll) {
  CleanStop mark{.incarnation = 7, .checkpoint = 3, .messages = 1'000'000, .accounting = 12};
  mark.journals.set(0, {4, 8192});
  mark.journals.set(1, {9, 4096});
  mark.accounted.set(0, {4, 4096});
  const std::string text = mark.text();
  EXPECT_EQ(CleanStop::parse(text), mark);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(CleanStop::parse(changed), std::nullopt) << at;
    EXPECT_EQ(CleanStop::parse(text.substr(0, at)), std::nullopt) << at;
  }
}

}  // namespace
}  // namespace sluice::journal
