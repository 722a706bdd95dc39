#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::net {

/// What one pass over a message body saw. Counts the bytes as given, before any repair.
struct BodyFacts {
  std::uint64_t bytes = 0;           ///< of the message as the owner got it (unstuffed, repaired)
  std::uint64_t line_bytes_max = 0;  ///< longest line without its line end; RFC 5322 allows 998
  bool eight_bit = false;            ///< a byte above 127
  bool has_nul = false;
  bool has_dot_lines = false;  ///< a line begins with a dot: DATA has to stuff it when it is sent on
  bool bare_cr = false;        ///< CR without LF
  bool bare_lf = false;        ///< LF without CR
};

/// Looks at message bytes in fragments, 64 at a time.
/// Thread: one at a time. Errors: none. Limits: none; constant memory.
class BodyScan {
 public:
  enum class Stop : std::uint8_t {
    End,      ///< all of the input was looked at
    DotLine,  ///< input[scanned] is a dot at the beginning of a line (behind CRLF, or the very first byte)
    BareLf,   ///< input[scanned] is an LF without CR before it
  };
  struct Stops {
    bool dot_line = false;  ///< DATA: the caller decides whether it is stuffing or the end
    bool bare_lf = false;   ///< the caller repairs it
  };
  struct Result {
    std::size_t scanned = 0;  ///< bytes looked at; the byte that stopped the scan is not among them
    Stop stop = Stop::End;
  };

  /// Looks at `size` bytes that follow what was seen before.
  Result scan(const std::byte* input, std::size_t size, Stops stops);
  /// Takes note of bytes the caller handled itself: one byte that is neither CR nor LF (a dot), or a line
  /// end.
  void note_byte();
  void note_line_end();
  /// A dot line the caller was stopped at stays in the message (unstuffed or not a stuffed one).
  void note_dot_line() { facts_.has_dot_lines = true; }
  /// End of input: a CR that nothing follows is a bare one.
  void finish();
  void reset();

  [[nodiscard]] const BodyFacts& facts() const { return facts_; }
  [[nodiscard]] bool at_line_start() const { return at_line_start_; }
  [[nodiscard]] bool after_cr() const { return after_cr_; }

 private:
  BodyFacts facts_;
  std::uint64_t line_bytes_ = 0;  // of the line under way, without a CR that may end it
  bool after_cr_ = false;
  bool at_line_start_ = true;  // strictly: behind CRLF or at the very beginning
  bool after_bare_lf_ = false;
};

}  // namespace sluice::net
