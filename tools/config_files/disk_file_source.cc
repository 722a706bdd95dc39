#include "tools/config_files/disk_file_source.h"

#include <glob.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace sluice::tools {

Result<std::string> DiskFileSource::read(std::string_view path) {
  if (path.starts_with("http://") || path.starts_with("https://"))
    return fail(Errc::Unsupported, "include of a URL");
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(std::string(path).c_str(), "re"));
  if (!file) return fail_errno(errno, "open");
  std::string out;
  char buffer[65536];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, file.get())) {
    out.append(buffer, got);
    if (out.size() > config::kConfigFileBytesMax) return fail(Errc::NoSpace, "configuration file too large");
  }
  if (std::ferror(file.get()) != 0) return fail_errno(EIO, "read");
  return out;
}

Result<std::vector<std::string>> DiskFileSource::glob(std::string_view pattern) {
  ::glob_t found{};
  const int result = ::glob(std::string(pattern).c_str(), 0, nullptr, &found);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  if (result != 0 && result != GLOB_NOMATCH) return fail(Errc::Io, "glob");
  return out;
}

}  // namespace sluice::tools
