// Goal: what a configuration says about records holds for a whole node: kinds left out by domain, the time of
//       the first attempt over retries and restarts, hidden recipients, and what `show status` says of
//       accounting.
// How:  a node in the simulated world whose receivers defer first; its accounting files are read.
#include <gtest/gtest.h>

#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

struct Accounted : IdentityRig {
  using IdentityRig::IdentityRig;
  std::string status() {
    const auto answer = finish(
        scenario.world, scenario.node->node().execute(*control::Command::of({"show", "status"})), 1min);
    return answer ? answer->text : "hangs";
  }
  std::vector<Row> all(const std::string& type) { return acct_rows(scenario.world.disk(), "all", type); }
};

constexpr const char* kFiles = R"(
<acct-file /var/log/all.csv>
    records d,b,t
    record-fields d rcpt,timeFirstAttempt,timeLogged
    record-fields b rcpt,timeFirstAttempt,timeLogged
    record-fields t rcpt,timeFirstAttempt,timeLogged
</acct-file>
)";

TEST(AccountingOptionsSim, RecordsAreLeftOutByDomain) {
  Accounted rig(std::string(kFiles) + "<domain a.test>\ndisable-acct-records t,d\n</domain>\n");
  ASSERT_TRUE(rig.boot());
  for (auto& one : rig.scenario.receivers) one->set_mood({.defer_rcpt = 1});
  ASSERT_EQ(rig.send("m", {"x@a.test", "y@b.test"}), "250");
  rig.scenario.world.run_for(10s);
  for (auto& one : rig.scenario.receivers) one->set_mood({});
  rig.settle();
  auto deferred = rig.all("t");
  ASSERT_FALSE(deferred.empty());
  for (Row& row : deferred) EXPECT_EQ(row["rcpt"], "y@b.test");
  auto delivered = rig.all("d");
  ASSERT_EQ(delivered.size(), 1u);
  EXPECT_EQ(delivered[0]["rcpt"], "y@b.test");
  EXPECT_NE(rig.status().find("Accounting  lag 0 kbytes\n"), std::string::npos) << rig.status();
  EXPECT_EQ(rig.status().find("ALARM"), std::string::npos);
}

TEST(AccountingOptionsSim, TheFirstAttemptIsRememberedOverRetriesAndRestarts) {
  for (const bool tracked : {true, false}) {
    Accounted rig(std::string(kFiles) + (tracked ? "track-time-first-attempt yes\n" : ""));
    ASSERT_TRUE(rig.boot());
    for (auto& one : rig.scenario.receivers) one->set_mood({.defer_rcpt = 1});
    ASSERT_EQ(rig.send("m", {"x@a.test"}), "250");
    rig.scenario.world.run_for(50s);  // two attempts
    rig.scenario.crash(Crash::Kill);
    ASSERT_TRUE(rig.scenario.boot());
    for (auto& one : rig.scenario.receivers) one->set_mood({});
    rig.settle();
    ASSERT_EQ(rig.send("n", {"y@a.test"}), "250");
    rig.settle();
    auto deferred = rig.all("t");
    auto delivered = rig.all("d");
    ASSERT_GE(deferred.size(), 2u);
    ASSERT_EQ(delivered.size(), 2u);
    const std::string first = tracked ? deferred[0]["timeLogged"] : "";  // when the first was logged
    for (Row& row : deferred) EXPECT_EQ(row["timeFirstAttempt"], first);
    EXPECT_EQ(delivered[0]["timeFirstAttempt"], first);
    EXPECT_NE(delivered[0]["timeLogged"], first);
    EXPECT_EQ(delivered[1]["timeFirstAttempt"], tracked ? delivered[1]["timeLogged"] : "")
        << "delivered at once";
  }
}

TEST(AccountingOptionsSim, RecipientsAreHidden) {
  Accounted rig(R"(
<acct-file /var/log/hidden.csv>
    records d
    record-fields d rcpt
    privacy-policy redact "-"
</acct-file>
)");
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("m", {"x@a.test"}), "250");
  rig.settle();
  auto rows = acct_rows(rig.scenario.world.disk(), "hidden", "d");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["rcpt"], "-@a.test");
}

TEST(AccountingOptionsSim, StatusSaysWhatKeepsAccountingBack) {
  Accounted rig("<acct-file /nowhere/all.csv>\nrecords d\nmove-to /var/log/.made\n</acct-file>\n");
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("m", {"x@a.test"}), "250");
  rig.settle();
  EXPECT_NE(rig.status().find("ALARM  accounting cannot "), std::string::npos) << rig.status();
}

}  // namespace
}  // namespace sluice::test
