#pragma once
// What the table of commands says to people and shells: usage lines, help, docs/commands.md, completion. And the
// answers of commands that need nothing but these.

#include <optional>
#include <string>
#include <string_view>

#include "engine/control/command.h"
#include "engine/control/command_table.h"

namespace sluice::control {

/// "--maxitems=N".
[[nodiscard]] std::string option_usage(const OptionRow& row);
/// "set queue QUEUE --mode=normal|backoff".
[[nodiscard]] std::string command_usage(const CommandRow& row);
/// All commands, a line each.
[[nodiscard]] std::string help_text();
/// Everything about one.
[[nodiscard]] std::string help_text(const CommandRow& row);
/// docs/commands.md.
[[nodiscard]] std::string commands_manual();
/// For `source <(sluice completion bash)`.
[[nodiscard]] std::string bash_completion();

/// The answer to a command that needs no daemon, no file and no configuration; nothing for others. Requires a command
/// that was understood.
[[nodiscard]] std::optional<Answer> answer_alone(const Command& command);

}  // namespace sluice::control
