#pragma once

#include "policy/base/units.h"
#include "policy/config/file_source.h"

namespace sluice::tools {

/// Configuration files from the disk, and from web servers. Thread: any one. Blocks: for start-up, the
/// control shard and command lines; web servers at most kFetchTime each and kAllFetchesTime together.
class DiskFileSource final : public config::FileSource {
 public:
  Result<std::string> read(std::string_view path) override;
  Result<std::vector<std::string>> glob(std::string_view pattern) override;
  std::expected<std::string, std::string> fetch(std::string_view url) override;

 private:
  static constexpr Duration kFetchTime = 10s;
  static constexpr Duration kAllFetchesTime = 30s;
  Duration left_ = kAllFetchesTime;
};

}  // namespace sluice::tools
