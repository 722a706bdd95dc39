#pragma once
// What can be said about a regular expression without compiling it: that it can never match the text it is
// held against, or that an earlier one takes everything it could match. Only certain cases are reported.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

/// What a pattern is matched against.
enum class PatternSubject : std::uint8_t {
  Reply,      ///< "421 4.7.0 text": code, blank or '-', text
  StatusDiag  ///< "4.7.0;smtp;421 4.7.0 text"
};

/// Why `pattern` cannot match any such text; empty when it may.
[[nodiscard]] std::string why_never_matches(std::string_view pattern, PatternSubject subject);

/// A pattern that is plain text.
struct PlainPattern {
  std::string text;  ///< lower case
  bool from_start = false;
};
/// Nothing when it is more than that.
[[nodiscard]] std::optional<PlainPattern> plain_text(std::string_view pattern);

/// Every text that `later` matches is matched by `earlier` too.
[[nodiscard]] bool pattern_covers(std::string_view earlier, std::string_view later);

}  // namespace sluice::config
