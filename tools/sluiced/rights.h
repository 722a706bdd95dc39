#pragma once

#include <expected>
#include <string>
#include <vector>

#include "policy/config/config.h"

namespace sluice::tools {

/// Folders and files a daemon of this configuration writes: what has to belong to the user it runs as.
struct OwnPaths {
  std::vector<std::string> trees;    ///< with everything below: spools
  std::vector<std::string> folders;  ///< with the files right in them, unless is_shared_folder()
  std::vector<std::string> files;
};
/// Folders such as /var/log, which are everybody's: they stay whose they are.
[[nodiscard]] bool is_shared_folder(const std::string& path);
[[nodiscard]] OwnPaths own_paths(const config::Config& config);

/// `run-as-root no`, started as root: makes the paths the user's, then becomes that user for good, with
/// nothing of root's rights but listening at ports below 1024. `users`: the first that this host knows is
/// taken. Not started as root: nothing happens. Thread: main, before any other is started. Errors: in words
/// for the operator; the process is to end then.
[[nodiscard]] std::expected<void, std::string> drop_rights(const std::vector<std::string>& users,
                                                           const OwnPaths& paths);

}  // namespace sluice::tools
