#pragma once
// A process with storage in a simulated machine: started, crashed and started again.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/journal/checkpointer.h"
#include "engine/journal/storage.h"
#include "tests/support/sim_test.h"

namespace sluice::journal {

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What a start has brought back.
struct Back : RecoveredVisitor {
  struct One {
    std::uint32_t index = 0;
    std::string domain, vmta, queue;
    std::uint32_t attempts = 0;
    WallTime next_due{}, first_attempt{};
    std::uint8_t priority = 0;
  };
  std::map<MessageId, spool::StoredMessage*> messages;
  std::map<MessageId, std::map<std::uint32_t, One>> recipients;

  void recovered(spool::StoredMessage& message, std::span<const RecoveredRecipient> all) override {
    EXPECT_TRUE(messages.emplace(message.id(), &message).second) << "a message came twice";
    EXPECT_EQ(message.outstanding(), all.size());
    for (const RecoveredRecipient& one : all) {
      recipients[message.id()][one.index] = {
          one.index,    std::string(one.domain), std::string(one.vmta), std::string(one.queue), one.attempts,
          one.next_due, one.first_attempt,       one.priority};
    }
  }
  [[nodiscard]] std::size_t recipient_count() const {
    std::size_t count = 0;
    for (const auto& [id, all] : recipients) count += all.size();
    return count;
  }
};

inline StorageOptions small_options() {
  StorageOptions options;
  options.spool.segment_bytes = 1 * kMiB;
  options.spool.commit_buffers = 8;
  options.spool.large_records_bytes = 2 * kMiB;
  options.spool.min_free_disk_bytes = 1 * kMiB;
  options.journal.segment_bytes = 256 * kKiB;
  options.reader.pool_bytes = 2 * kMiB;
  options.reader.large_bytes = 2 * kMiB;
  return options;
}

/// Everything of one process.
struct Process {
  Recovered found;
  std::unique_ptr<StorageWorld> world;
  std::vector<std::unique_ptr<Storage>> shards;
  std::unique_ptr<JournalReader> accounting;
  std::unique_ptr<Checkpointer> checkpointer;
  Back back;
};

class StorageRig : public ::testing::Test {
 protected:
  static constexpr const char* kRoot = "/spool";

  explicit StorageRig(std::uint64_t seed = 1, std::size_t reactors = 1,
                      runtime::sim::WorldOptions machine = {})
      : world(seed, with_reactors(std::move(machine), reactors)) {}
  ~StorageRig() override {
    if (process) crash();
    if (HasFailure()) RecordProperty("seed", std::to_string(world.seed()));
  }

  static runtime::sim::WorldOptions with_reactors(runtime::sim::WorldOptions options, std::size_t reactors) {
    options.machine.reactors = reactors;
    return options;
  }

  /// Recovers and starts `shards` shards; readers live on shard 0.
  [[nodiscard]] bool boot(std::uint32_t shards = 1, JournalCursor cursor = {}) {
    if (!world.machine().is_up()) world.machine().boot();
    RecoveryOptions how{.directory = kRoot,
                        .shards = shards,
                        .delete_damaged = delete_damaged,
                        .accounted = cursor,
                        .accept_damage = true};  // as an operator who knows what he does
    auto recovered = test::finish(world, recover(world.reactor(), std::move(how)));
    if (!recovered || !*recovered) {
      ADD_FAILURE() << (recovered ? recovered->error().text() : "recovery hangs");
      return false;
    }
    process = std::make_unique<Process>();
    process->found = std::move(**recovered);
    process->world = std::make_unique<StorageWorld>(kRoot, process->found);
    process->accounting = std::make_unique<JournalReader>(world.reactor(), process->world->directory(),
                                                          "accounting", std::move(cursor));
    process->checkpointer = std::make_unique<Checkpointer>(
        world.reactor(), process->world->directory(),
        CheckpointerOptions{.root = kRoot, .journal_segment_bytes = options.journal.segment_bytes});
    for (std::uint32_t i = 0; i < shards; ++i) {
      process->shards.push_back(std::make_unique<Storage>(world.reactor(i), *process->world, options));
    }
    bool ok = true;
    for (auto& shard : process->shards) {
      const auto status = test::finish(world, shard->start(process->found, process->back));
      ok = status && *status && ok;
      if (status && !*status) ADD_FAILURE() << status->error().text();
    }
    return ok;
  }
  [[nodiscard]] bool stop() {
    process->accounting->stop();
    bool ok = true;
    for (auto& shard : process->shards) {
      const auto status = test::finish(world, shard->stop());
      ok = status && *status && ok;
    }
    process.reset();
    return ok;
  }
  void crash(runtime::sim::Crash how = runtime::sim::Crash::PowerCut) {
    world.machine().crash(how);
    world.machine().bury(std::move(process));
  }
  [[nodiscard]] Storage& shard(std::size_t i = 0) { return *process->shards[i]; }
  [[nodiscard]] const RecoveryReport& report() const { return process->found.report(); }

  /// Appends one message to shard `i`; nullptr (and a failed test) on error.
  spool::StoredMessage* add(const std::string& body, std::vector<std::string> to = {"user@example.com"},
                            std::size_t i = 0) {
    auto answer = test::finish(world, append_one(shard(i), body, std::move(to)));
    if (!answer || !*answer) {
      ADD_FAILURE() << (answer ? answer->error().text() : "append hangs");
      return nullptr;
    }
    return **answer;
  }
  static runtime::Task<Result<spool::StoredMessage*>> append_one(Storage& storage, std::string body,
                                                                 std::vector<std::string> to) {
    std::vector<spool::Recipient> recipients;
    for (const std::string& one : to) {
      recipients.push_back(
          {.address = one, .orcpt = "rfc822;x", .vmta = "vmta1", .queue = "example.com/vmta1"});
    }
    const std::span<const std::byte> part = bytes_of(body);
    spool::MessageDraft draft;
    draft.id = storage.spool.next_id();
    draft.received = WallTime(std::chrono::milliseconds(1'767'571'200'000));
    draft.orig = "sender@example.org";
    draft.vmta = "vmta0";
    draft.job_id = "job7";
    draft.recipients = recipients;
    draft.body = std::span(&part, 1);
    co_return co_await storage.spool.append(draft);
  }
  /// The body as a lease shows it; nullopt (and a failed test) on error.
  std::optional<std::string> body_of(const spool::StoredMessage& message, bool* resident = nullptr,
                                     std::size_t i = 0) {
    auto answer = test::finish(world, read_body(shard(i), message, resident));
    if (!answer || !*answer) {
      ADD_FAILURE() << (answer ? answer->error().text() : "open hangs");
      return std::nullopt;
    }
    return **answer;
  }
  static runtime::Task<Result<std::string>> read_body(Storage& storage, const spool::StoredMessage& message,
                                                      bool* resident) {
    auto lease = co_await storage.reader.open(message);
    if (!lease) co_return std::unexpected(lease.error());
    if (resident != nullptr) *resident = lease->resident();
    co_return text_of(lease->body());
  }
  void end(spool::StoredMessage& message, std::uint32_t recipient, EventKind kind = EventKind::Delivered,
           std::size_t i = 0) {
    Event event;
    event.kind = kind;
    event.ending = kind == EventKind::Delivered ? Ending::Delivered : Ending::Bounced;
    event.time_logged = world.reactor(i).wall_now();
    event.message = message.id();
    event.recipient = recipient;
    event.attempts = 1;
    event.rcpt = "user@example.com";
    shard(i).journal.append(event, &message);
  }
  void defer(spool::StoredMessage& message, std::uint32_t recipient, std::uint32_t attempts,
             WallTime next_due, std::size_t i = 0) {
    Event event;
    event.kind = EventKind::Transient;
    event.time_logged = world.reactor(i).wall_now();
    event.time_first_attempt = WallTime(std::chrono::milliseconds(1'767'571'300'000));
    event.message = message.id();
    event.recipient = recipient;
    event.attempts = attempts;
    event.next_due = next_due;
    shard(i).journal.append(event);
  }
  void flush(std::size_t i = 0) {
    const auto status = test::finish(world, shard(i).journal.flush());
    EXPECT_TRUE(status && *status);
  }
  /// Every event there is at present.
  struct Seen {
    EventKind kind;
    MessageId message;
    std::uint32_t recipient = 0;
    std::string rcpt;
    std::string orig = {};
    std::string job = {};
    friend auto operator<=>(const Seen&, const Seen&) = default;
  };
  std::vector<Seen> read_events(JournalCursor& cursor) {
    std::vector<Seen> out;
    for (;;) {
      auto batch = test::finish(world, process->accounting->next_if_any());
      if (!batch || !*batch) {
        ADD_FAILURE() << "reading events";
        return out;
      }
      if (!**batch) return out;
      for (const Event& event : (**batch)->events) {
        out.push_back({event.kind, event.message, event.recipient, std::string(event.rcpt),
                       std::string(event.orig), std::string(event.job_id)});
      }
      EXPECT_EQ((**batch)->damaged, 0u);
      cursor.set((**batch)->directory_shard, (**batch)->after);
    }
  }

  runtime::sim::World world;
  StorageOptions options = small_options();
  bool delete_damaged = false;
  std::unique_ptr<Process> process;
};

}  // namespace sluice::journal
