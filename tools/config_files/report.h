#pragma once
// What `sluice check`, `sluiced --check` and a start that fails print: one text, whoever finds it.

#include <string>

#include "policy/config/config.h"

namespace sluice::tools {

/// The configuration of a daemon that is told none: that of the systemd unit and of the manual.
inline constexpr const char* kDefaultConfig = "/etc/sluice/config";

/// Reads a configuration from the disk, below it the vendor's defaults: PATH-defaults, as PowerMTA's
/// config-defaults lies beside its config. Without such a file there are none. What a node would not run with is an
/// error here: a start, a reload and every check refuse the same texts.
[[nodiscard]] config::LoadResult load_configuration(const std::string& path, config::LoadOptions options);

struct CheckOptions {
  config::LoadOptions load;
  bool json = false;
  bool look_at_host = true;  ///< files, keys, addresses, names
};

struct CheckReport {
  bool ok = false;
  std::string text;  ///< for standard output when `ok` or JSON was asked for, else for standard error
};

/// Loads `path` and looks it over.
[[nodiscard]] CheckReport check_configuration(const std::string& path, const CheckOptions& options);

/// The findings of a load that failed, with a last line that says how to go on.
[[nodiscard]] std::string load_failure_text(const std::string& path, const config::LoadResult& result);

}  // namespace sluice::tools
