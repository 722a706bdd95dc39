#pragma once
// Events and the journal's other records as payloads; FORMAT.md, "Events". Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/journal/event.h"
#include "policy/base/result.h"

namespace sluice::journal {

/// Longer texts are cut when stored, so that no stranger's reply fills a journal.
inline constexpr std::size_t kEventTextBytesMax = 65'535;
inline constexpr std::size_t kEventHeadersMax = 256;

[[nodiscard]] std::size_t encoded_bytes(const Event& event);
/// Requires out.size() == encoded_bytes(event).
void encode(const Event& event, std::span<std::byte> out);
/// Views point into `bytes`. Errors: Corrupt; Unsupported (a newer version of the record).
[[nodiscard]] Result<Event> decode_event(std::span<const std::byte> bytes);

/// A message lies somewhere else now.
struct MovedRecord {
  MessageId message;
  spool::MessagePlace from;
  spool::MessagePlace to;
  static constexpr std::size_t kBytes = 8 + 2 * 20;
};
void encode(const MovedRecord& moved, std::span<std::byte> out);
[[nodiscard]] Result<MovedRecord> decode_moved(std::span<const std::byte> bytes);

/// A key and its latest value.
struct StateRecord {
  WallTime time{};
  std::string_view key;
  std::string_view value;  ///< empty: forgotten
};
[[nodiscard]] std::size_t encoded_bytes(const StateRecord& state);
void encode(const StateRecord& state, std::span<std::byte> out);
[[nodiscard]] Result<StateRecord> decode_state(std::span<const std::byte> bytes);

}  // namespace sluice::journal
