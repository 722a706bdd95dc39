// Goal: whatever the moment and kind of a crash: nothing accepted is lost, nothing that durably ended comes back,
// every body is unchanged, and readers see exactly one received and at most one final event for each ending asked for.
// How: a seeded load appends messages, defers and ends recipients on two shards while chance delays operations and cuts
// writes short; the machine loses power or the process is killed at a random moment, and starts again, many times.
// A model beside it knows what was promised.
#include <cstdlib>
#include <random>

#include "tests/engine/journal/storage_rig.h"

namespace sluice::journal {
namespace {

// More when asked for: SLUICE_CRASH_SEEDS=200 engine_journal_crash_test.
const int kSeeds = [] {
  const char* asked = std::getenv("SLUICE_CRASH_SEEDS");
  return asked == nullptr ? 6 : static_cast<int>(std::strtol(asked, nullptr, 10));
}();

// What has been promised and asked for, for one recipient.
struct Promise {
  bool accepted = false;        // append() answered
  bool end_asked = false;       // its ending was appended to a journal
  bool end_durable = false;     // ... and flush() answered afterwards
  std::uint32_t attempts_asked = 0;
  std::uint32_t attempts_durable = 0;
};
struct Known {
  std::string body;
  std::vector<Promise> recipients;
  spool::StoredMessage* message = nullptr;  // in this life
};

struct Model {
  std::map<MessageId, Known> messages;
  std::set<std::tuple<EventKind, MessageId, std::uint32_t>> seen;  // by the reader
};

struct LoadShape {
  std::uint32_t shards = 2;
  std::size_t body_max = 60'000;
  double large_share = 0.02;
};

class Load {
 public:
  Load(Process& process, runtime::sim::World& world, Model& model, std::uint64_t seed, LoadShape shape)
      : process_(process), world_(world), model_(model), random_(seed), shape_(shape) {}

  runtime::Task<void> inject(std::size_t at) {
    Storage& storage = *process_.shards[at];
    for (;;) {
      co_await runtime::sleep_for(world_.reactor(at), std::chrono::microseconds(random_() % 3000));
      const std::size_t count = 1 + random_() % 3;
      const bool large = static_cast<double>(random_() % 1000) < shape_.large_share * 1000;
      const std::size_t size = large ? 300'000 + random_() % 200'000 : random_() % shape_.body_max;
      Known known;
      known.body.assign(size, static_cast<char>('a' + random_() % 26));
      known.body += std::to_string(random_());
      known.recipients.resize(count);
      std::vector<spool::Recipient> recipients(count, {.address = "user@example.com", .queue = "example.com/v"});
      const std::span<const std::byte> part = bytes_of(known.body);
      spool::MessageDraft draft;
      draft.id = storage.spool.next_id();
      draft.received = world_.wall_now();
      draft.orig = "a@b.example";
      draft.vmta = "v";
      draft.recipients = recipients;
      draft.body = std::span(&part, 1);
      const MessageId id = draft.id;
      EXPECT_FALSE(model_.messages.contains(id)) << "an id was given twice";
      // Stands here before the answer: a crash may keep what was not acknowledged.
      model_.messages[id] = known;
      const auto answer = co_await storage.spool.append(draft);
      if (!answer) continue;
      for (Promise& one : model_.messages[id].recipients) one.accepted = true;
      model_.messages[id].message = *answer;
    }
  }

  // Ends and defers what there is, from any shard, as delivery would.
  runtime::Task<void> deliver(std::size_t at) {
    Storage& storage = *process_.shards[at];
    std::vector<std::pair<MessageId, std::uint32_t>> endings, attempts;
    for (;;) {
      co_await runtime::sleep_for(world_.reactor(at), std::chrono::microseconds(random_() % 4000));
      for (std::size_t n = random_() % 6; n > 0 && !model_.messages.empty(); --n) {
        auto found = model_.messages.begin();
        std::advance(found, static_cast<long>(random_() % model_.messages.size()));
        auto& [id, known] = *found;
        const auto recipient = static_cast<std::uint32_t>(random_() % known.recipients.size());
        Promise& promise = known.recipients[recipient];
        if (known.message == nullptr || promise.end_asked || random_() % 4 == 0) continue;
        Event event;
        event.time_logged = world_.wall_now();
        event.message = id;
        event.recipient = recipient;
        event.attempts = ++promise.attempts_asked;
        if (random_() % 3 == 0) {
          event.kind = EventKind::Transient;
          event.next_due = world_.wall_now() + 1min;
          storage.journal.append(event);
          attempts.emplace_back(id, recipient);
        } else {
          promise.end_asked = true;
          event.kind = random_() % 2 == 0 ? EventKind::Delivered : EventKind::Bounced;
          spool::StoredMessage* message = known.message;
          if (std::ranges::all_of(known.recipients, &Promise::end_asked)) known.message = nullptr;
          storage.journal.append(event, message);
          endings.emplace_back(id, recipient);
        }
      }
      if (random_() % 3 == 0) {
        std::vector<std::tuple<MessageId, std::uint32_t, std::uint32_t>> made;
        for (const auto& [id, recipient] : attempts) {
          made.emplace_back(id, recipient, model_.messages[id].recipients[recipient].attempts_asked);
        }
        const auto ended = std::exchange(endings, {});
        attempts.clear();
        const Status status = co_await storage.journal.flush();
        if (!status) continue;
        for (const auto& [id, recipient] : ended) model_.messages[id].recipients[recipient].end_durable = true;
        for (const auto& [id, recipient, count] : made) {
          Promise& promise = model_.messages[id].recipients[recipient];
          promise.attempts_durable = std::max(promise.attempts_durable, count);
        }
      }
    }
  }

  // Opens messages at random and compares.
  runtime::Task<void> read(std::size_t at) {
    Storage& storage = *process_.shards[at];
    for (;;) {
      co_await runtime::sleep_for(world_.reactor(at), std::chrono::microseconds(random_() % 5000));
      if (model_.messages.empty()) continue;
      auto found = model_.messages.begin();
      std::advance(found, static_cast<long>(random_() % model_.messages.size()));
      const auto& [id, known] = *found;
      if (known.message == nullptr) continue;
      // Held by a recipient that the others leave alone meanwhile.
      auto free = std::ranges::find(known.recipients, false, &Promise::end_asked);
      if (free == known.recipients.end()) continue;
      Promise& promise = const_cast<Promise&>(*free);
      promise.end_asked = true;
      auto lease = co_await storage.reader.open(*known.message);
      promise.end_asked = false;
      if (!lease) {
        EXPECT_EQ(lease.error().code, Errc::Io) << lease.error().text();
        continue;
      }
      EXPECT_EQ(text_of(lease->body()), model_.messages[id].body);
      co_await runtime::sleep_for(world_.reactor(at), std::chrono::microseconds(random_() % 20000));
    }
  }

 private:
  Process& process_;
  runtime::sim::World& world_;
  Model& model_;
  std::mt19937_64 random_;
  LoadShape shape_;
};

class CrashTest : public StorageRig, public ::testing::WithParamInterface<int> {
 protected:
  CrashTest() : StorageRig(static_cast<std::uint64_t>(GetParam()) + 1, 3) {}

  // What came back against what was promised; then the model goes on from there.
  void compare(Model& model) {
    std::size_t lost = 0, revived = 0;
    for (auto& [id, known] : model.messages) {
      const auto message = process->back.messages.find(id);
      known.message = message == process->back.messages.end() ? nullptr : message->second;
      const auto back = process->back.recipients.find(id);
      bool any_live = false;
      for (std::uint32_t i = 0; i < known.recipients.size(); ++i) {
        Promise& promise = known.recipients[i];
        const bool live = back != process->back.recipients.end() && back->second.contains(i);
        any_live = any_live || live;
        if (promise.accepted && !promise.end_asked && !live) ++lost;
        if (promise.end_durable && live) ++revived;
        if (live) {
          EXPECT_GE(back->second.at(i).attempts, promise.attempts_durable);
          EXPECT_LE(back->second.at(i).attempts, promise.attempts_asked);
          promise = {.accepted = true, .attempts_asked = promise.attempts_asked,
                     .attempts_durable = back->second.at(i).attempts};
        } else {
          // Ended, or never acknowledged and gone; nobody may ask for it again.
          promise.accepted = promise.accepted || message != process->back.messages.end();
          promise.end_asked = promise.end_durable = true;
        }
      }
      if (any_live) {
        EXPECT_EQ(body_of(*known.message), known.body);
      }
    }
    for (const auto& [id, message] : process->back.messages) {
      EXPECT_TRUE(model.messages.contains(id)) << "a message that nobody sent";
    }
    EXPECT_EQ(lost, 0u) << "accepted recipients lost";
    EXPECT_EQ(revived, 0u) << "durably ended recipients came back";
    for (const Damage& one : report().damage) {
      ADD_FAILURE() << one.file << " at " << one.offset << ", " << one.bytes << " bytes: " << one.why;
    }
    for (const std::string& one : report().doubts) ADD_FAILURE() << "a crash is no damage: " << one;
    EXPECT_EQ(report().lost_segment, 0u);
  }

  void read_and_check(Model& model, JournalCursor& cursor) {
    for (const Seen& one : read_events(cursor)) {
      if (one.kind == EventKind::Transient) continue;
      const EventKind kind = one.kind == EventKind::Bounced ? EventKind::Delivered : one.kind;
      EXPECT_TRUE(model.seen.emplace(kind, one.message, one.recipient).second)
          << "event kind " << static_cast<int>(one.kind) << " of " << one.message.raw() << " came twice";
    }
  }
};

TEST_P(CrashTest, NothingAcceptedIsLost) {
  constexpr int kRounds = 8;
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()) * 7919);
  options.spool.move_from_segments = 3;
  options.spool.move_live_share = 0.4;
  Model model;
  JournalCursor cursor;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint32_t shards = random() % 5 == 0 ? 1 : 2;
    ASSERT_TRUE(boot(shards, cursor));
    compare(model);
    if (HasFailure()) return;
    read_and_check(model, cursor);
    process->accounting->acknowledge(cursor);
    // What waits to be started: on the heap, given up with the process.
    auto load = std::make_unique<Load>(*process, world, model, random(), LoadShape{});
    world.faults().plan.operation_delayed = 0.02;
    world.faults().plan.delay_max = 20ms;
    world.faults().plan.write_short = 0.05;
    for (std::uint32_t i = 0; i < shards; ++i) {
      test::start(load->inject(i));
      test::start(load->inject(i));
      test::start(load->deliver(i));
      test::start(load->read(i));
    }
    std::optional<Status> checkpoint;
    world.run_for(std::chrono::microseconds(random() % 600'000));
    if (random() % 2 == 0) {
      test::start(process->checkpointer->write_now(), checkpoint);
      world.run_for(std::chrono::microseconds(random() % 300'000));
      cursor = process->accounting->acknowledged();
      read_and_check(model, cursor);
      process->accounting->acknowledge(cursor);
      world.run_for(std::chrono::microseconds(random() % 300'000));
    }
    crash(random() % 3 == 0 ? runtime::sim::Crash::Kill : runtime::sim::Crash::PowerCut);
    world.machine().bury(std::move(load));
    world.faults().clear();
  }
  // In the end every accepted recipient has its received event, and every durable ending its final one.
  ASSERT_TRUE(boot(2, cursor));
  compare(model);
  flush(0);
  flush(1);
  read_and_check(model, cursor);
  for (const auto& [id, known] : model.messages) {
    for (std::uint32_t i = 0; i < known.recipients.size(); ++i) {
      const bool live = process->back.recipients.contains(id) && process->back.recipients.at(id).contains(i);
      if (live) EXPECT_TRUE(model.seen.contains({EventKind::Received, id, i}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CrashTest, ::testing::Range(0, kSeeds));

}  // namespace
}  // namespace sluice::journal
