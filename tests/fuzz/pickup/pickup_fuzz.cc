// Goal: any bytes as a pickup file are refused with a line and a printable reason, or give messages that can
// be sent as they are: with recipients, whole CRLF lines and facts that are true. How: both rules that change
// reading.

#include <cstdint>
#include <string_view>

#include "policy/base/assert.h"
#include "tests/net/pickup/read_pickup.h"

namespace {

using namespace sluice;

/// What is left of a batch behind its first message says what the whole said.
void check_rest(std::string_view bytes, const net::PickupRules& rules, const net::PickupFile& whole) {
  net::PickupReader reader(bytes, rules);
  for (auto step = reader.step(); *step != net::PickupReader::Step::Message;) step = reader.step();
  static_cast<void>(reader.take_message());
  const auto rest = net::parse_pickup(reader.rest(), rules);
  SLUICE_ASSERT(rest && rest->is_batch && rest->messages.size() + 1 == whole.messages.size());
  for (std::size_t i = 0; i < rest->messages.size(); ++i) {
    SLUICE_ASSERT(rest->messages[i].text == whole.messages[i + 1].text);
    SLUICE_ASSERT(rest->messages[i].recipients.size() == whole.messages[i + 1].recipients.size());
    SLUICE_ASSERT(rest->messages[i].lenient == whole.messages[i + 1].lenient);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const bool lenient : {false, true}) {
    const net::PickupRules rules{.remove_dot = lenient, .accept_invalid = lenient};
    const auto file = net::parse_pickup(bytes, rules);
    if (!file) {
      SLUICE_ASSERT(file.error().line >= 1 && !file.error().text.empty());
      for (const char c : file.error().text)
        SLUICE_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
      continue;
    }
    SLUICE_ASSERT(!file->messages.empty());
    if (file->is_batch && file->messages.size() > 1) check_rest(bytes, rules, *file);
    for (const net::PickupMessage& message : file->messages) {
      SLUICE_ASSERT(!message.recipients.empty() &&
                    message.recipients.size() <= net::PickupReader::kRecipientsMax);
      for (const net::PickupRecipient& one : message.recipients)
        SLUICE_ASSERT(one.fault.has_value() == one.address.is_null() && (!one.fault || message.lenient));
      net::BodyScan scan;
      scan.scan(reinterpret_cast<const std::byte*>(message.text.data()), message.text.size(), {});
      scan.finish();
      SLUICE_ASSERT(scan.facts().bytes == message.text.size() && scan.facts().bytes == message.facts.bytes);
      SLUICE_ASSERT(!scan.facts().bare_cr && !scan.facts().bare_lf && scan.ends_with_line());
      SLUICE_ASSERT(scan.facts().eight_bit == message.facts.eight_bit);
    }
  }
  return 0;
}
