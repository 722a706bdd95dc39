#include "tools/config_files/disk_file_source.h"

#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>

#include "tools/config_files/url_fetch.h"

namespace sluice::tools {

Result<std::string> DiskFileSource::read(std::string_view path) {
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

std::expected<std::string, std::string> DiskFileSource::fetch(std::string_view url) {
  if (left_ == Duration{0}) return std::unexpected("the web servers before it took too long");
  timespec before{}, after{};
  ::clock_gettime(CLOCK_MONOTONIC, &before);
  auto text = fetch_url(url, std::min(kFetchTime, left_));
  ::clock_gettime(CLOCK_MONOTONIC, &after);
  const Duration spent = std::chrono::seconds(after.tv_sec - before.tv_sec) +
                         std::chrono::nanoseconds(after.tv_nsec - before.tv_nsec);
  left_ = std::max(left_ - spent, Duration{0});
  return text;
}

}  // namespace sluice::tools
