#include "policy/config/diagnostic.h"

#include <algorithm>
#include <string_view>

namespace sluice::config {
namespace {

constexpr std::string_view kIndent = "    ";
constexpr std::size_t kShownBytesMax = 160;  ///< of a line; the rest is cut around the caret

std::string_view word_of(Severity severity) {
  switch (severity) {
    case Severity::Note: return "Note";
    case Severity::Warning: return "Warning";
    case Severity::Error: return "Error";
  }
  return "";
}

/// The line and its caret. Tabs become blanks and control bytes '?', so that the caret stands below its byte.
void append_excerpt(const Diagnostic& d, std::string& out) {
  const std::size_t column = d.column == 0 ? 0 : std::min<std::size_t>(d.column - 1, d.line_text.size());
  std::size_t begin = 0;
  if (column > kShownBytesMax * 3 / 4) begin = column - kShownBytesMax / 2;
  std::string shown = d.line_text.substr(begin, kShownBytesMax);
  std::size_t caret = column - begin;
  if (d.column == 0 || begin == 0) {
    const std::size_t indent = std::min(shown.find_first_not_of(" \t"), d.column == 0 ? shown.size() : caret);
    shown.erase(0, indent);
    caret -= std::min(caret, indent);
  }
  for (char& c : shown) {
    if (c == '\t')
      c = ' ';
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = '?';
  }
  if (shown.empty()) return;
  out.append(kIndent).append(shown) += '\n';
  if (d.column == 0) return;
  // Bytes that continue a UTF-8 character take no room on a terminal.
  const auto width =
      std::count_if(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(std::min(caret, shown.size())),
                    [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  out.append(kIndent).append(static_cast<std::size_t>(width), ' ') += "^\n";
}

}  // namespace

std::string format(const Diagnostic& d) {
  std::string out(word_of(d.severity));
  if (d.line > 0)
    out += " in line " + std::to_string(d.line) + " of " + d.file;
  else if (!d.file.empty())
    out += " in " + d.file;
  out += ": " + d.message + '\n';
  if (d.line > 0) append_excerpt(d, out);
  if (!d.expected.empty()) out.append(kIndent).append("expected: ").append(d.expected) += '\n';
  if (!d.suggestion.empty()) out.append(kIndent).append("hint: ").append(d.suggestion) += '\n';
  return out;
}

std::string format(std::span<const Diagnostic> diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) out += format(d);
  return out;
}

bool has_errors(std::span<const Diagnostic> diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::Error; });
}

}  // namespace sluice::config
