#pragma once
// What the whole-node tests share: a node with its providers, its injectors and the checks of its promises.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/acct_rows.h"
#include "tests/sim/injector.h"
#include "tests/sim/receiver.h"
#include "tests/sim/sim_node.h"
#include "tests/support/sim_test.h"

namespace sluice::test {

using runtime::sim::Crash;

inline constexpr const char* kConfig = R"(
host-name node.sim
postmaster ops@node.sim
log-file /var/log/sluice.log
run-dir /run/sluice
smtp-listener 10.255.0.1:2525
total-max-smtp-in 1000
<source 0/0>
    always-allow-relaying yes
    process-x-virtual-mta yes
    suppress-local-dsn yes
</source>
<spool /var/spool/sluice>
</spool>
<virtual-mta v1>
    smtp-source-host 10.255.0.1 v1.node.sim
</virtual-mta>
<virtual-mta v2>
    smtp-source-host 10.255.0.3 v2.node.sim
</virtual-mta>
<domain *>
    default-smtp-port 2500
    max-smtp-out 4
    retry-after 20s
    retry-recipients-after 30s
    connect-timeout 10s
    smtp-greeting-timeout 20s
    smtp-data-termination-timeout 30s
    smtp-multiple-line-response-timeout 20s
    data-send-timeout 20s
    bounce-after 12h
</domain>
<acct-file /var/log/acct.csv>
    records d,b
    record-fields d timeLogged,orig,rcpt,dsnAction,dsnStatus,dsnDiag,queue,header_Message-ID
    record-fields b timeLogged,orig,rcpt,dsnAction,dsnStatus,dsnDiag,queue,header_Message-ID
</acct-file>
)";

/// Two data shards and a control shard on one machine; providers a.test, b.test, c.test on another.
/// Reactor 0 of `peers` is the injectors', reactor 1 the mail hosts'.
struct Scenario {
  static Endpoint listener() { return *Endpoint::parse("10.255.0.1:2525"); }

  /// `extra`: lines added to the configuration.
  explicit Scenario(std::uint64_t seed, const std::string& extra = {})
      : world(seed, {.machine = {.reactors = 3, .addresses = {*Cidr::parse("10.255.0.0/24")}}}),
        peers(world.add_machine({.reactors = 2, .address_v4 = IpAddress::from_v4({10, 255, 0, 2})})) {
    files.files["/etc/config"] = kConfig + extra;
    world.disk().put("/var/log/.made", "");  // the folder exists, as on any host
  }

  ~Scenario() {
    // After a failure things may still wait in there: they are kept instead of destroyed.
    if (node) world.machine().bury(std::move(node));
    for (auto& one : receivers) {
      if (!one->idle()) peers.bury(std::move(one));
    }
  }

  static void zone(resolver::TableTransport& dns) {
    for (const std::string provider : {"a", "b", "c"}) {
      dns.add_mx(provider + ".test", 10, "mx." + provider + ".test");
    }
    dns.add_a("mx.a.test", "10.1.0.1");
    dns.add_a("mx.b.test", "10.1.0.2");
    dns.add_a("mx.c.test", "10.1.0.3");
  }

  /// False when start-up failed; the reason is a test failure.
  bool boot() {
    node = std::make_unique<SimNode>(
        world.machine(), files,
        [extra = extra_zone](resolver::TableTransport& dns) {
          zone(dns);
          if (extra) extra(dns);
        },
        storage);
    const auto started = finish(world, node->start(), 10min);
    if (!started || !*started) {
      ADD_FAILURE() << "seed " << world.seed() << ": " << (started ? started->error() : "start hangs");
      return false;
    }
    return true;
  }
  void crash(Crash how) {
    world.machine().crash(how);
    world.machine().bury(std::move(node));
    world.machine().boot();
  }
  void open_receivers(const Mood& mood) {
    for (std::uint8_t i = 1; i <= 3; ++i) {
      receivers.push_back(std::make_unique<Receiver>(
          world, peers.reactor(1), Endpoint{IpAddress::from_v4({10, 1, 0, i}), 2500}, mood, ledger));
    }
  }
  std::vector<Mail> mails(std::size_t count, const std::string& prefix) {
    std::vector<Mail> out;
    for (std::size_t i = 0; i < count; ++i) {
      Mail mail{.id = prefix + std::to_string(i),
                .recipients = {},
                .vmta = i % 3 == 0   ? "v1"
                        : i % 3 == 1 ? "v2"
                                     : ""};
      const std::size_t recipients = 1 + world.random().below(3);
      for (std::size_t r = 0; r < recipients; ++r) {
        mail.recipients.push_back("user" + std::to_string(world.random().below(1000)) + '-' +
                                  std::to_string(r) + '@' +
                                  std::string(1, static_cast<char>('a' + world.random().below(3))) + ".test");
      }
      mail.body_bytes = 200 + world.random().below(20'000);
      out.push_back(std::move(mail));
    }
    return out;
  }
  /// Hands `mails` in; every one of them has to be taken.
  void take_in(std::vector<Mail> mails, Injected& injected) {
    ASSERT_TRUE(finish(world, inject(peers.reactor(0), listener(), std::move(mails), injected), 1h));
    ASSERT_TRUE(injected.refusals.empty()) << injected.refusals.front();
  }
  std::string ask(const std::vector<std::string>& words) {
    const auto answer = finish(world, node->node().execute(*control::Command::of(words)), 1min);
    return answer ? answer->text : "no answer";
  }
  void reload(const std::string& extra) {
    files.files["/etc/config"] = kConfig + extra;
    const auto answer = finish(world, node->node().reload(), 1min);
    ASSERT_TRUE(answer && answer->ok) << answer->text;
  }
  std::uint64_t queued() {
    const auto status = finish(world, node->node().total_status(), 1min);
    return status ? status->queued_recipients : ~std::uint64_t{0};
  }
  /// Until every queue is empty.
  bool drain(Duration at_most) {
    const MonoTime end = world.now() + at_most;
    while (world.now() < end) {
      world.run_for(20s);
      if (queued() == 0) return true;
    }
    return false;
  }
  void close() {
    for (auto& one : receivers) one->stop();
    // What gave up is kept instead of destroyed, as by a process that ends at once.
    if (finish(world, node->stop(), 5min) && node->node().gave_up().empty()) node.reset();
    world.run_until(
        [this] { return std::ranges::all_of(receivers, [](const auto& one) { return one->idle(); }); }, 5min);
  }

  /// "message-id rcpt" -> final records, from every accounting file.
  std::map<std::string, int> finals() {
    std::map<std::string, int> out;
    for (const std::string& path : world.disk().files_below("/var/log")) {
      if (path.find("/acct-") == std::string::npos || !path.ends_with(".csv")) continue;
      const std::string text = world.disk().content(path);
      EXPECT_TRUE(text.empty() || text.ends_with("\r\n")) << "cut line in " << path;
    }
    for (Row& row : acct_rows(world.disk(), "acct")) ++out[row["header_Message-ID"] + ' ' + row["rcpt"]];
    return out;
  }
  void check_promises(const Injected& injected, bool crashed) {
    const auto finals_of = finals();
    for (const Mail& mail : injected.accepted) {
      for (const std::string& recipient : mail.recipients) {
        const std::string key = '<' + mail.id + "@sim> " + recipient;
        const auto times = finals_of.find(key);
        EXPECT_EQ(times == finals_of.end() ? 0 : times->second, 1) << "final records of " << key;
        const auto delivered = ledger.delivered.find(key);
        const int count = delivered == ledger.delivered.end() ? 0 : delivered->second;
        if (ledger.refused.contains(recipient)) {
          EXPECT_EQ(count, 0) << key;
        } else {
          EXPECT_GE(count, 1) << "lost: " << key;
        }
        const auto lost = ledger.lost_replies.find(key);
        const int excused = lost == ledger.lost_replies.end() ? 0 : lost->second;
        if (!crashed) EXPECT_LE(count, 1 + excused) << "delivered twice without a reason: " << key;
      }
    }
    EXPECT_TRUE(ledger.corrupt.empty()) << ledger.corrupt.front();
    for (const Mail& mail : injected.accepted) {
      const auto body = ledger.bodies.find('<' + mail.id + "@sim>");
      if (body == ledger.bodies.end()) continue;
      Mail stripped = mail;
      stripped.vmta.clear();  // the control header does not travel
      std::string expected = text_of(mail);
      if (!mail.vmta.empty()) {
        const std::string header = "X-Virtual-MTA: " + mail.vmta + "\r\n";
        expected.erase(expected.find(header), header.size());
      }
      expected = unstuffed(expected);
      EXPECT_TRUE(body->second.ends_with(expected)) << mail.id << "\n" << body->second.substr(0, 400);
      EXPECT_TRUE(body->second.starts_with("Received: ")) << mail.id;
    }
  }

  /// Without the dots that the wire doubles.
  static std::string unstuffed(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = text.find("\r\n.."); at != std::string_view::npos; at = text.find("\r\n..")) {
      out += text.substr(0, at + 3);
      text.remove_prefix(at + 4);
    }
    return out += text;
  }

  journal::StorageOptions storage = SimNode::small_storage();  ///< set before boot()
  SimNode::Zone extra_zone;  ///< more names, set before boot()
  MapFileSource files;
  runtime::sim::World world;
  runtime::sim::Machine& peers;
  Ledger ledger;
  std::vector<std::unique_ptr<Receiver>> receivers;
  std::unique_ptr<SimNode> node;
};

}  // namespace sluice::test
