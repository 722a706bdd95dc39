// Goal: no bytes from a name server crash, hang or exceed a bound; what is read can be written and read
//       again.
// How: libFuzzer; a message that parses is judged as an answer, packed for the cache, rebuilt and parsed
//      again.

#include "net/dns/answer.h"
#include "net/dns/message.h"
#include "policy/base/assert.h"

using namespace sluice;
using namespace sluice::net::dns;

namespace {

void check_names(const Message& message) {
  // A name is at most 255 bytes on the wire; escaped, four characters a byte.
  const auto check = [](const std::string& name) { SLUICE_ASSERT(name.size() <= 4 * kNameWireMax); };
  for (const auto& record : message.answers) check(record.name);
  for (const auto& record : message.authority) check(record.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  (void)txt_text(bytes);
  auto message = parse_message(bytes);
  if (!message) return 0;
  SLUICE_ASSERT(message->answers.size() + message->authority.size() <= kRecordsMax);
  check_names(*message);
  // Compression may make it larger than it came only if it came with better compression; then it is cut, not
  // wrong.
  if (const auto again = build_message(*message)) {
    const auto back = parse_message(*again);
    SLUICE_ASSERT(back.has_value());
    if (!back->header.truncated) SLUICE_ASSERT(*back == *message);
  }
  if (!message->questions.empty()) {
    const Question question = message->questions[0];
    const Answer answer = interpret_answer(std::move(*message), question.name, question.type);
    SLUICE_ASSERT((answer.kind == Answer::Kind::Records) == !answer.records.empty());
    SLUICE_ASSERT(answer.kind != Answer::Kind::Records || answer.ttl.has_value());
  }
  return 0;
}
