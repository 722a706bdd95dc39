#pragma once
// The commands that need no daemon, or can do without.

#include <optional>
#include <string>

#include "engine/control/command.h"

namespace sluice::tools {

/// Runs a command that was understood when it needs no daemon, or when `config`, the file of --config, or the command
/// itself names a file to look at. Nothing when the command is the daemon's. The number is the exit status: 0 good,
/// 1 bad configuration, 2 bad command.
[[nodiscard]] std::optional<int> run_offline(const control::Command& command, const std::string& config);
/// Runs what can be said all the same when no daemon has answered; nothing for other commands.
[[nodiscard]] std::optional<int> run_without_daemon(const control::Command& command);

}  // namespace sluice::tools
