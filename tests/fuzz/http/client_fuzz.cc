// Goal: whatever a server sends, in whatever pieces, an exchange ends or waits, limits hold, and a connection
// is never used again after something that was not asked for. How: any bytes as answers, addresses, header
// files and messages.

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http/client.h"
#include "net/http/delivery_body.h"
#include "net/http/url.h"
#include "policy/base/assert.h"
#include "policy/base/utf8.h"

namespace {

using namespace sluice::net::http;

const std::string kFiller(16 * 1024, 'f');

void answer(std::span<const std::byte> input, std::size_t fragment) {
  Client client;
  const Request request{
      .authority = "h", .target = "/", .content_type = "application/json", .fields = {}, .body = "{}"};
  client.begin(request);
  while (!client.output().empty()) client.consumed();
  while (!input.empty()) {
    const auto piece = input.first(std::min(fragment, input.size()));
    input = input.subspan(piece.size());
    client.on_bytes(piece);
    SLUICE_ASSERT(client.response().body.size() <= Client::kBodyKeptMax);
    if (client.state() != Client::State::Done) continue;
    SLUICE_ASSERT(client.response().status >= 200);
    if (client.reusable()) {
      client.begin(request);
      while (!client.output().empty()) client.consumed();
    }
  }
  // Nothing goes on for ever.
  const std::size_t kFillers = 3 * (Client::kHeaderBytesMax + Client::kBodyBytesMax) / kFiller.size();
  for (std::size_t i = 0; i < kFillers && client.state() == Client::State::Busy; ++i)
    client.on_bytes(std::as_bytes(std::span(kFiller)));
  SLUICE_ASSERT(client.state() != Client::State::Busy);
  client.on_closed();
  SLUICE_ASSERT(client.state() == Client::State::Done || client.state() == Client::State::Failed);
  SLUICE_ASSERT(!client.reusable());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  answer(input, SIZE_MAX);
  answer(input, 1);
  answer(input, 5);
  // Behind a header section the same bytes are chunks, extensions and trailers.
  std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  chunks.append(reinterpret_cast<const char*>(data), size);
  answer(std::as_bytes(std::span(chunks)), SIZE_MAX);
  answer(std::as_bytes(std::span(chunks)), 3);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = parse_url(text)) SLUICE_ASSERT(!url->host.empty() && url->target.front() == '/');
  for (const auto& [name, value] : parse_fields(text).fields) {
    SLUICE_ASSERT(!name.empty() && value.find('\n') == value.npos && value.find('\r') == value.npos);
  }
  SLUICE_ASSERT(sluice::is_utf8(delivery_body({.from = text, .to = "a@b", .message = text})));
  return 0;
}
