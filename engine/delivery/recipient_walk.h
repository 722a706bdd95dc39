#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
  std::optional<Duration> due_in;  ///< until its next attempt; empty: it is under way, or nobody can say
  std::string why;                 ///< why it waits now; empty: its turn comes
  std::string last_reply;          ///< what its queue met last; empty: nothing yet
};

/// Why something waits for its next attempt after such a reply: "in retry", or "greylisted" when the reply says so.
[[nodiscard]] std::string_view retry_words(std::string_view reply);

/// A part of a long list, and where the next one begins.
struct RecipientSlice {
  std::vector<ListedRecipient> found;
  std::size_t queue = 0;    ///< place in the list of names; its end: all were looked at
  std::size_t skipped = 0;  ///< recipients of that queue that were looked at
};

/// How many recipients a filter means, and where they are.
struct RecipientCount {
  static constexpr std::size_t kQueuesMax = 5;
  std::uint64_t recipients = 0;
  std::uint64_t queues = 0;  ///< that hold some of them
  std::vector<std::pair<std::string, std::uint64_t>>
      largest;  ///< at most kQueuesMax queues, most recipients first
  void add(std::string queue, std::uint64_t count);
  void add(const RecipientCount& other);
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
