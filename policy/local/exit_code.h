#pragma once
// What the end of a program means for the recipient it was started for (queue type pipe).

#include <string_view>

#include "policy/base/smtp_reply.h"

namespace sluice::local {

struct ExitVerdict {
  enum class Kind : std::uint8_t { Delivered, Retry, Bounce };
  Kind kind = Kind::Retry;
  EnhancedStatus status{4, 3, 0};
  std::string_view name;  ///< "EX_TEMPFAIL"; empty: a code without a name
};

/// PowerMTA's table of <sysexits.h>. Codes outside it (a script that failed by itself, a program the shell
/// did not find) are temporary, so that a broken script costs time and not mail.
[[nodiscard]] ExitVerdict verdict_of_exit(int code);

}  // namespace sluice::local
