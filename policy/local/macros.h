#pragma once
// The macros of `command` and `file-destination`: $from, $to, $domain, $user, $envid, $bodytype, $ctime,
// $isodate, $timet, $rfctime. Their values come from strangers, so what they can do is limited here, in one
// place:
//
//   command           It is split into words first and filled in afterwards, and no shell is started: a value
//   stays
//                     within its word, whatever characters it has. Control characters become '_'. A word that
//                     would begin with '-' because of a value (it would be read as an option) refuses the
//                     recipient. Where the operator starts a shell himself (`sh -c "..."`), every byte of a
//                     value outside A-Z a-z 0-9 ! @ % - _ = + : , . / becomes '_', because that word is a
//                     program.
//   file-destination  '/', control characters and a dot at a value's front become '_', and a value is cut at
//   128
//                     bytes: it never leaves the directory the operator wrote, nor names a hidden file.

#include <chrono>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/units.h"

namespace sluice::local {

/// What the macros of one recipient are made from.
struct MacroFacts {
  std::string_view from;  ///< envelope sender; empty: null sender
  std::string_view to;    ///< local@domain
  std::string_view env_id;
  bool eight_bit = false;
  WallTime now{};
  std::chrono::seconds utc_offset{0};  ///< of local time, east positive
  bool preserve_case = false;          ///< `macro-variables-preserve-case`: $from and $to as they came
};

/// The values, ready to be put in. $user is the local part up to a '+', in lower case as $domain is.
struct MacroValues {
  explicit MacroValues(const MacroFacts& facts);
  std::string from, to, user, domain, envid, bodytype;
  std::string ctime;    ///< "Sun Jan  4 15:04:05 2026"
  std::string isodate;  ///< "2026-01-04"
  std::string timet;    ///< seconds since 1970
  std::string rfctime;  ///< "Sun, 04 Jan 2026 15:04:05 +0000"
  /// The value of a macro's name without '$'; null: there is no such macro.
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

/// A `command`, split. Words stand apart by blanks; double or single quotes hold blanks together; a backslash
/// in front of a quote or a backslash takes its meaning away.
class Command {
 public:
  static constexpr std::size_t kWordsMax = 256;

  /// Errors: what is wrong, for the operator.
  [[nodiscard]] static std::expected<Command, std::string> parse(std::string_view text);
  /// The program and its arguments for one recipient. Errors: why this recipient cannot be handed to the
  /// program.
  [[nodiscard]] std::expected<std::vector<std::string>, std::string> arguments(
      const MacroValues& values) const;
  [[nodiscard]] const std::string& program() const { return words_.front(); }
  /// A shell is started with -c: values are reduced to harmless characters.
  [[nodiscard]] bool starts_shell() const { return starts_shell_; }

 private:
  std::vector<std::string> words_;
  bool starts_shell_ = false;
};

/// `file-destination` for one recipient.
[[nodiscard]] std::string fill_path(std::string_view path, const MacroValues& values);
/// True when the text has a macro: then a failure may concern this one recipient only.
[[nodiscard]] bool has_macro(std::string_view text);

}  // namespace sluice::local
