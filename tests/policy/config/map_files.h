#pragma once
// A FileSource over a map, and shortcuts the tests of the configuration language share.

#include <fnmatch.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"

namespace sluice::config {

class MapFiles : public FileSource {
 public:
  std::map<std::string, std::string> files;
  Result<std::string> read(std::string_view path) override {
    const auto it = files.find(std::string(path));
    if (it == files.end()) return fail(Errc::NotFound, "map_files.read");
    return it->second;
  }
  std::expected<std::string, std::string> fetch(std::string_view url) override {
    const auto it = files.find(std::string(url));
    if (it == files.end()) return std::unexpected("the server answers 404 Not Found");
    return it->second;
  }
  Result<std::vector<std::string>> glob(std::string_view pattern) override {
    std::vector<std::string> out;
    for (const auto& [path, contents] : files) {
      if (::fnmatch(std::string(pattern).c_str(), path.c_str(), FNM_PATHNAME) == 0) out.push_back(path);
    }
    return out;
  }
};

inline constexpr std::string_view kMain = "/etc/sluice/config";

/// Loads one text as a part of a configuration: nothing is required.
inline LoadResult load_fragment(std::string_view text, bool lenient = false) {
  MapFiles files;
  files.files[std::string(kMain)] = text;
  return load_config(kMain, files, {.lenient = lenient, .fragment = true, .defaults_path = {}});
}

inline LoadResult load_whole(std::string_view text) {
  MapFiles files;
  files.files[std::string(kMain)] = text;
  return load_config(kMain, files, {});
}

inline std::size_t count(const LoadResult& result, Severity severity) {
  std::size_t out = 0;
  for (const Diagnostic& d : result.diagnostics) out += d.severity == severity ? 1 : 0;
  return out;
}

}  // namespace sluice::config
