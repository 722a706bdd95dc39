#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice::config {

enum class Severity : std::uint8_t {
  Note,     ///< worth knowing; nothing is wrong
  Warning,  ///< loads, but probably does not mean what it seems to
  Error,    ///< the configuration does not load
};

/// One finding about the text, in words for the person who wrote it.
struct Diagnostic {
  Severity severity = Severity::Error;
  std::string file;
  std::uint32_t line = 0;    ///< from 1; 0: about the configuration as a whole
  std::uint32_t column = 0;  ///< byte column from 1; 0: the whole line
  std::string line_text;     ///< the line as written, without its end
  std::string message;       ///< "argument missing"
  std::string expected;      ///< grammar of what should stand there, with an example; may be empty
  std::string suggestion;    ///< nearest known name, or what to do; may be empty
};

/// `Error in line 11 of /etc/pmta/config: argument missing`, the line, a caret, and the hints; several lines,
/// each with its end.
[[nodiscard]] std::string format(const Diagnostic& diagnostic);
[[nodiscard]] std::string format(std::span<const Diagnostic> diagnostics);
[[nodiscard]] bool has_errors(std::span<const Diagnostic> diagnostics);

}  // namespace sluice::config
