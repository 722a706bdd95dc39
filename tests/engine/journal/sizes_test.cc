// Goal: messages of every size, up to the largest, in every order and from many clients at once, under production's own
//       limits: what was acknowledged reads back before and after a crash, no append waits while nothing is under way,
//       and a stop ends.
// How:  two orders that broke a spool in the field; then a seeded load on several shards that draws sizes over seven
//       decades while the disk is slow, cuts writes short, refuses or is full; a kill or power cut and a new start.
#include <cstdlib>
#include <random>

#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

// More when asked for: SLUICE_SIZES_SEEDS=200 engine_journal_sizes_test.
const int kSeeds = [] {
  const char* asked = std::getenv("SLUICE_SIZES_SEEDS");
  return asked == nullptr ? 6 : static_cast<int>(std::strtol(asked, nullptr, 10));
}();

constexpr std::size_t kLargest = 60 * kMiB;

StorageOptions production() {
  StorageOptions options;
  options.reader.pool_bytes = 2 * kMiB;
  options.reader.overflow_bytes = 0;
  return options;
}

// A body that is cheap to make and to compare, and no two of which are alike.
std::string body_of_size(std::size_t bytes, std::uint64_t number) {
  std::string body(bytes, static_cast<char>('a' + number % 26));
  const std::string name = std::to_string(number) + ' ';
  body.replace(0, std::min(bytes, name.size()), name, 0, std::min(bytes, name.size()));
  return body;
}

class SizesTest : public StorageRig {
 protected:
  struct Sent {
    std::size_t bytes = 0;
    std::uint64_t number = 0;
    std::size_t shard = 0;
    MessageId id;
    bool answered = false;
    bool accepted = false;
    spool::AppendStop stop;
  };

  SizesTest() : StorageRig(seed_of_test(), 2) { options = production(); }
  static std::uint64_t seed_of_test() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    return test->value_param() == nullptr ? 1 : std::strtoull(test->value_param(), nullptr, 10) + 1;
  }

  runtime::Task<void> send(std::size_t bytes, Duration after = {}, std::size_t at = 0) {
    Sent& one = *sent.emplace_back(std::make_unique<Sent>());
    one.bytes = bytes;
    one.number = sent.size();
    one.shard = at;
    return run(shard(at), world.reactor(at), one, after);
  }
  static runtime::Task<void> run(Storage& storage, runtime::Reactor& reactor, Sent& one, Duration after) {
    co_await runtime::sleep_for(reactor, after);
    spool::AppendStop& stop = one.stop;
    const std::string body = body_of_size(one.bytes, one.number);
    const spool::Recipient recipient{.address = "user@example.com", .queue = "example.com/v"};
    const std::span<const std::byte> part = bytes_of(body);
    spool::MessageDraft draft;
    draft.id = one.id = storage.spool.next_id();
    draft.received = reactor.wall_now();
    draft.recipients = std::span(&recipient, 1);
    draft.body = std::span(&part, 1);
    const auto answer = co_await storage.spool.append(draft, &stop);
    one.answered = true;
    one.accepted = answer.has_value();
  }
  // One client: a message of each size, the next one when the one before it has its answer.
  runtime::Task<void> send_in_turn(std::vector<std::size_t> sizes, std::size_t at = 0) {
    for (const std::size_t bytes : sizes) co_await send(bytes, {}, at);
  }
  [[nodiscard]] bool all_answered() const {
    return std::ranges::all_of(sent, [](const auto& one) { return one->answered; });
  }
  // Everything acknowledged is back and whole, after a crash and a new start.
  void check_after(runtime::sim::Crash how, std::uint32_t shards = 1) {
    crash(how);
    world.faults().clear();
    ASSERT_TRUE(boot(shards));
    for (const Damage& one : report().damage)
      ADD_FAILURE() << one.file << " at " << one.offset << ": " << one.why;
    for (const auto& one : sent) {
      if (!one->accepted) continue;
      const auto found = process->back.messages.find(one->id);
      ASSERT_NE(found, process->back.messages.end()) << "lost: message of " << one->bytes << " bytes";
      const auto body = body_of(*found->second);
      ASSERT_TRUE(body && *body == body_of_size(one->bytes, one->number))
          << "damaged: message of " << one->bytes << " bytes";
    }
  }

  std::vector<std::unique_ptr<Sent>> sent;
};

class RandomSizesTest : public SizesTest, public ::testing::WithParamInterface<int> {};

// Three connections end their messages within a few turns; then come many small ones.
TEST_F(SizesTest, SmallMailBehindLargeMailOfSeveralClientsIsKept) {
  ASSERT_TRUE(boot());
  test::start(send(40 * kMiB));
  test::start(send(500));
  test::start(send(30 * kMiB));
  world.run_for(1ms);
  for (int i = 0; i < 3000; ++i) test::start(send(200 + static_cast<std::size_t>(i) % 2000, 20us * i));
  EXPECT_EQ(world.run_until([this] { return all_answered(); }, 1min), runtime::sim::Ended::Reached);
  EXPECT_TRUE(std::ranges::all_of(sent, [](const auto& one) { return one->accepted; }));
  check_after(runtime::sim::Crash::Kill);
}

// One client, one message at a time.
TEST_F(SizesTest, LargeMailOneAfterTheOtherIsTaken) {
  ASSERT_TRUE(boot());
  test::start(send_in_turn({1, 40 * kMiB, 1, 40 * kMiB, 30 * kMiB, 100, kLargest, kLargest, 100}));
  EXPECT_EQ(world.run_until([this] { return sent.size() == 9 && all_answered(); }, 1min),
            runtime::sim::Ended::Reached);
  EXPECT_TRUE(std::ranges::all_of(sent, [](const auto& one) { return one->accepted; }));
  EXPECT_TRUE(stop());
}

// A client that has gone does not keep others waiting, nor its message's memory.
TEST_F(SizesTest, AnAppendThatNobodyWaitsForLeavesTheLine) {
  ASSERT_TRUE(boot());
  world.faults().add({.kind = runtime::OpKind::Write,
                      .path_contains = "/msg-",
                      .strike = runtime::sim::Strike::Delay,
                      .delay = 10s});
  test::start(send(40 * kMiB));
  test::start(send(30 * kMiB));
  test::start(send(500));
  world.run_for(1s);
  ASSERT_FALSE(sent[1]->answered);
  EXPECT_EQ(shard(0).spool.stats().appends_waiting, 2u);
  sent[0]->stop.stop();
  sent[1]->stop.stop();
  world.run_for(1ms);
  EXPECT_FALSE(sent[0]->answered) << "what is on its way to the disk is stored";
  EXPECT_TRUE(sent[1]->answered && !sent[1]->accepted);
  EXPECT_EQ(shard(0).spool.stats().appends_waiting, 0u);
  world.run_for(20s);
  EXPECT_TRUE(sent[0]->accepted && sent[2]->accepted);
  EXPECT_TRUE(stop());
}

// Clients on two shards send at once; the disk has a bad day; most runs end with a crash in the middle.
TEST_P(RandomSizesTest, AnyOrderOnAnyDisk) {
  std::mt19937_64 random(world.seed() * 7919);
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  options.spool.prefill = options.journal.prefill = below(4) == 0;
  if (below(4) == 0) world.disk().options.capacity_bytes = 256 * kMiB + below(512) * kMiB;
  ASSERT_TRUE(boot(2));
  if (below(3) == 0) {
    world.faults().plan.operation_delayed = 0.3;
    world.faults().plan.delay_max = std::chrono::milliseconds(1 + below(80));
  }
  if (below(3) == 0) world.faults().plan.write_short = 0.3;
  const std::uint64_t refuses = below(4);
  if (refuses < 2) {
    world.faults().add({.kind = runtime::OpKind::Write,
                        .path_contains = below(3) == 0 ? "/evt-" : "/msg-",
                        .skip = below(60),
                        .times = 1 + below(3),
                        .sys_errno = refuses == 0 ? EIO : ENOSPC});
  }
  std::uint64_t large_left = 200 * kMiB;
  for (std::size_t at = 0; at < 2; ++at) {
    for (std::uint64_t client = 0, clients = 1 + below(6); client < clients; ++client) {
      std::vector<std::size_t> sizes(1 + below(12));
      for (std::size_t& size : sizes) {
        size = (std::size_t{1} << below(26)) + below(1000);
        if (below(12) == 0) size = 30 * kMiB + below(30 * kMiB);
        if (size > large_left) size = 1 + below(4000);
        if (size > 256 * kKiB) large_left -= size;
      }
      test::start(send_in_turn(std::move(sizes), at));
    }
  }
  const bool runs_to_the_end = below(3) == 0;
  for (std::uint64_t cuts = below(4); cuts > 0; --cuts) {
    world.run_for(std::chrono::microseconds(below(3000)));
    sent[below(sent.size())]->stop.stop();
  }
  if (runs_to_the_end) {
    EXPECT_EQ(world.run_until([this] { return all_answered(); }, 10min), runtime::sim::Ended::Reached)
        << "seed " << world.seed() << ": somebody waits for nothing";
    const bool works = !shard(0).spool.failed() && !shard(1).spool.failed() && shard(0).journal.healthy() &&
                       shard(1).journal.healthy();
    EXPECT_TRUE(stop() || !works) << "seed " << world.seed();
    world.faults().clear();
    ASSERT_TRUE(boot(2));
  } else {
    world.run_for(std::chrono::microseconds(below(40'000)));
  }
  check_after(below(2) == 0 ? runtime::sim::Crash::Kill : runtime::sim::Crash::PowerCut, 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomSizesTest, ::testing::Range(0, kSeeds));

}  // namespace
}  // namespace sluice::journal
