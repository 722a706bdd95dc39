// Goal: any bytes of a remote host get a category, in bounded time.
// How: input is a reply: its first byte is the code, all of it the text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/base/assert.h"
#include "policy/classify/bounce_category.h"
#include "policy/classify/status_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  static const auto classifier = BounceClassifier::make({});
  SmtpReply reply;
  reply.code = size > 0 ? static_cast<std::uint16_t>(200 + data[0] % 400) : 550;
  reply.text.assign(reinterpret_cast<const char*>(data), size);
  reply.enhanced = EnhancedStatus::parse_front(reply.text);
  const EnhancedStatus status = status_of_reply(reply, ReplyPhase::Rcpt, {});
  SLUICE_ASSERT(!status_text(status).empty());
  SLUICE_ASSERT(!classifier->classify(status, "smtp;" + reply.full_text()).category.empty());
  return 0;
}
