// Goal: what is damaged, cut or missing on the disk is never passed over in silence: final records name their
//       recipients, nothing is sent or counted twice unasked, and the operator is told what will happen.
// How:  a whole node on a simulated machine takes mail and stops; the test changes its files behind its back, starts
//       it again, and compares what the providers got and what accounting says.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

constexpr std::string_view kSpool = "/var/spool/sluice";
constexpr const char* kMoreFields = R"(
<source 0/0>
    process-x-job yes
</source>
<acct-file /var/log/names.csv>
    records d,b
    record-fields d orig,rcpt,jobId,dsnDiag
    record-fields b orig,rcpt,jobId,dsnDiag
</acct-file>
)";

std::vector<std::string> files(Scenario& scenario, std::string_view part) {
  std::vector<std::string> out;
  for (const std::string& path : scenario.world.disk().files_below(kSpool)) {
    if (path.find(part) != std::string::npos) out.push_back(path);
  }
  return out;
}

/// Mail that nobody takes yet, and a node that has stopped.
struct Stopped : Scenario {
  explicit Stopped(std::uint64_t seed, std::size_t count = 20) : Scenario(seed, kMoreFields) {
    EXPECT_TRUE(boot());
    all = mails(count, "damage");
    for (std::size_t i = 0; i < all.size(); ++i) all[i].headers = "x-job: job" + std::to_string(i) + "\r\n";
    Injected injected;
    take_in(all, injected);
    close();
  }
  void deliver_the_rest() {
    ASSERT_TRUE(boot());
    open_receivers({});
    EXPECT_TRUE(drain(1h));
    close();
  }
  std::string log() { return world.disk().content("/var/log/sluice.log"); }
  std::vector<Mail> all;
};

// A flipped byte in a body, in an address, a segment that is gone: the record names him all the same.
TEST(Damage, AFinalRecordNamesItsRecipientWhateverTheMessageHasLost) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Stopped scenario(seed);
    std::size_t hurt = 0;
    for (const std::string& path : files(scenario, "/msg-")) {
      if (seed == 3) {
        scenario.world.disk().put(path, "");
        hurt = scenario.all.size();
        continue;
      }
      const std::string bytes = scenario.world.disk().content(path);
      for (std::size_t i = 0; i < scenario.all.size(); i += 2) {
        const Mail& mail = scenario.all[i];
        std::size_t at = bytes.find('<' + mail.id + "@sim>");
        if (at == std::string::npos) continue;
        ++hurt;
        if (seed == 2) at = bytes.find(mail.recipients.front(), at);  // the kept header stands before it
        ASSERT_NE(at, std::string::npos);
        scenario.world.disk().flip_bit(path, at + 2, 0);
      }
    }
    EXPECT_GE(hurt, scenario.all.size() / 2);
    scenario.deliver_the_rest();
    std::multiset<std::string> wanted, found;
    std::size_t bounced = 0;
    for (std::size_t i = 0; i < scenario.all.size(); ++i) {
      for (const std::string& one : scenario.all[i].recipients)
        wanted.insert(one + " job" + std::to_string(i));
    }
    for (const char* type : {"d", "b"}) {
      for (Row& row : acct_rows(scenario.world.disk(), "names", type)) {
        EXPECT_FALSE(row["orig"].empty());
        found.insert(row["rcpt"] + ' ' + row["jobId"]);
        bounced += *type == 'b' ? 1 : 0;
      }
    }
    EXPECT_EQ(found, wanted) << "each recipient once, by name";
    EXPECT_GE(bounced, scenario.all.size() / 2);
    const std::string log = scenario.log();
    EXPECT_NE(log.find(seed == 3 ? "Lost: " : "Damaged in the spool: "), std::string::npos) << log;
  }
}

/// Delivered mail, a stop in peace.
struct Delivered : Scenario {
  explicit Delivered(std::uint64_t seed) : Scenario(seed) {
    EXPECT_TRUE(boot());
    Injected injected;
    take_in(mails(20, "sent"), injected);
    // Only now: the journals end with endings. A reception that is lost is found again in the messages.
    open_receivers({});
    EXPECT_TRUE(drain(1h));
    close();
    receivers.clear();
    before = ledger.delivered;
  }
  /// Why it does not start; empty: it does, and is stopped again.
  std::string refusal() {
    node = std::make_unique<SimNode>(world.machine(), files, zone);
    const auto started = finish(world, node->start(), 10min);
    std::string why = !started ? "start hangs" : *started ? "" : started->error();
    EXPECT_TRUE(finish(world, node->stop(), 5min));
    node.reset();
    return why;
  }
  std::map<std::string, int> before;
};

// What a stop in peace has left is compared: nothing is sent or counted twice without being asked.
TEST(Damage, WhatIsCutMissingOrChangedAfterAStopIsRefusedAndSaid) {
  Delivered scenario(1);
  EXPECT_EQ(scenario.refusal(), "");
  runtime::sim::Disk& disk = scenario.world.disk();
  std::vector<std::pair<std::string, std::string>> lesser;  // a file, and what is left of it
  for (const std::string& path : files(scenario, "/evt-")) {
    const std::string whole = disk.content(path);
    if (!whole.starts_with("SLUICSEG")) continue;
    std::string changed = whole;
    changed[whole.rfind("SLGR") + 80] ^= 1;
    lesser.insert(lesser.end(), {{path, ""}, {path, whole.substr(0, 8192)}, {path, changed}});
  }
  const std::string state = std::string(kSpool) + "/accounting.state";
  lesser.insert(lesser.end(), {{state, ""}, {state, disk.content(state).substr(0, 100)}});
  ASSERT_GE(lesser.size(), 5u);
  const std::string mark = disk.content(std::string(kSpool) + "/clean-stop");
  for (const auto& [path, left] : lesser) {
    SCOPED_TRACE(path + " with " + std::to_string(left.size()) + " bytes");
    const std::string whole = disk.content(path);
    disk.put(path, left);
    const std::string why = scenario.refusal();
    EXPECT_NE(why.find("/accept-damage"), std::string::npos) << why;
    disk.put(path, whole);
    EXPECT_EQ(disk.content(std::string(kSpool) + "/clean-stop"), mark);
  }
  EXPECT_EQ(scenario.refusal(), "") << "all was put back";
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  EXPECT_TRUE(scenario.drain(10min));
  scenario.close();
  EXPECT_EQ(scenario.ledger.delivered, scenario.before);
  for (const auto& [key, count] : scenario.finals()) EXPECT_EQ(count, 1) << key;
}

TEST(Damage, AnOperatorWhoAcceptsItIsAskedOnce) {
  Delivered scenario(2);
  for (const std::string& path : files(scenario, "/evt-")) scenario.world.disk().put(path, "");
  EXPECT_NE(scenario.refusal(), "");
  const std::string accept = std::string(kSpool) + "/accept-damage";
  scenario.world.disk().put(accept, "");
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  EXPECT_TRUE(scenario.drain(1h));
  scenario.world.run_for(1min);
  EXPECT_FALSE(scenario.world.disk().exists(accept));
  scenario.close();
  EXPECT_EQ(scenario.refusal(), "");
}

}  // namespace
}  // namespace sluice::test
