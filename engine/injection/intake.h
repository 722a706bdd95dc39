#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/delivery/dispatcher.h"
#include "engine/injection/submission.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/spool.h"

namespace sluice::injection {

/// Why a submission was refused, or that it was accepted: an SMTP code with its enhanced code and text; other
/// ways of injection translate.
struct Verdict {
  std::uint16_t code = 250;
  std::string text;
  [[nodiscard]] bool accepted() const { return code == 250; }
};

/// Numbers of one shard, for status.
struct IntakeCounters {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
  std::uint64_t refused = 0;
};

/// The way from a submission to queued recipients, for one shard: control headers, virtual MTA, trace header,
/// spool, queues. Thread:   one shard. Lifetime: everything passed in outlives it. Durable:  submit() answers
/// 250 after the spool's commit (`sync-msg-create`). Limits:   kMemoryMax bytes of messages on their way in,
/// then 452 (RFC 5321 4.5.3.1.9 leaves 452 for it).
class Intake {
 public:
  static constexpr std::uint64_t kMemoryMax = 256 * kMiB;
  /// A message has to fit into a segment of the spool with its envelope (64 MiB).
  static constexpr std::uint64_t kMessageBytesMax = 60 * kMiB;

  /// `dispatchers[i]` is shard i's; only its enqueue() is used, on that shard.
  Intake(runtime::Reactor& reactor, spool::Spool& spool, std::span<delivery::Dispatcher* const> dispatchers);

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot);
  [[nodiscard]] const std::shared_ptr<const queue::Snapshot>& snapshot() const { return snapshot_; }

  /// Room for new mail at all? False: answer MAIL with 452 4.3.1.
  [[nodiscard]] bool accepting() const;
  /// May this client send to `domain`? (relaying rules)
  [[nodiscard]] bool may_relay(const config::SourceSettings& rules, std::string_view address,
                               std::string_view domain) const;
  /// Stores `submission` and queues its recipients. `submission` stays untouched by the caller until the
  /// answer.
  [[nodiscard]] runtime::Task<Verdict> submit(Submission& submission);

  /// Memory for message bytes: taken while a message is on its way in.
  [[nodiscard]] bool try_take_memory(std::uint64_t bytes);
  void give_back_memory(std::uint64_t bytes);
  [[nodiscard]] const IntakeCounters& counters() const { return counters_; }

 private:
  struct Choice {
    config::VmtaId vmta;
    std::string_view pool;  ///< empty: none was named
  };
  struct Prepared;
  [[nodiscard]] std::expected<Choice, Verdict> choose(const Submission& submission,
                                                      std::string_view from_header, bool has_header);
  [[nodiscard]] std::optional<Choice> find_identity(std::string_view name);
  [[nodiscard]] std::optional<config::VmtaId> identity_of_address(const IpAddress& local) const;
  [[nodiscard]] bool scan_headers(const Submission& submission, Prepared& out, Verdict& refusal) const;
  void queue_recipients(spool::StoredMessage& message, const Submission& submission,
                        const queue::Snapshot& snapshot, config::VmtaId vmta);

  runtime::Reactor& reactor_;
  spool::Spool& spool_;
  std::span<delivery::Dispatcher* const> dispatchers_;
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::vector<std::uint32_t> pool_turns_;  // by PoolId
  std::uint64_t memory_used_ = 0;
  IntakeCounters counters_;
};

}  // namespace sluice::injection
