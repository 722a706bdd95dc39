#pragma once
// A message as the payload of a record; FORMAT.md, "Message". Pure.

#include <cstddef>
#include <span>

#include "engine/spool/message.h"

namespace sluice::spool {

/// Sizes of a draft's stored form. Errors: BadInput (a limit of MessageDraft, or more than 4 GiB).
struct MessageSizes {
  std::uint32_t envelope_bytes = 0;
  std::uint32_t body_bytes = 0;
};
[[nodiscard]] Result<MessageSizes> measure(const MessageDraft& draft);

/// Writes all of `draft`. Requires payload.size() == envelope_bytes + body_bytes of measure().
void encode_message(const MessageDraft& draft, MessageSizes sizes, std::span<std::byte> payload);

}  // namespace sluice::spool
