#pragma once
// Cells of accounting files: RFC 4180 as PowerMTA writes it.

#include <array>
#include <string>
#include <string_view>

namespace sluice::accounting {

namespace detail {
enum CellByte : unsigned char { kPlain = 0, kQuotes = 1, kBad = 2, kBreak = 4 };
inline constexpr auto kCellBytes = [] {
  std::array<unsigned char, 256> out{};
  for (unsigned c = 0; c < 0x20; ++c) out[c] = kBad;
  out[0x7f] = kBad;
  out['\t'] = kPlain;
  out['\n'] = out['\r'] = kBreak;
  out[','] = out['"'] = kQuotes;
  return out;
}();
}  // namespace detail

void append_unplain_cell(std::string& out, std::string_view value, bool quoted);

/// Appends one cell: quoted when it holds a comma or a quote, quotes doubled. A line break becomes a blank, together
/// with the blanks around it: a record is one line, and a folded header field is unfolded. Other control bytes, which
/// no tool reads alike, become '?'.
/// Cells that begin with '=', '+', '-' or '@' are written as they are. A spreadsheet may take such a cell for a
/// formula, yet any mark that prevents it would change addresses and reply texts for every program that reads these
/// files, and PowerMTA's files have none. Whoever opens accounting in a spreadsheet imports the columns as text.
inline void append_cell(std::string& out, std::string_view value) {
  unsigned char seen = 0;
  for (const char c : value) seen |= detail::kCellBytes[static_cast<unsigned char>(c)];
  if (seen == detail::kPlain) {
    out += value;
  } else {
    append_unplain_cell(out, value, (seen & detail::kQuotes) != 0);
  }
}

}  // namespace sluice::accounting
