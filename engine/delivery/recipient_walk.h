#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/item.h"
#include "engine/spool/message.h"
#include "policy/base/units.h"

namespace sluice::queue {
class Queue;
}

namespace sluice::delivery {

/// Which recipients a command means: `delete`, `list` and their like (PowerMTA). Empty and absent: any.
/// Addresses and identifiers may have `*` for any run of characters; case does not count, but in job ids.
struct RecipientFilter {
  std::string queue = "*/*";  ///< QUEUE-NAME: delivery/queue_pattern.h
  std::string job;
  std::string orig;
  std::string rcpt;
  std::string env_id;
  std::optional<Duration> older_than;

  /// What can be judged without reading the message.
  [[nodiscard]] bool may_match(const queue::Item& item, WallTime now) const;
  [[nodiscard]] bool needs_envelope() const { return !orig.empty() || !rcpt.empty() || !env_id.empty(); }
  [[nodiscard]] bool matches(const spool::MessageView& message, std::uint32_t recipient) const;
};

/// A queued recipient as `list` shows it.
struct ListedRecipient {
  std::string rcpt, orig, queue, job, env_id;
  WallTime received{};
  std::uint64_t bytes = 0;
  std::uint16_t attempts = 0;
  std::uint8_t priority = 50;
  bool paused = false;             ///< its queue or its job is
  std::optional<Duration> due_in;  ///< waits for its retry; empty: as soon as the queue may
};

/// A part of a long list, and where the next one begins.
struct RecipientSlice {
  std::vector<ListedRecipient> found;
  std::size_t queue = 0;    ///< place in the list of names; its end: all were looked at
  std::size_t skipped = 0;  ///< recipients of that queue that were looked at
};

/// What a command does with each recipient it means; see Dispatcher::walk. Thread: the dispatcher's.
class RecipientVisitor {
 public:
  enum class Next : std::uint8_t { Keep, Gone, Stop };
  /// `message` is null when the filter did not need it and needs_message() is false. Gone: the visitor has
  /// ended the recipient. Stop: kept, and no more are wanted.
  [[nodiscard]] virtual Next visit(queue::Queue& queue, queue::Item& item,
                                   const spool::MessageView* message) = 0;
  [[nodiscard]] virtual bool needs_message() const = 0;

 protected:
  ~RecipientVisitor() = default;
};

}  // namespace sluice::delivery
