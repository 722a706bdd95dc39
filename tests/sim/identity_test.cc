// Goal: who a message goes by, and as what it goes out, is what the configuration says, from the listener to
// accounting. How:  a whole node in the simulated world, told line by line, judged by its accounting rows and
// by what receivers saw.
#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

constexpr const char* kStreams = R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.5 v3.node.sim
</virtual-mta>
<virtual-mta-pool even>
    virtual-mta v1
    virtual-mta v2
</virtual-mta-pool>
<virtual-mta-pool heavy>
    virtual-mta v1 weight=3
    virtual-mta v2
</virtual-mta-pool>
<pattern-list lists>
    header X-Stream /^ three/ virtual-mta=v3
    rcpt-to /^vip@/ recipient-priority=90
    mail-from /pool@/ virtual-mta=even
</pattern-list>
<source 0/0>
    pattern-list lists
    default-virtual-mta v1
    process-x-job yes
</source>
<source named>
    default-virtual-mta v2
</source>
<source local>
    default-virtual-mta by-smtp-source-ip
</source>
<source plain>
    default-virtual-mta {default}
    pattern-list ""
    process-x-virtual-mta no
    reject-invalid-virtual-mta no
</source>
<source lax>
    reject-invalid-virtual-mta no
    allow-empty-x-virtual-mta yes
</source>
smtp-listener 10.255.0.1:2526 source=named
smtp-listener 10.255.0.3:2527 source=local
smtp-listener 10.255.0.1:2528 source=plain
smtp-listener 10.255.0.1:2529 source=lax
invalid-virtual-mta-fallback v3
)";

struct SelectionCase {
  const char* id;
  std::uint16_t port;
  std::vector<std::string> headers;
  const char* sender;
  const char* vmta;  // nullptr: refused with `refusal`
  const char* refusal = "";
};

TEST(IdentitySim, TheOrderOfSelectionHolds) {
  IdentityRig rig(kStreams);
  ASSERT_TRUE(rig.boot());
  static const SelectionCase kCases[] = {
      {"source", 2525, {}, "a@x.sim", "v1"},
      {"named", 2526, {}, "a@x.sim", "v2"},
      {"pattern", 2526, {"X-Stream: three"}, "a@x.sim", "v3"},
      {"header", 2526, {"X-Stream: three", "X-Virtual-MTA: v1"}, "a@x.sim", "v1"},
      {"case", 2526, {"x-VIRTUAL-mta:  V1 "}, "a@x.sim", "v1"},
      {"default", 2528, {"X-Virtual-MTA: v1"}, "a@x.sim", "{default}"},
      {"unknown",
       2525,
       {"X-Virtual-MTA: v9"},
       "a@x.sim",
       nullptr,
       "554 5.5.0 specified Virtual MTA 'v9' does not exist"},
      {"empty", 2525, {"X-Virtual-MTA:"}, "a@x.sim", nullptr, "554 5.5.0 x-virtual-mta header is empty"},
      {"fallback", 2529, {"X-Virtual-MTA: v9"}, "a@x.sim", "v3"},
      {"allowed", 2529, {"X-Virtual-MTA:"}, "a@x.sim", "{default}"},
  };
  for (const SelectionCase& one : kCases) {
    EXPECT_EQ(rig.send(one.id, {"joe@a.test"}, one.headers, one.sender, one.port),
              one.vmta != nullptr ? "250" : one.refusal)
        << one.id;
  }
  // The address the client connected to.
  std::vector<std::string> replies;
  ASSERT_TRUE(
      finish(rig.scenario.world, converse(rig.scenario.peers.reactor(0), *Endpoint::parse("10.255.0.3:2527"),
                                          {"EHLO x", "MAIL FROM:<a@x.sim>", "RCPT TO:<joe@a.test>", "DATA",
                                           "Message-ID: <local@sim>", "", ".", "QUIT"},
                                          replies)));
  rig.settle();
  for (const SelectionCase& one : kCases) {
    if (one.vmta == nullptr) continue;
    auto rows = rig.rows_of(one.id, "d");
    ASSERT_TRUE(rows.contains("joe@a.test")) << one.id;
    EXPECT_EQ(rows["joe@a.test"]["vmta"], one.vmta) << one.id;
    EXPECT_EQ(rows["joe@a.test"]["queue"], std::string("a.test/") + one.vmta) << one.id;
  }
  EXPECT_EQ(rig.rows_of("local", "d")["joe@a.test"]["vmta"], "v2");
  // Each goes out as itself, without the header that chose it; kept where it was not processed.
  EXPECT_EQ(rig.scenario.ledger.helos["<header@sim> joe@a.test"], "v1.node.sim");
  EXPECT_EQ(rig.body("header").find("X-Virtual-MTA"), std::string::npos);
  EXPECT_NE(rig.body("default").find("X-Virtual-MTA: v1\r\n"), std::string::npos);
}

TEST(IdentitySim, GreetingsFollowTheDefaultVirtualMta) {
  IdentityRig rig(kStreams + std::string("smtp-listener 10.255.0.1:2530 source=pooled\n"
                                         "<source pooled>\n default-virtual-mta even\n</source>\n"));
  ASSERT_TRUE(rig.boot());
  static constexpr std::pair<std::uint16_t, const char*> kNames[] = {
      {2525, "v1.node.sim"}, {2526, "v2.node.sim"}, {2528, "v1.node.sim"}, {2530, "v1.node.sim"}};
  for (const auto& [port, name] : kNames) {
    const auto replies = rig.talk({"QUIT"}, port);
    ASSERT_FALSE(replies.empty());
    EXPECT_TRUE(replies.front().starts_with("220 " + std::string(name) + ' '))
        << port << ' ' << replies.front();
  }
}

TEST(IdentitySim, PoolsGiveEveryMemberExactlyItsShare) {
  IdentityRig rig(kStreams);
  ASSERT_TRUE(rig.boot());
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(rig.send("h" + std::to_string(i), {"joe@a.test"}, {"X-Virtual-MTA: heavy"}), "250");
  }
  // Recipients take turns, not messages.
  ASSERT_EQ(rig.send("many", {"a@a.test", "b@b.test", "c@c.test", "d@a.test"}, {}, "pool@x.sim"), "250");
  rig.settle();
  std::map<std::string, int> count;
  for (Row& row : rig.rows("d")) {
    if (row["vmtaPool"] == "heavy") ++count[row["vmta"]];
  }
  EXPECT_EQ(count, (std::map<std::string, int>{{"v1", 30}, {"v2", 10}}));
  std::map<std::string, int> of_many;
  for (auto& [rcpt, row] : rig.rows_of("many", "d")) {
    ++of_many[row["vmta"]];
    EXPECT_EQ(row["vmtaPool"], "even");
    EXPECT_EQ(row["queue"], rcpt.substr(2) + '/' + row["vmta"]);
  }
  EXPECT_EQ(of_many, (std::map<std::string, int>{{"v1", 2}, {"v2", 2}}));
  // The record of reception names the pool.
  for (auto& [rcpt, row] : rig.rows_of("many", "r")) EXPECT_EQ(row["vmta"], "even");
}

TEST(IdentitySim, PoolsPassOverMembersWithoutSource) {
  IdentityRig rig(kStreams);
  ASSERT_TRUE(rig.boot());
  const auto& snapshot = rig.scenario.node->node().snapshot();
  const auto v1 = snapshot->config->find_vmta("v1");
  ASSERT_TRUE(v1);
  snapshot->identity(*v1).state->blocked.set("a.test", true);
  for (int i = 0; i < 8; ++i) {
    const std::string id = "f" + std::to_string(i);
    ASSERT_EQ(rig.send(id, {i % 2 == 0 ? "joe@a.test" : "joe@b.test"}, {"X-Virtual-MTA: heavy"}), "250");
  }
  rig.settle();
  std::map<std::string, int> count;
  for (Row& row : rig.rows("d")) ++count[row["queue"]];
  EXPECT_EQ(count["a.test/v1"], 0);
  EXPECT_EQ(count["a.test/v2"], 4);
  EXPECT_GE(count["b.test/v1"], 2);
  snapshot->identity(*v1).state->blocked.set("a.test", false);
  EXPECT_FALSE(snapshot->identity(*v1).state->blocked.holds("a.test", 0));
}

TEST(IdentitySim, PoolsPassOverMembersWhoseJoinedQueueHasNoSource) {
  IdentityRig rig(std::string(kStreams) + "<domain b.test>\n queue-to a.test\n</domain>\n");
  ASSERT_TRUE(rig.boot());
  for (int i = 0; i < 8; ++i)
    ASSERT_EQ(rig.send("g" + std::to_string(i), {"joe@b.test"}, {"X-Virtual-MTA: heavy"}), "250");
  rig.settle();
  const auto& snapshot = rig.scenario.node->node().snapshot();
  const auto v1 = snapshot->config->find_vmta("v1");
  ASSERT_TRUE(v1);
  snapshot->identity(*v1).state->blocked.set("a.test", true);
  for (int i = 0; i < 8; ++i) {
    const std::string to = i % 2 == 0 ? "joe@b.test" : "joe@c.test";
    ASSERT_EQ(rig.send("h" + std::to_string(i), {to}, {"X-Virtual-MTA: heavy"}), "250");
  }
  rig.settle();
  std::map<std::string, int> count;
  for (Row& row : rig.rows("d")) {
    if (row["header_Message-ID"].starts_with("<h")) ++count[row["queue"]];
  }
  EXPECT_EQ(count["a.test/v1"], 0);
  EXPECT_EQ(count["a.test/v2"], 4);
  EXPECT_GE(count["c.test/v1"], 2);
  snapshot->identity(*v1).state->blocked.set("a.test", false);
}

TEST(IdentitySim, SendersAreRewrittenAndMadeForEachRecipient) {
  IdentityRig rig(R"(
<rewrite-list brand>
    mail-from *@old.sim *@new.sim
    from-domain old.sim new.sim
</rewrite-list>
<rewrite-list own>
    mail-from *@* bounce@own.sim
</rewrite-list>
<virtual-mta v4>
    smtp-source-host 10.255.0.6 v4.node.sim
    rewrite-list own
</virtual-mta>
<source 0/0>
    rewrite-list brand
</source>
<source verp>
    verp-default yes
</source>
smtp-listener 10.255.0.1:2526 source=verp
)");
  ASSERT_TRUE(rig.boot());
  const std::vector<std::string> from{"From: \"A @old.sim\" <a@old.sim>,",
                                      "\tb@OLD.sim (me@old.sim), c@else.sim"};
  ASSERT_EQ(rig.send("brand", {"joe@a.test"}, from, "list@old.sim"), "250");
  ASSERT_EQ(rig.send("own", {"joe@a.test"}, {"X-Virtual-MTA: v4"}, "list@old.sim"), "250");
  ASSERT_EQ(rig.send("verp", {"joe@a.test", "jim@a.test"}, {}, "list@me.sim", 2526), "250");
  ASSERT_EQ(rig.send("asked", {"joe@a.test"}, {}, "<list@me.sim> VERP"), "250");
  ASSERT_EQ(rig.send("null", {"joe@a.test"}, {}, "<>", 2526), "250");
  rig.settle();
  EXPECT_EQ(rig.sender("brand", "joe@a.test"), "list@new.sim");
  EXPECT_EQ(rig.rows_of("brand", "d")["joe@a.test"]["orig"], "list@new.sim");
  EXPECT_NE(
      rig.body("brand").find("From: \"A @old.sim\" <a@new.sim>,\r\n\tb@new.sim (me@old.sim), c@else.sim\r\n"),
      std::string::npos)
      << rig.body("brand");
  EXPECT_EQ(rig.sender("own", "joe@a.test"), "bounce@own.sim");
  EXPECT_EQ(rig.sender("verp", "joe@a.test"), "list-joe=a.test@me.sim");
  EXPECT_EQ(rig.sender("verp", "jim@a.test"), "list-jim=a.test@me.sim");
  EXPECT_EQ(rig.rows_of("verp", "d")["jim@a.test"]["orig"], "list-jim=a.test@me.sim");
  EXPECT_EQ(rig.sender("asked", "joe@a.test"), "list-joe=a.test@me.sim");
  EXPECT_EQ(rig.sender("null", "joe@a.test"), "");
}

TEST(IdentitySim, AliasesAndCopies) {
  IdentityRig rig(R"(
relay-domain a.test
relay-address /^any-[0-9]+@b\.test$/
<aliases>
    alias joe@a.test jim@b.test,ann@c.test
</aliases>
<source 0/0>
    always-allow-relaying no
    bcc archive@c.test
</source>
)");
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("alias", {"joe@a.test", "ops@a.test"}), "250");
  EXPECT_EQ(rig.send("relay", {"any-7@b.test"}), "250");
  EXPECT_EQ(rig.send("no", {"some@b.test"}), "550 5.7.1 relaying denied");
  rig.settle();
  const auto rows = rig.rows_of("alias", "d");
  std::vector<std::string> to;
  for (const auto& [rcpt, row] : rows) to.push_back(rcpt);
  EXPECT_EQ(to, (std::vector<std::string>{"ann@c.test", "archive@c.test", "jim@b.test", "ops@a.test"}));
  EXPECT_EQ(rows.at("jim@b.test").at("orcpt"), "rfc822;joe@a.test");
  EXPECT_EQ(rows.at("jim@b.test").at("queue"), "b.test/{default}");
}

constexpr const char* kSuppression = R"(
<address-list stop>
    address gone@a.test
    domain c.test
</address-list>
<source 0/0>
    suppression-lists stop
</source>
<source later>
    accept-invalid-recipients yes
</source>
smtp-listener 10.255.0.1:2526 source=later
)";

TEST(IdentitySim, SuppressedAndMalformedRecipients) {
  IdentityRig rig(kSuppression);
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("now", {"Gone@a.test"}),
            "550 5.7.1 recipient is in suppression list \"stop\": <Gone@a.test>");
  EXPECT_EQ(rig.send("bad", {"a b@a.test"}).substr(0, 10), "501 5.1.3 ");
  ASSERT_EQ(
      rig.send("later", {"gone@a.test", "joe@a.test", "x@c.test", "a..b@b.test"}, {}, "s@sim.test", 2526),
      "250");
  rig.settle();
  const auto bounced = rig.rows_of("later", "b");
  ASSERT_EQ(bounced.size(), 3u);
  // The rig takes the quotes off the file.
  EXPECT_EQ(bounced.at("gone@a.test").at("dsnDiag"),
            "smtp;550 5.7.1 recipient is in suppression list stop: <gone@a.test>");
  EXPECT_EQ(bounced.at("gone@a.test").at("dsnStatus"), "5.7.1 (delivery not authorized)");
  EXPECT_EQ(bounced.at("x@c.test").at("queue"), "c.test/{default}");
  EXPECT_TRUE(bounced.at("a..b@b.test").at("dsnDiag").starts_with("smtp;501 5.1.3 "));
  const auto delivered = rig.rows_of("later", "d");
  ASSERT_EQ(delivered.size(), 1u);
  EXPECT_TRUE(delivered.contains("joe@a.test"));
}

TEST(IdentitySim, ACrashNeverLetsASuppressedRecipientThrough) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    IdentityRig rig(kSuppression, seed);
    ASSERT_TRUE(rig.boot());
    Injected injected;
    std::vector<std::string> replies;
    // Cut at some moment around the 250.
    const bool stored = rig.send("cut", {"gone@a.test"}, {}, "s@sim.test", 2526) == "250";
    ASSERT_TRUE(stored);
    if (seed > 1) rig.scenario.world.run_for(std::chrono::microseconds{200 * seed});
    rig.scenario.crash(seed % 2 == 0 ? Crash::Kill : Crash::PowerCut);
    ASSERT_TRUE(rig.scenario.boot());
    rig.settle();
    EXPECT_TRUE(rig.scenario.ledger.delivered.empty());
    const auto bounced = rig.rows_of("cut", "b");
    ASSERT_EQ(bounced.size(), 1u);
    EXPECT_EQ(bounced.begin()->second.at("dsnStatus"), "5.7.1 (delivery not authorized)");
  }
}

TEST(IdentitySim, HeadersComeAndGo) {
  IdentityRig rig(R"(
host-id 7
include-headers-from /etc/headers
<virtual-mta v4>
    smtp-source-host 10.255.0.6 v4.node.sim
    include-headers-from /etc/headers4
</virtual-mta>
<source 0/0>
    default-virtual-mta v4
    process-x-job yes
    process-x-envid yes
    jobid-prefix p-
    remove-header X-Secret,x-other
    add-message-id-header yes
    add-date-header override
    add-x-virtual-mta-header yes
    hide-message-source yes
    remove-received-headers yes
</source>
<source delivery>
    add-date-header yes
    date-header-time delivery
    add-received-header no
    jobid-header X-Campaign
    process-x-job no
    max-message-hops 2
    remove-received-headers no
    retain-x-schedule no
</source>
smtp-listener 10.255.0.1:2526 source=delivery
)");
  rig.scenario.files.files["/etc/headers"] = "X-Global: 1\nnot a header\nX-Folded: a\n b\n\nX-Never: 1\n";
  rig.scenario.files.files["/etc/headers4"] = "X-Four: 4\r\n";
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("all", {"joe@a.test"},
                     {"Received: from somewhere", "X-Secret: 1", "Subject: kept", "X-OTHER: 2", " folded",
                      "Date: Thu, 1 Jan 1970 00:00:00 +0000", "X-Job: j1", "x-envid: env+1",
                      "X-DKIM-Key: private", "To: all"}),
            "250");
  ASSERT_EQ(rig.send("late", {"joe@a.test"}, {"X-Campaign: c9", "X-Schedule: never", "Received: by x"},
                     "sender@sim.test", 2526),
            "250");
  EXPECT_EQ(
      rig.send("loop", {"joe@a.test"}, {"Received: 1", "Received: 2", "Received: 3"}, "s@sim.test", 2526),
      "554 5.4.6 too many hops, this message is looping");
  EXPECT_EQ(rig.send("job", {"joe@a.test"}, {"X-Job: two words"}),
            "554 5.6.0 job id has blanks or control characters");
  // Without a Message-ID of its own.
  EXPECT_EQ(
      rig.talk({"EHLO x", "MAIL FROM:<s@x>", "RCPT TO:<joe@b.test>", "DATA", "Subject: bare", "", "b", "."})
          .back()
          .substr(0, 3),
      "250");
  rig.settle();
  const std::string all = rig.body("all");
  EXPECT_TRUE(all.starts_with("X-Virtual-MTA: v4\r\nReceived: by v4.node.sim ")) << all;
  EXPECT_NE(all.find(">)\r\nX-Global: 1\r\nX-Folded: a\r\n b\r\nX-Four: 4\r\nDate: "), std::string::npos)
      << all;
  EXPECT_NE(all.find("+0000\r\nMessage-ID: <all@sim>\r\nSubject: kept\r\nTo: all\r\n\r\nbody of all\r\n"),
            std::string::npos)
      << all;
  EXPECT_EQ(all.find("1970 00:00:00"), std::string::npos);
  Row row = rig.rows_of("all", "d")["joe@a.test"];
  EXPECT_EQ(row["jobId"], "p-j1");
  EXPECT_EQ(row["envId"], "env+2B1");
  const std::string late = rig.body("late");
  EXPECT_TRUE(late.find("Date: ") < late.find("X-Global")) << late;
  EXPECT_EQ(late.find("X-Campaign"), std::string::npos);
  EXPECT_EQ(late.find("X-Schedule"), std::string::npos);
  EXPECT_NE(late.find("Received: by x\r\n"), std::string::npos);
  EXPECT_EQ(rig.rows_of("late", "d")["joe@a.test"]["jobId"], "p-c9");
  bool made = false;
  for (const auto& [id, body] : rig.scenario.ledger.bodies) made = made || id.ends_with(".7@v4.node.sim>");
  EXPECT_TRUE(made);
}

TEST(IdentitySim, SourceGroupsReserveAndLimit) {
  IdentityRig rig(R"(
total-max-smtp-in 4
<source-group few>
    max-smtp-in 2
</source-group>
<source-group sure>
    reserved-smtp-in 1
</source-group>
<source few>
    source-group few
</source>
<source sure>
    source-group sure
</source>
smtp-listener 10.255.0.1:2526 source=few
smtp-listener 10.255.0.1:2527 source=sure
)");
  ASSERT_TRUE(rig.boot());
  struct Open {
    runtime::Stream stream;
    std::string greeting;
  };
  std::vector<std::unique_ptr<Open>> open;
  const auto connect = [&](std::uint16_t port) {
    open.push_back(std::make_unique<Open>());
    const auto one = [](runtime::Reactor& reactor, std::uint16_t to, Open& out) -> runtime::Task<void> {
      Result<runtime::Stream> stream = co_await runtime::Stream::connect(
          reactor, Endpoint{IpAddress::from_v4({10, 255, 0, 1}), to}, nullptr, 5s);
      if (!stream) co_return;
      out.stream = std::move(*stream);
      out.stream.set_deadline(reactor.now() + 1min);
      const auto input = co_await out.stream.receive();
      if (!input) co_return;
      out.greeting.assign(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
    };
    EXPECT_TRUE(finish(rig.scenario.world, one(rig.scenario.peers.reactor(0), port, *open.back()), 5min));
    return open.back()->greeting.substr(0, 3);
  };
  EXPECT_EQ(connect(2526), "220");
  EXPECT_EQ(connect(2526), "220");
  EXPECT_EQ(connect(2526), "421") << "max-smtp-in 2";
  EXPECT_EQ(connect(2525), "220");
  EXPECT_EQ(connect(2525), "421") << "the last slot is reserved";
  EXPECT_EQ(connect(2527), "220") << "for this group";
  EXPECT_EQ(connect(2527), "421");
  open.erase(open.begin());
  rig.scenario.world.run_for(1s);
  EXPECT_EQ(connect(2526), "220");
  open.clear();
  rig.scenario.world.run_for(1s);
}

TEST(IdentitySim, SessionsAreLogged) {
  IdentityRig rig(R"(
<source 0/0>
    log-connections yes
    log-commands yes
    log-data yes
</source>
)");
  ASSERT_TRUE(rig.boot());
  ASSERT_EQ(rig.send("log", {"joe@a.test"}), "250");
  rig.settle();
  const std::string log = rig.scenario.world.disk().content("/var/log/sluice.log");
  for (const char* part :
       {") connected from [10.255.0.2]:", ") >>> MAIL FROM:<sender@sim.test>\n", ") <<< 354 ",
        "  62 6f 64 79 20 6f 66 20 6c 6f 67 0d 0a", " body of log..", ") closed [10.255.0.2]:"}) {
    EXPECT_NE(log.find(part), std::string::npos) << part << '\n' << log;
  }
  EXPECT_EQ(log.find(">>> body"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
