// Goal: replies are the same whatever the fragments, limits hold, and kept text is clean.
// How: any bytes of a server.

#include <cstdint>
#include <string>

#include "net/smtp/capabilities.h"
#include "net/smtp/reply_parser.h"
#include "policy/base/assert.h"
#include "policy/base/utf8.h"

namespace {

using sluice::net::Capabilities;
using sluice::net::ReplyParser;

std::string read(std::span<const std::byte> input, std::size_t fragment) {
  ReplyParser parser;
  parser.keep_lines(true);
  std::string out;
  while (!input.empty()) {
    auto piece = input.first(std::min(fragment, input.size()));
    input = input.subspan(piece.size());
    while (!piece.empty()) {
      const auto step = parser.feed(piece);
      SLUICE_ASSERT(step.consumed > 0 && step.consumed <= piece.size());
      piece = piece.subspan(step.consumed);
      if (step.state == ReplyParser::State::Faulty) return out + std::string(name_of(parser.fault()));
      if (step.state != ReplyParser::State::Complete) continue;
      const auto& reply = parser.reply();
      SLUICE_ASSERT(reply.code >= 200 && reply.code <= 599);
      SLUICE_ASSERT(reply.text.size() <= sluice::SmtpReply::kTextBytesMax);
      SLUICE_ASSERT(sluice::is_utf8(reply.text));
      for (const char c : reply.text) SLUICE_ASSERT(static_cast<unsigned char>(c) >= 32 && c != 127);
      SLUICE_ASSERT(parser.lines().size() <= ReplyParser::kLinesBytesMax);
      const Capabilities capabilities = Capabilities::parse(parser.lines());
      SLUICE_ASSERT(capabilities.listed.size() <= Capabilities::kListedBytesMax);
      out += std::to_string(reply.code) + reply.text + '\n' + std::string(parser.lines()) + '\n';
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const std::string whole = read(input, SIZE_MAX);
  SLUICE_ASSERT(read(input, 1) == whole);
  SLUICE_ASSERT(read(input, 7) == whole);
  return 0;
}
