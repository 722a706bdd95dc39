#pragma once

#include "policy/config/file_source.h"

namespace sluice::tools {

/// Configuration files from the disk. Thread: any one. Blocks: for start-up, the control shard and command
/// lines.
class DiskFileSource final : public config::FileSource {
 public:
  Result<std::string> read(std::string_view path) override;
  Result<std::vector<std::string>> glob(std::string_view pattern) override;
};

}  // namespace sluice::tools
