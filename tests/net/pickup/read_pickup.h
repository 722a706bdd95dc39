#pragma once
// A pickup file read to its end, as the tests and the fuzzer want it.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "net/pickup/pickup_file.h"

namespace sluice::net {

struct PickupFile {
  bool is_batch = false;
  std::string hello;
  std::vector<PickupMessage> messages;
};

inline std::expected<PickupFile, PickupFault> parse_pickup(std::string_view bytes, const PickupRules& rules) {
  PickupReader reader(bytes, rules);
  PickupFile out;
  for (;;) {
    const auto step = reader.step();
    if (!step) return std::unexpected(step.error());
    if (*step == PickupReader::Step::Message) out.messages.push_back(reader.take_message());
    if (*step != PickupReader::Step::End) continue;
    out.is_batch = reader.is_batch();
    out.hello = reader.hello();
    return out;
  }
}

}  // namespace sluice::net
