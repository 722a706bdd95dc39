#include "policy/config/sink_replies.h"

#include <optional>

#include "policy/base/ascii.h"

namespace sluice::config {
namespace {

constexpr std::string_view kKind = "random_bounce:";

std::optional<std::uint16_t> code_of(std::string_view reply) {
  if (reply.size() < 3 || (reply[0] != '4' && reply[0] != '5')) return std::nullopt;
  for (const char digit : reply.substr(1, 2)) {
    if (digit < '0' || digit > '9') return std::nullopt;
  }
  if (reply.size() > 3 && reply[3] != ' ') return std::nullopt;
  return static_cast<std::uint16_t>((reply[0] - '0') * 100 + (reply[1] - '0') * 10 + (reply[2] - '0'));
}

/// What is wrong with a line; empty: `out` has it.
std::string read_line(std::string_view line, SinkReply& out) {
  if (!line.starts_with(kKind)) return "expected random_bounce:REPLY";
  const std::string_view reply = trim(line.substr(kKind.size()));
  const auto code = code_of(reply);
  if (!code) return "a reply begins with a code from 400 to 599, then a blank";
  const std::string_view text = trim(reply.substr(3));
  if (text.size() > SinkReplies::kTextBytesMax)
    return "a reply has " + std::to_string(SinkReplies::kTextBytesMax) + " bytes at most";
  out = {*code, text.empty() ? "refused" : std::string(text)};
  return {};
}

}  // namespace

SinkReplies parse_sink_replies(std::string_view text) {
  SinkReplies out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    SinkReply reply;
    std::string why = out.replies.size() < SinkReplies::kRepliesMax
                          ? read_line(line, reply)
                          : "more than " + std::to_string(SinkReplies::kRepliesMax) + " replies";
    if (why.empty()) {
      out.replies.push_back(std::move(reply));
    } else if (out.problems.size() < SinkReplies::kProblemsMax) {
      out.problems.push_back({number, std::move(why)});
    }
  }
  return out;
}

}  // namespace sluice::config
