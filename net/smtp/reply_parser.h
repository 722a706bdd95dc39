#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "policy/base/smtp_reply.h"

namespace sluice::net {

/// Why bytes of a server are not a reply. The connection cannot be used any more.
enum class ReplyFault : std::uint8_t {
  BadCode,       ///< a line does not begin with three digits 200 .. 599
  BadSeparator,  ///< something else than blank, '-' or the end of the line behind the code
  ReplyTooLong,  ///< more than ReplyParser::kReplyBytesMax
};
[[nodiscard]] std::string_view name_of(ReplyFault fault);

/// Reads replies of an SMTP server from fragments of any size.
/// Thread:   one at a time; no globals.
/// Lifetime: reply() and lines() are valid until the next call of feed() or reset().
/// Limits:   below; kept text is SmtpReply::kTextBytesMax, everything else is scanned and forgotten.
/// Errors:   ReplyFault; afterwards only reset() or destruction.
/// Tolerance: lines may end with a bare LF. A bare CR, NUL and other control bytes become '?', a TAB a blank,
///   bytes that are not UTF-8 '?'. A line over kLineBytesMax counts like any other; its text is cut. Where
///   lines carry different codes the last line's is the reply's (RFC 5321 4.2.1 forbids it, servers do it:
///   "220-welcome", then "521 blocked"). An enhanced status code that later lines repeat is left out of the
///   text.
class ReplyParser {
 public:
  static constexpr std::size_t kLineBytesMax = 4096;  // RFC 5321 4.5.3.1.5 says 512; real servers exceed it
  static constexpr std::size_t kReplyBytesMax = 1024 * 1024;  // scanned, not kept
  static constexpr std::size_t kLinesBytesMax = 8 * 1024;     // of lines(); more is left out

  enum class State : std::uint8_t { NeedMore, Complete, Faulty };
  struct Step {
    State state = State::NeedMore;
    std::size_t consumed = 0;  ///< bytes of the input that were used; the rest belongs to the next reply
  };

  /// Uses bytes up to the end of the first complete reply. After Complete the next call begins a new reply.
  Step feed(std::span<const std::byte> input);
  /// Requires that the last feed() said Complete.
  [[nodiscard]] const SmtpReply& reply() const { return reply_; }
  /// Requires that the last feed() said Faulty.
  [[nodiscard]] ReplyFault fault() const { return fault_; }
  /// The line texts of a reply that began while keep_lines(true) was set, separated by '\n' (for EHLO).
  [[nodiscard]] std::string_view lines() const { return lines_; }
  void keep_lines(bool keep) { keep_lines_ = keep; }
  /// True when part of a reply was read: silence now is smtp-multiple-line-response-timeout's business.
  [[nodiscard]] bool in_reply() const { return !fresh_ || !partial_.empty(); }
  void reset();

 private:
  enum class Line : std::uint8_t { More, Last, Bad };
  [[nodiscard]] bool begins_well(std::string_view line);
  Line take_line(std::string_view line);
  void append_text(std::string_view text);

  SmtpReply reply_;
  std::string partial_;  // the beginning of a line whose end has not come yet
  std::string lines_;
  std::size_t reply_bytes_ = 0;
  ReplyFault fault_ = ReplyFault::BadCode;
  bool fresh_ = true;  // the next line is the first of a reply
  bool keep_lines_ = false;
};

}  // namespace sluice::net
