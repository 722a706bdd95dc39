// Goal: `check-spf-inbound`, `check-iprev-inbound` and what they refuse; the header that says what was found;
// a slow or dead name server delays only the client that asked; clients that leave, reloads and shutdowns
// during a check; `check-spf-outbound` sends, retries or bounces; the command `check spf`. How: a whole node
// in the simulated world whose DNS table has the records.
#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

constexpr const char* kChecks = R"(
<source 0/0>
    check-spf-inbound yes
    check-iprev-inbound yes
</source>
)";

// The injector's address is 10.255.0.2, v1 sends from 10.255.0.1.
void records(resolver::TableTransport& dns) {
  dns.add_txt("pass.sim", "v=spf1 ip4:10.255.0.2 -all");
  dns.add_txt("fail.sim", "v=spf1 -all exp=why.fail.sim");
  dns.add_txt("why.fail.sim", "%{i} is no mail host of %{d}");
  dns.add_txt("bad.sim", "v=spf1 nonsense");
  dns.add_txt("soft.sim", "v=spf1 ~all");
  dns.add_txt("injector.sim", "v=spf1 a -all");
  dns.add_a("injector.sim", "10.255.0.2");
  // More than 255 bytes: several strings, joined without blanks.
  dns.add_txt("long.sim", "v=spf1 " +
                              std::string("ip4:192.0.2.1 ip4:192.0.2.2 ip4:192.0.2.3 ").append(280, ' ') +
                              "ip4:10.255.0.2 -all");
  dns.add_txt("tag.sim", "v=spf1 exists:%{l}.list.sim -all");
  dns.add_a("joe+x=y.list.sim", "127.0.0.2");
  dns.script("dead.sim", net::dns::Type::Txt, [](net::dns::Message reply) {
    reply.header.rcode = net::dns::Rcode::ServFail;
    return net::dns::build_message(reply);
  });
  dns.add_txt("slow.sim", "v=spf1 ip4:10.255.0.2 -all");
  dns.set_delay("slow.sim", 8s);
  dns.set_delay("never.sim", 40s);
  dns.add_ptr("2.0.255.10.in-addr.arpa", "injector.sim");
  dns.add_txt("out.sim", "v=spf1 ip4:10.255.0.1 -all");
  dns.add_txt("held.sim", "v=spf1 ip4:10.255.0.1 ip4:10.255.0.2 -all");
  dns.add_txt("mine.sim", "v=spf1 exists:%{l}.list.sim -all");
  dns.add_a("joe.list.sim", "127.0.0.2");
  dns.add_a("joe-u=a.test.list.sim", "127.0.0.2");
}

struct ChecksRig : IdentityRig {
  explicit ChecksRig(const std::string& extra) : IdentityRig(extra) {
    scenario.extra_zone = [this](resolver::TableTransport& dns) {
      records(dns);
      tables.push_back(&dns);
    };
  }
  /// From now on no name server answers.
  void silence_dns() {
    for (resolver::TableTransport* one : tables) one->hold();
  }
  [[nodiscard]] runtime::Task<void> session(std::vector<std::string> lines,
                                            std::vector<std::string>& replies) {
    return converse(scenario.peers.reactor(0), Scenario::listener(), std::move(lines), replies);
  }

  std::vector<resolver::TableTransport*> tables;  // of each data shard
};

/// Says it in one segment and closes the connection a second later.
runtime::Task<void> say_and_leave(runtime::Reactor& reactor, std::string text) {
  Result<runtime::Stream> stream =
      co_await runtime::Stream::connect(reactor, Scenario::listener(), nullptr, 5s);
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  const Status sent = co_await stream->send(text);
  EXPECT_TRUE(sent);
  co_await runtime::sleep_for(reactor, 1s);
}

TEST(SimSenderChecks, WhatIsFoundStandsOnTop) {
  ChecksRig rig(kChecks);
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {"Authentication-Results: V1.NODE.sim; spf=pass", "X-Y: z"},
                     "joe@pass.sim"),
            "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {"Authentication-Results: other.sim; spf=pass"}, "joe@soft.sim"),
            "250");
  EXPECT_EQ(rig.send("m3", {"u@a.test"}, {}, ""), "250") << "HELO under the null path";
  EXPECT_EQ(rig.send("m4", {"u@a.test"}, {}, "joe@nothing.sim"), "250");
  EXPECT_EQ(rig.send("m5", {"u@a.test"}, {}, "joe@long.sim"), "250");
  EXPECT_EQ(rig.send("m6", {"u@a.test"}, {}, "joe+x=y@tag.sim"), "250");
  rig.settle();
  const std::string head = "Authentication-Results: v1.node.sim;\r\n\t";
  const std::string iprev = ";\r\n\tiprev=pass (injector.sim)\r\n\tpolicy.iprev=10.255.0.2\r\nReceived: ";
  EXPECT_TRUE(rig.body("m1").starts_with(
      head + "spf=pass (matched \"ip4:10.255.0.2\")\r\n\tsmtp.mailfrom=joe@pass.sim" + iprev))
      << rig.body("m1");
  EXPECT_EQ(rig.body("m1").find("V1.NODE.sim"), std::string::npos) << "nobody else speaks in our name";
  EXPECT_NE(rig.body("m2").find("Authentication-Results: other.sim; spf=pass\r\n"), std::string::npos);
  EXPECT_TRUE(rig.body("m2").starts_with(head + "spf=softfail (matched \"~all\")")) << rig.body("m2");
  EXPECT_TRUE(rig.body("m3").starts_with(head + "spf=pass (matched \"a\")\r\n\tsmtp.helo=injector.sim"))
      << rig.body("m3");
  EXPECT_TRUE(rig.body("m4").starts_with(head + "spf=none (no SPF record at nothing.sim)")) << rig.body("m4");
  EXPECT_TRUE(rig.body("m5").starts_with(head + "spf=pass")) << rig.body("m5");
  EXPECT_TRUE(rig.body("m6").starts_with(head + "spf=pass")) << rig.body("m6");
}

TEST(SimSenderChecks, WhatIsRefused) {
  ChecksRig rig(kChecks);
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@fail.sim"),
            "550 5.7.23 SPF fail: 10.255.0.2 may not send for <joe@fail.sim>; explanation of its domain: "
            "10.255.0.2 is no mail host of fail.sim");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "joe@bad.sim"),
            "550 5.7.24 SPF permerror for <joe@bad.sim>: syntax error in \"nonsense\" at bad.sim");
  EXPECT_EQ(rig.send("m3", {"u@a.test"}, {}, "joe@dead.sim"),
            "451 4.7.24 SPF temperror for <joe@dead.sim>: DNS failure for TXT dead.sim");
  // The transaction is open to the next MAIL, and what was pipelined behind a refused one is refused.
  const auto replies =
      rig.talk({"EHLO injector.sim", "MAIL FROM:<joe@fail.sim>\r\nRCPT TO:<u@a.test>\r\nDATA", "NOOP", "NOOP",
                "MAIL FROM:<joe@pass.sim>"});
  ASSERT_EQ(replies.size(), 6u);
  EXPECT_TRUE(replies[2].starts_with("550 5.7.23")) << replies[2];
  EXPECT_EQ(replies[3], "503 5.5.1 MAIL first");
  EXPECT_EQ(replies[4], "503 5.5.1 MAIL first");
}

TEST(SimSenderChecks, WhatTheOperatorAllows) {
  ChecksRig rig(R"(
<source 0/0>
    check-spf-inbound yes
    check-iprev-inbound yes
    trace-spf-check yes
    trace-iprev-check yes
    reject-spf-check-fail no
    reject-spf-check-permerror no
    reject-spf-check-temperror no
    reject-iprev-check-fail yes
    reject-iprev-check-permerror yes
    reject-iprev-check-temperror yes
</source>
)");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@fail.sim"), "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "joe@bad.sim"), "250");
  EXPECT_EQ(rig.send("m3", {"u@a.test"}, {}, "joe@dead.sim"), "250");
  rig.settle();
  EXPECT_TRUE(rig.body("m1").starts_with(
      "Authentication-Results: v1.node.sim;\r\n\tspf=fail (matched \"-all\")\r\n"
      "\t(TXT fail.sim: \"v=spf1 -all exp=why.fail.sim\")\r\n\tsmtp.mailfrom=joe@fail.sim;\r\n"
      "\tiprev=pass (injector.sim)\r\n\t(PTR 2.0.255.10.in-addr.arpa: injector.sim)\r\n"
      "\t(A injector.sim: 10.255.0.2)\r\n\tpolicy.iprev=10.255.0.2\r\n"))
      << rig.body("m1");
  EXPECT_NE(rig.body("m2").find("spf=permerror"), std::string::npos);
  EXPECT_NE(rig.body("m3").find("\t(TXT dead.sim: DNS failure)"), std::string::npos) << rig.body("m3");
}

TEST(SimSenderChecks, AHiddenSourceStaysHidden) {
  ChecksRig rig(R"(
<source 0/0>
    check-spf-inbound yes
    check-iprev-inbound yes
    trace-spf-check yes
    trace-iprev-check yes
    hide-message-source yes
</source>
)");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@pass.sim"), "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, ""), "250");
  rig.settle();
  const std::string head = "Authentication-Results: v1.node.sim;\r\n\tspf=pass";
  EXPECT_TRUE(rig.body("m1").starts_with(head + " smtp.mailfrom=joe@pass.sim;\r\n\tiprev=pass\r\nReceived: "))
      << rig.body("m1");
  EXPECT_TRUE(rig.body("m2").starts_with(head + ";\r\n\tiprev=pass\r\nReceived: ")) << rig.body("m2");
}

TEST(SimSenderChecks, ReverseDnsRefuses) {
  IdentityRig rig(R"(
<source 0/0>
    check-iprev-inbound yes
    reject-iprev-check-fail yes
    reject-iprev-check-permerror yes
</source>
)");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}), "550 5.7.25 reverse DNS permerror for 10.255.0.2: no PTR record");
}

TEST(SimSenderChecks, ASlowNameServerDelaysOnlyWhoAsked) {
  ChecksRig rig(kChecks);
  ASSERT_TRUE(rig.boot());
  std::vector<std::string> slow, never, quick;
  MonoTime slow_at{}, never_at{}, quick_at{};
  const MonoTime begun = rig.scenario.world.now();
  // MAIL, RCPT and DATA in one segment: their replies come in order once MAIL has its own.
  const auto lines = [](const std::string& domain) {
    return std::vector<std::string>{
        "EHLO injector.sim", "MAIL FROM:<joe@" + domain + ">\r\nRCPT TO:<u@a.test>\r\nDATA", "NOOP", "NOOP"};
  };
  const auto session = [](ChecksRig& one, std::vector<std::string> what, std::vector<std::string>& replies,
                          MonoTime& at) -> runtime::Task<void> {
    co_await one.session(std::move(what), replies);
    at = one.scenario.world.now();
  };
  const auto all = [](runtime::Task<void> a, runtime::Task<void> b,
                      runtime::Task<void> c) -> runtime::Task<void> {
    runtime::TaskGroup group;
    group.spawn(std::move(a));
    group.spawn(std::move(b));
    group.spawn(std::move(c));
    co_await group.join();
  };
  ASSERT_TRUE(finish(
      rig.scenario.world,
      all(session(rig, lines("slow.sim"), slow, slow_at), session(rig, lines("never.sim"), never, never_at),
          session(rig, lines("pass.sim"), quick, quick_at)),
      10min));
  EXPECT_LT(quick_at - begun, 2s);
  EXPECT_GT(slow_at - begun, 7s);
  EXPECT_LT(slow_at - begun, 12s);
  EXPECT_LT(never_at - begun, 25s) << "the check's own limit";
  ASSERT_GE(slow.size(), 5u);
  EXPECT_EQ(slow[2], "250 2.1.0 MAIL ok");
  EXPECT_EQ(slow[3], "250 2.1.5 <u@a.test> ok");
  EXPECT_EQ(slow[4], "354 send message");
  ASSERT_GE(never.size(), 3u);
  EXPECT_TRUE(never[2].starts_with("451 4.7.24 SPF temperror")) << never[2];
}

TEST(SimSenderChecks, OwnMailHasToPass) {
  ChecksRig rig(R"(
smtp-source-host 10.255.0.1 v1.node.sim
<domain *>
    check-spf-outbound yes
    bounce-after 30m
</domain>
)");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test", "v@b.test"}, {}, "joe@out.sim"), "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "joe@pass.sim"), "250");
  EXPECT_EQ(rig.send("m3", {"u@a.test"}, {}, "joe@dead.sim"), "250");
  EXPECT_EQ(rig.send("m4", {"u@a.test"}, {}, "joe@nothing.sim"), "250");
  rig.scenario.world.run_for(5min);
  EXPECT_EQ(rig.rows_of("m1", "d").size(), 2u);
  auto bounced = rig.rows_of("m2", "b");
  ASSERT_EQ(bounced.size(), 1u);
  EXPECT_EQ(bounced["u@a.test"]["dsnDiag"],
            "smtp;check-spf-outbound: SPF fail for 10.255.0.1 sending as pass.sim, matched -all");
  EXPECT_EQ(rig.rows_of("m4", "b").size(), 1u) << "none is no pass";
  EXPECT_EQ(rig.rows_of("m3", "b").size(), 0u) << "a failure of DNS is retried";
  rig.settle();
  EXPECT_EQ(rig.rows_of("m3", "b").size(), 1u) << "until bounce-after";
  EXPECT_TRUE(rig.rows_of("m3", "d").empty());
}

/// One session, two MAILs half a minute apart: longer than a failure of DNS is remembered.
runtime::Task<void> two_mails_apart(runtime::Reactor& reactor, std::vector<std::string>& replies) {
  Result<runtime::Stream> stream =
      co_await runtime::Stream::connect(reactor, Scenario::listener(), nullptr, 5s);
  EXPECT_TRUE(stream);
  if (!stream) co_return;
  for (const std::string_view line :
       {"EHLO injector.sim\r\n", "MAIL FROM:<a@pass.sim>\r\n", "MAIL FROM:<b@pass.sim>\r\n"}) {
    const Status sent = co_await stream->send(line);
    EXPECT_TRUE(sent);
    std::string reply;
    const MonoTime end = reactor.now() + 30s;
    while (reactor.now() < end) {
      while (auto input = stream->try_receive()) {
        if (!*input || (*input)->bytes().empty()) co_return;
        reply.append(reinterpret_cast<const char*>((*input)->bytes().data()), (*input)->bytes().size());
      }
      co_await runtime::sleep_for(reactor, 100ms);
    }
    if (line.starts_with("MAIL")) replies.push_back(reply);
  }
}

TEST(SimSenderChecks, AFailureOfReverseDnsIsAskedForAgain) {
  ChecksRig rig(R"(
<source 0/0>
    check-iprev-inbound yes
    reject-iprev-check-temperror yes
</source>
)");
  ASSERT_TRUE(rig.boot());
  std::vector<std::string> replies;
  runtime::TaskGroup clients;
  // One session: the first MAIL finds a broken name server, the second one that works.
  for (resolver::TableTransport* one : rig.tables) {
    one->script("2.0.255.10.in-addr.arpa", net::dns::Type::Ptr, [calls = 0](net::dns::Message reply) mutable {
      if (++calls == 1) reply.header.rcode = net::dns::Rcode::ServFail;
      return net::dns::build_message(reply);
    });
  }
  clients.spawn(two_mails_apart(rig.scenario.peers.reactor(0), replies));
  rig.scenario.world.run_for(2min);
  ASSERT_EQ(clients.running(), 0u);
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_TRUE(replies[0].starts_with("451 4.7.25 reverse DNS temperror for 10.255.0.2: ")) << replies[0];
  EXPECT_TRUE(replies[1].starts_with("250 ")) << replies[1];
}

TEST(SimSenderChecks, WhoLeavesDuringACheckLeavesNothingBehind) {
  ChecksRig rig(kChecks);
  rig.scenario.files.files["/etc/config"] += "total-max-smtp-in 1\n";
  ASSERT_TRUE(rig.boot());
  runtime::TaskGroup clients;
  clients.spawn(
      say_and_leave(rig.scenario.peers.reactor(0),
                    "EHLO injector.sim\r\nMAIL FROM:<joe@never.sim>\r\nRCPT TO:<u@a.test>\r\nDATA\r\n"
                    "Subject: x\r\n\r\nnot to be accepted\r\n.\r\n"));
  rig.scenario.world.run_for(10s);
  EXPECT_EQ(clients.running(), 0u);
  // At the latest when the check's own time is over its slot is free.
  rig.scenario.world.run_for(15s);
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@pass.sim"), "250");
  rig.settle();
  EXPECT_EQ(rig.rows("r").size(), 1u);
}

TEST(SimSenderChecks, AReloadDuringACheckChangesNothingForIt) {
  ChecksRig rig(kChecks);
  ASSERT_TRUE(rig.boot());
  std::vector<std::string> replies;
  runtime::TaskGroup clients;
  clients.spawn(rig.session({"EHLO injector.sim", "MAIL FROM:<joe@slow.sim>", "RCPT TO:<u@a.test>", "DATA",
                             "Message-ID: <m1@sim>", "", "x", "."},
                            replies));
  rig.scenario.world.run_for(3s);
  ASSERT_EQ(replies.size(), 2u) << "MAIL waits";
  rig.scenario.reload(IdentityRig::kAccounting);
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "joe@fail.sim"), "250") << "nobody checks any more";
  rig.settle();
  ASSERT_EQ(clients.running(), 0u);
  EXPECT_EQ(replies.back(), "250 2.6.0 message received");
  EXPECT_TRUE(rig.body("m1").starts_with("Authentication-Results: v1.node.sim;\r\n\tspf=pass"))
      << rig.body("m1");
  EXPECT_TRUE(rig.body("m2").starts_with("Received: ")) << rig.body("m2");
}

TEST(SimSenderChecks, AShutdownDoesNotWaitForNameServers) {
  for (const bool outbound : {false, true}) {
    SCOPED_TRACE(outbound ? "outbound" : "inbound");
    ChecksRig rig(outbound ? "<domain *>\ncheck-spf-outbound yes\nconnection-idle-timeout 1s\n</domain>\n"
                             "smtp-source-host 10.255.0.1 v1.node.sim\n"
                           : kChecks);
    ASSERT_TRUE(rig.boot());
    EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, outbound ? "joe@out.sim" : "joe@pass.sim"), "250");
    rig.settle();
    EXPECT_EQ(rig.rows_of("m1", "d").size(), 1u);
    rig.silence_dns();
    std::vector<std::string> replies;
    runtime::TaskGroup clients;
    clients.spawn(rig.session({"EHLO injector.sim", "MAIL FROM:<joe@held.sim>", "RCPT TO:<u@a.test>", "DATA",
                               "Message-ID: <m2@sim>", "", "x", ".", "QUIT"},
                              replies));
    rig.scenario.world.run_for(2s);
    if (outbound) {
      EXPECT_EQ(clients.running(), 0u);
      EXPECT_EQ(rig.scenario.queued(), 1u) << "it waits for the check";
    } else {
      EXPECT_EQ(replies.size(), 2u) << "MAIL waits";
    }
    const MonoTime before = rig.scenario.world.now();
    ASSERT_TRUE(finish(rig.scenario.world, rig.scenario.node->stop(), 5min));
    EXPECT_LT(rig.scenario.world.now() - before, 2s);
    rig.scenario.world.run_for(1s);
    EXPECT_EQ(clients.running(), 0u);
    if (!outbound) EXPECT_EQ(replies.back(), "421 4.3.2 server is shutting down");
    EXPECT_TRUE(rig.rows_of("m2", "b").empty() && rig.rows_of("m2", "d").empty()) << "nothing was found out";
    rig.scenario.node.reset();
    for (auto& one : rig.scenario.receivers) one->stop();
    rig.scenario.world.run_for(1min);
  }
}

TEST(SimSenderChecks, OwnMailOfOneSenderWaitsAlone) {
  ChecksRig rig(
      "<domain *>\ncheck-spf-outbound yes\nmax-smtp-out 1\n</domain>\n"
      "smtp-source-host 10.255.0.1 v1.node.sim\n");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@never.sim"), "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "joe@out.sim"), "250");
  rig.scenario.world.run_for(6s);
  EXPECT_EQ(rig.rows_of("m2", "d").size(), 1u) << "behind the other on the same connection";
  EXPECT_EQ(rig.scenario.queued(), 1u);
  rig.scenario.ask({"delete", "--queue=*/*"});
}

TEST(SimSenderChecks, MailboxesOfOneDomainMayDiffer) {
  ChecksRig rig(R"(
smtp-source-host 10.255.0.1 v1.node.sim
<domain *>
    check-spf-outbound yes
</domain>
)");
  ASSERT_TRUE(rig.boot());
  EXPECT_EQ(rig.send("m1", {"u@a.test"}, {}, "joe@mine.sim"), "250");
  EXPECT_EQ(rig.send("m2", {"u@a.test"}, {}, "jim@mine.sim"), "250");
  rig.scenario.world.run_for(5s);
  EXPECT_EQ(rig.send("m3", {"u@a.test"}, {}, "joe@mine.sim"), "250") << "known by now";
  EXPECT_EQ(rig.send("m4", {"u@a.test"}, {}, "jim@mine.sim"), "250");
  EXPECT_EQ(rig.send("m5", {"u@a.test"}, {}, "<joe@mine.sim> VERP"), "250");
  EXPECT_EQ(rig.send("m6", {"v@a.test"}, {}, "<joe@mine.sim> VERP"), "250");
  rig.settle();
  for (const char* id : {"m1", "m3", "m5"}) EXPECT_EQ(rig.rows_of(id, "d").size(), 1u) << id;
  for (const char* id : {"m2", "m4", "m6"}) EXPECT_EQ(rig.rows_of(id, "b").size(), 1u) << id;
  EXPECT_EQ(rig.rows_of("m2", "b")["u@a.test"]["dsnDiag"],
            "smtp;check-spf-outbound: SPF fail for 10.255.0.1 sending as jim@mine.sim, matched -all");
}

TEST(SimSenderChecks, TheCommand) {
  ChecksRig rig("");
  ASSERT_TRUE(rig.boot());
  const auto ask = [&](std::vector<std::string> words) { return rig.scenario.ask(words); };
  EXPECT_EQ(ask({"check", "spf", "10.255.0.2", "injector.sim", "joe@pass.sim"}),
            "SPF of joe@pass.sim for 10.255.0.2, HELO injector.sim\nresult = pass\nmatched = ip4:10.255.0.2\n"
            "look-ups = 1\n");
  const std::string fail = ask({"check", "spf", "10.9.9.9", "h.sim", "fail.sim", "--tcp", "--dumppackets"});
  EXPECT_NE(fail.find("SPF of postmaster@fail.sim"), std::string::npos) << fail;
  EXPECT_NE(fail.find("  TXT fail.sim: \"v=spf1 -all exp=why.fail.sim\"\n"), std::string::npos) << fail;
  EXPECT_NE(fail.find("--tcp: "), std::string::npos) << fail;
  EXPECT_NE(fail.find("result = fail\nmatched = -all\nexplanation = 10.9.9.9 is no mail host of fail.sim\n"),
            std::string::npos)
      << fail;
  EXPECT_NE(ask({"check", "spf", "10.255.0.2", "injector.sim"}).find("result = pass\nmatched = a\n"),
            std::string::npos);
  EXPECT_EQ(ask({"check", "spf", "nowhere", "h.sim"}), "check spf: IP is an IP address, not \"nowhere\"\n");
  EXPECT_NE(ask({"check", "spf"}).find("usage: "), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
