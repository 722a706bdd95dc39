#pragma once
// The commands that read a configuration file themselves and need no daemon.

#include <optional>
#include <string>
#include <vector>

namespace sluice::tools {

/// Runs `arguments` when its first word is one of these commands; `config` is the file of --config, or empty.
/// Nothing when the command is the daemon's. The number is the exit status: 0 good, 1 bad configuration, 2
/// bad command.
[[nodiscard]] std::optional<int> run_offline(const std::vector<std::string>& arguments,
                                             const std::string& config);

}  // namespace sluice::tools
