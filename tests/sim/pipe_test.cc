// Goal: queues of the type pipe deliver within the same limits as SMTP queues, have the accounting rows they
//       should have, and retry what failed.
// How:  a whole node in the simulated world, whose programs the tests write and look at.
#include <gtest/gtest.h>

#include <charconv>

#include "tests/sim/queue_type_run.h"

namespace sluice::test {
namespace {

/// A program that looks at its arguments: "deliver CODE USER" exits with the number USER begins with.
struct Programs {
  std::size_t running = 0;
  std::size_t top = 0;
  std::vector<MonoTime> started;
  std::vector<std::vector<std::string>> arguments;
  std::vector<std::string> inputs;
  Duration takes = 50ms;
};

runtime::Task<int> deliver(Programs& programs, runtime::Reactor& reactor, runtime::sim::ProgramSide side) {
  programs.started.push_back(reactor.now());
  programs.top = std::max(programs.top, ++programs.running);
  programs.arguments.push_back(side.arguments);
  std::string text;
  for (;;) {
    const auto got = co_await side.input.receive();
    if (!got || got->bytes().empty()) break;
    text.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
  programs.inputs.push_back(text);
  co_await runtime::sleep_for(reactor, programs.takes);
  int code = 0;
  const std::string& user = side.arguments.back();
  std::from_chars(user.data(), user.data() + user.size(), code);
  if (code != 0) (void)co_await side.output.send("complaint\r\nnumber " + side.arguments.back() + "\n");
  --programs.running;
  co_return code;
}

struct PipeRun : QueueTypeRun {
  explicit PipeRun(const std::string& settings)
      : QueueTypeRun("<domain p.test>\n type pipe\n command \"/bin/deliver --to=\"\"$to\"\" $user\"\n" +
                     settings + "</domain>\n") {
    scenario.world.machine().programs["/bin/deliver"] = [this](runtime::Reactor& reactor,
                                                               runtime::sim::ProgramSide side) {
      return deliver(programs, reactor, std::move(side));
    };
  }
  Programs programs;
};

TEST(Pipe, ExitCodesAreOutcomes) {
  PipeRun run("");
  ASSERT_TRUE(run.inject_all(
      QueueTypeRun::mails_to({"0+tag@p.test", "75@p.test", "67@p.test", "1@p.test", "-x@p.test"})));
  run.scenario.world.run_for(10s);
  const auto delivered = run.rows("d");
  ASSERT_EQ(delivered.size(), 1u);
  Row row = delivered[0];
  EXPECT_EQ(row["rcpt"], "0+tag@p.test");
  EXPECT_EQ(row["dlvType"], "pipe");
  EXPECT_EQ(row["dsnAction"], "delivered");
  EXPECT_EQ(row["dsnDiag"], "x-unix;exit status 0 (EX_OK)");
  std::map<std::string, Row> bounced;
  for (const Row& one : run.rows("b")) bounced[one.at("rcpt")] = one;
  ASSERT_EQ(bounced.size(), 2u);
  EXPECT_EQ(bounced["67@p.test"]["dsnStatus"], "5.1.1 (bad destination mailbox address)");
  EXPECT_EQ(bounced["67@p.test"]["dsnDiag"], "x-unix;exit status 67 (EX_NOUSER): complaint number 67");
  EXPECT_EQ(bounced["-x@p.test"]["dsnStatus"].substr(0, 5), "5.1.3");
  std::map<std::string, Row> delayed;
  for (const Row& one : run.rows("t")) delayed[one.at("rcpt")] = one;
  ASSERT_EQ(delayed.size(), 2u);
  EXPECT_EQ(delayed["75@p.test"]["dsnDiag"], "x-unix;exit status 75 (EX_TEMPFAIL): complaint number 75");
  EXPECT_EQ(delayed["1@p.test"]["dsnStatus"].substr(0, 5), "4.3.0");
  EXPECT_EQ(run.scenario.queued(), 2u);
  EXPECT_EQ(run.programs.arguments.at(0),
            (std::vector<std::string>{"/bin/deliver", "--to=0+tag@p.test", "0"}));
  EXPECT_TRUE(run.programs.inputs.at(0).starts_with("Return-Path: <sender@sim.test>\nReceived: "));
  EXPECT_EQ(run.programs.inputs.at(0).find('\r'), std::string::npos);
  const std::size_t runs = run.programs.started.size();
  run.scenario.world.run_for(60s);  // retry-recipients-after 30s
  EXPECT_GT(run.programs.started.size(), runs);
  run.close();
}

TEST(Pipe, NeverMoreThanMaxSmtpOut) {
  PipeRun run(" max-smtp-out 3\n");
  std::vector<std::string> recipients(40, "0@p.test");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(recipients)));
  ASSERT_TRUE(run.scenario.drain(10min));
  EXPECT_EQ(run.programs.top, 3u);
  EXPECT_EQ(run.programs.started.size(), 40u);
  run.close();
}

TEST(Pipe, KeepsTheMessageRate) {
  PipeRun run(" max-smtp-out 10\n max-msg-rate 2/s\n");
  std::vector<std::string> recipients(30, "0@p.test");
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to(recipients)));
  ASSERT_TRUE(run.scenario.drain(10min));
  const auto& seen = run.programs.started;
  ASSERT_EQ(seen.size(), 30u);
  for (std::size_t i = 2; i < seen.size(); ++i) ASSERT_GE(seen[i] - seen[i - 2], 990ms) << i;
  EXPECT_LE(seen.back() - seen.front(), 15s);
  run.close();
}

TEST(Pipe, AProgramThatHangsIsEndedAndTriedAgain) {
  PipeRun run(" smtp-data-termination-timeout 30s\n");
  run.programs.takes = 10min;
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"0@p.test"})));
  run.scenario.world.run_for(40s);
  auto delayed = run.rows("t");
  ASSERT_EQ(delayed.size(), 1u);
  EXPECT_EQ(delayed[0]["dsnDiag"], "x-unix;command ended after its time was over");
  run.programs.takes = 0s;
  run.scenario.world.run_for(2min);
  EXPECT_EQ(run.rows("d").size(), 1u);
  run.scenario.world.run_for(20min);
  run.close();
}

TEST(Pipe, WithoutItsProgramMailWaits) {
  PipeRun run(" retry-after 10s\n");
  auto deliver_program = std::exchange(run.scenario.world.machine().programs["/bin/deliver"], {});
  run.scenario.world.machine().programs.clear();
  ASSERT_TRUE(run.inject_all(QueueTypeRun::mails_to({"0@p.test"})));
  auto failures = run.rows("tq");
  ASSERT_GE(failures.size(), 1u);
  EXPECT_EQ(failures[0]["dsnDiag"].find("start program: not found"), 0u) << failures[0]["dsnDiag"];
  EXPECT_EQ(failures[0]["dsnStatus"].substr(0, 5), "4.3.5");
  run.scenario.world.machine().programs["/bin/deliver"] = deliver_program;
  run.scenario.world.run_for(30s);
  EXPECT_EQ(run.rows("d").size(), 1u);
  run.close();
}

}  // namespace
}  // namespace sluice::test
