// Goal: load, sink and audit agree over real sockets: in every mode, with every kind of misbehaviour, nothing
//       is lost and every copy has its cause.
// How: sink and load run on one ring in this process, on ports the system chooses; their ledgers go to the audit.
#include <gtest/gtest.h>

#include "bench/audit/audit.h"
#include "bench/load/load_shard.h"
#include "bench/provider/provider_file.h"
#include "bench/sink/sink_shard.h"
#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::bench {
namespace {

using runtime::Task;
using runtime::UringReactor;

/// A ledger that outlives the shard that writes it.
class Borrowed final : public LedgerLog {
 public:
  explicit Borrowed(MemoryLedger& to) : to_(to) {}
  void append(std::string_view text) override { to_.append(text); }

 private:
  MemoryLedger& to_;
};

struct Exercise {
  LoadPlan plan;
  std::string_view provider = "";
  LoadCounters load;
  MemoryLedger injected{true};
  MemoryLedger received{true};
  std::optional<SinkShared> shared;
};

Task<void> carry_out(UringReactor& reactor, Exercise& run) {
  SinkShard sink(reactor, *run.shared, std::make_unique<Borrowed>(run.received), -1);
  auto listens = listens_of(run.shared->internet);
  const auto opened = sink.open(*listens);
  EXPECT_TRUE(opened) << opened.error();
  run.plan.targets = {listens->front().at};
  LoadShard load(reactor, run.plan, 1, std::make_unique<Borrowed>(run.injected), run.load);
  co_await load.run();
  co_await sink.stop();
  co_await yield(reactor);
  reactor.stop();
}

void execute(Exercise& run) {
  auto internet = parse_provider_file("port 0\nprovider p\n domain d[0-9].example\n address 127.0.0.1\n" +
                                      std::string(run.provider) + "\nend\n");
  ASSERT_TRUE(internet) << internet.error();
  run.shared.emplace(*std::move(internet), 1);
  auto reactor = UringReactor::create(ShardId(0), runtime::UringOptions::small());
  ASSERT_TRUE(reactor) << UringReactor::explain(reactor.error());
  run.shared->start = (*reactor)->now();
  run.plan.run = "t";
  run.plan.domains = {{*NameRange::parse("d[0-9].example"), 1}};
  runtime::TaskGroup group;
  group.spawn(carry_out(**reactor, run));
  (*reactor)->run();
}

AuditFigures audit_of(const Exercise& run, std::vector<Finding>& findings) {
  Audit audit(AuditOptions{});
  for (const std::string_view line : split(run.injected.text(), '\n')) {
    if (!line.empty()) audit.take_injected(line);
  }
  for (const std::string_view line : split(run.received.text(), '\n')) {
    if (!line.empty()) audit.take_received(line, 0);
  }
  audit.finish();
  findings = audit.findings();
  return audit.figures();
}

TEST(Loopback, EveryModeArrivesWhole) {
  for (const InjectMode mode : {InjectMode::Lockstep, InjectMode::Pipelined, InjectMode::Chunked}) {
    Exercise run;
    run.plan.mode = mode;
    run.plan.messages = 300;
    run.plan.connections = 7;
    run.plan.sizes = *parse_sizes("600..60k");
    run.plan.recipients_low = 1;
    run.plan.recipients_high = 4;
    execute(run);
    std::vector<Finding> findings;
    const AuditFigures figures = audit_of(run, findings);
    EXPECT_EQ(run.load.accepted.value(), 300U);
    EXPECT_EQ(figures.delivered, run.load.recipients.value());
    EXPECT_EQ(figures.violations_in_all(), 0U) << (findings.empty() ? "" : findings[0].detail);
    EXPECT_EQ(figures.duplicates, 0U);
  }
}

TEST(Loopback, BadProviders) {
  for (const std::string_view provider :
       {"at dot 10% reply \"451 4.3.0 later\"", "unknown-users 20%", "at rcpt 5% reply \"550 no\"",
        "at mail 5% reply-and-close \"421 bye\"", "at dot 3% drop", "at dot 3% accept-and-drop",
        "at body 2% after 100 reset", "at data 2% drop", "messages-per-connection 10", "bytewise",
        "at mail 20% delay 1ms..3ms", "receive-buffer 4k", "connections 3"}) {
    for (const InjectMode mode : {InjectMode::Pipelined, InjectMode::Chunked}) {
      SCOPED_TRACE(provider);
      Exercise run;
      run.provider = provider;
      run.plan.mode = mode;
      run.plan.messages = 200;
      run.plan.connections = 5;
      run.plan.reconnect = 1h;
      run.plan.sizes = *parse_sizes("2k");
      execute(run);
      std::vector<Finding> findings;
      const AuditFigures figures = audit_of(run, findings);
      EXPECT_EQ(figures.violations_in_all(), 0U)
          << (findings.empty() ? std::string()
                               : std::string(name_of(findings[0].violation)) + findings[0].message);
      EXPECT_GT(figures.accepted, 0U);
      EXPECT_EQ(run.load.started.value(), 200U);
      EXPECT_EQ(run.load.accepted.value() + run.load.refused.value() + run.load.unknown.value() +
                    run.load.unsent.value(),
                200U);
    }
  }
}

TEST(Loopback, OpenLoopKeepsItsRate) {
  Exercise run;
  run.plan.rates = *parse_rate_steps("2000/s:100ms");
  run.plan.connections = 5;
  run.plan.sizes = *parse_sizes("1k");
  execute(run);
  EXPECT_EQ(run.load.accepted.value(), 200U);
}

}  // namespace
}  // namespace sluice::bench
