// Goal: what is made of a message at delivery is the same whatever the way: VERP, the Date of the sending,
// X-Virtual-MTA, and the header fields that `remove-header` of the domain leaves out; and `bcc-upon-delivery`
// gets a copy of it. How: one message of each kind through a whole node in the simulated world; what files,
// programs, servers and receivers got.
#include <gtest/gtest.h>

#include <set>

#include "tests/sim/http_host.h"
#include "tests/sim/queue_type_run.h"

namespace sluice::test {
namespace {

constexpr const char* kChanges = R"(
<source 0/0>
    verp-default yes
    add-date-header yes
    date-header-time delivery
    add-x-virtual-mta-header yes
</source>
<domain f.test>
    type file
    file-destination /mail/in
    remove-header received,X-Secret
</domain>
<domain p.test>
    type file
    file-format newfile-pickup
    file-destination /mail/pickup
    remove-header Received,x-secret,X-Virtual-MTA,Date
</domain>
<domain m.test>
    type file
    file-format append-mbox
    file-destination /mail/box-$from
</domain>
<domain q.test>
    type pipe
    command "/bin/take $from"
    remove-header X-Secret
</domain>
<domain h.test>
    type http-delivery
    http-delivery-url http://10.1.0.9:8080/
    remove-header X-Secret
</domain>
<domain a.test>
    remove-header Received,X-Secret,Subject
</domain>
)";

constexpr const char* kVerp = "sender-joe=";
constexpr const char* kDate = "Date: Mon, 05 Jan 2026 00:0";

struct Taken {
  std::string input;
  std::string sender;
};

runtime::Task<int> take(Taken& taken, runtime::sim::ProgramSide side) {
  taken.sender = side.arguments.back();
  for (;;) {
    const auto got = co_await side.input.receive();
    if (!got || got->bytes().empty()) break;
    taken.input.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
  co_return 0;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST(Outgoing, IsTheSameOnEveryWay) {
  QueueTypeRun run(kChanges);
  auto& disk = run.scenario.world.disk();
  disk.put("/mail/in/.made", "");
  disk.put("/mail/pickup/.made", "");
  Taken taken;
  run.scenario.world.machine().programs["/bin/take"] =
      [&taken](runtime::Reactor&, runtime::sim::ProgramSide side) { return take(taken, std::move(side)); };
  HttpHost host(run.scenario.peers.reactor(1), *Endpoint::parse("10.1.0.9:8080"));
  run.scenario.open_receivers({});
  std::vector<Mail> mails;
  for (const std::string id : {"f", "p", "m", "q", "h", "a", "b"}) {
    mails.push_back({.id = id,
                     .recipients = {"joe@" + id + ".test"},
                     .vmta = "v1",
                     .headers = "X-Secret: one\r\n two\r\nX-Kept: yes\r\nx-secret : three\r\n"});
  }
  ASSERT_TRUE(run.inject_all(mails));
  ASSERT_TRUE(run.injected.refusals.empty()) << run.injected.refusals.front();
  ASSERT_TRUE(run.scenario.drain(5min));
  ASSERT_EQ(run.rows("d").size(), 7u);

  const std::string file = disk.content(disk.files_below("/mail/in").back());
  EXPECT_TRUE(
      file.starts_with("Return-Path: <sender-joe=f.test@sim.test>\nX-Virtual-MTA: v1\n" + std::string(kDate)))
      << file;
  EXPECT_EQ(file.find("Received:"), std::string::npos);
  EXPECT_EQ(file.find("three"), std::string::npos);
  EXPECT_EQ(file.find(" two"), std::string::npos);
  EXPECT_NE(file.find("\nSubject: f\nMessage-ID: <f@sim>\nX-Kept: yes\n\nline 1 of f"), std::string::npos)
      << file;

  const std::string pickup = disk.content(disk.files_below("/mail/pickup").back());
  EXPECT_TRUE(pickup.starts_with(
      "x-sender: sender-joe=p.test@sim.test\nx-receiver: joe@p.test\nFrom: sender@sim.test\n"))
      << pickup;

  const std::string box = disk.content("/mail/box-sender-joe=m.test@sim.test");
  EXPECT_TRUE(box.starts_with("From sender-joe=m.test@sim.test Mon Jan  5 00:0")) << box;
  EXPECT_NE(box.find("\nReturn-Path: <sender-joe=m.test@sim.test>\nX-Virtual-MTA: v1\n" + std::string(kDate)),
            std::string::npos)
      << box;
  EXPECT_NE(box.find("\nReceived: "), std::string::npos);
  EXPECT_EQ(count(box, "X-Secret: one\n two\n"), 1u);

  EXPECT_EQ(taken.sender, "sender-joe=q.test@sim.test");
  EXPECT_TRUE(taken.input.starts_with("Return-Path: <sender-joe=q.test@sim.test>\nX-Virtual-MTA: v1\n"))
      << taken.input;
  EXPECT_EQ(taken.input.find("ecret"), std::string::npos);

  ASSERT_EQ(host.bodies.size(), 1u);
  EXPECT_TRUE(host.bodies[0].starts_with("{\"msg_from\":\"sender-joe=h.test@sim.test\"")) << host.bodies[0];
  EXPECT_NE(host.bodies[0].find("{\"email_rfc822\":\"X-Virtual-MTA: v1\\r\\n" + std::string(kDate)),
            std::string::npos)
      << host.bodies[0];
  EXPECT_EQ(host.bodies[0].find("ecret"), std::string::npos);

  const auto smtp = [&run](const std::string& id) { return run.scenario.ledger.bodies['<' + id + "@sim>"]; };
  EXPECT_TRUE(smtp("a").starts_with("X-Virtual-MTA: v1\r\n" + std::string(kDate))) << smtp("a");
  EXPECT_NE(
      smtp("a").find("\r\nFrom: sender@sim.test\r\nTo: someone@sim.test\r\nMessage-ID: <a@sim>\r\nX-Kept: "
                     "yes\r\n\r\nline 1 of a"),
      std::string::npos)
      << smtp("a");
  EXPECT_NE(smtp("a").find("\r\n.line 7 of a"), std::string::npos);
  EXPECT_EQ(count(smtp("b"), "X-Secret: one\r\n two\r\n"), 1u);
  EXPECT_EQ(count(smtp("b"), "Received: "), 1u);
  for (Row row : run.rows("d"))
    EXPECT_TRUE(row["orig"].empty() || row["orig"].starts_with(kVerp)) << row["orig"];

  run.scenario.close();
  host.stop();
  run.scenario.world.run_until([&host] { return host.idle(); }, 10min);
}

TEST(Copies, OneForEachDeliveryAndNoneOfCopies) {
  QueueTypeRun run(
      "<source 0/0>\n verp-default yes\n</source>\n"
      "<domain *>\n bcc-upon-delivery archive@b.test\n remove-header X-Secret\n</domain>\n"
      "<domain d.test>\n type discard\n</domain>\n"
      "<domain e.test>\n type discard\n discard-as-bounce yes\n</domain>\n");
  run.scenario.open_receivers({});
  const std::string secret = "X-Secret: one\r\n";
  ASSERT_TRUE(
      run.inject_all({{.id = "two", .recipients = {"x@a.test", "y@c.test"}, .vmta = "v2", .headers = secret},
                      {.id = "here", .recipients = {"x@d.test"}, .vmta = "v1", .body_bytes = 300'000},
                      {.id = "bounced", .recipients = {"x@e.test"}, .vmta = "v1"}}));
  ASSERT_TRUE(run.scenario.drain(5min));
  auto& seen = run.scenario.ledger;
  EXPECT_EQ(seen.delivered["<two@sim> archive@b.test"], 2);
  EXPECT_EQ(seen.delivered["<here@sim> archive@b.test"], 1);
  EXPECT_EQ(seen.delivered.count("<bounced@sim> archive@b.test"), 0u);
  EXPECT_EQ(seen.delivered.size(), 4u);
  const std::string& text = seen.bodies["<two@sim>"];
  EXPECT_EQ(count(text, "Received: "), 1u) << text;
  EXPECT_EQ(text.find("X-Secret"), std::string::npos) << text;
  EXPECT_GE(seen.bodies["<here@sim>"].size(), 290'000u);  // doubled dots are one again
  EXPECT_TRUE(seen.corrupt.empty());
  std::multiset<std::string> copies;
  for (Row row : run.rows("d")) {
    if (row["rcpt"] == "archive@b.test") copies.insert(row["orig"] + ' ' + row["queue"]);
  }
  EXPECT_EQ(copies, (std::multiset<std::string>{"sender-x=a.test@sim.test b.test/v2",
                                                "sender-x=d.test@sim.test b.test/v1",
                                                "sender-y=c.test@sim.test b.test/v2"}));
  run.close();
}

TEST(Copies, AreStoredBeforeAStopEnds) {
  QueueTypeRun run(
      "<domain d.test>\n type discard\n bcc-upon-delivery archive@b.test\n max-rcpt-per-message "
      "10\n</domain>\n"
      "<domain b.test>\n type discard\n</domain>\n");
  std::vector<std::string> recipients;
  for (int i = 0; i < 300; ++i) recipients.push_back("u" + std::to_string(i) + "@d.test");
  ASSERT_TRUE(run.scenario.boot());
  bool injected = false;
  start(inject(run.scenario.peers.reactor(0), Scenario::listener(),
               {{.id = "m", .recipients = recipients, .vmta = "v1", .body_bytes = 50'000}}, run.injected),
        injected);
  run.scenario.world.run_until([&run] { return !run.injected.accepted.empty(); }, 1h);
  ASSERT_TRUE(finish(run.scenario.world, run.scenario.node->stop(), 5min));
  run.scenario.node.reset();
  run.scenario.world.run_until([&injected] { return injected; }, 1h);
  ASSERT_TRUE(run.scenario.boot());
  ASSERT_TRUE(run.scenario.drain(5min));
  std::map<std::string, int> delivered;
  for (Row row : run.rows("d")) ++delivered[row["rcpt"]];
  EXPECT_EQ(delivered.size(), 301u);
  EXPECT_EQ(delivered["archive@b.test"], 300);
  run.close();
}

}  // namespace
}  // namespace sluice::test
