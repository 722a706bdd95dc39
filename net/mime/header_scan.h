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

/// Goes through the header section of a message (RFC 5322 2.2) in one pass.
/// Thread:   one at a time. Lifetime: the text outlives the scan and all fields.
/// Limits:   kHeaderBytesMax, kFieldsMax: what lies behind them is not read (Ended::TooLarge).
/// Errors:   none. Lines may end with CRLF or LF; a line that begins with a blank or TAB belongs to the field
///           before it. The first line that is neither a field nor such a line ends the headers, as the empty
///           line does, because a body without the empty line has to stay a body.
class HeaderScan {
 public:
  static constexpr std::size_t kHeaderBytesMax = 1024 * 1024;
  static constexpr std::uint32_t kFieldsMax = 10'000;

  enum class Ended : std::uint8_t { EmptyLine, NoField, EndOfText, TooLarge };

  explicit HeaderScan(std::string_view message) : text_(message) {}
  /// False when the headers are over.
  [[nodiscard]] bool next(HeaderField& field);
  /// Why next() said false.
  [[nodiscard]] Ended ended() const { return ended_; }
  /// After next() said false: where the header section ends, the empty line not included.
  [[nodiscard]] std::size_t header_bytes() const { return at_; }
  /// After next() said false: where the body begins, behind the empty line.
  [[nodiscard]] std::size_t body_offset() const { return body_; }
  [[nodiscard]] std::uint32_t fields() const { return fields_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t body_ = 0;
  std::uint32_t fields_ = 0;
  Ended ended_ = Ended::EndOfText;
};

/// `value` on one line: line ends removed, runs of blanks and TABs around them made one blank, ends trimmed.
void append_unfolded(std::string& out, std::string_view value);

}  // namespace sluice::net
