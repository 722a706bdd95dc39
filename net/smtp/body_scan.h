#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::net {

/// What one pass over a message body saw.
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
  /// The dot that stopped the scan was taken out: what follows is the line's first byte, and no reason to
  /// stop.
  void skip_line_start() { at_line_start_ = false; }
  /// The LF that stopped the scan was replaced by CRLF.
  void note_repaired_lf();
  /// A line of the message begins with a dot (one is left after unstuffing).
  void note_dot_line() { facts_.has_dot_lines = true; }
  /// End of input: a CR that nothing follows is a bare one.
  void finish();
  void reset();
  /// For tests: every instruction set that this machine has sees the same in these 64 bytes.
  [[nodiscard]] static bool variants_agree(const std::byte* block);

  [[nodiscard]] const BodyFacts& facts() const { return facts_; }
  /// True behind CRLF and before the first byte.
  [[nodiscard]] bool at_line_start() const { return at_line_start_; }
  /// True when the bytes so far are whole lines, a repaired LF counted as a line end.
  [[nodiscard]] bool ends_with_line() const { return at_line_start_ || after_bare_lf_; }

 private:
  struct Masks;
  std::size_t take_block(const Masks& masks, std::size_t size, Stops stops, Stop& stop);
  void take_line_ends(std::uint64_t line_feeds, std::uint64_t behind_cr, std::size_t size);

  BodyFacts facts_;
  std::uint64_t line_bytes_ = 0;  // of the line under way
  bool after_cr_ = false;
  bool at_line_start_ = true;  // strictly: behind CRLF or at the very beginning
  bool after_bare_lf_ = false;
};

}  // namespace sluice::net
