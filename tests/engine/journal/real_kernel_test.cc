// Goal: the same storage on a real kernel and a real file system: stored in groups, read back from memory and from
// disk, recovered by the next start.
// How: one io_uring reactor on a temporary directory; many appends at once; everything stopped and started again.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/journal/storage.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "tests/support/tasks.h"

namespace sluice::journal {
namespace {

constexpr int kMessages = 400;

struct Directory {
  std::string path;
  Directory() {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-storage-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path = pattern;
  }
  ~Directory() { std::filesystem::remove_all(path); }
};

struct Model {
  std::map<MessageId, std::string> bodies;
  std::uint64_t from_memory = 0;
  std::uint64_t groups = 0;
};

struct Back : RecoveredVisitor {
  std::vector<spool::StoredMessage*> messages;
  void recovered(spool::StoredMessage& message, std::span<const RecoveredRecipient> recipients) override {
    EXPECT_EQ(recipients.size(), 1u);
    messages.push_back(&message);
  }
};

StorageOptions options_for_test() {
  StorageOptions options;
  options.spool.segment_bytes = 4 * kMiB;
  options.spool.commit_buffers = 16;
  options.spool.min_free_disk_bytes = 0;
  options.journal.segment_bytes = 1 * kMiB;
  return options;
}

runtime::Task<void> append_one(Storage& storage, Model& model, int i, bool end_it) {
  const std::string body = std::to_string(i) + std::string(static_cast<std::size_t>(i % 40) * 500, 'k');
  const spool::Recipient recipient{.address = "user@example.com"};
  const auto part = std::as_bytes(std::span(body));
  const std::span<const std::byte> piece(part);
  spool::MessageDraft draft;
  draft.id = storage.spool.next_id();
  draft.received = WallTime(std::chrono::milliseconds(1'767'571'200'000));
  draft.orig = "a@b.example";
  draft.recipients = std::span(&recipient, 1);
  draft.body = std::span(&piece, 1);
  const MessageId id = draft.id;
  const auto stored = co_await storage.spool.append(draft);
  EXPECT_TRUE(stored.has_value());
  if (!stored) co_return;
  auto lease = co_await storage.reader.open(**stored);
  EXPECT_TRUE(lease.has_value());
  if (lease) EXPECT_TRUE(std::ranges::equal(lease->body(), std::as_bytes(std::span(body))));
  if (end_it) {
    Event event;
    event.kind = EventKind::Delivered;
    event.ending = Ending::Delivered;
    event.message = id;
    storage.journal.append(event, *stored);
  } else {
    model.bodies[id] = body;
  }
}

runtime::Task<void> first_life(runtime::Reactor& reactor, std::string root, Model& model) {
  const RecoveryOptions options{.directory = root, .shards = 1};
  auto found = co_await recover(reactor, options);
  EXPECT_TRUE(found.has_value());
  StorageWorld world(root, *found);
  Storage storage(reactor, world, options_for_test());
  Back back;
  const Status started = co_await storage.start(*found, back);
  EXPECT_TRUE(started.has_value());
  EXPECT_TRUE(back.messages.empty());
  runtime::TaskGroup group;
  for (int i = 0; i < kMessages; ++i) group.spawn(append_one(storage, model, i, i % 4 == 0));
  co_await group.join();
  model.from_memory = storage.reader.stats().from_memory;
  model.groups = storage.spool.stats().groups_committed;
  const Status stopped = co_await storage.stop();
  EXPECT_TRUE(stopped.has_value());
}

runtime::Task<void> second_life(runtime::Reactor& reactor, std::string root, Model& model) {
  const RecoveryOptions options{.directory = root, .shards = 1};
  auto found = co_await recover(reactor, options);
  EXPECT_TRUE(found.has_value());
  EXPECT_EQ(found->report().damage_count, 0u);
  EXPECT_EQ(found->report().messages, model.bodies.size());
  StorageWorld world(root, *found);
  JournalReader accounting(reactor, world.directory(), "accounting", {});
  Storage storage(reactor, world, options_for_test());
  Back back;
  const Status started = co_await storage.start(*found, back);
  EXPECT_TRUE(started.has_value());
  EXPECT_EQ(back.messages.size(), model.bodies.size());
  for (const spool::StoredMessage* message : back.messages) {
    auto lease = co_await storage.reader.open(*message);
    EXPECT_TRUE(lease.has_value());
    if (!lease) continue;
    EXPECT_FALSE(lease->resident());
    EXPECT_TRUE(std::ranges::equal(lease->body(), std::as_bytes(std::span(model.bodies[message->id()]))));
  }
  std::size_t events = 0;
  for (;;) {
    auto batch = co_await accounting.next_if_any();
    EXPECT_TRUE(batch.has_value());
    if (!batch || !*batch) break;
    events += (*batch)->events.size();
  }
  EXPECT_EQ(events, std::size_t{kMessages + kMessages / 4});
  const Status stopped = co_await storage.stop();
  EXPECT_TRUE(stopped.has_value());
}

runtime::Task<void> then_stop(runtime::Task<void> body, runtime::Reactor& reactor) {
  co_await body;
  reactor.stop();
}

TEST(RealKernel, StoredInGroupsAndRecovered) {
  Directory directory;
  Model model;
  for (auto life : {&first_life, &second_life}) {
    auto reactor = runtime::UringReactor::create(ShardId{0}, runtime::UringOptions::small());
    if (!reactor) GTEST_SKIP() << runtime::UringReactor::explain(reactor.error());
    test::start(then_stop(life(**reactor, directory.path, model), **reactor));
    (*reactor)->run();
  }
  EXPECT_GT(model.from_memory, std::uint64_t{kMessages} / 2) << "fresh messages are in memory";
  EXPECT_LT(model.groups, std::uint64_t{kMessages} / 2) << "appends that come together are written together";
}

}  // namespace
}  // namespace sluice::journal
