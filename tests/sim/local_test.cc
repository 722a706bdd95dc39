// Goal: queues of the types discard, file and http-delivery deliver within the same limits as SMTP queues,
//       have the accounting rows they should have, retry what failed, and lose nothing over a crash.
// How:  a whole node in the simulated world, whose disk and HTTP hosts the tests can look at. Pipes:
// pipe_test.cc.
#include <gtest/gtest.h>

#include <set>

#include "engine/runtime/file.h"
#include "tests/sim/http_host.h"
#include "tests/sim/queue_type_run.h"

namespace sluice::test {
namespace {

std::string numbered(std::size_t i, const std::string& domain) {
  return "u" + std::to_string(i) + '@' + domain;
}

std::vector<std::string> many(std::size_t count, const std::string& domain) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(numbered(i, domain));
  return out;
}

TEST(Discard, DeliversOrBounces) {
  QueueTypeRun run(
      "<domain d.test>\n type discard\n</domain>\n<domain b.test>\n type discard\n discard-as-bounce "
      "yes\n</domain>\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"x@d.test", "y@b.test"})));
  const auto delivered = run.rows("d");
  ASSERT_EQ(delivered.size(), 1u);
  Row row = delivered[0];
  EXPECT_EQ(row["rcpt"], "x@d.test");
  EXPECT_EQ(row["dsnAction"], "delivered");
  EXPECT_EQ(row["dsnStatus"], "2.0.0 (success)");
  EXPECT_EQ(row["dlvType"], "discard");
  EXPECT_EQ(row["queue"], "d.test/v1");
  const auto bounced = run.rows("b");
  ASSERT_EQ(bounced.size(), 1u);
  row = bounced[0];
  EXPECT_EQ(row["rcpt"], "y@b.test");
  EXPECT_EQ(row["dsnDiag"], "x-pmta;discarded");
  EXPECT_EQ(row["dlvType"], "discard");
  run.close();
}

TEST(Discard, KeepsTheMessageRate) {
  QueueTypeRun run("<domain d.test>\n type discard\n max-msg-rate 10/s\n</domain>\n");
  ASSERT_TRUE(run.inject_all({{.id = "one", .recipients = many(100, "d.test"), .vmta = "v1"}}));
  const MonoTime begin = run.scenario.world.now();
  run.scenario.world.run_for(5s);
  const std::uint64_t left = run.scenario.queued();
  EXPECT_GE(left, 39u);  // 10/s: at most 61 of the 100 are gone after 5 to 6 seconds
  EXPECT_LE(left, 60u);
  ASSERT_TRUE(run.scenario.drain(1min));
  EXPECT_LE(run.scenario.world.now() - begin, 45s);
  EXPECT_EQ(run.rows("d").size(), 100u);
  run.close();
}

TEST(Discard, KeepsTheVolumeRate) {
  QueueTypeRun run("<domain d.test>\n type discard\n max-data-volume-rate 60k/m\n</domain>\n");
  std::vector<Mail> mails = QueueTypeRun::mails_to(many(30, "d.test"));
  for (Mail& mail : mails) mail.body_bytes = 10'000;
  ASSERT_TRUE(run.inject_all(mails));
  run.scenario.world.run_for(50s);
  EXPECT_GE(run.scenario.queued(), 24u);  // five or six in a minute
  EXPECT_LE(run.scenario.queued(), 26u);
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.rows("d").size(), 30u);
  run.close();
}

TEST(Discard, IsNoneOfTheVirtualMtasBusiness) {
  // Neither its rates of SMTP nor its sources have a part in what does not leave the host.
  QueueTypeRun run(
      "<virtual-mta v3>\n smtp-source-host 10.255.0.4 v3.sim\n max-smtp-msg-rate 1/m\n</virtual-mta>\n"
      "<domain d.test>\n type discard\n</domain>\n");
  std::vector<Mail> mails = QueueTypeRun::mails_to(many(20, "d.test"));
  for (Mail& mail : mails) mail.vmta = "v3";
  ASSERT_TRUE(run.inject_all(mails));
  EXPECT_EQ(run.rows("d").size(), 20u);
  const std::string answer = run.command({"disable", "source", "10.255.0.4", "d.test/v3"});
  EXPECT_NE(answer.find("Source disabled."), std::string::npos) << answer;
  ASSERT_TRUE(run.inject_all(mails));
  EXPECT_EQ(run.rows("d").size(), 40u);
  run.close();
}

constexpr const char* kFile =
    "<domain f.test>\n type file\n file-destination /mail/in\n retry-after 10s\n</domain>\n";

TEST(File, NewFiles) {
  QueueTypeRun run(std::string(kFile) +
                   "<domain p.test>\n type file\n file-format newfile-pickup\n file-destination "
                   "/mail/$domain\n</domain>\n");
  auto& disk = run.scenario.world.disk();
  disk.put("/mail/in/.made", "");
  disk.put("/mail/p.test/.made", "");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"x@f.test", "Y@p.test"})));
  EXPECT_EQ(run.rows("d").size(), 2u);
  const auto plain = disk.files_below("/mail/in");
  ASSERT_EQ(plain.size(), 2u);  // and .made
  EXPECT_TRUE(plain[1].ends_with(".msg")) << plain[1];
  const std::string text = disk.content(plain[1]);
  EXPECT_TRUE(text.starts_with("Return-Path: <sender@sim.test>\nReceived: ")) << text;
  EXPECT_NE(text.find("\nMessage-ID: <m0@sim>\n\nline 1 of m0"), std::string::npos) << text;
  EXPECT_NE(text.find("\n.line 7 of m0"), std::string::npos) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
  const auto pickup = disk.files_below("/mail/p.test");
  ASSERT_EQ(pickup.size(), 2u);
  EXPECT_TRUE(
      disk.content(pickup[1]).starts_with("x-sender: sender@sim.test\nx-receiver: Y@p.test\nReceived: "));
  Row row = run.rows("d")[0];
  EXPECT_EQ(row["dlvType"], "file");
  EXPECT_EQ(row["dsnDiag"], "x-unix;stored in /mail/in");
  run.close();
}

TEST(File, AHostileAddressStaysInItsFolder) {
  QueueTypeRun run(
      "<domain f.test>\n type file\n file-format append-mbox\n file-destination "
      "/mail/box/$user\n</domain>\n");
  run.scenario.world.disk().put("/mail/box/.made", "");
  ASSERT_TRUE(run.inject_all(
      QueueTypeRun::mails_to({"\"../../etc/passwd\"@f.test", "\"/.made\"@f.test", "joe+x@f.test"})));
  EXPECT_EQ(run.rows("d").size(), 3u);
  EXPECT_EQ(run.scenario.world.disk().files_below("/mail"),
            (std::vector<std::string>{"/mail/box/\".._.._etc_passwd\"", "/mail/box/.made", "/mail/box/_.made",
                                      "/mail/box/joe"}));
  EXPECT_EQ(run.scenario.world.disk().content("/mail/box/.made"), "");
  run.close();
}

TEST(File, ManyWritersOneMbox) {
  QueueTypeRun run(
      "<domain f.test>\n type file\n file-format append-mbox\n file-destination /mail/all\n</domain>\n");
  run.scenario.world.disk().put("/mail/all", "From x\n\ncut off by a crash");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(60, "f.test"))));
  ASSERT_TRUE(run.scenario.drain(10min));
  const std::string text = run.scenario.world.disk().content("/mail/all");
  EXPECT_TRUE(text.starts_with("From x\n\ncut off by a crash\n\nFrom sender@sim.test Mon Jan  5 00:"))
      << text.substr(0, 100);
  std::size_t entries = 0;
  std::set<std::string> ids;
  for (std::size_t at = 0; (at = text.find("\n\nFrom sender@sim.test ", at)) != std::string::npos; ++at) {
    ++entries;
    const std::size_t id = text.find("Message-ID: ", at);
    ids.insert(text.substr(id, text.find('\n', id) - id));
  }
  EXPECT_EQ(entries, 60u);
  EXPECT_EQ(ids.size(), 60u);
  EXPECT_TRUE(text.ends_with("\n\n"));
  run.close();
}

runtime::Task<void> hold_lock(runtime::Reactor& reactor, std::string path, Duration time) {
  const runtime::OpenOptions options{.create = true};
  const Result<runtime::File> file = co_await runtime::File::open(reactor, std::move(path), options);
  EXPECT_TRUE(file.has_value());
  if (!file) co_return;
  const auto locked = reactor.try_lock(file->fd());
  EXPECT_TRUE(locked && *locked);
  co_await runtime::sleep_for(reactor, time);
}

TEST(File, OfTotalMaxFileEverybodyGetsATurn) {
  // The deliveries to one box wait for its lock. With two units they leave room for another queue's, with one
  // the other queue's turn comes when the first of them gives up.
  for (const bool two : {true, false}) {
    SCOPED_TRACE(two);
    QueueTypeRun run(std::string(two ? "total-max-file 2\n" : "total-max-file 1\n") +
                     "<domain b.test>\n type file\n file-format append-mbox\n file-destination /mail/box\n"
                     " max-smtp-out 1\n retry-after 1s\n</domain>\n" +
                     kFile);
    auto& disk = run.scenario.world.disk();
    disk.put("/mail/in/.made", "");
    ASSERT_TRUE(run.scenario.boot());
    bool over = false;
    start(hold_lock(run.scenario.world.machine().reactor(2), "/mail/box", 2min), over);
    run.scenario.world.run_for(1s);
    ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(3, "b.test"))));
    ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(30, "f.test"))));
    run.scenario.world.run_for(2s);
    EXPECT_EQ(disk.files_below("/mail/in").size(), two ? 31u : 1u);
    run.scenario.world.run_for(15s);
    EXPECT_EQ(disk.files_below("/mail/in").size(), 31u);
    EXPECT_EQ(run.rows("d").size(), 30u);
    ASSERT_TRUE(run.scenario.drain(10min));
    EXPECT_EQ(run.rows("d").size(), 33u);
    run.scenario.world.run_until([&over] { return over; }, 10min);
    run.close();
  }
}

TEST(File, TroubleWithTheFolderIsTheQueues) {
  QueueTypeRun run(kFile);
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(5, "f.test"))));
  auto failures = run.rows("tq");
  ASSERT_GE(failures.size(), 1u);
  EXPECT_LE(failures.size(), 2u);  // not one for every worker
  EXPECT_EQ(failures[0]["dsnStatus"], "4.3.5 (system incorrectly configured)");
  EXPECT_EQ(failures[0]["dsnDiag"].find("x-unix;open: not found"), 0u) << failures[0]["dsnDiag"];
  EXPECT_EQ(failures[0]["dlvType"], "file");
  run.scenario.world.disk().put("/mail/in/.made", "");
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.rows("d").size(), 5u);
  EXPECT_EQ(run.scenario.world.disk().files_below("/mail/in").size(), 6u);
  run.close();
}

TEST(File, WhatIsRecordedIsThereAfterAPowerCut) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    QueueTypeRun run(
        std::string(kFile) +
            "<domain m.test>\n type file\n file-format append-mbox\n file-destination /mail/box\n</domain>\n",
        seed);
    auto& disk = run.scenario.world.disk();
    disk.put("/mail/in/.made", "");
    std::vector<std::string> recipients = many(40, "f.test");
    const auto more = many(40, "m.test");
    recipients.insert(recipients.end(), more.begin(), more.end());
    ASSERT_TRUE(run.scenario.boot());
    bool injected = false;
    start(inject(run.scenario.peers.reactor(0), Scenario::listener(), QueueTypeRun::mails_to(recipients),
                 run.injected),
          injected);
    run.scenario.world.run_until([&] { return injected || run.injected.accepted.size() > 10 * seed; }, 1h);
    run.scenario.world.run_for(std::chrono::milliseconds(run.scenario.world.random().below(20)));
    run.scenario.crash(Crash::PowerCut);
    ASSERT_TRUE(run.scenario.boot());
    run.scenario.world.run_until([&] { return injected; }, 1h);
    ASSERT_TRUE(run.scenario.drain(1h));
    std::set<std::string> accepted;
    for (const Mail& mail : run.injected.accepted) accepted.insert(mail.recipients[0]);
    std::map<std::string, int> finals;
    for (Row row : run.rows("d")) ++finals[row["rcpt"]];
    EXPECT_EQ(run.rows("b").size(), 0u);
    const auto files = disk.files_below("/mail/in");
    const std::string box = disk.content("/mail/box");
    for (const Mail& mail : run.injected.accepted) {
      EXPECT_EQ(finals[mail.recipients[0]], 1) << mail.recipients[0];
      const std::string line = "\nMessage-ID: <" + mail.id + "@sim>\n";
      if (mail.recipients[0].ends_with("m.test")) {
        EXPECT_NE(box.find(line), std::string::npos) << mail.id;
        continue;
      }
      const auto holds = [&](const std::string& path) {
        return disk.content(path).find(line) != std::string::npos;
      };
      // Exactly one: an attempt that is repeated writes the same name again.
      EXPECT_EQ(std::ranges::count_if(files, holds), 1) << mail.id;
    }
    run.close();
  }
}

// --- HTTP.

struct HttpRun : QueueTypeRun {
  explicit HttpRun(const std::string& settings)
      : QueueTypeRun(
            "<domain h.test>\n type http-delivery\n http-delivery-url http://hook.test:8080/in?k=1\n" +
            settings + "</domain>\n") {
    scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_a("hook.test", "10.1.0.9"); };
    host = std::make_unique<HttpHost>(scenario.peers.reactor(1), *Endpoint::parse("10.1.0.9:8080"));
  }
  void close() {
    scenario.close();
    host->stop();
    scenario.world.run_until([this] { return host->idle(); }, 10min);
    if (!host->idle()) scenario.peers.bury(std::move(host));
  }
  std::unique_ptr<HttpHost> host;
};

TEST(HttpDelivery, PostsOverFewConnections) {
  HttpRun run(" max-smtp-out 2\n http-delivery-extra-headers /etc/hook\n");
  run.scenario.world.disk().put("/etc/hook", "Authorization: Bearer k\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(50, "h.test"))));
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.host->bodies.size(), 50u);
  EXPECT_LE(run.host->connections, 6u);
  EXPECT_TRUE(run.host->heads[0].starts_with("POST /in?k=1 HTTP/1.1\r\nHost: hook.test:8080\r\n"))
      << run.host->heads[0];
  EXPECT_NE(run.host->heads[0].find("\r\nAuthorization: Bearer k"), std::string::npos);
  EXPECT_TRUE(run.host->bodies[0].starts_with("{\"msg_from\":\"sender@sim.test\",\"rcpt_to\":\"u"))
      << run.host->bodies[0];
  auto delivered = run.rows("d");
  ASSERT_EQ(delivered.size(), 50u);
  EXPECT_EQ(delivered[0]["dlvType"], "http-delivery");
  EXPECT_EQ(delivered[0]["dsnDiag"], "x-http;200 OK");
  EXPECT_EQ(delivered[0]["dsnMta"], "hook.test (10.1.0.9)");
  EXPECT_EQ(delivered[0]["dlvSourceIp"], "10.255.0.1");
  EXPECT_EQ(delivered[0]["dsnAction"], "relayed");
  run.close();
}

TEST(HttpDelivery, ConnectionsKeepTheirRate) {
  HttpRun run(" max-msg-per-connection 1\n max-connect-rate 2/s\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(30, "h.test"))));
  run.scenario.world.run_for(5s);
  EXPECT_GE(run.host->connections, 9u);
  EXPECT_LE(run.host->connections, 14u);
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.host->connections, 30u);
  EXPECT_EQ(run.rows("d").size(), 30u);
  run.close();
}

TEST(HttpDelivery, KeepsLimitsOfTheSourceAddress) {
  HttpRun run(" source-ip-max-smtp-out 10.255.0.1 1\n source-ip-max-msg-rate 10.255.0.0/24 4/s\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(40, "h.test"))));
  run.scenario.world.run_for(5s);
  EXPECT_EQ(run.host->connections, 1u);
  EXPECT_GE(run.host->bodies.size(), 19u);
  EXPECT_LE(run.host->bodies.size(), 26u);
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.host->bodies.size(), 40u);
  run.close();
}

TEST(HttpDelivery, EverythingBut2xxIsTemporary) {
  HttpRun run("");
  run.host->answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno hook\n";
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"x@h.test"})));
  run.scenario.world.run_for(5s);
  auto delayed = run.rows("t");
  ASSERT_EQ(delayed.size(), 1u);
  EXPECT_EQ(delayed[0]["dsnDiag"], "x-http;404 Not Found: no hook");
  EXPECT_EQ(delayed[0]["dsnStatus"].substr(0, 5), "4.0.0");
  run.host->answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
  run.scenario.world.run_for(2min);
  EXPECT_EQ(run.rows("d").size(), 1u);
  run.close();
}

TEST(HttpDelivery, LostConnectionsAndDeadHosts) {
  HttpRun run(" max-smtp-out 1\n connect-timeout 5s\n retry-after 20s\n");
  run.host->hang_up_after = 3;
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(9, "h.test"))));
  run.scenario.world.run_for(5s);
  auto delayed = run.rows("t");
  ASSERT_GE(delayed.size(), 1u);
  EXPECT_EQ(delayed[0]["dsnDiag"], "x-http;the connection ended before an answer, delivery unknown");
  run.host->hang_up_after = 0;
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.rows("d").size(), 9u);
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.9"), runtime::sim::HostState::Refusing);
  ASSERT_TRUE(run.inject_all({{.id = "late", .recipients = {"late@h.test"}, .vmta = "v1"}}));
  run.scenario.world.run_for(5s);
  auto failures = run.rows("tq");
  ASSERT_GE(failures.size(), 1u);
  EXPECT_EQ(failures.back()["dsnDiag"], "ECONNREFUSED connecting to hook.test (10.1.0.9)");
  run.scenario.world.network().set_host(*Cidr::parse("10.1.0.9"), runtime::sim::HostState::Up);
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.rows("d").size(), 10u);
  run.close();
}

TEST(HttpDelivery, HttpsWaits) {
  QueueTypeRun run(
      "<domain h.test>\n type http-delivery\n http-delivery-url https://hook.test/\n</domain>\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"x@h.test"})));
  auto failures = run.rows("tq");
  ASSERT_GE(failures.size(), 1u);
  EXPECT_EQ(failures[0]["dsnStatus"].substr(0, 5), "4.7.4");
  EXPECT_EQ(run.scenario.queued(), 1u);
  run.close();
}

// --- All of them.

TEST(QueueType, ChangesWithMailQueued) {
  QueueTypeRun run("<domain a.test>\n retry-after 10s\n</domain>\n");  // nobody answers there
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(many(20, "a.test"))));
  run.scenario.world.run_for(20s);
  EXPECT_EQ(run.scenario.queued(), 20u);
  std::string& config = run.scenario.files.files["/etc/config"];
  config += "<domain a.test>\n type discard\n</domain>\n";
  EXPECT_NE(run.command({"reload"}).find("Configuration reloaded."), std::string::npos);
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.scenario.queued(), 0u);
  EXPECT_EQ(run.rows("d").size(), 20u);
  run.close();
}

TEST(QueueType, ExpiresLikeSmtp) {
  QueueTypeRun run(
      "<domain f.test>\n type file\n file-destination /nowhere/at/all\n retry-after 10s\n bounce-after "
      "1m\n</domain>\n");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"x@f.test"})));
  run.scenario.world.run_for(90s);
  auto bounced = run.rows("b");
  ASSERT_EQ(bounced.size(), 1u);
  EXPECT_EQ(bounced[0]["bounceCat"], "message-expired");
  run.close();
}

}  // namespace
}  // namespace sluice::test
