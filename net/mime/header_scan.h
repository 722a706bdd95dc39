#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::net {

/// One header field as it lies in the message; views into the scanned text.
struct HeaderField {
  std::string_view name;   ///< without the colon and blanks before it; never empty
  std::string_view value;  ///< behind the colon, folding inside kept, blanks and line ends around it removed
  std::string_view whole;  ///< everything, with the final line end: what to cut out to strip the field
  std::size_t offset = 0;  ///< of `whole` in the scanned text
};

/// Goes through the header section of a message (RFC 5322 2.2) in one pass: everything up to the first empty
/// line. Lines that are no field are stepped over, together with the lines folded behind them, so that one bad
/// line cannot hide the fields below it. A byte order mark in front of a name is no part of the name.
/// Thread:   one at a time. Lifetime: the text outlives the scan and all fields.
/// Limits:   kHeaderBytesMax, and kFieldsMax fields and stray lines: what lies behind them is not read.
/// Errors:   none. Lines may end with CRLF or LF; a line that begins with a blank or TAB belongs to the line
///           before it.
class HeaderScan {
 public:
  static constexpr std::size_t kHeaderBytesMax = 1024 * 1024;
  static constexpr std::uint32_t kFieldsMax = 10'000;

  enum class Ended : std::uint8_t {
    EmptyLine,
    EndOfText,
    TooLarge,  ///< a header section beyond the limits
    Text,      ///< a stray line, and no empty line within the limits: more likely a body without headers
  };
  /// What the first line is, front_bytes() not counted.
  enum class FirstLine : std::uint8_t {
    Field,     ///< or the empty line
    BadField,  ///< a colon, but no name that may stand before one
    Text,      ///< no colon
    Folded,    ///< it begins with a blank: it would become part of whatever is put in front of it
  };

  explicit HeaderScan(std::string_view message);
  /// False when the headers are over.
  [[nodiscard]] bool next(HeaderField& field);
  /// Why next() said false.
  [[nodiscard]] Ended ended() const { return ended_; }
  /// After next() said false: where the header section ends, the empty line not included.
  [[nodiscard]] std::size_t header_bytes() const { return at_; }
  /// After next() said false: where the body begins, behind the empty line.
  [[nodiscard]] std::size_t body_offset() const { return body_; }
  /// What mailbox files and editors leave in front of the first field: a byte order mark, "From " lines.
  [[nodiscard]] std::size_t front_bytes() const { return front_; }
  [[nodiscard]] FirstLine first_line() const { return first_line_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t body_ = 0;
  std::size_t front_ = 0;
  std::uint32_t lines_ = 0;  // fields and stray lines
  bool has_stray_ = false;
  FirstLine first_line_ = FirstLine::Field;
  Ended ended_ = Ended::EndOfText;
};

/// `value` on one line: line ends removed, runs of blanks and TABs around them made one blank, ends trimmed.
void append_unfolded(std::string& out, std::string_view value);

}  // namespace sluice::net
