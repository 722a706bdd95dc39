#pragma once
// The file of `dummy-smtp-blacklist`: what the built-in sink refuses recipients with.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

/// One of its lines, "random_bounce:550 5.1.1 user unknown". Placeholders that such files have in place of
/// names (<RCPT_USER>) are said as they stand.
struct SinkReply {
  std::uint16_t code = 0;  ///< 400 .. 599
  std::string text;        ///< with its enhanced code, if it has one
};

struct SinkReplies {
  std::vector<SinkReply> replies;
  struct Problem {
    std::size_t line;  ///< from 1
    std::string why;
  };
  std::vector<Problem> problems;  ///< lines that are left out; at most kProblemsMax of them
  static constexpr std::size_t kProblemsMax = 10;
  static constexpr std::size_t kRepliesMax = 10'000;
  static constexpr std::size_t kTextBytesMax = 500;  ///< a reply line has 512 (RFC 5321 4.5.3.1.5)
};

/// Blank lines and those that begin with # are comments.
[[nodiscard]] SinkReplies parse_sink_replies(std::string_view text);

}  // namespace sluice::config
