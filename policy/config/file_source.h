#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/result.h"

namespace sluice::config {

/// Where the loader gets file contents from: the engine's disk, a test's map, a pushed text.
/// Thread:  called only during load_config, by its thread.
/// Errors:  read: NotFound, Permission, Io. The loader reports them with the line that named the file.
class FileSource {
 public:
  virtual ~FileSource() = default;
  /// Whole contents of a file. At most kConfigFileBytesMax of them are used.
  [[nodiscard]] virtual Result<std::string> read(std::string_view path) = 0;
  /// Paths that fit a shell pattern (`*`, `?`, `[]`), sorted. No match is an empty list, not an error.
  [[nodiscard]] virtual Result<std::vector<std::string>> glob(std::string_view pattern) = 0;
  /// What an absolute http or https address answers. Errors: in words for the operator.
  [[nodiscard]] virtual std::expected<std::string, std::string> fetch(std::string_view url) {
    return std::unexpected("nobody here can fetch " + std::string(url));
  }
};

inline constexpr std::size_t kConfigFileBytesMax = 256u << 20;

}  // namespace sluice::config
