// Goal: files in a pickup directory become mail under the rules of <source {pickup}>: at once when renamed
// in, when they are at rest and unlocked otherwise; what cannot be taken lands in the bad directory with a
// line that says why, and nothing there is replaced; files wait while nothing is accepted. How: a whole node
// in the simulated world whose disk the tests fill.
#include "engine/injection/pickup.h"
#include "engine/runtime/file.h"
#include "tests/sim/pickup_run.h"

namespace sluice::test {
namespace {

using injection::Pickup;

TEST(PickupFolder, BothFormsBecomeMailWithTheSettingsOfTheirSource) {
  PickupRun run;
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/one", "x-job: j1\nx-envid: e1\n" + message("m1"));
  run.disk.put(
      "/in/two.bsmtp",
      "EHLO app.test\nMAIL FROM:<s@sim.test> ENVID=e2\nRCPT TO:<joe@a.test>\nRCPT TO:<ann@b.test>\nDATA\n"
      "Message-ID: <m2@sim>\n\n..dot\n.\nMAIL FROM:<>\nRCPT TO:<joe@c.test>\nDATA\nMessage-ID: "
      "<m3@sim>\n\nx\n.\n");
  run.disk.put("/in/.hidden", message("m4"));
  run.disk.put("/in/half.tmp", message("m5"));
  run.scenario.world.run_for(20s);
  EXPECT_EQ(run.delivered("m1"), 1);
  EXPECT_EQ(run.delivered("m2"), 1);
  EXPECT_EQ(run.delivered("m2", "ann@b.test"), 1);
  EXPECT_EQ(run.delivered("m3", "joe@c.test"), 1);
  EXPECT_EQ(run.left(), (std::vector<std::string>{"/in/.hidden", "/in/half.tmp"})) << run.log();
  EXPECT_TRUE(run.bad().empty());
  const std::string& body = run.scenario.ledger.bodies.at("<m1@sim>");
  EXPECT_NE(body.find("body of m1"), std::string::npos);
  EXPECT_EQ(body.find("x-receiver"), std::string::npos);
  EXPECT_TRUE(body.starts_with("Received: by v2.node.sim")) << body;
  const std::string rows = run.records();
  EXPECT_NE(rows.find("r,sender@sim.test,joe@a.test,pickup,,j1,e1,v2"), std::string::npos) << rows;
  EXPECT_NE(rows.find("d,sender@sim.test,joe@a.test,pickup,,j1,e1,v2"), std::string::npos) << rows;
  EXPECT_NE(rows.find("d,s@sim.test,ann@b.test,pickup,,,e2,v2"), std::string::npos) << rows;
  run.scenario.close();
}

TEST(PickupFolder, WhatCannotBeTakenIsSetAsideAndReplacesNothing) {
  PickupRun run;
  run.disk.put("/bad/same", "somebody's");
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/same", "no pickup file\n");
  run.disk.put("/in/merge", "XMRG FROM:<a@b.test>\n");
  run.disk.put("/in/other", "x-sender: a@b.test\nx-receiver: c@@d\n\nx\n");
  run.disk.put("/in/good", message("m1"));
  run.disk.put("/in/looping", "x-sender: a@b.test\nx-receiver: c@a.test\nx-job: two words\n\nx\n");
  run.scenario.world.run_for(10s);
  EXPECT_TRUE(run.left().empty()) << run.log();
  EXPECT_EQ(run.delivered("m1"), 1);
  ASSERT_EQ(run.bad().size(), 5u) << run.log();
  EXPECT_EQ(run.disk.content("/bad/same"), "somebody's");
  EXPECT_EQ(run.disk.content("/bad/merge"), "XMRG FROM:<a@b.test>\n");
  EXPECT_TRUE(
      run.logged("Pickup: /in/merge moved to /bad/merge: line 1: XMRG: mail merge is not supported yet"));
  EXPECT_TRUE(run.logged("Pickup: /in/other moved to /bad/other: line 2: recipient: "));
  EXPECT_TRUE(run.logged("Pickup: /in/same moved to /bad/same."));
  EXPECT_TRUE(run.logged("Pickup: /in/looping moved to /bad/looping: 554 5.6.0 job id has blanks"));
  run.scenario.close();
}

TEST(PickupFolder, SuppressionAndBadRecipientsFollowXack) {
  PickupRun run(6, R"(
<address-list nobody>
    address gone@a.test
</address-list>
<source {pickup}>
    suppression-lists nobody
</source>
)");
  ASSERT_TRUE(run.boot());
  const std::string rest =
      "MAIL FROM:<s@sim.test>\nRCPT TO:<joe@a.test>\nRCPT TO:<gone@a.test>\nDATA\nMessage-ID: "
      "<mI@sim>\n\nx\n.\n";
  const auto with = [&rest](const std::string& id) {
    std::string out = rest;
    out.replace(out.find("mI"), 2, id);
    return out;
  };
  run.disk.put("/in/plain", message("m1", "gone@a.test"));
  run.disk.put("/in/on", with("m2"));
  run.disk.put("/in/off", "XACK OFF\n" + with("m3"));
  run.disk.put("/in/invalid",
               "XACK OFF\nMAIL FROM:<s@sim.test>\nRCPT TO:<bad address>\nRCPT TO:<joe@a.test>\nDATA\n"
               "Message-ID: <m4@sim>\n\nx\n.\n");
  run.scenario.world.run_for(20s);
  EXPECT_TRUE(run.left().empty());
  EXPECT_EQ(run.bad(), (std::vector<std::string>{"/bad/on", "/bad/plain"})) << run.log();
  EXPECT_TRUE(
      run.logged("/bad/on: message 1: 550 5.7.1 recipient is in suppression list \"nobody\": <gone@a.test>"));
  EXPECT_EQ(run.delivered("m2"), 0);
  EXPECT_EQ(run.delivered("m3"), 1);
  EXPECT_EQ(run.delivered("m4"), 1);
  const std::string rows = run.records();
  EXPECT_NE(rows.find("b,s@sim.test,gone@a.test,pickup,,,,v2,5.7.1"), std::string::npos) << rows;
  EXPECT_NE(rows.find("b,s@sim.test,bad address,pickup,,,,v2,5.1.3"), std::string::npos) << rows;
  run.scenario.close();
}

runtime::Task<void> write_slowly(runtime::Reactor& reactor, std::string text, bool locked, bool& written) {
  auto file = co_await runtime::File::open(reactor, "/in/slow", {.create = true});
  EXPECT_TRUE(file);
  if (locked) {
    const Status held = co_await file->lock(1s);
    EXPECT_TRUE(held);
  }
  const Duration pause = locked ? Duration{3s} : Duration{300ms};
  std::uint64_t at = 0;
  for (const char c : text) {
    const std::string_view one(&c, 1);
    const Status done = co_await file->write(std::as_bytes(std::span(one)), at++);
    EXPECT_TRUE(done);
    // One who locks may take his time; one who does not is told from the size.
    co_await runtime::sleep_for(reactor, pause);
  }
  written = true;
}

TEST(PickupFolder, FilesCreatedInPlaceAreTakenWhenTheyAreWhole) {
  for (const bool locked : {false, true}) {
    PickupRun run(8);
    ASSERT_TRUE(run.boot());
    bool written = false;
    runtime::TaskGroup writer;
    writer.spawn(write_slowly(run.scenario.world.machine().reactor(1), message("m1"), locked, written));
    run.scenario.world.run_until([&written] { return written; }, 10min);
    EXPECT_EQ(run.delivered("m1"), 0) << "before its end was written";
    EXPECT_TRUE(run.bad().empty()) << run.log();
    run.scenario.world.run_for(10s);
    EXPECT_EQ(run.delivered("m1"), 1);
    EXPECT_TRUE(run.left().empty());
    run.scenario.close();
  }
}

TEST(PickupFolder, ManyFilesAreTakenInTurns) {
  PickupRun run(9);
  ASSERT_TRUE(run.boot());
  for (int i = 0; i < 3000; ++i) run.disk.put("/in/" + std::to_string(i), message("m" + std::to_string(i)));
  for (int i = 0; i < 60 && !run.left().empty(); ++i) run.scenario.world.run_for(10s);
  ASSERT_TRUE(run.scenario.drain(30min));
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(run.delivered("m" + std::to_string(i)), 1) << i;
  EXPECT_TRUE(run.left().empty());
  run.scenario.close();
}

TEST(PickupFolder, ADirectoryThatComesGoesAndChanges) {
  PickupRun run(10);
  run.scenario.files.files["/etc/config"] = kConfig + std::string("pickup /later /bad\n");
  ASSERT_TRUE(run.boot()) << "not there is no reason not to start";
  run.scenario.world.run_for(10s);
  EXPECT_TRUE(run.logged("Pickup: cannot use the folder /later: "));
  run.disk.put("/later/one", message("m1"));
  run.scenario.world.run_for(15s);
  EXPECT_EQ(run.delivered("m1"), 1);
  EXPECT_TRUE(run.logged("Pickup: no longer: cannot use the folder /later: "));
  run.scenario.reload("pickup /in /bad\n");
  run.disk.put("/later/two", message("m2"));
  run.disk.put("/in/three", message("m3"));
  run.scenario.world.run_for(15s);
  EXPECT_EQ(run.delivered("m2"), 0);
  EXPECT_EQ(run.delivered("m3"), 1);
  run.scenario.reload("");
  run.disk.put("/in/four", message("m4"));
  run.scenario.world.run_for(15s);
  EXPECT_EQ(run.delivered("m4"), 0);
  EXPECT_EQ(run.left(), (std::vector<std::string>{"/in/four"}));
  run.scenario.close();
}

TEST(PickupFolder, ABatchIsTakenWholeOrNotAtAll) {
  PickupRun run(12, "<source {pickup}>\n process-x-job yes\n process-x-virtual-mta yes\n</source>\n");
  ASSERT_TRUE(run.boot());
  const std::string bad_job =
      "MAIL FROM:<>\nRCPT TO:<joe@a.test>\nDATA\nMessage-ID: <bad1@sim>\nX-Job: a b\n\nx\n.\n";
  const std::string bad_vmta =
      "MAIL FROM:<>\nRCPT TO:<joe@a.test>\nDATA\nMessage-ID: <bad2@sim>\nX-Virtual-MTA: none\n\nx\n.\n";
  run.disk.put("/in/job", batch_of(2, "j") + bad_job);
  run.disk.put("/in/vmta", batch_of(2, "v") + bad_vmta);
  run.disk.put("/in/good", batch_of(3, "g"));
  run.scenario.world.run_for(10s);
  EXPECT_TRUE(run.left().empty()) << run.log();
  EXPECT_EQ(run.bad(), (std::vector<std::string>{"/bad/job", "/bad/vmta"}));
  EXPECT_EQ(run.disk.content("/bad/job"), batch_of(2, "j") + bad_job);
  EXPECT_TRUE(run.logged("/bad/job: message 3: 554 5.6.0 job id has blanks")) << run.log();
  EXPECT_TRUE(run.logged("/bad/vmta: message 3: 550 5.5.0 ") ||
              run.logged("/bad/vmta: message 3: 554 5.5.0 "))
      << run.log();
  for (const char* id : {"j0", "j1", "v0", "v1", "bad1", "bad2"}) EXPECT_EQ(run.delivered(id), 0) << id;
  for (const char* id : {"g0", "g1", "g2"}) EXPECT_EQ(run.delivered(id), 1) << id;
  run.scenario.close();
}

TEST(PickupFolder, TheRulesOfItsSourceApply) {
  PickupRun run(14, R"(
<source {pickup}>
    bcc archive@c.test
    process-x-schedule yes
    max-rcpt-per-message 2
    max-message-size 1000
</source>
<address-list nobody>
    address gone@node.sim
</address-list>
<source {pickup}>
    suppression-lists nobody
</source>
domain-suffix node.sim
)");
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/now", "x-job: nightly\n" + message("m1"));
  run.disk.put("/in/later",
               "x-sender: s@sim.test\nx-receiver: joe@a.test\nMessage-ID: <m2@sim>\nX-Schedule: 2026-01-05 "
               "03:00:00/2026-01-05 04:00:00\n\nx\n");
  run.disk.put("/in/many", "x-receiver: a@a.test\nx-receiver: b@a.test\n" + message("m3"));
  run.disk.put("/in/large", message("m4") + std::string(1000, 'x') + '\n');
  run.disk.put("/in/suppressed", message("m5", "gone"));
  run.scenario.world.run_for(1min);
  EXPECT_EQ(run.delivered("m1"), 1);
  EXPECT_EQ(run.delivered("m1", "archive@c.test"), 1);
  EXPECT_EQ(run.bad(), (std::vector<std::string>{"/bad/large", "/bad/many", "/bad/suppressed"})) << run.log();
  EXPECT_TRUE(run.logged("/bad/many: 552 5.5.3 more recipients than max-rcpt-per-message (2)"));
  EXPECT_TRUE(run.logged("/bad/large: 552 5.3.4 message larger than max-message-size (1000 bytes)"));
  EXPECT_TRUE(
      run.logged("/bad/suppressed: 550 5.7.1 recipient is in suppression list \"nobody\": <gone@node.sim>"))
      << run.log();
  EXPECT_NE(run.records().find(",pickup,,nightly,"), std::string::npos) << run.records();
  EXPECT_EQ(run.delivered("m2"), 0);
  run.scenario.world.run_for(3h);
  EXPECT_EQ(run.delivered("m2"), 1);
  run.scenario.close();
}

TEST(PickupFolder, FilesWaitWhileNothingIsAccepted) {
  PickupRun run(15, "spool-max-recipients 20\n");
  auto& faults = run.scenario.world.faults();
  const auto nobody_there = faults.add(
      {.kind = runtime::OpKind::Connect, .times = runtime::sim::FaultRule::kForever, .sys_errno = 111});
  ASSERT_TRUE(run.boot());
  for (int i = 0; i < 100; ++i) run.disk.put("/in/" + std::to_string(i), message("m" + std::to_string(i)));
  run.scenario.world.run_for(1min);
  EXPECT_GE(run.left().size(), 100u - 20 - Pickup::kAtOnce) << "no more than there is room for";
  EXPECT_LE(run.left().size(), 80u);
  EXPECT_TRUE(run.bad().empty());
  EXPECT_EQ(run.times_logged("Pickup: files wait: 4.3.1 too many recipients queued"), 1) << run.log();
  faults.remove(nobody_there);
  for (int i = 0; i < 30 && !run.left().empty(); ++i) run.scenario.world.run_for(20s);
  ASSERT_TRUE(run.scenario.drain(10min));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(run.delivered("m" + std::to_string(i)), 1) << i;
  EXPECT_TRUE(run.bad().empty());
  run.scenario.close();
}

TEST(PickupFolder, TheSameFolderTwiceIsNoWork) {
  PickupRun run(19);
  run.scenario.files.files["/etc/config"] = kConfig + std::string("pickup /in /./in\n");
  ASSERT_TRUE(run.boot());
  run.disk.put("/in/wrong", "no pickup file\n");
  run.scenario.world.run_for(1min);
  EXPECT_EQ(run.left(), std::vector<std::string>{"/in/wrong"});
  EXPECT_EQ(run.times_logged("Pickup: /in and /./in are the same folder"), 1) << run.log();
  run.scenario.close();
}

}  // namespace
}  // namespace sluice::test
