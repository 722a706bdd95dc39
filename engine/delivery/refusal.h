#pragma once
// Recipients that were let in only to be bounced at once: suppressed ones, malformed ones
// (accept-invalid-recipients).

#include <optional>
#include <string>
#include <string_view>

#include "engine/delivery/settler.h"

namespace sluice::delivery {

/// Why. Stored with the recipient in place of its queue, so that a crash between the 250 and the bounce
/// cannot turn it into a delivery.
struct Refusal {
  Failure failure;
  journal::Ending ending = journal::Ending::Bounced;

  /// "{refused}/S 5.7.1 smtp;550 5.7.1 ...": never the name of a queue, whose domain has no braces.
  [[nodiscard]] std::string text() const;
  /// Nothing for names of queues, and for texts that text() did not write.
  [[nodiscard]] static std::optional<Refusal> parse(std::string_view text);
};

}  // namespace sluice::delivery
