#pragma once
// Lines and statements: what the configuration language looks like before any name has a meaning.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

/// One line to be read, without its comment and the blanks at its end. Lines that continue are joined.
struct LogicalLine {
  struct Piece {
    std::size_t offset = 0;  ///< in `text`
    std::uint32_t line = 0;  ///< physical line, from 1
    std::size_t column = 0;  ///< byte in that line, from 0
  };
  std::string text;
  std::vector<Piece> pieces;  ///< at least one
  [[nodiscard]] std::uint32_t line() const { return pieces.front().line; }
  /// Piece that holds the byte at `offset`.
  [[nodiscard]] const Piece& piece_at(std::size_t offset) const;
};

/// Physical lines of one file. Takes LF and CRLF, skips a byte order mark, `#` comments and `<!-- -->`
/// comments. Lifetime: borrows the contents.
class LineReader {
 public:
  static constexpr std::size_t kLogicalLineBytesMax = 1u << 20;
  static constexpr std::size_t kJoinedLinesMax = 10'000;

  explicit LineReader(std::string_view contents);
  /// Next line with content; false at the end of the file.
  bool next(LogicalLine& out);
  /// The line behind the last one, without comment and surrounding blanks; does not move on.
  [[nodiscard]] std::string_view peek() const;
  /// Joins the next physical line to `line`, with one blank between when `spaced` or when the line before ended with
  /// a blank. False at the end of the file or at a limit.
  bool extend(LogicalLine& line, bool spaced);
  [[nodiscard]] std::uint32_t line_number() const { return line_; }

 private:
  [[nodiscard]] std::string_view physical(std::size_t begin) const;
  std::string_view contents_;
  std::size_t position_ = 0;
  std::uint32_t line_ = 0;  ///< of the line read last
};

/// Cuts at the first `#`, there is no escape for it, and takes the blanks before it away.
[[nodiscard]] std::string_view without_comment(std::string_view line);

/// A directive, a tag, or an element (`<name>value</name>`, `<name a="b"/>`), which is a second way to write
/// a directive. Views point into the line's text.
struct Statement {
  enum class Kind : std::uint8_t { Directive, Open, Close, Element };
  Kind kind = Kind::Directive;
  std::string_view name;
  std::string_view argument;
};

struct StatementError {
  std::size_t offset = 0;
  const char* message = nullptr;  ///< null: no error
  const char* expected = "";
};

/// Splits one line into statements. `is_block` tells whether a tag name opens blocks.
[[nodiscard]] StatementError split_statements(std::string_view text, bool (*is_block)(std::string_view),
                                              std::vector<Statement>& out);

}  // namespace sluice::config
