// Goal: rows reach their files at once, files rotate, move and go away by the rules, a full disk stalls
// without loss, a changed configuration takes effect, and the journals are told what they may drop. How: a
// writer in a simulated world fed from journals in memory; the files are read back as a consumer would.
#include "engine/accounting/accounting_writer.h"

#include <gtest/gtest.h>

#include "tests/engine/accounting/accounting_world.h"

namespace sluice::accounting {
namespace {

using config::RecordType;
using runtime::Task;
using runtime::sim::Crash;

Task<bool> started(AccountingWriter& writer, std::string& error) {
  auto result = co_await writer.start();
  if (!result) error = result.error();
  co_return result.has_value();
}

bool start(AccountingWorld& at, std::string* error = nullptr) {
  at.start();
  std::string words;
  const bool good = test::finish(at.world, started(*at.writer, words)).value_or(false);
  if (error != nullptr) *error = words;
  return good;
}

TEST(AccountingWriter, WritesRowsAtOnceAndAcknowledgesAfterTheCommit) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv"),
              AccountingWorld::file("/log/b.csv", {RecordType::Bounce})};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 10);
  at.world.run_for(50ms);
  EXPECT_EQ(at.names("/log"),
            (std::vector<std::string>{"/log/acct-2026-01-05-0000.csv", "/log/b-2026-01-05-0000.csv"}));
  at.expect_complete("/log/acct.csv");
  EXPECT_EQ(at.rows("/log/b.csv").by_record.size(), 3u);
  EXPECT_EQ(at.journals.acknowledged.at(0).offset, 0u);
  at.world.run_for(2s);
  EXPECT_EQ(at.journals.acknowledged.at(0).offset, 1u);
  EXPECT_FALSE(at.writer->alarm());
  at.journals.publish(1, 5);
  at.stop();
  at.expect_complete("/log/acct.csv");
}

TEST(AccountingWriter, WithoutSyncTheDiskIsAskedLessOften) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  at.files[0].sync = false;
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 10);
  at.world.run_for(2s);
  at.expect_complete("/log/acct.csv");
  EXPECT_EQ(at.journals.acknowledged.at(0).offset, 0u);
  at.world.run_for(4s);
  EXPECT_EQ(at.journals.acknowledged.at(0).offset, 1u);
  at.stop();
}

TEST(AccountingWriter, CountsTheRecordsOfMovedFiles) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv", {RecordType::Delivery, RecordType::Bounce});
  spec.move_to = "/done";
  spec.count_moved_records = true;
  at.files = {spec};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 10);
  at.world.run_for(2s);
  at.journals.publish(0, 7);  // not stored when the process dies; its rows are there
  at.world.run_for(10ms);
  at.crash(Crash::Kill);
  ASSERT_TRUE(start(at));
  at.journals.publish(1, 5);
  at.world.run_for(100ms);
  EXPECT_EQ(test::finish(at.world, at.writer->rotate("")), 1u);
  at.stop();
  const std::size_t rows = at.rows("/log/acct.csv", "/done").by_record.size();
  EXPECT_GT(rows, 10u);
  const std::string expected =
      "/log/acct-2026-01-05-0000.csv moved to /done: " + std::to_string(rows) + " records";
  EXPECT_NE(std::ranges::find(at.notes, expected), at.notes.end())
      << (at.notes.empty() ? "" : at.notes.back());
  at.expect_complete("/log/acct.csv", "/done");
}

TEST(AccountingWriter, AnEventlessStartMakesNoFile) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.world.run_for(10s);
  at.stop();
  EXPECT_TRUE(at.names("/log").empty());
}

TEST(AccountingWriter, ContinuesTheFileAfterARestart) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  for (int run = 0; run < 3; ++run) {
    ASSERT_TRUE(start(at));
    at.journals.publish(static_cast<std::size_t>(run), 4);
    at.world.run_for(20ms);
    at.stop();
  }
  EXPECT_EQ(at.names("/log").size(), 1u);
  at.expect_complete("/log/acct.csv");
}

TEST(AccountingWriter, RotatesBySizeIntervalMidnightAndOnRequest) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv");
  spec.max_size = config::ByteCount{2000};
  spec.move_to = "/done";
  spec.move_interval = 10s;
  at.files = {spec};
  ASSERT_TRUE(start(at));
  for (int i = 0; i < 10; ++i) {
    at.journals.publish(0, 10);  // some 600 bytes
    at.world.run_for(5ms);
  }
  const std::size_t by_size = at.names("/done").size();
  EXPECT_GE(by_size, 2u);
  for (const std::string& name : at.names("/done"))
    EXPECT_LE(at.world.disk().content(name).size(), 2000u) << name;
  EXPECT_EQ(at.names("/log").size(), 1u);
  at.world.run_for(11s);
  EXPECT_EQ(at.names("/done").size(), by_size + 1) << "the interval is over though nothing was written";
  EXPECT_TRUE(at.names("/log").empty());
  at.journals.publish(1, 1);
  at.world.run_for(100ms);
  EXPECT_EQ(test::finish(at.world, at.writer->rotate("/log/acct.csv")), 1u);
  EXPECT_EQ(test::finish(at.world, at.writer->rotate("")), 0u) << "nothing has begun since";
  EXPECT_EQ(at.names("/done").size(), by_size + 2);
  at.world.run_for(24h);
  at.journals.publish(1, 1);
  at.world.run_for(20s);
  EXPECT_EQ(at.names("/done").back(), "/done/acct-2026-01-06-0000.csv");
  at.stop();
  at.expect_complete("/log/acct.csv", "/done");
}

TEST(AccountingWriter, NumbersGoOnThoughMovedFilesWereTakenAway) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv");
  spec.move_to = "/done";
  at.files = {spec};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(start(at));
    at.journals.publish(0, 1);
    at.world.run_for(100ms);
    EXPECT_EQ(test::finish(at.world, at.writer->rotate("")), 1u);
    const std::string name = "/done/acct-2026-01-05-000" + std::to_string(i) + ".csv";
    EXPECT_EQ(at.names("/done"), std::vector<std::string>{name});
    ASSERT_GE(at.world.disk().unlink(name, at.world.now()), 0);
    at.stop();
  }
}

TEST(AccountingWriter, ForeignFilesAreNeverOverwritten) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv");
  spec.move_to = "/done";
  at.files = {spec};
  at.world.disk().put("/log/acct-2026-01-05-0000.csv", "somebody's");
  at.world.disk().put("/done/acct-2026-01-05-0004.csv", "somebody else's");
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 1);
  at.world.run_for(100ms);
  EXPECT_TRUE(at.world.disk().exists("/log/acct-2026-01-05-0005.csv"));
  at.stop();
  EXPECT_EQ(at.world.disk().content("/log/acct-2026-01-05-0000.csv"), "somebody's");
}

TEST(AccountingWriter, DeletesOldFiles) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv");
  spec.delete_after = 8 * 24h;
  at.files = {spec};
  at.world.disk().put("/log/acct-2025-12-27-0003.csv", "old");
  at.world.disk().put("/log/acct-2025-12-28-0000.csv", "8 days old");
  at.world.disk().put("/log/other-2025-01-01-0000.csv", "not ours");
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 1);
  at.world.run_for(100ms);
  at.stop();
  EXPECT_EQ(at.names("/log"),
            (std::vector<std::string>{"/log/acct-2025-12-28-0000.csv", "/log/acct-2026-01-05-0000.csv",
                                      "/log/other-2025-01-01-0000.csv"}));
}

TEST(AccountingWriter, AFullDiskStallsWithoutLossAndSaysSo) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 1);
  at.world.run_for(100ms);
  at.world.disk().options.capacity_bytes = 4096;
  for (int i = 0; i < 50; ++i) at.journals.publish(1, 50);
  at.world.run_for(10s);
  ASSERT_TRUE(at.writer->alarm());
  EXPECT_NE(at.writer->alarm()->text.find("no space"), std::string::npos) << at.writer->alarm()->text;
  EXPECT_EQ(at.journals.acknowledged.at(1).offset, 0u) << "nothing may be dropped";
  at.journals.publish(2, 3);
  at.world.disk().options.capacity_bytes = 1 * kGiB;
  at.world.run_for(5s);
  EXPECT_FALSE(at.writer->alarm());
  at.stop();
  at.expect_complete("/log/acct.csv");
}

TEST(AccountingWriter, AStopWithAFullDiskEndsAndTheNextStartGoesOn) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 1);
  at.world.run_for(2s);
  at.world.disk().options.capacity_bytes = 4096;
  at.journals.publish(1, 500);
  at.world.run_for(1s);
  at.stop();
  at.world.disk().options.capacity_bytes = 1 * kGiB;
  ASSERT_TRUE(start(at));
  at.world.run_for(1s);
  at.stop();
  at.expect_complete("/log/acct.csv");
}

TEST(AccountingWriter, AFailedSyncIsNotTrusted) {
  // After it the kernel calls the pages clean; only what is written again is on the disk.
  for (std::uint64_t skip = 0; skip < 6; ++skip) {
    SCOPED_TRACE(skip);
    AccountingWorld at(skip + 1);
    at.files = {AccountingWorld::file("/log/acct.csv")};
    at.world.disk().options.loss = runtime::sim::Loss::All;
    ASSERT_TRUE(start(at));
    at.world.faults().add({.kind = runtime::OpKind::Sync, .path_contains = "acct", .skip = skip});
    for (int i = 0; i < 8; ++i) {
      at.journals.publish(static_cast<std::size_t>(i % 3), 20);
      at.world.run_for(1500ms);
    }
    at.world.run_for(5s);
    at.crash(Crash::PowerCut);
    at.expect_complete("/log/acct.csv");
  }
}

TEST(AccountingWriter, AMoveThatFailsDoesNotHoldUpRows) {
  AccountingWorld at(1);
  auto spec = AccountingWorld::file("/log/acct.csv");
  spec.move_to = "/done";
  at.files = {spec};
  ASSERT_TRUE(start(at));
  const auto rule = at.world.faults().add(
      {.kind = runtime::OpKind::Rename, .times = runtime::sim::FaultRule::kForever, .sys_errno = EXDEV});
  at.journals.publish(0, 3);
  at.world.run_for(100ms);
  EXPECT_EQ(test::finish(at.world, at.writer->rotate("")), 1u);
  ASSERT_TRUE(at.writer->alarm());
  at.journals.publish(0, 3);
  at.world.run_for(2s);
  EXPECT_EQ(at.names("/log").size(), 2u);
  at.expect_complete("/log/acct.csv", "/done");
  at.world.faults().remove(rule);
  at.world.run_for(60s);
  EXPECT_FALSE(at.writer->alarm());
  EXPECT_EQ(at.names("/done").size(), 1u);
  at.stop();
  at.expect_complete("/log/acct.csv", "/done");
}

TEST(AccountingWriter, LostOrShortenedFilesDoNotStopIt) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 3);
  at.stop();
  ASSERT_GE(at.world.disk().unlink("/log/acct-2026-01-05-0000.csv", at.world.now()), 0);
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 3);
  at.stop();
  EXPECT_EQ(at.names("/log"), std::vector<std::string>{"/log/acct-2026-01-05-0001.csv"});
  at.world.disk().cut("/log/acct-2026-01-05-0001.csv", 10);
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 3);
  at.stop();
  EXPECT_EQ(at.names("/log").size(), 2u);
  EXPECT_EQ(at.notes.size(), 2u);
}

TEST(AccountingWriter, AReloadChangesColumnsFilesAndNothingElse) {
  AccountingWorld at(1);
  auto with_move = AccountingWorld::file("/log/gone.csv");
  with_move.move_to = "/done";
  at.files = {AccountingWorld::file("/log/acct.csv"), AccountingWorld::file("/log/same.csv"), with_move};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 5);
  at.world.run_for(100ms);
  auto changed = AccountingWorld::file("/log/acct.csv");
  changed.record_fields = {{RecordType::Delivery, {"rcpt"}, {}}, {RecordType::Bounce, {"rcpt"}, {}}};
  const auto answer =
      test::finish(at.world, at.writer->reconfigure({changed, AccountingWorld::file("/log/same.csv"),
                                                     AccountingWorld::file("/log/new.csv")}));
  ASSERT_TRUE(answer && *answer);
  at.journals.publish(0, 5);
  at.world.run_for(100ms);
  at.stop();
  EXPECT_EQ(at.names("/log"),
            (std::vector<std::string>{"/log/acct-2026-01-05-0000.csv", "/log/acct-2026-01-05-0001.csv",
                                      "/log/new-2026-01-05-0000.csv", "/log/same-2026-01-05-0000.csv"}));
  EXPECT_EQ(at.names("/done"), std::vector<std::string>{"/done/gone-2026-01-05-0000.csv"});
  EXPECT_TRUE(at.world.disk().content("/log/acct-2026-01-05-0001.csv").starts_with("type,rcpt\r\n"));
  at.expect_complete("/log/same.csv");
  EXPECT_EQ(at.rows("/log/new.csv").by_record.size(), 5u);
}

TEST(AccountingWriter, ChangedColumnsAfterACrashGetANewFile) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 5);
  at.world.run_for(3s);
  at.journals.publish(1, 5);
  at.world.run_for(50ms);  // written, not committed
  at.crash(Crash::Kill);
  at.files[0].record_fields = {{RecordType::Delivery, {"rcpt"}, {}}, {RecordType::Bounce, {"rcpt"}, {}}};
  ASSERT_TRUE(start(at));
  at.world.run_for(50ms);
  at.stop();
  EXPECT_EQ(at.rows("/log/acct.csv").by_record.size(), 5u + 5u);
  const std::string second = at.world.disk().content("/log/acct-2026-01-05-0001.csv");
  EXPECT_EQ(std::count(second.begin(), second.end(), '\n'), 6);
}

TEST(AccountingWriter, RefusesWhatItCannotHonour) {
  const auto refuses = [](auto change) {
    AccountingWorld at(1);
    at.files = {AccountingWorld::file("/log/acct.csv")};
    change(at.files);
    std::string error;
    EXPECT_FALSE(start(at, &error));
    EXPECT_FALSE(error.empty());
    return error;
  };
  refuses([](auto& files) { files[0].privacy_policy = {config::PrivacyKind::SiphashHexkey, "xyz"}; });
  refuses([](auto& files) { files[0].record_fields[0].fields = {"nonsense"}; });
  refuses([](auto& files) { files.push_back(files[0]); });
  refuses([](auto& files) { files[0].path = "/log/"; });
}

TEST(AccountingWriter, WebhooksArePassedOverWithAWarning) {
  AccountingWorld at(1);
  config::AcctFile webhook = AccountingWorld::file("/log/staging.json");
  webhook.http_webhook_url = "https://hooks.example/acct";
  at.files = {AccountingWorld::file("/log/acct.csv"), webhook};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 3);
  at.stop();
  at.expect_complete("/log/acct.csv");
  EXPECT_EQ(at.names("/log").size(), 1u);
  ASSERT_EQ(at.notes.size(), 1u);
  EXPECT_NE(at.notes[0].find("https://hooks.example/acct"), std::string::npos);
}

TEST(AccountingWriter, DisabledRecordsAreLeftOut) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  at.start();
  AccountingOptions options;
  options.state_path = "/spool/s";
  options.files = at.files;
  options.is_disabled = [](const AcctRecord& record) { return record.type == RecordType::Bounce; };
  at.writer = std::make_unique<AccountingWriter>(
      at.world.reactor(), std::move(options), [&at](std::string name, journal::JournalCursor from) {
        return std::make_unique<Source>(at.world.reactor(), at.journals, std::move(name), std::move(from));
      });
  std::string error;
  ASSERT_TRUE(test::finish(at.world, started(*at.writer, error)));
  at.journals.publish(0, 9);
  at.stop();
  EXPECT_EQ(at.rows("/log/acct.csv").by_record.size(), 6u);
}

SlotStore::Peeked stored(AccountingWorld& at) {
  const auto found = test::finish(at.world, SlotStore::peek(at.world.reactor(), "/spool/accounting.state"));
  EXPECT_TRUE(found && *found);
  return found && *found ? **found : SlotStore::Peeked{};
}

// Cut, gone, put back from an older copy, changed: rows would be written a second time.
TEST(AccountingWriter, AStateThatDoesNotBelongToTheJournalsIsRefused) {
  constexpr const char* kState = "/spool/accounting.state";
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 10);
  at.world.run_for(3s);
  const std::string older = at.world.disk().content(kState);
  at.journals.publish(0, 10);
  at.world.run_for(3s);
  at.stop();
  const journal::JournalCursor accounted = AcctState::parse(stored(at).text)->cursor;
  const std::uint64_t saves = stored(at).sequence;
  const std::string newer = at.world.disk().content(kState);
  std::string changed = newer;
  changed[saves % 2 == 0 ? SlotStore::kSlotBytes + 40 : 40] ^= 1;
  struct Case {
    std::string state;
    bool has_mark;
  };
  for (const Case& one : {Case{newer.substr(0, 100), false}, Case{"", false},
                          Case{newer.substr(0, 100), true}, Case{older, true}, Case{changed, true}}) {
    SCOPED_TRACE(std::to_string(one.state.size()) + (one.has_mark ? " bytes, marked" : " bytes"));
    at.world.disk().put(kState, one.state);
    at.known = {.has_events = true};
    if (one.has_mark) at.known.saves = saves;
    if (one.has_mark) at.known.accounted = accounted;
    std::string error;
    EXPECT_FALSE(start(at, &error));
    EXPECT_NE(error.find("/spool/accept-damage"), std::string::npos) << error;
  }
  // He who accepts it and has stopped in peace before goes on where he stopped.
  at.world.disk().put(kState, changed);
  at.known.accept_damage = true;
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 5);
  at.stop();
  at.expect_complete("/log/acct.csv");
  at.known.accept_damage = false;
  at.known.saves = stored(at).sequence;
  ASSERT_TRUE(start(at)) << "and is not asked again";
  at.stop();
}

// A kill, and the part of the state that named the file is lost: its rows may not come again.
TEST(AccountingWriter, AFileThatTheStateDoesNotKnowIsNotPassedOver) {
  constexpr const char* kState = "/spool/accounting.state";
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  at.journals.publish(0, 10);
  at.world.run_for(100ms);
  while (at.names("/log").empty()) at.world.run_for(100ms);
  const std::uint64_t saves = stored(at).sequence;
  at.crash(Crash::PowerCut);
  at.known.has_events = true;
  std::string state = at.world.disk().content(kState);
  state[saves % 2 == 0 ? SlotStore::kSlotBytes + 40 : 40] ^= 1;
  at.world.disk().put(kState, state);
  std::string error;
  ASSERT_FALSE(start(at, &error));
  EXPECT_NE(error.find("it knows nothing of /log/acct-"), std::string::npos) << error;
  EXPECT_NE(error.find("/spool/accept-damage"), std::string::npos) << error;
}

TEST(AccountingWriter, AFirstStartHasNoStateAndSaysNothing) {
  AccountingWorld at(1);
  at.files = {AccountingWorld::file("/log/acct.csv")};
  ASSERT_TRUE(start(at));
  EXPECT_GT(at.writer->saves(), 0u) << "a state that is missing later is one that was lost";
  at.crash(Crash::PowerCut);
  at.known.has_events = true;
  ASSERT_TRUE(start(at));
  at.stop();
  EXPECT_TRUE(at.notes.empty());
}

}  // namespace
}  // namespace sluice::accounting
