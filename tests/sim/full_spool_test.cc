// Goal: a spool that ran full refuses new mail, says so in the log and in the status, and takes mail again without a
//       restart once its mail is deleted or delivered; the last messages of old segments are moved together for it.
// How:  a whole node on a small disk. Several clients send until the spool has no room beside min-free-space.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "engine/shard/intake_watch.h"
#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

struct FullSpool : Scenario {
  static constexpr std::uint64_t kMinFree = 6 * kMiB;

  explicit FullSpool(std::uint64_t seed, std::uint64_t disk_bytes = 32 * kMiB)
      : Scenario(seed, "<source 0/0>\n    process-x-job yes\n    retain-x-job yes\n</source>\n") {
    std::string& text = files.files["/etc/config"];
    const std::string begin = "<spool /var/spool/sluice>\n";
    text.insert(text.find(begin) + begin.size(), "    min-free-space 6M\n");
    world.disk().options.capacity_bytes = disk_bytes;
    open_receivers({.defer_rcpt = 1});
  }
  // Every kept_every-th is small and of the job "kept", the others are of the job "gone".
  Mail next_mail(std::size_t bytes_max) {
    const std::size_t number = ++mails_made;
    const bool is_kept = number % kept_every == 0;
    return {.id = "m" + std::to_string(number),
            .recipients = {"u" + std::to_string(number) + "@a.test"},
            .vmta = number % 3 == 0 ? "v1" : "v2",
            .body_bytes = is_kept ? 2000 : 1000 + world.random().below(bytes_max),
            .headers = std::string("X-Job: ") + (is_kept ? "kept" : "gone") + "\r\n",
            .once = true};
  }
  /// Clients send one message each at a time, and go on a while after a refusal, until none is taken any more.
  /// Answers how many bytes were taken.
  std::uint64_t fill(std::size_t bytes_max) {
    std::uint64_t bytes = 0;
    for (int in_vain = 0; in_vain < 4 && bytes < world.disk().options.capacity_bytes;) {
      Injected got;
      std::deque<bool> ended(clients, false);
      for (bool& one : ended) start(inject(peers.reactor(0), listener(), {next_mail(bytes_max)}, got), one);
      const auto all_ended = [&ended] { return std::ranges::find(ended, false) == ended.end(); };
      EXPECT_EQ(world.run_until(all_ended, 5min), runtime::sim::Ended::Reached);
      for (const Mail& one : got.accepted) bytes += one.body_bytes;
      taken.insert(taken.end(), got.accepted.begin(), got.accepted.end());
      in_vain = got.accepted.empty() ? in_vain + 1 : 0;
      if (got.refusals.empty()) continue;
      refusal = got.refusals.front();
      world.run_for(3s);
    }
    return bytes;
  }
  void expect_refusal_is_said() {
    EXPECT_EQ(refusal.substr(0, 9), "452 4.3.1") << refusal;
    world.run_for(2s);
    const std::string status = ask({"show", "status"});
    EXPECT_NE(status.find("REFUSED  new mail, with 452 4.3.1"), std::string::npos) << status;
    EXPECT_NE(status.find("no room for a segment beside min-free-space"), std::string::npos) << status;
    EXPECT_GE(times_logged("New mail is refused with 452 4.3.1"), 1) << log();
    // Logs and accounting grow meanwhile.
    EXPECT_GE(world.reactor(0).space_of("/")->free_bytes + kMiB, kMinFree);
  }
  void expect_room_again() {
    world.run_for(shard::IntakeWatch::kCalm + 15s);
    const std::string status = ask({"show", "status"});
    EXPECT_EQ(status.find("REFUSED"), std::string::npos) << status;
    EXPECT_EQ(times_logged("New mail is no longer refused for this reason: the spool has no room"),
              times_logged("New mail is refused with 452 4.3.1"))
        << log();
  }
  std::string log() { return world.disk().content("/var/log/sluice.log"); }
  int times_logged(const std::string& what) {
    int count = 0;
    const std::string text = log();
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
    return count;
  }
  /// Deletes the mail of a job; what is left is what has to arrive.
  void delete_job(const std::string& job) {
    const std::string answer = ask({"delete", "--jobId=" + job});
    EXPECT_NE(answer, "0 recipient(s) deleted.\n");
    std::erase_if(taken, [&job](const Mail& one) { return one.headers == "X-Job: " + job + "\r\n"; });
  }
  void deliver_all() {
    for (auto& one : receivers) one->set_mood({});
    EXPECT_TRUE(drain(6h));
  }
  /// Everything taken and not deleted arrives, from wherever it was moved to.
  void end() {
    deliver_all();
    close();
    Injected all;
    all.accepted = taken;
    check_promises(all, false);
  }

  std::size_t clients = 6;
  std::size_t kept_every = 20;
  std::size_t mails_made = 0;
  std::vector<Mail> taken;
  std::string refusal;
};

TEST(FullSpoolSim, TakesMailAgainWhenAllIsDeleted) {
  FullSpool at(1);
  ASSERT_TRUE(at.boot());
  std::uint64_t first = 0;
  for (int round = 1; round <= 3; ++round) {
    const std::uint64_t bytes = at.fill(20'000);
    if (round == 1) first = bytes;
    EXPECT_GE(bytes, first * 8 / 10) << "round " << round;
    at.expect_refusal_is_said();
    at.delete_job("gone");
    at.delete_job("kept");
    at.expect_room_again();
  }
  at.fill(20'000);
  at.end();
}

TEST(FullSpoolSim, TheOnlySegmentOfAShardIsUsedAgain) {
  FullSpool at(1, 10 * kMiB);
  ASSERT_TRUE(at.boot());
  for (int round = 1; round <= 3; ++round) {
    EXPECT_GE(at.fill(20'000), kMiB) << "round " << round;
    at.expect_refusal_is_said();
    at.delete_job("gone");
    at.delete_job("kept");
    at.expect_room_again();
  }
  at.end();
}

TEST(FullSpoolSim, TakesMailAgainWhenAllIsDelivered) {
  FullSpool at(2);
  ASSERT_TRUE(at.boot());
  const std::uint64_t first = at.fill(20'000);
  at.expect_refusal_is_said();
  at.deliver_all();
  at.expect_room_again();
  for (auto& one : at.receivers) one->set_mood({.defer_rcpt = 1});
  EXPECT_GE(at.fill(20'000), first * 8 / 10);
  at.end();
}

TEST(FullSpoolSim, TheLastMessagesOfOldSegmentsAreMovedTogether) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FullSpool at(seed);
    ASSERT_TRUE(at.boot());
    const std::uint64_t first = at.fill(20'000);
    at.expect_refusal_is_said();
    at.delete_job("gone");
    at.expect_room_again();
    EXPECT_GE(at.fill(20'000), first * 8 / 10) << "what is left holds space that is not its own";
    at.end();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(FullSpoolSim, ManyClientsAtOnceLeaveRoomToMoveTheLastMessages) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FullSpool at(seed);
    at.clients = 80;
    ASSERT_TRUE(at.boot());
    at.fill(40'000);
    at.expect_refusal_is_said();
    at.delete_job("gone");
    at.expect_room_again();
    at.clients = 6;
    EXPECT_GE(at.fill(20'000), 10 * kMiB) << "what is left holds space that is not its own";
    at.end();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::test
