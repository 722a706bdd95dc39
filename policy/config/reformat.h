#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace sluice::config {

/// A configuration file laid out evenly: four blanks per block, one blank behind a directive's name, two
/// before a comment at the end of a line, at most one empty line in a row. Comments, order, spelling and
/// values stay as they are, so a second pass changes nothing and the file means what it meant. That is
/// checked before the text is returned. Errors: the check failed (a defect of this function); the text says
/// where the statements began to differ.
[[nodiscard]] std::expected<std::string, std::string> reformat(std::string_view text);

}  // namespace sluice::config
