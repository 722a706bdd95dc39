#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/queue/item.h"
#include "engine/spool/message.h"
#include "policy/base/units.h"

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

}  // namespace sluice::delivery
